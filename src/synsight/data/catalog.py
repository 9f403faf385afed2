"""The catalog: one versioned table of images that grows columns; a Lance dataset in a folder or a store.

    CATALOG/            Lance's files: data/, _versions/, _transactions/, _deletions/
      _synsight/        ledger.sqlite, work/ (results not yet committed), lineage.json, vocabularies
      rejected.parquet  rows that ingest left out, with reasons

At a URL of an object store the ledger, work/ and what else one machine alone needs are in a folder of that
machine (`Catalog.local_folder`); one machine at a time works on such a catalog.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from synsight.data import export
from synsight.data.append_sink import AppendSink, data_files
from synsight.data.column_stage import CatalogSource, ColumnSpool
from synsight.data.fingerprints import FingerprintMemory, combined_digest
from synsight.data.lance_table import ROWS_PER_FRAGMENT, LanceTable, TableVersion
from synsight.data.lineage import Commit, former_versions, keep_records, version_record
from synsight.data.purge import PurgeProof, purge_rows
from synsight.data.row_stream import POSITION, RowStream
from synsight.data.table_errors import check_fork, table_errors
from synsight.data.table_folder import FOLDERS
from synsight.errors import CatalogError, near_names
from synsight.files import disk_errors, sync_folder
from synsight.ledger import Ledger
from synsight.records import Version
from synsight.stages import Stage, chunk_key, stage_key
from synsight.stores import StorePath, place, work_folder

__all__ = ["POSITION", "Catalog", "Commit", "PurgeProof"]

_OWN_NAMES = frozenset({"_synsight", "rejected.parquet"})

_OPERATIONS = {"BaseOperation": "compact", "Rewrite": "compact", "": "unknown"}
"""What Lance does on its own account -> what `versions` calls it."""


class Catalog:
    """A catalog at one version; its own commits move it to the version they make.

    A position is the ordinal of a row in the order of `scan` (0 to rows - 1) at this version. Pickles as
    (path, version) and opens again where it arrives. Made by `Catalog.create` or `Catalog.open`.
    """

    def __init__(self, path: Path, version: int) -> None:
        self.path = path
        self._table = LanceTable(path, version)

    def __reduce__(self) -> tuple[type["Catalog"], tuple[Path, int]]:
        return Catalog, (self.path, self.version)

    def __repr__(self) -> str:
        return f"Catalog({str(self.path)!r}, version={self.version})"

    @staticmethod
    def create(path: str | Path, schema: pa.Schema, *, commit: Commit) -> "Catalog":
        """Make an empty catalog.

        Args:
            path: A folder or a URL (s3://, gs://, az://) where nothing is, or what a killed `create` left.
            schema: Columns of DESIGN section 3, and the user's own under their names.
            commit: Who makes it.

        Raises:
            CatalogError: The folder holds a catalog already, or something else.
            StorageError: The disk refused.
        """
        path = place(path)
        if Catalog.exists(path):
            raise CatalogError(f"{path}: there is a catalog already; delete it or choose another folder.")
        strangers = {one.name for one in path.iterdir()} - FOLDERS - _OWN_NAMES if path.is_dir() else ()
        if strangers:
            raise CatalogError(
                f"{path}: expected a new or empty folder, found {min(strangers)!r} in it; "
                "choose another folder."
            )
        check_fork()
        with table_errors(path):
            # Images and captions of people: for their owner alone, unless somebody made the folder otherwise.
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        table = LanceTable.create(path, schema, properties=commit.properties(rows=0))
        with disk_errors(path):
            sync_folder(path.absolute().parent)
        return Catalog(path, table.version)

    @staticmethod
    def open(path: str | Path, *, version: int | None = None) -> "Catalog":
        """Open a catalog at its newest version, or at a former one.

        Raises:
            CatalogError: There is no catalog, or no such version.
        """
        path = place(path)
        check_fork()
        if not Catalog.exists(path):
            found = "a folder without one" if path.is_dir() else "a file" if path.exists() else "nothing"
            raise CatalogError(
                f"{path}: expected a catalog, found {found}; "
                f"make one with `synsight ingest SOURCE --out {path}`."
            )
        catalog = Catalog(path, version or 0)
        catalog._table.settle()
        return catalog

    @staticmethod
    def exists(path: str | Path) -> bool:
        """Whether a catalog was made there; a half-made one is none."""
        return LanceTable.exists(place(path))

    @property
    def version(self) -> int:
        """The version this object is at."""
        return self._table.version

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.resolve().name

    @property
    def schema(self) -> pa.Schema:
        """Columns with their types and metadata."""
        return self._table.schema

    @property
    def columns(self) -> list[str]:
        """Column names in order."""
        return list(self.schema.names)

    @property
    def work_folder(self) -> Path:
        """Where synsight keeps its own files beside the table's, for all who read the catalog."""
        return self.path / "_synsight"

    @property
    def local_folder(self) -> Path:
        """Where this machine keeps what it works on; `work_folder`, but for catalogs in a store."""
        return work_folder(self.path) if isinstance(self.path, StorePath) else self.work_folder

    @property
    def _lineage_path(self) -> Path:
        return self.work_folder / "lineage.json"

    @property
    def ledger_path(self) -> Path:
        """The ledger of the stages that ran on this catalog."""
        return self.local_folder / "ledger.sqlite"

    def ledger(self) -> Ledger:
        """Open the catalog's ledger; use it as a context manager."""
        return Ledger(self.ledger_path)

    def count_rows(self, where: str | None = None) -> int:
        """Rows, or rows that match an SQL condition.

        Raises:
            CatalogError: The condition is not understood.
        """
        return self._table.rows if where is None else self._table.count(where)

    def scan(
        self,
        columns: Sequence[str],
        *,
        where: str | None = None,
        batch_size: int = 1024,
        with_positions: bool = False,
    ) -> Iterator[pa.RecordBatch]:
        """Read rows in order, at most `batch_size` at a time.

        Args:
            columns: Names; the batches have them in this order.
            where: SQL condition, as "split = 'train' AND label IS NOT NULL".
            batch_size: Most rows of a batch.
            with_positions: Add the int64 column `_position`.

        Raises:
            CatalogError: A column is missing or the condition is not understood.
        """
        return self._table.scan(
            self._check_columns(columns), where=where, batch_size=batch_size, with_positions=with_positions
        )

    def table(self, columns: Sequence[str], *, where: str | None = None) -> pa.Table:
        """Read columns whole; for those that fit into memory."""
        schema = pa.schema([self.schema.field(name) for name in self._check_columns(columns)])
        return pa.Table.from_batches(self.scan(columns, where=where, batch_size=8192), schema=schema)

    def take(self, positions: Sequence[int] | np.ndarray[Any, Any], columns: Sequence[str]) -> pa.Table:
        """Read single rows, in the order asked; a position may come more than once.

        Raises:
            CatalogError: A position lies outside the catalog, or a column is missing.
        """
        self._check_columns(columns)
        wanted = np.asarray(positions, dtype=np.int64)
        outside = wanted[(wanted < 0) | (wanted >= self._table.rows)]
        if len(outside):
            raise CatalogError(
                f"{self.path}: expected positions from 0 to {self._table.rows - 1}, found {int(outside[0])}; "
                f"positions belong to one version of a catalog, and this is version {self.version}."
            )
        return self._table.take(wanted, columns)

    def positions(self, where: str | None = None) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Positions of the rows that match, ascending, int64 [N]."""
        return np.arange(self._table.rows) if where is None else self._table.positions(where)

    def row_ids(self, where: str | None = None) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Stable ids of the rows that match, in the order of `scan`, int64 [N].

        A row keeps its id when other rows are deleted, when files are compacted and when columns are added;
        no other row is ever given it.
        """
        row_ids = self._table.row_ids
        return row_ids if where is None else row_ids[self.positions(where)]

    def positions_of_row_ids(
        self, row_ids: np.ndarray[Any, np.dtype[np.int64]]
    ) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Where rows with these stable ids stand at this version, int64 of the same shape; -1: nowhere, as
        the row was deleted.
        """
        known = self._table.row_ids
        if not len(known):
            return np.full(np.shape(row_ids), -1, np.int64)
        order = np.argsort(known, kind="stable")
        places = np.minimum(np.searchsorted(known, row_ids, sorter=order), len(known) - 1)
        positions = order[places]
        return np.where(known[positions] == row_ids, positions, -1)

    def versions(self) -> list[Version]:
        """All versions, oldest first, with the verb and settings that made each.

        Those that a purge removed are listed too, though they cannot be opened.
        """
        former = {one.version: one for one in former_versions(self._lineage_path)}
        former |= {one.number: _version(one) for one in self._table.versions()}
        return [former[number] for number in sorted(former)]

    def add_columns(self, schema: pa.Schema, batches: Iterable[pa.RecordBatch], *, commit: Commit) -> None:
        """Add columns in one commit, or replace those of the same name; no other file is rewritten.

        When columns are replaced by others of another shape, a first version drops the former ones.

        Args:
            schema: The new fields, with their metadata.
            batches: Rows in the order of `scan`, as many as the catalog has, cut anywhere.
            commit: Who adds them.

        Raises:
            DataError: The batches have too few or too many rows.
            ConflictError: Someone else changed the catalog meanwhile.
        """
        self._table.merge(RowStream(schema, batches), properties=commit.properties(rows=self._table.rows))

    def delete(self, where: str, *, commit: Commit) -> int:
        """Leave rows out of this and later versions; their bytes stay until a purge.

        Args:
            where: SQL condition; rows for which it is null stay.
            commit: Who deletes; the condition is added to its settings.

        Returns:
            Rows deleted; if none, no version is made.

        Raises:
            CatalogError: The condition is not understood, or another process is at work here.
        """
        with self.alone():
            return self.delete_alone(where, commit=commit)

    def delete_alone(self, where: str, *, commit: Commit) -> int:
        """`delete`, for one who is `alone` already."""
        rows = self.count_rows(where)
        if not rows:
            return 0
        commit = replace(commit, config={"where": where, **commit.config})
        self._table.delete(where, properties=commit.properties(rows=rows))
        return rows

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep stages out while rows are deleted, and settle what a killed one left.

        An append that was committed, but killed before the ledger heard of it, must not be repeated after
        its rows were deleted.
        """
        with self.ledger() as ledger, ledger.exclusive():
            self.refresh()
            present = self._table.data_files()
            for stage, receipt in ledger.waiting():
                if present & set(data_files(receipt)):
                    ledger.mark_committed(stage, [receipt.key])
            yield

    def rewrite_deleted(self) -> None:
        """Write files that hold deleted rows again without them; the old ones stay for former versions."""
        self._table.rewrite_deleted()

    def compact(self, *, rows_per_fragment: int = ROWS_PER_FRAGMENT) -> int:
        """Put neighbouring fragments of fewer rows together; each row keeps its place and its id.

        The former files stay for former versions. Whoever is killed here leaves all rows, in the former
        fragments or in the new ones.

        Returns:
            How many fragments there are less.

        Raises:
            CatalogError: Another process is at work here, or has changed the same fragments meanwhile.
        """
        with self.alone():
            return self._table.compact(rows_per_fragment=rows_per_fragment)

    def remove_former_versions(self) -> int:
        """Keep this version alone, and the records of the others; returns how many went."""
        with disk_errors(self.path):
            keep_records(self._lineage_path, self.versions())
        return self._table.remove_former_versions()

    def purge(self, where: str) -> PurgeProof:
        """Delete rows from this and all former versions, and prove that their image bytes are gone.

        Deletes, rewrites the files that held the rows, removes all former versions (their records stay in
        `versions`) and unfinished work, strikes the rows from the lists of rejects, then searches the whole
        folder. Killed anywhere, the same call finishes it.

        Raises:
            CatalogError: The condition is not understood; a tag holds a former version; another process is at
                work here; or bytes of a purged image were found afterwards.
        """
        return purge_rows(self, where)

    @staticmethod
    def not_matching(table: pa.Table, where: str) -> pa.Table:
        """Rows of a table in memory that do not match; all, if the condition speaks of other columns."""
        matching = LanceTable.matching(table, where) if table.num_rows else None
        if matching is None:
            return table
        is_kept = np.ones(table.num_rows, dtype=bool)
        is_kept[matching] = False
        return table.filter(pa.array(is_kept))

    def tags(self) -> dict[str, int]:
        """Names that hold versions: tag -> version."""
        return self._table.tags()

    def tag(self, name: str) -> None:
        """Give this version a name, which keeps it from being removed."""
        self._table.tag(name)

    def drop_tag(self, name: str) -> None:
        """Let go of a tag."""
        self._table.drop_tag(name)

    def export_parquet(
        self, out: str | Path, *, columns: Sequence[str] | None = None, where: str | None = None
    ) -> int:
        """Write rows to a Parquet file; see `synsight.data.export.export_parquet`."""
        return export.export_parquet(self, Path(out), columns=columns, where=where)

    def export_webdataset(
        self, out: str | Path, *, where: str | None = None, rows_per_shard: int = 10_000
    ) -> list[Path]:
        """Write rows to WebDataset tars; see `synsight.data.export.export_webdataset`."""
        return export.export_webdataset(self, Path(out), where=where, rows_per_shard=rows_per_shard)

    def fingerprint(self, columns: Sequence[str] = ("image",)) -> str:
        """Identity of the content of columns (and of `id`), 32 hex digits.

        Unchanged by other new columns, by the order of rows and by how they lie in files; equal for equal
        content on every machine; changed by appending and deleting rows. Reads what it has not read before,
        then remembers it by data file in `_synsight/fingerprints.json`.
        """
        self._check_columns(columns)
        with FingerprintMemory(self.local_folder / "fingerprints.json") as memory:
            digests = {
                name: combined_digest(memory.digest(key, values) for key, values in self._table.parts(name))
                for name in columns
            }
        return chunk_key(sorted(digests.items()))

    def source(
        self, columns: Sequence[str], *, where: str | None = None, rows_per_chunk: int = 1024
    ) -> CatalogSource:
        """The rows of this version as the input of a stage."""
        return CatalogSource(self, self._check_columns(columns), where=where, rows_per_chunk=rows_per_chunk)

    def spool(self, stage: Stage, source: CatalogSource) -> ColumnSpool:
        """Where a stage that makes columns keeps its results until `add_columns`; see `column_stage`."""
        return ColumnSpool(self.local_folder / "work" / stage_key(stage), stage, source)

    def is_current(self, column: str, provenance: Mapping[str, str]) -> bool:
        """Whether a column is there and was made by the same stage from the same content."""
        if column not in self.schema.names:
            return False
        metadata = self.schema.field(column).metadata or {}
        return all(metadata.get(key.encode()) == value.encode() for key, value in provenance.items())

    def appender(self, *, commit: Commit, strict: bool = False) -> AppendSink:
        """The `Sink` of a stage whose rows are to be appended, each exactly once."""
        return AppendSink(self, commit=commit, strict=strict)

    def at_version(self, version: int) -> "Catalog":
        """Another object for a version, which stays there when this one moves on."""
        return Catalog(self.path, version)

    def write_fragment(self, batch: pa.RecordBatch) -> list[dict[str, Any]]:
        """Write rows into files of their own, synced but part of no version; returns what `append` wants."""
        self._check_columns(batch.schema.names)
        return self._table.write_fragment(batch)

    def append(self, fragments: Sequence[Mapping[str, Any]], *, commit: Commit) -> None:
        """Make written fragments part of the catalog, in one commit; those that already are stay.

        Appending to what another process appended meanwhile is well; Lance tries again on the new version.
        """
        self.refresh()
        present = self._table.data_files()
        new = [one for one in fragments if one["files"][0]["path"] not in present]
        if new:
            rows = sum(one["physical_rows"] for one in new)
            self._table.append(new, properties=commit.properties(rows=rows))

    def refresh(self) -> None:
        """Go on to the newest version."""
        self._table.refresh()

    def refresh_columns(self) -> bool:
        """Go on to the newest version if it has the same rows in the same order; returns whether."""
        newest = Catalog.open(self.path)
        if same := np.array_equal(newest.row_ids(), self.row_ids()):
            self.refresh()
        return same

    def _check_columns(self, columns: Sequence[str]) -> Sequence[str]:
        for name in columns:
            if name not in self.schema.names:
                raise CatalogError(
                    f"{self.path}: there is no column {name!r} at version {self.version}; "
                    f"{near_names(name, self.schema.names)}"
                )
        return columns


def _version(one: TableVersion) -> Version:
    verb = _OPERATIONS.get(one.operation, one.operation.lower())
    return version_record(one.number, one.rows, one.created_at, verb, one.properties)
