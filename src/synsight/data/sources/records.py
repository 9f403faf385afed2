"""What a table is to a source: named columns with types, and records one at a time.

A table is read twice: once to learn its columns, their types and the number of rows, once for the rows. Both
passes stream. A row that cannot be read comes as a record with a fault; it never ends the reading.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa

from synsight.data.sources.column_types import Reader

MOST_COLUMNS = 2_000
"""More keys than this in JSON objects, or cells in a header, are a sign of something else than a table."""


@dataclass(slots=True)
class Record:
    """One row of a table as found."""

    line: int
    """Line of a text file (its first), or row of a Parquet file; from 1."""
    cells: Mapping[str, Any]
    fault: str | None = None
    """Why the row cannot be used, in a few words; its cells are then empty."""


class Table(Protocol):
    """A table file."""

    unit: str
    """What `Record.line` counts: "line" or "row"."""

    @property
    def columns(self) -> Sequence[str]:
        """Names, all different."""

    @property
    def bytes_columns(self) -> Collection[str]:
        """Columns that hold image bytes."""

    @property
    def types(self) -> Mapping[str, tuple[pa.DataType, Reader]]:
        """Column -> its type in a catalog, and what reads a cell into it."""

    @property
    def rows(self) -> int:
        """Number of records."""

    def records(self) -> Iterator[Record]:
        """The rows, in the file's order."""
