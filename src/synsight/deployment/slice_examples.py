"""What the model got wrong in a slice, as small pictures for a page."""

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from synsight.data.catalog import Catalog
from synsight.data.images import decode_image
from synsight.deployment.slice_rows import JudgedRows
from synsight.errors import ImageError
from synsight.records import Example
from synsight.seeding import generator

SIDE = 112
"""Pixels; sharp at the size a page shows."""
CAPTION = "caption"


def missed_examples(
    rows: JudgedRows, catalog: Catalog, inside: NDArray[np.int64], *, count: int, seed: int = 0
) -> list[Example]:
    """Some of a slice's rows that were answered wrongly, of different groups.

    Args:
        rows: All rows.
        catalog: Where the images are.
        inside: Which rows are the slice's.
        count: Most examples.
        seed: Of the choice.
    """
    missed = generator(seed, "slice examples").permutation(inside[~rows.hits[inside]])
    first = np.sort(np.unique(rows.groups[missed], return_index=True)[1])[:count]
    return examples_at(rows, catalog, missed[first].tolist())


def examples_at(rows: JudgedRows, catalog: Catalog, chosen: Sequence[int]) -> list[Example]:
    """The rows with a picture, their label, and what was answered."""
    columns = ["image", *([CAPTION] if CAPTION in catalog.columns else [])]
    found = catalog.take(rows.positions[list(chosen)], columns).to_pylist()
    return [
        Example(
            id=str(rows.ids[place]),
            thumbnail=_thumbnail(row["image"]),
            caption=None if row.get(CAPTION) is None else str(row[CAPTION]),
            label=str(rows.labels[place]),
            predicted=((str(rows.predictions[place]), float(rows.probabilities[place])),),
        )
        for place, row in zip(chosen, found, strict=True)
    ]


def _thumbnail(data: bytes) -> bytes:
    """A small WebP; nothing where the image can no longer be read."""
    try:
        image = decode_image(data, shrink_to=SIDE)
    except ImageError:
        return b""
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=85)
    return buffer.getvalue()
