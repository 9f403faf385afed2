"""JSON lines: one object a line."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property

import pyarrow as pa

from synsight.data.sources.column_types import JsonColumn, Reader
from synsight.data.sources.records import MOST_COLUMNS, Record
from synsight.data.sources.roots import Root
from synsight.errors import DataError

MOST_LINE_BYTES = 16_000_000


class JsonLinesTable:
    """A JSONL file; its columns are all keys of all objects.

    Args:
        root: The folder.
        path: The file below it.
    """

    unit = "line"

    def __init__(self, root: Root, path: str) -> None:
        self._root, self._path = root, path

    @property
    def columns(self) -> Sequence[str]:
        """See `Table.columns`."""
        return list(self.types)

    @property
    def bytes_columns(self) -> Collection[str]:
        """See `Table.bytes_columns`; JSON holds none."""
        return ()

    @property
    def types(self) -> Mapping[str, tuple[pa.DataType, Reader]]:
        """See `Table.types`."""
        return self._survey[0]

    @property
    def rows(self) -> int:
        """See `Table.rows`."""
        return self._survey[1]

    def records(self) -> Iterator[Record]:
        """See `Table.records`."""
        for number, line in self._lines():
            if not line.strip():
                continue
            if len(line) > MOST_LINE_BYTES:
                yield Record(number, {}, f"expected a line of at most {MOST_LINE_BYTES:,} bytes")
                continue
            try:
                value = json.loads(line.decode("utf-8-sig", "replace"))
            except (ValueError, RecursionError) as error:
                yield Record(number, {}, f"expected a JSON object, found something else ({error})")
                continue
            if isinstance(value, dict):
                yield Record(number, value)
            else:
                yield Record(number, {}, f"expected a JSON object, found a {type(value).__name__}")

    @cached_property
    def _survey(self) -> tuple[Mapping[str, tuple[pa.DataType, Reader]], int]:
        columns: dict[str, JsonColumn] = {}
        rows = 0
        for record in self.records():
            rows += 1
            for name, value in record.cells.items():
                columns.setdefault(name, JsonColumn()).see(value)
            if len(columns) > MOST_COLUMNS:
                raise DataError(
                    f"{self._path} in {self._root.name}: expected at most {MOST_COLUMNS:,} different keys, "
                    f"found more by line {record.line}; give every object the same keys."
                )
        return {name: column.result() for name, column in columns.items()}, rows

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        with self._root.open(self._path) as file:
            number = 0
            while line := file.readline(MOST_LINE_BYTES + 1):
                number += 1
                yield number, line
                while len(line) > MOST_LINE_BYTES and not line.endswith(b"\n"):
                    line = file.readline(MOST_LINE_BYTES + 1)
