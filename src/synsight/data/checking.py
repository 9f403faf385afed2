"""The stage of `ingest`: is this image whole, how large is it, what is it called, which split is it in."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pyarrow as pa

from synsight.data.columns import MADE_BY_INGEST
from synsight.data.images import ImageHeader, ImageLimits, check_image
from synsight.data.sources import MESSAGE, PLACE
from synsight.data.splits import drawn_split, normalised_split
from synsight.errors import ImageError
from synsight.stages import REJECTED

MADE = {
    "id": pa.string(),
    "image": pa.binary(),
    "width": pa.int32(),
    "height": pa.int32(),
    "format": pa.string(),
    "caption": pa.string(),
    "keywords": pa.list_(pa.string()),
    "split": pa.string(),
}
"""Columns that every catalog has; caption and keywords are null where the source has none."""

GIVEN = "given_split"
"""Keeps what the source says of splits where they are made anew."""


@dataclass(frozen=True, kw_only=True)
class CheckImages:
    """Decodes every image once; notes its size, format, id and split.

    An image that fails has the gate's reason (see `images.py`); a row that the source rejected keeps its own.
    An id that is not given is a hash of the bytes.
    """

    schema: pa.Schema
    """The source's columns beside the image."""
    limits: ImageLimits = field(default_factory=ImageLimits)
    splits: Literal["given", "hash", "later"] = "given"
    """As the source says and else by a hash, all by a hash, or by whoever sees all rows; in the latter two
    cases what the source says becomes `given_split`."""
    name: str = "ingest"
    version: str = "1"

    @property
    def settings(self) -> Mapping[str, object]:
        """See `Stage.settings`."""
        return {
            "max_pixels": self.limits.max_pixels,
            "max_bytes": self.limits.max_bytes,
            "columns": [[one.name, str(one.type)] for one in self.schema],
            **({} if self.splits == "given" else {"splits": self.splits}),
        }

    @property
    def output_schema(self) -> pa.Schema:
        """Columns of the catalog: the common ones in their order, then the user's own."""
        types = MADE | {one.name: one.type for one in self.schema}
        if self.splits != "given" and "split" in self.schema.names:
            types[GIVEN] = types["split"]
        if self.splits == "later":
            del types["split"]
        order = [name for name in MADE_BY_INGEST if name in types]
        return pa.schema([(name, types[name]) for name in [*order, *(n for n in types if n not in order)]])

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """See `Stage.__call__`; the columns `place` and `reject_message` go along."""
        rows = [self._checked(row) for row in batch.to_pylist()]
        schema = pa.schema(
            [(PLACE, pa.string()), (MESSAGE, pa.string()), (REJECTED, pa.string()), *self.output_schema]
        )
        return pa.RecordBatch.from_pylist(rows, schema=schema)

    def _checked(self, row: dict[str, Any]) -> dict[str, Any]:
        if row[REJECTED] is not None:
            return row
        try:
            header = check_image(row["image"], self.limits)
        except ImageError as error:
            message = f"{row[PLACE]}: {error}"
            return {**row, "image": None, REJECTED: error.reason, MESSAGE: message}
        return row | _found(row, header, use_given=self.splits == "given")


def _found(row: Mapping[str, Any], header: ImageHeader, *, use_given: bool) -> dict[str, Any]:
    key = row.get("id") or hashlib.sha256(row["image"]).hexdigest()[:32]
    given = row.get("split") if use_given else None
    return {
        "id": key,
        "width": header.width,
        "height": header.height,
        "format": header.format,
        "split": normalised_split(given) if given else drawn_split(row.get("group") or key),
        **({} if use_given else {GIVEN: row.get("split")}),
    }
