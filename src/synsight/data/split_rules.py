"""How `ingest` parts its rows when it is told to: which columns decide, and the pass over them.

The pass keeps 16 bytes a row (the hash of the group, and the time or the hash of the class), and some 100
while it sorts them; images are not looked at.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt
from numpy.typing import NDArray

from synsight.data.splits import ORDER, cut_by_class, cut_by_time, hash_number
from synsight.errors import DataError, UsageError, near_names

if TYPE_CHECKING:
    from synsight.data.catalog import Catalog, Commit

TIME_COLUMN = "captured_at"
ROWS_AT_ONCE = 65_536
WAYS = ("hash", "time", "stratified")

HASH_DIGITS = 32
_COPY = re.compile(rf"[0-9a-f]{{{HASH_DIGITS}}}-\d+")
"""What `ingest` calls the second image with the same bytes and further ones."""

_DATE = re.compile(
    r"(\d{4})\s*[-/.:年]\s*(\d{1,2})\s*[-/.:月]\s*(\d{1,2})日?(?:[T\s]+(\d{1,2})[:時](\d{1,2})分?(?::?(\d{1,2})秒?)?)?"
)
"""Year first: EXIF's 2024:05:31 09:30:00, 2024/5/31, 2024年5月31日. Which of 5/6/2024 is the month, no one
knows."""


@dataclass(frozen=True)
class SplitRule:
    """A way to part rows, checked against the columns of a source."""

    by: Literal["hash", "time", "stratified"]
    column: str = ""
    """Of the catalog: the time or the class; "" for `hash`."""

    @property
    def settings(self) -> dict[str, str]:
        """For the record of a version."""
        return {"by": self.by, "column": self.column}

    @property
    def words(self) -> str:
        """For people."""
        return {
            "hash": "a hash of the group, else of the id",
            "time": f"{self.column}: the newest are the test",
            "stratified": f"a hash within each {self.column}",
        }[self.by]


def split_rule(
    by: str | None, *, schema: pa.Schema, columns: Mapping[str, str], time_column: str | None
) -> SplitRule | None:
    """Check what the user asked for against a source; None: splits as given, missing ones by a hash.

    Args:
        by: One of `WAYS`, or None.
        schema: Columns of the source.
        columns: Column of the catalog -> what the source calls it.
        time_column: As the source or the catalog calls it; None: `captured_at`.

    Raises:
        UsageError: An unknown way, or a time column that nothing is cut by.
        DataError: The column that decides is missing or of a type that is no time.
    """
    if time_column is not None and by != "time":
        raise UsageError(
            f"a time column ({time_column!r}) decides only splits by time; add --split-by time, or leave it "
            "out."
        )
    if by is None or by == "hash":
        return SplitRule("hash") if by else None
    if by == "stratified":
        if "label" not in schema.names:
            raise DataError(
                "expected a column with the classes to stratify by, found none among "
                f"{', '.join(schema.names) or '(no columns)'}; name it with --label-column."
            )
        return SplitRule("stratified", "label")
    if by != "time":
        raise UsageError(f"rows are parted by {', '.join(WAYS)}, not by {by!r}; {near_names(by, WAYS)}")
    wanted = time_column or TIME_COLUMN
    by_origin = {origin: name for name, origin in columns.items() if name in schema.names}
    column = wanted if wanted in schema.names else by_origin.get(wanted)
    if column is None:
        raise DataError(
            f"there is no column {wanted!r} to cut by time; {near_names(wanted, schema.names)} Give the "
            "right one as --time-column."
        )
    _check_time(column, schema.field(column).type)
    return SplitRule("time", column)


def add_split_column(catalog: "Catalog", rule: SplitRule, *, commit: "Commit") -> None:
    """Part a catalog's rows and add the column `split`.

    Raises:
        DataError: By time: no two rows have different times.
    """
    keys, values = _read(catalog, rule)
    if rule.by == "time":
        codes = cut_by_time(values, keys)
        if not codes.any():
            raise DataError(
                f"{catalog.path}: expected rows of different times in {rule.column!r}, found "
                f"{_example(catalog, rule.column)}; write times as 2024-05-31T09:30, or choose another "
                "--time-column."
            )
    else:
        codes = cut_by_class(values.view(np.uint64), keys)
    names = np.array(ORDER, object)

    def batches() -> Iterator[pa.RecordBatch]:
        for start in range(0, len(codes), ROWS_AT_ONCE):
            some = names[codes[start : start + ROWS_AT_ONCE]]
            yield pa.record_batch([pa.array(some, pa.string())], ["split"])

    catalog.add_columns(pa.schema([("split", pa.string())]), batches(), commit=commit)


def rows_without_time(catalog: "Catalog", column: str) -> int:
    """Rows whose time is missing or cannot be read."""
    return sum(int(np.isnan(seconds(batch.column(0))).sum()) for batch in catalog.scan([column]))


def seconds(column: pa.Array) -> NDArray[np.float64]:
    """Moments as numbers that grow with time, [N]; NaN: none, or none that can be read.

    Dates and times become seconds since 1970 (without a zone they are taken as UTC); numbers stay.
    """
    kind = column.type
    if pt.is_date(kind) or pt.is_timestamp(kind):
        whole = column.cast(pa.timestamp("us", tz=getattr(kind, "tz", None))).cast(pa.int64())
        found = pc.divide(whole.cast(pa.float64(), safe=False), 1e6)
    elif pt.is_integer(kind) or pt.is_floating(kind):
        found = column.cast(pa.float64(), safe=False)
    else:
        found = pa.array([_read_text(one) for one in column.to_pylist()], pa.float64())
    moments = found.to_numpy(zero_copy_only=False).astype(np.float64)
    return np.where(np.isfinite(moments), moments, np.nan)


def _read_text(text: str | None) -> float | None:
    if not text:
        return None
    with suppress(ValueError, OverflowError):
        found = datetime.fromisoformat(text.strip())
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    if match := _DATE.fullmatch(text.strip()):
        with suppress(ValueError, OverflowError):
            year, month, day, hour, minute, second = (int(part or 0) for part in match.groups())
            return datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp()
    return None


def _check_time(name: str, kind: pa.DataType) -> None:
    is_number = pt.is_integer(kind) or pt.is_floating(kind)
    if not (is_number or pt.is_string(kind) or pt.is_date(kind) or pt.is_timestamp(kind)):
        raise DataError(
            f"expected dates, times or numbers in the column {name!r}, found {kind}; choose another "
            "--time-column."
        )


def _read(catalog: "Catalog", rule: SplitRule) -> tuple[NDArray[np.uint64], NDArray[np.float64]]:
    """Hashes of the groups and what decides, [N] each; class hashes share the memory of the floats."""
    rows = catalog.count_rows()
    keys, values = np.empty(rows, np.uint64), np.empty(rows, np.float64)
    has_group = "group" in catalog.columns
    start = 0
    for batch in catalog.scan(["id", rule.column, *(["group"] if has_group else [])], batch_size=8192):
        some = slice(start, start := start + batch.num_rows)
        ids = batch.column(0).to_pylist()
        groups: Sequence[str | None] = batch.column(2).to_pylist() if has_group else [None] * len(ids)
        keys[some] = [hash_number(group or _original(one)) for one, group in zip(ids, groups, strict=True)]
        if rule.by == "time":
            values[some] = seconds(batch.column(1))
        else:
            values.view(np.uint64)[some] = [_class_hash(one) for one in batch.column(1).to_pylist()]
    return keys, values


def _original(key: str) -> str:
    """The id of the image that this one is a copy of: copies of an image are parted as one."""
    return key[:HASH_DIGITS] if _COPY.fullmatch(key) else key


def _class_hash(label: object) -> int:
    """Rows without a label are a class of their own."""
    text = "" if label is None else str(label)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def _example(catalog: "Catalog", column: str) -> str:
    batch = next(catalog.scan([column], batch_size=8))
    return ", ".join(repr(one) for one in batch.column(0).to_pylist()[:3])
