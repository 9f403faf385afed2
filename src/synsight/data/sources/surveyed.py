"""Tables that must be read once before their columns are known."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

import pyarrow as pa

from synsight.data.sources.column_types import JsonColumn, Reader, TextColumn
from synsight.data.sources.records import MOST_COLUMNS, Record
from synsight.data.sources.roots import Root
from synsight.errors import DataError


class SurveyedTable(ABC):
    """Columns are those named beforehand and all keys of all records, typed by what their values share.

    Args:
        root: The folder.
        path: The file below it.
    """

    unit: str
    cell_types: ClassVar[type[JsonColumn] | type[TextColumn]] = JsonColumn
    """What looks at the cells of a column."""

    def __init__(self, root: Root, path: str) -> None:
        self._root, self._path = root, path

    @property
    def always(self) -> Sequence[str]:
        """Columns that are there even when no record has them."""
        return ()

    @property
    def bytes_columns(self) -> Collection[str]:
        """See `Table.bytes_columns`; text holds none."""
        return ()

    @property
    def columns(self) -> Sequence[str]:
        """See `Table.columns`."""
        return list(self.types)

    @property
    def types(self) -> Mapping[str, tuple[pa.DataType, Reader]]:
        """See `Table.types`."""
        return self._survey[0]

    @property
    def rows(self) -> int:
        """See `Table.rows`."""
        return self._survey[1]

    @abstractmethod
    def records(self) -> Iterator[Record]:
        """See `Table.records`."""

    @cached_property
    def _survey(self) -> tuple[Mapping[str, tuple[pa.DataType, Reader]], int]:
        columns: dict[str, Any] = {name: self.cell_types() for name in self.always}
        rows = 0
        for record in self.records():
            rows += 1
            for name, value in record.cells.items():
                columns.setdefault(name, self.cell_types()).see(value)
            if len(columns) > MOST_COLUMNS:
                raise DataError(
                    f"{self._path} in {self._root.name}: expected at most {MOST_COLUMNS:,} different keys, "
                    f"found more by {self.unit} {record.line}; give every object the same keys."
                )
        return {name: column.result() for name, column in columns.items()}, rows
