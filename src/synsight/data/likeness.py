"""Whether two images of nearly equal hashes are nearly the same image: their bytes, then their pixels.

Drawings are mostly paper, so a mean difference of pixels finds all of them alike. What is compared is what is
drawn: the pixels' deviations from the image's own mean, whose correlation is 1 for the same image however
bright, and falls with every part that differs, in proportion to all that is drawn.
"""

import hashlib
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from os import cpu_count

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from synsight.data.catalog import Catalog
from synsight.data.fast_decode import decode_pixels
from synsight.errors import ImageError

SIDE = 32
"""Images are compared at SIDE x SIDE pixels in colour."""
ZOOMS = (0.96, 0.98)
"""An image may be the middle of the other: a rim of 1 or 2 in 100 was cut off."""

ZOOMED_FROM, ZOOMED_TO = 0.01, 0.25
"""Differences for which a zoom is worth trying; a rim of 2 in 100 makes 0.2 of nine drawings in ten."""

DIFFERENCE = 0.02
"""Most by which the pixels of one picture differ from those of a copy; JPEG of quality 20 makes 0.01 of it.
See `Likeness.difference`."""

ROWS_AT_ONCE = 256
PAIRS_AT_ONCE = 4096

Places = NDArray[np.int64]


def _zoom(share: float) -> NDArray[np.float32]:
    """The middle of SIDE pixels drawn out to SIDE, linearly, as a matrix [SIDE, SIDE]."""
    places = (np.arange(SIDE) - (SIDE - 1) / 2) * share + (SIDE - 1) / 2
    weights = np.maximum(0, 1 - np.abs(places[:, None] - np.arange(SIDE)))
    return np.asarray(weights, np.float32)


class Likeness:
    """Compares a catalog's images by position; each is decoded once, when it is first asked for.

    Small pictures (3 KB an image that was asked for) wait in a temporary file; memory holds 24 bytes a row.

    Args:
        catalog: With the column `image`.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        rows = catalog.count_rows()
        self._known = np.zeros(rows, bool)
        self._digests = np.zeros(rows, "V16")
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  closed when no longer asked
        self._file.truncate(max(rows, 1) * SIDE * SIDE * 3)
        self._pixels = np.memmap(self._file, np.uint8, "r+", shape=(max(rows, 1), SIDE, SIDE, 3))

    def digests(self, positions: Places) -> NDArray[np.void]:
        """128-bit hashes of the images' bytes."""
        self._read(positions)
        return self._digests[positions]

    def difference(self, first: Places, second: Places) -> NDArray[np.float32]:
        """1 minus the correlation of the pixels, 0 (the same picture) to 2, at the best zoom; 1 where one
        image shows nothing.
        """
        self._read(np.concatenate([first, second]))
        least = np.empty(len(first), np.float32)
        for start in range(0, len(first), PAIRS_AT_ONCE):
            some = slice(start, start + PAIRS_AT_ONCE)
            least[some] = pixel_difference(self._pixels[first[some]], self._pixels[second[some]])
        return least

    def _read(self, positions: Places) -> None:
        unknown = np.unique(positions[~self._known[positions]])
        if not len(unknown):
            return
        with ThreadPoolExecutor(cpu_count() or 1) as pool:
            for start in range(0, len(unknown), ROWS_AT_ONCE):
                rows = unknown[start : start + ROWS_AT_ONCE]
                images = self._catalog.take(rows, ["image"]).column("image").to_pylist()
                self._store(rows, pool.map(small_pixels, images), images)
        self._known[unknown] = True

    def _store(self, rows: Places, pixels: Iterable[NDArray[np.uint8]], images: list[bytes | None]) -> None:
        for row, small, image in zip(rows, pixels, images, strict=True):
            self._pixels[row] = small
            self._digests[row] = np.void(hashlib.blake2b(image or b"", digest_size=16).digest())


def pixel_difference(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.float32]:
    """1 minus the correlation of small images, pair by pair, at the best zoom, [N].

    Args:
        one: What `small_pixels` gives, [N, SIDE, SIDE, 3].
        other: [N, SIDE, SIDE, 3].
    """
    left, right = one.astype(np.float32), other.astype(np.float32)
    found = _difference(left, right)
    open_ = np.flatnonzero((found > ZOOMED_FROM) & (found < ZOOMED_TO))
    left, right = left[open_], right[open_]
    for matrix in map(_zoom, ZOOMS):
        for difference in (
            _difference(_zoomed(left, matrix), right),
            _difference(left, _zoomed(right, matrix)),
        ):
            found[open_] = np.minimum(found[open_], difference)
    return found


def small_pixels(data: bytes | None) -> NDArray[np.uint8]:
    """An image as it is compared, [SIDE, SIDE, 3]; black where it cannot be decoded."""
    try:
        image = Image.fromarray(decode_pixels(data or b"", shrink_to=4 * SIDE))
    except ImageError:
        return np.zeros((SIDE, SIDE, 3), np.uint8)
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.LANCZOS))


def _zoomed(pixels: NDArray[np.float32], matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    zoomed = matrix @ np.moveaxis(pixels, 3, 1) @ matrix.T
    return np.moveaxis(zoomed, 1, 3).astype(np.float32, copy=False)


def _difference(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float32]:
    """1 minus the correlation over pixels and channels, each channel about its own mean, [N]."""
    one = one - one.mean(axis=(1, 2), keepdims=True)
    other = other - other.mean(axis=(1, 2), keepdims=True)
    together = np.einsum("nijc,nijc->n", one, other)
    alone = np.einsum("nijc,nijc->n", one, one) * np.einsum("nijc,nijc->n", other, other)
    difference: NDArray[np.float32] = 1 - together / np.sqrt(np.maximum(alone, 1e-6))
    return difference
