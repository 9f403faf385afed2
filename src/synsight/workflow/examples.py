"""Images for a page: small pictures with their captions, the words found, and what a model sees."""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from synsight.data.catalog import Catalog
from synsight.data.images import decode_image
from synsight.language import Vocabulary
from synsight.models import Model
from synsight.records import Example
from synsight.seeding import generator
from synsight.workflow.caption_facts import NOT_TEST, text_of

THUMBNAIL_SIDE = 112
"""Pixels; sharp at the size a page shows on a dense screen without weighing it down."""


def examples(
    catalog: Catalog,
    *,
    text_columns: Sequence[str],
    label: str | None = None,
    vocabulary: Vocabulary | None = None,
    model: Model | None = None,
    count: int = 20,
    seed: int = 0,
) -> list[Example]:
    """Pick images that no training has seen (validation rows; any but test rows where there are none).

    Args:
        catalog: Where the images are.
        text_columns: Shown as the caption.
        label: Column shown as the label.
        vocabulary: Names the classes of the column `words_<vocabulary>`; None: no words are shown.
        model: Its three likeliest words are shown beside; None: nothing is.
        count: Most images.
        seed: Of the choice.
    """
    positions = catalog.positions("split = 'val'")
    if not len(positions):
        positions = catalog.positions(NOT_TEST)
    chosen = _one_of_each_group(catalog, generator(seed, "examples").permutation(positions), count)
    if not len(chosen):
        return []
    words = f"words_{vocabulary.name}" if vocabulary is not None else None
    wanted = ["id", "image", *text_columns, *(name for name in (label, words) if name)]
    rows = catalog.take(chosen, list(dict.fromkeys(wanted))).to_pylist()
    seen = model.words([row["image"] for row in rows], top=3) if model is not None and model.head else None
    return [
        Example(
            id=row["id"],
            thumbnail=thumbnail(row["image"]),
            caption="; ".join(filter(None, (text_of(row[name]) for name in text_columns))) or None,
            words=[vocabulary.names[one] for one in row[words]] if vocabulary is not None and words else (),
            label=None if label is None or row[label] is None else str(row[label]),
            predicted=() if seen is None else seen[number],
        )
        for number, row in enumerate(rows)
    ]


def thumbnail(data: bytes) -> bytes:
    """A small WebP of an encoded image."""
    image = decode_image(data, shrink_to=THUMBNAIL_SIDE)
    image.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=85)
    return buffer.getvalue()


def _one_of_each_group(catalog: Catalog, positions: np.ndarray, count: int) -> np.ndarray:
    """The first rows of different groups, so that twenty images are twenty things."""
    some = positions[: 20 * count]
    if "group" not in catalog.columns or not len(some):
        return some[:count]
    groups = catalog.take(some, ["group"])["group"].to_pylist()
    first = {group or place: place for place, group in reversed(list(enumerate(groups)))}
    return some[sorted(first.values())[:count]]
