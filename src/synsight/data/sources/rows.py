"""One row of a source before its image is read, and the Arrow batch that a chunk of rows becomes."""

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from synsight.data.images import ImageLimits
from synsight.data.sources.roots import PlaceError, Root
from synsight.stages import REJECTED

PLACE = "place"
"""Column of a source's batches: where the row comes from, as messages say it."""

MESSAGE = "reject_message"
"""Column of a source's batches: the sentence behind `reject_reason`."""

ROWS_PER_CHUNK = 1_000
BYTES_PER_CHUNK = 32_000_000
"""A chunk ends at either; so many images, or bytes of images, are read, checked and acknowledged together."""


@dataclass(slots=True)
class Row:
    """One row of a source."""

    place: str
    image: str | bytes | None = None
    """A path below the root, or the image itself."""
    values: dict[str, Any] = field(default_factory=dict)
    """Column of the catalog -> Python value."""
    reason: str | None = None
    """Why the row is rejected before its image is looked at."""
    message: str | None = None


def read_chunk(
    root: Root, rows: Sequence[Row], schema: pa.Schema, limits: ImageLimits | None = None
) -> pa.RecordBatch:
    """Read the rows' images; a row whose image cannot be read gets a reason.

    Args:
        root: Where paths start.
        rows: Any number.
        schema: Columns of `Row.values`.
        limits: How many bytes of a file are read at most.

    Returns:
        Columns `place`, `reject_reason`, `reject_message`, `image`, then those of `schema`.
    """
    most = (limits or ImageLimits()).max_bytes
    images = [_image_of(root, row, most) for row in rows]
    columns = [
        pa.array([row.place for row in rows], pa.string()),
        pa.array([row.reason for row in rows], pa.string()),
        pa.array([row.message for row in rows], pa.string()),
        pa.array(images, pa.binary()),
        *(pa.array([row.values.get(one.name) for row in rows], one.type) for one in schema),
    ]
    return pa.RecordBatch.from_arrays(columns, names=[PLACE, REJECTED, MESSAGE, "image", *schema.names])


def _image_of(root: Root, row: Row, most: int) -> bytes | None:
    if row.reason is not None:
        return None
    if not isinstance(row.image, str):
        return row.image
    try:
        return root.read(row.image, most=most)
    except PlaceError as error:
        row.reason, row.message = error.reason, str(error)
        return None


def as_text(value: Any) -> str | None:
    """A cell as text: lists joined by spaces, objects as JSON; nothing, an empty text and NaN are None."""
    if value is None or value == "":
        return None
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, bool | int):
        return str(value)
    if isinstance(value, float):
        return None if math.isnan(value) else str(int(value)) if _is_whole(value) else str(value)
    if isinstance(value, list | tuple) and all(isinstance(one, str) for one in value):
        return clean(" ".join(value)) or None
    return as_json_text(value)


def as_json_text(value: Any) -> str | None:
    """A cell that no column type fits, as JSON."""
    return None if value is None else clean(json.dumps(value, ensure_ascii=False, default=repr))


_KEYWORD_MARKS = re.compile(r"[,;|、，；\n\t]+")


def as_keywords(value: Any) -> list[str]:
    """A cell as keywords: a list as it is, a JSON list, or text cut at , ; | and their Japanese forms."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        with suppress(ValueError, RecursionError):
            value = json.loads(value)
    if isinstance(value, str):
        value = _KEYWORD_MARKS.split(value)
    if not isinstance(value, list | tuple):
        value = [] if value is None else [value]
    texts = (as_text(one) for one in value)
    return [text.strip() for text in texts if text and text.strip()]


def clean(text: str) -> str:
    """Text that can be stored: lone surrogates (a broken half of a character) become question marks."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _is_whole(value: float) -> bool:
    return math.isfinite(value) and value == int(value) and abs(value) < 2**53


ROLE_VALUES: Mapping[str, tuple[Callable[[Any], Any], pa.DataType]] = {
    "id": (as_text, pa.string()),
    "caption": (as_text, pa.string()),
    "keywords": (as_keywords, pa.list_(pa.string())),
    "group": (as_text, pa.string()),
    "split": (as_text, pa.string()),
}
"""Role -> how its cells are read and stored; `image` and `label` have rules of their own."""
