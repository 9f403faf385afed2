"""The table under a catalog: a Lance dataset at one version, in a folder or a store.

The only file that knows Lance. Three of its traits shape the code: it never syncs to disk, so each commit
is synced (`table_folder`) before anyone hears of it; it must not live across a fork, so a table opens its
dataset late and refuses to work in a forked process that used it before; its messages are for developers, so
they are put into one sentence.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import lance
import numpy as np
import pyarrow as pa
from lance import LanceOperation, Transaction
from lance.fragment import FragmentMetadata, write_fragments
from lance.optimize import Compaction, CompactionOptions
from lance.schema import LanceSchema

from synsight.data.row_stream import POSITION, RowStream
from synsight.data.table_errors import check_fork, check_store, plain_words, table_errors
from synsight.data.table_folder import drop_detached, holds_table, sync_data, sync_removal, sync_version
from synsight.errors import CatalogError
from synsight.stores import table_options

Positions = np.ndarray[Any, np.dtype[np.int64]]

ROWS_PER_FRAGMENT = 65_536
"""Most rows of a data file that a compaction writes: few files, little to write again at the next purge."""

_OFFSET = "_rowoffset"
"""Lance's name for a position."""
_ROW_ID = "_rowid"
"""Lance's name for a stable id."""

_READ_AHEAD: dict[str, Any] = {"batch_readahead": 2, "fragment_readahead": 1, "io_buffer_size": 64 << 20}
"""Keeps a scan of large images within some hundred megabytes; Lance's own bounds are gigabytes."""


@dataclass(frozen=True)
class TableVersion:
    """What Lance keeps of a version."""

    number: int
    rows: int
    created_at: str
    """ISO 8601."""
    operation: str
    """Lance's name of what made it, as "Append"; empty: unknown."""
    properties: Mapping[str, str]
    """Of its transaction."""


class LanceTable:
    """A table at one version; its own commits move it to the version they make. `version` 0: the newest."""

    def __init__(self, path: Path, version: int) -> None:
        self.path = path
        self.version = version

    @staticmethod
    def create(path: Path, schema: pa.Schema, *, properties: dict[str, str]) -> "LanceTable":
        """Make an empty table; the folder stands already, unless a store has none."""
        check_fork()
        with table_errors(path):
            dataset = lance.write_dataset(
                schema.empty_table(),
                str(path),
                schema=schema,
                mode="create",
                enable_stable_row_ids=True,
                storage_options=table_options(path),
                transaction_properties=properties,
            )
        table = LanceTable(path, dataset.version)
        table._sync_version(dataset)
        return table

    @staticmethod
    def exists(path: Path) -> bool:
        """Whether a table was made there; a half-made one is none."""
        return holds_table(path)

    def settle(self) -> None:
        """Open the version; of 0 the newest one's number is left."""
        self.version = self._dataset.version

    def refresh(self) -> None:
        """Go on to the newest version."""
        self.version = 0
        self._forget()
        self.settle()

    # -- reading ----------------------------------------------------------------------------------

    @property
    def schema(self) -> pa.Schema:
        """Columns with their types and metadata."""
        return self._dataset.schema

    @cached_property
    def rows(self) -> int:
        """Rows of this version."""
        return int(self._dataset.count_rows())

    @cached_property
    def row_ids(self) -> Positions:
        """Stable ids in the order of `scan`, int64 [rows]."""
        with self._reading():
            found = self._dataset.to_table(columns=[_ROW_ID], scan_in_order=True)
        row_ids: Positions = found.column(_ROW_ID).to_numpy().astype(np.int64)
        row_ids.setflags(write=False)
        return row_ids

    def count(self, where: str) -> int:
        """Rows that match an SQL condition."""
        with self._reading(where):
            return int(self._dataset.count_rows(where))

    def scan(
        self, columns: Sequence[str], *, where: str | None, batch_size: int, with_positions: bool
    ) -> Iterator[pa.RecordBatch]:
        """Rows in order, columns in the order asked, `_position` last if wanted."""
        wanted = [*columns, *([_OFFSET] if with_positions else [])]
        with self._reading(where):
            scanner = self._dataset.scanner(
                columns=wanted,
                filter=where,
                batch_size=batch_size,
                strict_batch_size=True,
                scan_in_order=True,
                **_READ_AHEAD,
            )
            for batch in scanner.to_batches():
                batch = batch.select(wanted)
                yield _named_position(batch) if with_positions else batch

    def take(self, positions: Positions, columns: Sequence[str]) -> pa.Table:
        """Single rows in the order asked."""
        with self._reading():
            found = self._dataset.take(pa.array(positions, pa.uint64()), columns=list(columns))
        return found.select(list(columns))

    def positions(self, where: str) -> Positions:
        """Positions of the rows that match, ascending, int64 [N]."""
        with self._reading(where):
            found = self._dataset.to_table(columns=[_OFFSET], filter=where, scan_in_order=True)
        positions: Positions = found.column(_OFFSET).to_numpy().astype(np.int64)
        return positions

    def data_files(self) -> set[str]:
        """Names of the data files of this version."""
        return {file.path for fragment in self._dataset.get_fragments() for file in fragment.data_files()}

    def parts(self, column: str) -> Iterator[tuple[str, Iterator[pa.RecordBatch]]]:
        """Each part of a column and of `id` as it lies in files: a name for just these values, and they."""
        names = _field_names(self._dataset.lance_schema)
        wanted = {number for number, name in names.items() if name.split("/")[0] in (column, "id")}
        for fragment in self._dataset.get_fragments():
            files = sorted(file.path for file in fragment.data_files() if wanted & set(file.fields))
            yield " ".join([column, *files, str(fragment.deletion_file())]), self._part(fragment, column)

    def versions(self) -> Iterator[TableVersion]:
        """All versions that are still there, oldest first."""
        with self._reading():
            for entry in self._dataset.versions():
                yield self._version(entry)

    @staticmethod
    def matching(table: pa.Table, where: str) -> Positions | None:
        """Positions of the rows of a table in memory that match; None: the condition does not fit it."""
        try:
            found = lance.write_dataset(table, "memory://").to_table(columns=[_OFFSET], filter=where)
        except (OSError, ValueError):
            return None
        positions: Positions = found.column(_OFFSET).to_numpy().astype(np.int64)
        return positions

    # -- writing ----------------------------------------------------------------------------------

    def write_fragment(self, batch: pa.RecordBatch) -> list[dict[str, Any]]:
        """Write rows into files of their own, synced but part of no version; returns what `append` wants."""
        with table_errors(self.path):
            schema = pa.schema([self.schema.field(name) for name in batch.schema.names])
            table = pa.Table.from_batches([batch.cast(schema)])
            fragments = write_fragments(table, self._dataset, schema=schema)
        for fragment in fragments:
            sync_data(self.path, [file.path for file in fragment.files])
        return [fragment.to_json() for fragment in fragments]

    def append(self, fragments: Sequence[Mapping[str, Any]], *, properties: dict[str, str]) -> None:
        """Make written fragments part of the table, in one commit.

        Appending to what another process appended meanwhile is well; Lance tries again on the new version.
        """
        operation = LanceOperation.Append([FragmentMetadata.from_json(json.dumps(one)) for one in fragments])
        self._commit(operation, properties, new_files=[])

    def merge(self, rows: RowStream, *, properties: dict[str, str]) -> None:
        """Add columns, or replace those of the same name; no other file is rewritten.

        When columns are replaced by others of another shape, a first commit drops the former ones.

        Args:
            rows: The columns in the order of `scan`.
            properties: Of the transactions.
        """
        try:
            with table_errors(self.path):
                base = self._without_columns(set(rows.schema.names))
                merged = [
                    fragment.merge_columns(rows.reader(fragment.count_rows()))
                    for fragment in base.get_fragments()
                ]
        except CatalogError:
            if rows.error is not None:
                raise rows.error from None
            raise
        rows.expect_end()
        known = self.data_files()
        new = [file.path for fragment, _ in merged for file in fragment.files if file.path not in known]
        wide = merged[-1][1] if merged else LanceSchema.from_pyarrow(pa.schema([*base.schema, *rows.schema]))
        if _renames(self._dataset.lance_schema, wide, used=self._dataset.max_field_id):
            # Lance gives the numbers of dropped columns to new ones, but not within one commit.
            self._commit(LanceOperation.Project(base.schema), properties, new_files=[])
        operation = LanceOperation.Merge([fragment for fragment, _ in merged], wide)
        self._commit(operation, properties, new_files=new)

    def delete(self, where: str, *, properties: dict[str, str]) -> None:
        """Leave the rows that match out of a new version."""
        changed, gone = [], []
        with self._reading(where):
            for fragment in self._dataset.get_fragments():
                kept = fragment.delete(where)
                if kept is None:
                    gone.append(fragment.fragment_id)
                else:
                    changed.append(kept)
        self._commit(LanceOperation.Delete(changed, gone, where), properties, new_files=[])

    def rewrite_deleted(self) -> None:
        """Write files that hold deleted rows again without them; the old ones stay for former versions."""
        before = self.data_files()
        with table_errors(self.path):
            self._dataset.optimize.compact_files(
                target_rows_per_fragment=ROWS_PER_FRAGMENT, materialize_deletions_threshold=0, batch_size=256
            )
        self.refresh()
        sync_data(self.path, self.data_files() - before)
        self._sync_version(self._dataset)

    def compact(self, *, rows_per_fragment: int) -> int:
        """Put neighbouring fragments of fewer rows together; each row keeps its place and its id.

        What is written is synced before it is committed. Returns how many fragments there are less.
        """
        with table_errors(self.path):
            wanted = CompactionOptions(
                target_rows_per_fragment=rows_per_fragment, materialize_deletions=False, batch_size=16
            )
            plan = Compaction.plan(self._dataset, wanted)
            done = [task.execute(self._dataset) for task in plan.tasks]
        if not done:
            return 0
        written = [fragment for one in done for fragment in one.new_fragments]
        sync_data(self.path, [file.path for fragment in written for file in fragment.files])
        with table_errors(self.path):
            told = Compaction.commit(self._dataset, done)
        self.refresh()
        self._sync_version(self._dataset)
        return told.fragments_removed - told.fragments_added

    def remove_former_versions(self) -> int:
        """Keep this version alone; returns how many went."""
        with table_errors(self.path):
            # Also files of no version: what a killed writer left may hold deleted rows.
            stats = self._dataset.cleanup_old_versions(timedelta(0), delete_unverified=True)
            sync_removal(self.path)
        return int(stats.old_versions)

    def tags(self) -> dict[str, int]:
        """Names that hold versions: tag -> version."""
        with self._reading():
            return {name: int(tag["version"]) for name, tag in self._dataset.tags.list().items()}

    def tag(self, name: str) -> None:
        """Give this version a name, which keeps it from being removed."""
        with self._reading():
            self._dataset.tags.create(name, self.version)

    def drop_tag(self, name: str) -> None:
        """Let go of a tag."""
        with self._reading():
            self._dataset.tags.delete(name)

    # -- inside -----------------------------------------------------------------------------------

    @cached_property
    def _dataset(self) -> lance.LanceDataset:
        check_fork()
        try:
            return lance.dataset(
                str(self.path), version=self.version or None, storage_options=table_options(self.path)
            )
        except (OSError, ValueError) as error:
            check_store(self.path, error)
            wanted = f"version {self.version} of a catalog" if self.version else "a catalog"
            raise CatalogError(
                f"{self.path}: expected {wanted}, found none that opens ({plain_words(error)}); "
                "see `synsight catalog versions`, or run the command that made it again."
            ) from None

    def _part(self, fragment: lance.LanceFragment, column: str) -> Iterator[pa.RecordBatch]:
        names = sorted({column, "id"} & set(self.schema.names))
        # Images are large; of anything else, few rows at a time take as long to hand over as to read.
        rows = 256 if self.schema.field(column).type in (pa.binary(), pa.large_binary()) else 4096
        with self._reading():
            yield from self._dataset.scanner(
                columns=names, fragments=[fragment], batch_size=rows, **_READ_AHEAD
            ).to_batches()

    def _version(self, entry: Mapping[str, Any]) -> TableVersion:
        transaction = self._dataset.read_transaction(entry["version"])
        return TableVersion(
            number=entry["version"],
            rows=int(entry["metadata"].get("total_rows", 0)),
            created_at=entry["timestamp"].astimezone().isoformat(timespec="seconds"),
            operation=type(transaction.operation).__name__ if transaction else "",
            properties=(transaction.transaction_properties or {}) if transaction else {},
        )

    def _forget(self) -> None:
        for name in ("_dataset", "rows", "row_ids"):
            self.__dict__.pop(name, None)

    def _commit(
        self, operation: LanceOperation.BaseOperation, properties: dict[str, str], *, new_files: list[str]
    ) -> None:
        """Commit on top of this version, sync, and move to the version made."""
        sync_data(self.path, new_files)
        transaction = Transaction(self.version, operation, transaction_properties=properties)
        with table_errors(self.path):
            dataset = lance.LanceDataset.commit(self._dataset, transaction)
        self._sync_version(dataset)
        self._forget()
        self.version = dataset.version

    def _without_columns(self, names: set[str]) -> lance.LanceDataset:
        """Our version without some columns, as a detached version that no reader sees."""
        kept = [field for field in self.schema if field.name not in names]
        if len(kept) == len(self.schema):
            return self._dataset
        if _renumbers(self._dataset.lance_schema, LanceSchema.from_pyarrow(pa.schema(kept))):
            # A projection from Arrow's schema numbers the fields anew, and a column is found in its file by
            # its number; Lance's own drop keeps the numbers, as a version of its own.
            self._dataset.drop_columns([name for name in self.schema.names if name in names])
            self.refresh()
            self._sync_version(self._dataset)
            return self._dataset
        operation = LanceOperation.Project(pa.schema(kept))
        detached = lance.LanceDataset.commit(
            self._dataset, Transaction(self.version, operation), detached=True
        )
        drop_detached(self.path)  # it is loaded
        return detached

    def _sync_version(self, dataset: lance.LanceDataset) -> None:
        transaction = dataset.read_transaction(dataset.version)
        sync_version(
            self.path,
            dataset.version,
            transaction=f"{transaction.read_version}-{transaction.uuid}" if transaction else None,
            deletes=transaction is not None and isinstance(transaction.operation, LanceOperation.Delete),
        )

    def _reading(self, where: str | None = None) -> AbstractContextManager[None]:
        return table_errors(self.path, where=where, columns=self.schema.names)


def _field_names(schema: LanceSchema) -> dict[int, str]:
    """Number of each field, nested ones too -> its path of names."""
    names = {}
    todo = [(one, one.name()) for one in schema.fields()]
    while todo:
        one, name = todo.pop()
        names[one.id()] = name
        todo.extend((child, f"{name}/{child.name()}") for child in one.children())
    return names


def _renames(before: LanceSchema, after: LanceSchema, *, used: int) -> bool:
    """Whether a field's number, one up to `used`, would pass to a field of another name."""
    names = _field_names(before)
    return any(names.get(number) != name for number, name in _field_names(after).items() if number <= used)


def _renumbers(before: LanceSchema, after: LanceSchema) -> bool:
    """Whether a field would get another number than it has."""
    names = _field_names(before)
    return any(names.get(number) != name for number, name in _field_names(after).items())


def _named_position(batch: pa.RecordBatch) -> pa.RecordBatch:
    fields = [*list(batch.schema)[:-1], pa.field(POSITION, pa.int64())]
    return pa.RecordBatch.from_arrays(
        [*batch.columns[:-1], batch.columns[-1].cast(pa.int64())], schema=pa.schema(fields)
    )
