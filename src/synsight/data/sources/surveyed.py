"""Tables that must be read once before their columns are known."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import ClassVar

import pyarrow as pa

from synsight.data.sources.column_types import JsonColumn, Reader
from synsight.data.sources.records import MOST_COLUMNS, Record
from synsight.data.sources.roots import Root
from synsight.errors import DataError


class SurveyedTable(ABC):
    """Columns are all keys of all records, typed by what their values have in common.

    Args:
        root: The folder.
        path: The file below it.
    """

    unit: str
    always: ClassVar[Sequence[str]] = ()
    """Columns that are there even when no record has them."""

    def __init__(self, root: Root, path: str) -> None:
        self._root, self._path = root, path

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
        columns = {name: JsonColumn() for name in self.always}
        rows = 0
        for record in self.records():
            rows += 1
            for name, value in record.cells.items():
                columns.setdefault(name, JsonColumn()).see(value)
            if len(columns) > MOST_COLUMNS:
                raise DataError(
                    f"{self._path} in {self._root.name}: expected at most {MOST_COLUMNS:,} different keys, "
                    f"found more by {self.unit} {record.line}; give every object the same keys."
                )
        return {name: column.result() for name, column in columns.items()}, rows
