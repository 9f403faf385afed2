"""Parquet files: typed columns, images inside or beside them."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as pt

from synsight.data.sources.column_types import Reader, stored_type
from synsight.data.sources.records import Record
from synsight.data.sources.roots import Root
from synsight.errors import DataError

ROWS_AT_A_TIME = 64  # of images, that may have megabytes each


class ParquetTable:
    """A Parquet file, read a few rows at a time.

    Args:
        root: The folder.
        path: The file below it.

    Raises:
        DataError: The file is no Parquet.
    """

    unit = "row"

    def __init__(self, root: Root, path: str) -> None:
        self._root, self._path = root, path
        with self._opened() as file:
            self._schema = file.schema_arrow
            self._rows = int(file.metadata.num_rows)

    @cached_property
    def columns(self) -> Sequence[str]:
        """See `Table.columns`; of columns with one name only the first."""
        return list(dict.fromkeys(self._schema.names))

    @cached_property
    def bytes_columns(self) -> Collection[str]:
        """See `Table.bytes_columns`: binary ones, and Hugging Face's structs of `bytes` and `path`."""
        return {name for name in self.columns if holds_bytes(self._type(name))}

    @cached_property
    def types(self) -> Mapping[str, tuple[pa.DataType, Reader]]:
        """See `Table.types`."""
        return {name: stored_type(self._type(name)) for name in self.columns}

    @property
    def rows(self) -> int:
        """See `Table.rows`."""
        return self._rows

    def records(self) -> Iterator[Record]:
        """See `Table.records`."""
        line = 0
        with self._opened() as file:
            for batch in file.iter_batches(batch_size=ROWS_AT_A_TIME, use_threads=False):
                cells = {
                    name: values_of(batch.column(self._schema.get_all_field_indices(name)[0]))
                    for name in self.columns
                }
                for row in range(batch.num_rows):
                    line += 1
                    yield Record(line, {name: values[row] for name, values in cells.items()})

    def _type(self, name: str) -> pa.DataType:
        return self._schema.field(self._schema.get_all_field_indices(name)[0]).type

    @contextmanager
    def _opened(self) -> Iterator[pq.ParquetFile]:
        with self._root.open(self._path) as file:
            try:
                # Neither option may pull a whole row group, that may be a whole file, into memory.
                yield pq.ParquetFile(file, pre_buffer=False, buffer_size=1 << 20)
            except (pa.ArrowException, OSError) as error:
                raise DataError(
                    f"{self._path} in {self._root.name}: expected a Parquet file, but it does not read "
                    f"({str(error).splitlines()[0]}); write it again."
                ) from error


def holds_bytes(kind: pa.DataType) -> bool:
    """Whether a column of this type holds images: bytes, or a struct with `bytes`."""
    if pt.is_struct(kind):
        return kind.get_field_index("bytes") >= 0 and holds_bytes(kind.field("bytes").type)
    return bool(pt.is_binary(kind) or pt.is_large_binary(kind) or kind == pa.binary_view())


def values_of(column: pa.Array) -> list[Any]:
    """A column's values; text that is not UTF-8 with replacement characters."""
    try:
        values: list[Any] = column.to_pylist()
    except UnicodeDecodeError:
        raw = column.cast(pa.large_binary()).to_pylist()
        values = [None if one is None else one.decode("utf-8", "replace") for one in raw]
    return values
