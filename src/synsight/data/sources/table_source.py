"""Tables of images with captions as a source of chunks."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa

from synsight.data.columns import guess_columns, kept_names
from synsight.data.seen_ids import SeenIds
from synsight.data.sources.arrow_table import ArrowTable
from synsight.data.sources.coco_table import CocoTable, image_base
from synsight.data.sources.csv_table import CsvTable
from synsight.data.sources.json_table import JsonLinesTable
from synsight.data.sources.parquet_table import ParquetTable
from synsight.data.sources.records import Record, Table
from synsight.data.sources.roots import Root, shown
from synsight.data.sources.rows import BYTES_PER_CHUNK, ROLE_VALUES, ROWS_PER_CHUNK, Row, as_text, read_chunk
from synsight.data.sources.tar_table import TarTable
from synsight.errors import DataError
from synsight.stages import Chunk, chunk_key

TABLES: Mapping[str, Callable[[Root, str], Table]] = {
    ".csv": CsvTable,
    ".tsv": CsvTable,
    ".tab": CsvTable,
    ".jsonl": JsonLinesTable,
    ".ndjson": JsonLinesTable,
    ".parquet": ParquetTable,
    ".pq": ParquetTable,
    ".json": CocoTable,
    ".tar": TarTable,
    ".arrow": ArrowTable,
}
"""A table file's ending -> what reads it."""


@dataclass(frozen=True)
class TableFile:
    """One file of a source."""

    path: str
    """Below the root."""
    split: str | None = None
    """The split of all of its rows, by the folder it lies in."""

    @property
    def folder(self) -> str:
        """Where the paths in it start, below the root; "" is the root."""
        if self.path.lower().endswith(".json"):
            return image_base(self.path)
        parent = str(PurePosixPath(self.path).parent)
        return "" if parent == "." else parent + "/"


class TableSource:
    """One or more tables of the same kind; paths in a table start at its own folder.

    Args:
        root: The folder that no path may leave.
        files: The tables, in order.
        identity: Changes when the tables change.
        chosen: Role -> column, as the user named it.
    """

    def __init__(
        self, root: Root, files: Sequence[TableFile], *, identity: str, chosen: Mapping[str, str | None]
    ) -> None:
        self.root, self.identity = root, identity
        self.ignored = 0
        self.unread_tables: Sequence[str] = ()
        self._files = tuple(files)
        self._chosen = dict(chosen)

    @cached_property
    def rows(self) -> int:
        """Rows of all tables."""
        return sum(table.rows for table in self._tables)

    @cached_property
    def columns(self) -> Mapping[str, str]:
        """Column of the catalog -> where it comes from."""
        found = dict(self._roles)
        if any(file.split for file in self._files):
            found["split"] = "name of the folder"
        return found | {kept: name for name, kept in self._kept.items()}

    @cached_property
    def schema(self) -> pa.Schema:
        """Columns of `Row.values`: the roles that are there, then the user's own."""
        fields = [pa.field(role, ROLE_VALUES[role][1]) for role in ROLE_VALUES if role in self.columns]
        if "label" in self._roles:
            fields.append(pa.field("label", self._label_type))
        fields += [pa.field(kept, self._types[name][0]) for name, kept in self._kept.items()]
        return pa.schema(fields)

    def chunks(self) -> Iterator[Chunk]:
        """See `stages.Source`."""
        ids, start, rows, size = SeenIds(), 0, list[Row](), 0
        for row in self._all_rows():
            bytes_here = self._size(row)
            if rows and (len(rows) == ROWS_PER_CHUNK or size + bytes_here > BYTES_PER_CHUNK):
                yield self._chunk(start, rows, ids)
                start, rows, size = start + len(rows), [], 0
            rows.append(row)
            size += bytes_here
        if rows:
            yield self._chunk(start, rows, ids)

    @cached_property
    def _tables(self) -> list[Table]:
        tables: list[Table] = [
            TABLES[PurePosixPath(file.path).suffix.lower()](self.root, file.path) for file in self._files
        ]
        if not any(table.rows for table in tables):
            raise DataError(
                f"{', '.join(file.path for file in self._files)} in {self.root.name}: "
                "expected rows, found none; fill the table."
            )
        return tables

    @cached_property
    def _names(self) -> list[str]:
        return list(dict.fromkeys(name for table in self._tables for name in table.columns))

    @cached_property
    def _types(self) -> Mapping[str, Any]:
        """Types of all columns; where tables disagree, text."""
        types: dict[str, Any] = {}
        for table in self._tables:
            for name, (kind, reader) in table.types.items():
                known = types.get(name, (kind, reader))
                types[name] = known if known[0] == kind else ROLE_VALUES["caption"][::-1]
        return types

    @cached_property
    def _roles(self) -> dict[str, str]:
        bytes_columns = {name for table in self._tables for name in table.bytes_columns}
        return guess_columns(self._names, chosen=self._chosen, bytes_columns=bytes_columns)

    @cached_property
    def _kept(self) -> dict[str, str]:
        image = self._roles["image"]
        holds_bytes = any(image in table.bytes_columns for table in self._tables)
        names = [name for name in self._names if not (name == image and holds_bytes)]
        return kept_names(names, {role: name for role, name in self._roles.items() if role != "image"})

    @property
    def _label_type(self) -> pa.DataType:
        kind = self._types[self._roles["label"]][0]
        # Several labels joined to one text would be a class that nobody has named.
        return pa.int64() if pa.types.is_integer(kind) else kind if pa.types.is_list(kind) else pa.string()

    def _all_rows(self) -> Iterator[Row]:
        for file, table in zip(self._files, self._tables, strict=True):
            for record in table.records():
                place = f"{file.path} {table.unit} {record.line}"
                if record.fault:
                    message = f"{place}: {record.fault}; mend the {table.unit}."
                    yield Row(place, reason="bad_row", message=message)
                else:
                    yield self._row(file, place, record)

    def _row(self, file: TableFile, place: str, record: Record) -> Row:
        cells = record.cells
        values = {kept: self._types[name][1](cells.get(name)) for name, kept in self._kept.items()}
        for role, (read, _) in ROLE_VALUES.items():
            if role in self._roles:
                values[role] = read(cells.get(self._roles[role]))
        if "label" in self._roles:
            read = as_text if self._label_type == pa.string() else self._types[self._roles["label"]][1]
            values["label"] = read(cells.get(self._roles["label"]))
        if file.split is not None:
            values["split"] = values.get("split") or file.split
        return self._with_image(file, Row(place, values=values), cells.get(self._roles["image"]))

    def _with_image(self, file: TableFile, row: Row, cell: Any) -> Row:
        if isinstance(cell, dict):
            cell = cell.get("bytes") or cell.get("path")
        if isinstance(cell, bytes):
            row.image = cell
        elif not isinstance(cell, str) or not cell.strip():
            row.reason = "no_image"
            row.message = (
                f"{row.place}: expected an image or a path in {self._roles['image']!r}, found none; add it."
            )
        elif "://" in cell:
            row.reason = "url"
            row.message = (
                f"{row.place}: expected a path, found the URL {shown(cell)}, and a table may not send us to "
                "the network; download the images and name the files."
            )
        else:
            row.image = cell if cell.startswith("/") else file.folder + cell
        return row

    def _size(self, row: Row) -> int:
        return (
            len(row.image)
            if isinstance(row.image, bytes)
            else self.root.entry(row.image).size
            if row.image
            else 0
        )

    def _chunk(self, start: int, rows: list[Row], ids: SeenIds) -> Chunk:
        given = [row for row in rows if row.reason is None and row.values.get("id")]
        for row, is_copy in zip(given, ids.admit([row.values["id"] for row in given]), strict=True):
            if is_copy:
                row.reason = "duplicate_id"
                row.message = (
                    f"{row.place}: the id {shown(row.values['id'])} came before; give each row its own."
                )
        stop = start + len(rows)
        return Chunk(
            key=chunk_key(self.identity, start, stop),
            rows=len(rows),
            read=partial(read_chunk, self.root, rows, self.schema),
            name=f"rows {start + 1:,} to {stop:,} of {self.root.name}",
        )
