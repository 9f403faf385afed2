"""Features that someone else computed: a Parquet file with `id` and one embedding a row.

The embedding is a column `features` (a list of numbers, fixed-size or not) or, where there is none, all
columns of numbers in their order. Rows are joined to the catalog's labelled rows by `id`; others are passed
over. `embed --out` writes such a file.

Memory: 4 bytes for each number of a labelled row, beside one block of the file; no row is held twice.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pyarrow.types as pt
from numpy.typing import NDArray

from synsight.data.catalog import Catalog
from synsight.errors import DataError, near_names
from synsight.evaluation.questions import Features
from synsight.evaluation.rows import Splits
from synsight.files import sha256_of

COLUMN = "features"
ROWS_AT_ONCE = 1024
DIGEST_DIGITS = 12


def features_digest(path: str | Path) -> str:
    """12 hex digits that stand for the file, in place of a model's digest.

    Raises:
        DataError: There is no such file.
    """
    if not Path(path).is_file():
        raise _no_file(Path(path))
    return sha256_of(Path(path))[:DIGEST_DIGITS]


def read_features(path: str | Path, catalog: Catalog, splits: Splits) -> Features:
    """The features of the labelled rows, in their order; errors as of `read_row_features`."""
    found = read_row_features(
        path, catalog, np.concatenate([splits.train.ids, splits.val.ids, splits.test.ids])
    )
    ends = np.cumsum([len(splits.train), len(splits.val)])
    train, val, test = np.split(found, ends)
    return Features(train=train, val=val, test=test)


def read_row_features(path: str | Path, catalog: Catalog, ids: NDArray[np.object_]) -> NDArray[np.float32]:
    """The features of some rows, [N, D].

    Args:
        path: The Parquet file.
        catalog: Named in messages.
        ids: [N] of the rows; each must have its features.

    Raises:
        DataError: There is no such file or it has other columns; an id is missing, comes twice or is null; a
            list is null, empty or of another length than the first; a number is null, NaN or infinite.
    """
    path = Path(path)
    opened = _open(path)
    columns = _columns(path, opened.schema_arrow)
    reading = _Reading(path, columns, ids)
    for batch in opened.iter_batches(batch_size=ROWS_AT_ONCE, columns=["id", *columns]):
        reading.take(batch)
    return reading.finish(catalog)


@dataclass(eq=False)
class _Reading:
    """Fills one array with the rows that are wanted."""

    path: Path
    columns: list[str]
    ids: NDArray[np.object_]

    def __post_init__(self) -> None:
        self.places = {identity: place for place, identity in enumerate(self.ids.tolist())}
        self.is_there = np.zeros(len(self.ids), bool)
        self.found: NDArray[np.float32] | None = None

    def take(self, batch: pa.RecordBatch) -> None:
        """Copy the wanted rows of a block to their places."""
        ids = pc.cast(batch.column(0), pa.string())
        if ids.null_count:
            raise DataError(f"{self.path}: expected an id in each row, found a row without; give it one.")
        names = ids.to_pylist()
        wanted = [row for row, name in enumerate(names) if name in self.places]
        if not wanted:
            return
        places = np.array([self.places[names[row]] for row in wanted])
        self._check_once(places)
        rows = batch.take(pa.array(wanted))
        values = _values(self.path, rows, self.columns)
        if self.found is None:
            self.found = np.empty((len(self.ids), values.shape[1]), np.float32)
        self._check_values(values, rows.column(0))
        self.found[places] = values
        self.is_there[places] = True

    def finish(self, catalog: Catalog) -> NDArray[np.float32]:
        """All rows, [N, D]."""
        missing = np.flatnonzero(~self.is_there)
        if self.found is None or len(missing):
            raise DataError(
                f"{self.path}: expected features of all {len(self.ids):,} labelled rows of {catalog.path}, "
                f"found none of {len(missing):,} of them, the first {str(self.ids[missing[0]])!r}; add the "
                "missing rows, or check that the file's ids are the catalog's."
            )
        return self.found

    def _check_once(self, places: NDArray[np.int64]) -> None:
        different, counts = np.unique(places, return_counts=True)
        twice = different[(counts > 1) | self.is_there[different]]
        if len(twice):
            raise DataError(
                f"{self.path}: expected each id once, found {str(self.ids[twice[0]])!r} again; leave one of "
                "the rows out."
            )

    def _check_values(self, values: NDArray[np.float32], ids: pa.Array) -> None:
        assert self.found is not None
        if values.shape[1] != self.found.shape[1]:
            raise _ragged(self.path, self.found.shape[1], values.shape[1], ids[0].as_py())
        broken = np.flatnonzero(~np.isfinite(values).all(axis=1))
        if len(broken):
            raise DataError(
                f"{self.path}: expected finite numbers (float32), found a missing, NaN or infinite one in "
                f"the row {ids[int(broken[0])].as_py()!r}; compute its features again."
            )


def _values(path: Path, rows: pa.RecordBatch, columns: list[str]) -> NDArray[np.float32]:
    """The numbers of some rows, [N, D]; a missing number is NaN."""
    if columns != [COLUMN] or not _is_list(rows.schema.field(COLUMN).type):
        parts = [_numbers(rows.column(name)) for name in columns]
        return np.stack(parts, axis=1)
    lists = rows.column(COLUMN)
    kind = lists.type
    lengths = pc.list_value_length(lists).fill_null(0).to_numpy(zero_copy_only=False)
    width = kind.list_size if pt.is_fixed_size_list(kind) else int(lengths[0])
    wrong = np.flatnonzero(lengths != width) if width else np.array([0])
    if len(wrong):
        row = int(wrong[0])
        raise _ragged(path, width, int(lengths[row]), rows.column(0)[row].as_py())
    return _numbers(lists.flatten()).reshape(len(lists), width)


def _numbers(column: pa.Array) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):  # too large for float32 is infinite, and said to be
        values = pc.cast(column, pa.float64() if not pt.is_float16(column.type) else pa.float32())
        return np.asarray(values.to_numpy(zero_copy_only=False), np.float32)


def _columns(path: Path, schema: pa.Schema) -> list[str]:
    if "id" not in schema.names:
        raise DataError(
            f"{path}: expected a column 'id', found {', '.join(schema.names[:8]) or 'no column'}; "
            f"{near_names('id', schema.names)} Rename it."
        )
    if COLUMN in schema.names:
        kind = schema.field(COLUMN).type
        if not (_is_number(kind) or (_is_list(kind) and _is_number(kind.value_type))):
            raise DataError(f"{path}: expected lists of numbers in {COLUMN!r}, found {kind}; write numbers.")
        return [COLUMN]
    columns = [one.name for one in schema if one.name != "id" and _is_number(one.type)]
    if not columns:
        raise DataError(
            f"{path}: expected a column {COLUMN!r} or columns of numbers beside 'id', found "
            f"{', '.join(name for name in schema.names if name != 'id') or 'none'}; write the features as "
            "one list a row."
        )
    return columns


def _is_list(kind: pa.DataType) -> bool:
    return bool(pt.is_list(kind) or pt.is_large_list(kind) or pt.is_fixed_size_list(kind))


def _is_number(kind: pa.DataType) -> bool:
    return bool(pt.is_floating(kind) or pt.is_integer(kind))


def _open(path: Path) -> pq.ParquetFile:
    if not path.is_file():
        raise _no_file(path)
    try:
        return pq.ParquetFile(path)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise DataError(
            f"{path}: expected a Parquet file of features, but {str(error).splitlines()[0][:200]}; write it "
            "again, as `synsight embed MODEL CATALOG --out FILE` does."
        ) from None


def _no_file(path: Path) -> DataError:
    found = "a folder" if path.is_dir() else "nothing"
    return DataError(f"{path}: expected a Parquet file of features, found {found}; check the path.")


def _ragged(path: Path, width: int, found: int, identity: str) -> DataError:
    return DataError(
        f"{path}: expected {width or 'some'} numbers in each row, as in the first, found {found} in the row "
        f"{identity!r}; all features must come from one model."
    )
