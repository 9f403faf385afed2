"""What an image looks like in 301 numbers, without any training: where its edges run and its colours.

The image half of judging pairs where no model is given. Nothing is learnt, so no caption can have leaked
into it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from synsight.data.catalog import Catalog
from synsight.data.fast_decode import decode_pixels
from synsight.errors import ImageError
from synsight.stages import Runner, ThreadRunner

SIDE, CELL, DIRECTIONS = 32, 8, 9
"""Pixels of an image and of a cell; directions of edges, as in HOG."""
LEVELS = 4
"""Of each channel in the histogram of colours."""
CELLS = SIDE // CELL
BLOCKS = (CELLS**2 * DIRECTIONS, LEVELS**3, CELLS**2 * 3, (CELLS // 2) ** 2 * DIRECTIONS + DIRECTIONS)
"""Numbers of each kind: edges by cell, histogram of colours, colour by cell, edges by quarter and of all."""
ROWS_PER_CHUNK = 1024

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class DescriptorStage:
    """The stage: the column `image` to the column `descriptor`, null where an image cannot be decoded."""

    name = "image-descriptors"
    version = "1"

    @property
    def settings(self) -> Mapping[str, object]:
        """See `Stage.settings`."""
        return {}

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """See `Stage.__call__`."""
        small = [_small(data) for data in batch.column("image").to_pylist()]
        is_read = np.array([one is not None for one in small], np.bool_)
        rows = np.zeros((len(small), sum(BLOCKS)), np.float16)
        if is_read.any():
            rows[is_read] = describe(np.stack([one for one in small if one is not None]))
        values = pa.array(rows.reshape(-1))
        column = pa.FixedSizeListArray.from_arrays(values, rows.shape[1], mask=pa.array(~is_read))
        return pa.record_batch([column], ["descriptor"])


def catalog_descriptors(
    catalog: Catalog, *, where: str | None = None, runner: Runner | None = None
) -> tuple[Floats, NDArray[np.bool_]]:
    """Descriptors of the rows that match, [N, 301], and whether each image could be decoded, [N].

    Each kind of number is centred and has a total variance of 1. Stopped at any moment, the same call goes on
    where it was.
    """
    stage = DescriptorStage()
    source = catalog.source(["image"], where=where, rows_per_chunk=ROWS_PER_CHUNK)
    spool = catalog.spool(stage, source)
    with catalog.ledger() as ledger:
        (runner or ThreadRunner()).run(
            stage, source, spool, ledger=ledger, description="describe images", total=source.rows
        )
    found, is_read = np.zeros((source.rows, sum(BLOCKS)), np.float32), np.zeros(source.rows, np.bool_)
    start = 0
    for batch in spool.batches():
        column = batch.column("descriptor")
        rows = np.asarray(column.is_valid(), np.bool_)
        values = column.flatten().to_numpy(zero_copy_only=False).reshape(-1, sum(BLOCKS))
        found[start : start + len(rows)][rows] = values
        is_read[start : start + len(rows)] = rows
        start += len(rows)
    spool.clear()
    cuts = np.cumsum([0, *BLOCKS])
    for begin, end in pairwise(cuts.tolist()):
        balance(found[:, begin:end], is_read)
    return found, is_read


def describe(images: NDArray[np.uint8]) -> Floats:
    """Descriptors of small images [N, 32, 32, 3], [N, 301], of every kind on its own scale.

    Reference: Dalal and Triggs 2005 for histograms of oriented gradients; unlike theirs, cells overlap with
    no block and are normalised by themselves.
    """
    edges = _edges(images.astype(np.float32).mean(axis=3) / 255)
    quarters = edges.reshape(-1, CELLS // 2, 2, CELLS // 2, 2, DIRECTIONS).mean(axis=(2, 4))
    colours = images.reshape(-1, CELLS, CELL, CELLS, CELL, 3).mean(axis=(2, 4), dtype=np.float32) / 255
    parts = (edges, _histogram(images), colours, quarters, edges.mean(axis=(1, 2)))
    return np.hstack([part.reshape(len(images), -1) for part in parts]).astype(np.float32)


def balance(block: Floats, is_there: NDArray[np.bool_] | None = None) -> None:
    """Centre columns, and scale them together to a total variance of 1, over the rows that are there.

    Args:
        block: [N, D]; changed in place, since a copy of all rows is what memory runs out by.
        is_there: [N]; the other rows become 0. None: all are.
    """
    there = np.True_ if is_there is None else is_there[:, None]
    rows = len(block) if is_there is None else int(is_there.sum())
    block -= block.sum(axis=0, where=there, dtype=np.float64) / max(rows, 1)
    if is_there is not None:
        block[~is_there] = 0
    variance = float(np.einsum("nd,nd->", block, block, dtype=np.float64)) / max(rows, 1)
    block /= max(np.sqrt(variance), 1e-9)


def _small(data: bytes | None) -> NDArray[np.uint8] | None:
    """The whole image on a white square, SIDE x SIDE."""
    try:
        image = Image.fromarray(decode_pixels(data or b"", shrink_to=2 * SIDE))
    except ImageError:
        return None
    side = max(image.size)
    scale = SIDE / side
    size = tuple(max(round(one * scale), 1) for one in image.size)
    square = Image.new("RGB", (SIDE, SIDE), "white")
    small = image.resize((size[0], size[1]), Image.Resampling.BILINEAR)
    square.paste(small, ((SIDE - size[0]) // 2, (SIDE - size[1]) // 2))
    return np.asarray(square)


def _edges(grey: Floats) -> Floats:
    """Square roots of the edges' strength by direction in each cell, [N, 4, 4, 9]."""
    down, right = np.zeros_like(grey), np.zeros_like(grey)
    down[:, 1:-1] = grey[:, 2:] - grey[:, :-2]
    right[:, :, 1:-1] = grey[:, :, 2:] - grey[:, :, :-2]
    strength = np.hypot(down, right)
    angle = np.mod(np.arctan2(down, right), np.pi) / np.pi * DIRECTIONS
    cells = np.zeros((len(grey), CELLS, CELLS, DIRECTIONS), np.float32)
    for direction in range(DIRECTIONS):
        apart = np.abs(angle - direction)
        share = np.maximum(0, 1 - np.minimum(apart, DIRECTIONS - apart)) * strength
        cells[..., direction] = share.reshape(-1, CELLS, CELL, CELLS, CELL).sum(axis=(2, 4))
    cells = np.sqrt(cells)
    # The tenth keeps the noise of an empty cell from becoming a strong edge.
    return np.asarray(cells / (np.linalg.norm(cells, axis=3, keepdims=True) + 0.1), np.float32)


def _histogram(images: NDArray[np.uint8]) -> Floats:
    """Square roots of the shares of 64 colours, [N, 64]."""
    levels = (images // (256 // LEVELS)).astype(np.int64)
    codes = (levels @ np.array([LEVELS**2, LEVELS, 1])).reshape(len(images), -1)
    cells = codes + np.arange(len(images))[:, None] * LEVELS**3
    counts = np.bincount(cells.ravel(), minlength=len(images) * LEVELS**3).reshape(-1, LEVELS**3)
    return np.asarray(np.sqrt(counts / codes.shape[1]), np.float32)
