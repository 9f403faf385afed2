"""The catalog: one versioned table of images that grows columns; a Lance dataset in a folder or a store.

The only file that knows Lance. Three of its traits shape the code: it never syncs to disk, so each commit
is synced here before anyone hears of it; it must not live across a fork, so a catalog opens its dataset
late and refuses to work in a forked process that used it before; its messages are for developers, so
they are put into one sentence.

    CATALOG/            Lance's files: data/, _versions/, _transactions/, _deletions/
      _synsight/        ledger.sqlite, work/ (results not yet committed), lineage.json, vocabularies
      rejected.parquet  rows that ingest left out, with reasons

At a URL of an object store the ledger, work/ and what else one machine alone needs are in a folder of that
machine (`Catalog.local_folder`); one machine at a time works on such a catalog.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import lance
import numpy as np
import pyarrow as pa
from lance import LanceOperation, Transaction
from lance.fragment import FragmentMetadata, write_fragments
from lance.schema import LanceSchema

from synsight.data import export
from synsight.data.append_sink import AppendSink, data_files
from synsight.data.column_stage import CatalogSource, ColumnSpool
from synsight.data.fingerprints import FingerprintMemory, combined_digest
from synsight.data.lineage import Commit, former_versions, keep_records, version_record
from synsight.data.purge import PurgeProof, purge_rows
from synsight.data.row_stream import POSITION, RowStream
from synsight.data.table_errors import check_fork, check_store, plain_words, table_errors
from synsight.errors import CatalogError, near_names
from synsight.files import disk_errors, remove, sync_file, sync_folder
from synsight.ledger import Ledger
from synsight.records import Version
from synsight.stages import Stage, chunk_key, stage_key
from synsight.stores import StorePath, place, table_options, work_folder

__all__ = ["POSITION", "Catalog", "Commit", "PurgeProof"]

Positions = np.ndarray[Any, np.dtype[np.int64]]

_OFFSET = "_rowoffset"
"""Lance's name for a position."""
_ROW_ID = "_rowid"
"""Lance's name for a stable id."""

_LANCE_NAMES = frozenset({"data", "_versions", "_transactions", "_deletions", "_indices", "_refs"})
_OWN_NAMES = frozenset({"_synsight", "rejected.parquet"})

_OPERATIONS = {"BaseOperation": "compact", "Rewrite": "compact", "": "unknown"}
"""What Lance does on its own account -> what `versions` calls it."""

_READ_AHEAD: dict[str, Any] = {"batch_readahead": 2, "fragment_readahead": 1, "io_buffer_size": 64 << 20}
"""Keeps a scan of large images within some hundred megabytes; Lance's own bounds are gigabytes."""

ROWS_PER_FRAGMENT = 65_536
"""Most rows of a data file that a purge writes: few files, and little to write again at the next purge."""


class Catalog:
    """A catalog at one version; its own commits move it to the version they make.

    A position is the ordinal of a row in the order of `scan` (0 to rows - 1) at this version. Pickles as
    (path, version) and opens again where it arrives. Made by `Catalog.create` or `Catalog.open`.
    """

    def __init__(self, path: Path, version: int) -> None:
        self.path = path
        self.version = version

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "version": self.version}

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
        strangers = {one.name for one in path.iterdir()} - _LANCE_NAMES - _OWN_NAMES if path.is_dir() else ()
        if strangers:
            raise CatalogError(
                f"{path}: expected a new or empty folder, found {min(strangers)!r} in it; "
                "choose another folder."
            )
        check_fork()
        with table_errors(path):
            # Images and captions of people: for their owner alone, unless somebody made the folder otherwise.
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            dataset = lance.write_dataset(
                schema.empty_table(),
                str(path),
                schema=schema,
                mode="create",
                enable_stable_row_ids=True,
                storage_options=table_options(path),
                transaction_properties=commit.properties(rows=0),
            )
        catalog = Catalog(path, dataset.version)
        catalog._sync_version(dataset)
        with disk_errors(path):
            sync_folder(path.absolute().parent)
        return catalog

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
        catalog.version = catalog._dataset.version
        return catalog

    @staticmethod
    def exists(path: str | Path) -> bool:
        """Whether a catalog was made there; a half-made one is none."""
        return any((place(path) / "_versions").glob("*.manifest"))

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.resolve().name

    @property
    def schema(self) -> pa.Schema:
        """Columns with their types and metadata."""
        return self._dataset.schema

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
        if where is None:
            return self._rows
        with self._reading(where):
            return int(self._dataset.count_rows(where))

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
        self._check_columns(columns)
        with self._reading(where):
            scanner = self._dataset.scanner(
                columns=[*columns, *([_OFFSET] if with_positions else [])],
                filter=where,
                batch_size=batch_size,
                strict_batch_size=True,
                scan_in_order=True,
                **_READ_AHEAD,
            )
            for batch in scanner.to_batches():
                batch = batch.select([*columns, *([_OFFSET] if with_positions else [])])
                yield _named_position(batch) if with_positions else batch

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
        outside = wanted[(wanted < 0) | (wanted >= self._rows)]
        if len(outside):
            raise CatalogError(
                f"{self.path}: expected positions from 0 to {self._rows - 1}, found {int(outside[0])}; "
                f"positions belong to one version of a catalog, and this is version {self.version}."
            )
        with self._reading():
            return self._dataset.take(pa.array(wanted, pa.uint64()), columns=list(columns)).select(
                list(columns)
            )

    def positions(self, where: str | None = None) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Positions of the rows that match, ascending, int64 [N]."""
        if where is None:
            return np.arange(self._rows, dtype=np.int64)
        with self._reading(where):
            found = self._dataset.to_table(columns=[_OFFSET], filter=where, scan_in_order=True)
        positions: Positions = found.column(_OFFSET).to_numpy().astype(np.int64)
        return positions

    def row_ids(self, where: str | None = None) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Stable ids of the rows that match, in the order of `scan`, int64 [N].

        A row keeps its id when other rows are deleted, when files are compacted and when columns are added;
        no other row is ever given it.
        """
        return self._row_ids if where is None else self._row_ids[self.positions(where)]

    def positions_of_row_ids(
        self, row_ids: np.ndarray[Any, np.dtype[np.int64]]
    ) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Where rows with these stable ids stand at this version, int64 of the same shape; -1: nowhere, as
        the row was deleted.
        """
        known = self._row_ids
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
        with self._reading():
            for entry in self._dataset.versions():
                former[entry["version"]] = self._version_record(entry)
        return [former[number] for number in sorted(former)]

    def add_columns(self, schema: pa.Schema, batches: Iterable[pa.RecordBatch], *, commit: Commit) -> None:
        """Add columns in one commit, or replace those of the same name; no other file is rewritten.

        When columns are replaced by others of another shape, a first commit drops the former ones.

        Args:
            schema: The new fields, with their metadata.
            batches: Rows in the order of `scan`, as many as the catalog has, cut anywhere.
            commit: Who adds them.

        Raises:
            DataError: The batches have too few or too many rows.
            CatalogError: Someone else changed the catalog meanwhile.
        """
        rows = RowStream(schema, batches)
        try:
            with table_errors(self.path):
                base = self._without_columns(set(schema.names))
                merged = [
                    fragment.merge_columns(rows.reader(fragment.count_rows()))
                    for fragment in base.get_fragments()
                ]
        except CatalogError:
            if rows.error is not None:
                raise rows.error from None
            raise
        rows.expect_end()
        known = self._data_files()
        new = [file.path for fragment, _ in merged for file in fragment.files if file.path not in known]
        wide = merged[-1][1] if merged else LanceSchema.from_pyarrow(pa.schema([*base.schema, *schema]))
        if _renames(self._dataset.lance_schema, wide):
            # Lance gives the numbers of dropped columns to new ones, but not within one commit.
            kept = LanceOperation.Project(base.schema)
            self._commit(kept, commit.properties(rows=self._rows), new_files=[])
        operation = LanceOperation.Merge([fragment for fragment, _ in merged], wide)
        self._commit(operation, commit.properties(rows=self._rows), new_files=new)

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
        changed, gone = [], []
        with self._reading(where):
            for fragment in self._dataset.get_fragments():
                kept = fragment.delete(where)
                if kept is None:
                    gone.append(fragment.fragment_id)
                else:
                    changed.append(kept)
        commit = replace(commit, config={"where": where, **commit.config})
        self._commit(LanceOperation.Delete(changed, gone, where), commit.properties(rows=rows), new_files=[])
        return rows

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep stages out while rows are deleted, and settle what a killed one left.

        An append that was committed, but killed before the ledger heard of it, must not be repeated after
        its rows were deleted.
        """
        with self.ledger() as ledger, ledger.exclusive():
            self.refresh()
            present = self._data_files()
            for stage, receipt in ledger.waiting():
                if present & set(data_files(receipt)):
                    ledger.mark_committed(stage, [receipt.key])
            yield

    def rewrite_deleted(self) -> None:
        """Write files that hold deleted rows again without them; the old ones stay for former versions."""
        before = self._data_files()
        with table_errors(self.path):
            self._dataset.optimize.compact_files(
                target_rows_per_fragment=ROWS_PER_FRAGMENT, materialize_deletions_threshold=0, batch_size=256
            )
        self.refresh()
        self._sync_data(self._data_files() - before)
        self._sync_version(self._dataset)

    def remove_former_versions(self) -> int:
        """Keep this version alone, and the records of the others; returns how many went."""
        with disk_errors(self.path):
            keep_records(self._lineage_path, self.versions())
        with table_errors(self.path):
            # Also files of no version: what a killed writer left may hold deleted rows.
            stats = self._dataset.cleanup_old_versions(timedelta(0), delete_unverified=True)
            for name in ("data", "_versions", "_transactions"):
                sync_folder(self.path / name)
        return int(stats.old_versions)

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
        if not table.num_rows:
            return table
        try:
            matching = lance.write_dataset(table, "memory://").to_table(columns=[_OFFSET], filter=where)
        except (OSError, ValueError):
            return table
        is_kept = np.ones(table.num_rows, dtype=bool)
        is_kept[matching.column(_OFFSET).to_numpy()] = False
        return table.filter(pa.array(is_kept))

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
                name: combined_digest(
                    memory.digest(self._part_key(one, name), self._part(one, name))
                    for one in self._dataset.get_fragments()
                )
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
        with table_errors(self.path):
            schema = pa.schema([self.schema.field(name) for name in self._check_columns(batch.schema.names)])
            table = pa.Table.from_batches([batch.cast(schema)])
            fragments = write_fragments(table, self._dataset, schema=schema)
        for fragment in fragments:
            self._sync_data([file.path for file in fragment.files])
        return [fragment.to_json() for fragment in fragments]

    def append(self, fragments: Sequence[Mapping[str, Any]], *, commit: Commit) -> None:
        """Make written fragments part of the catalog, in one commit; those that already are stay.

        Appending to what another process appended meanwhile is well; Lance tries again on the new version.
        """
        self.refresh()
        present = self._data_files()
        new = [one for one in fragments if one["files"][0]["path"] not in present]
        if new:
            operation = LanceOperation.Append([FragmentMetadata.from_json(json.dumps(one)) for one in new])
            rows = sum(one["physical_rows"] for one in new)
            self._commit(operation, commit.properties(rows=rows), new_files=[])

    def refresh(self) -> None:
        """Go on to the newest version."""
        self.version = 0
        self._forget()
        self.version = self._dataset.version

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

    @cached_property
    def _rows(self) -> int:
        return int(self._dataset.count_rows())

    @cached_property
    def _row_ids(self) -> Positions:
        with self._reading():
            found = self._dataset.to_table(columns=[_ROW_ID], scan_in_order=True)
        row_ids: Positions = found.column(_ROW_ID).to_numpy().astype(np.int64)
        row_ids.setflags(write=False)
        return row_ids

    def _part_key(self, fragment: lance.LanceFragment, column: str) -> str:
        """Names the rows of one fragment's column: the files that hold its values, ids and deletions."""
        names = _field_names(self._dataset.lance_schema)
        wanted = {number for number, name in names.items() if name.split("/")[0] in (column, "id")}
        files = sorted(file.path for file in fragment.data_files() if wanted & set(file.fields))
        return " ".join([column, *files, str(fragment.deletion_file())])

    def _part(self, fragment: lance.LanceFragment, column: str) -> Iterator[pa.RecordBatch]:
        names = sorted({column, "id"} & set(self.schema.names))
        with self._reading():
            yield from self._dataset.scanner(
                columns=names, fragments=[fragment], batch_size=256, **_READ_AHEAD
            ).to_batches()

    def _data_files(self) -> set[str]:
        return {file.path for fragment in self._dataset.get_fragments() for file in fragment.data_files()}

    def _forget(self) -> None:
        for name in ("_dataset", "_rows", "_row_ids"):
            self.__dict__.pop(name, None)

    def _commit(
        self, operation: LanceOperation.BaseOperation, properties: dict[str, str], *, new_files: list[str]
    ) -> None:
        """Commit on top of this version, sync, and move to the version made."""
        self._sync_data(new_files)
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
            self._dataset.drop_columns([name for name in self.columns if name in names])
            self.refresh()
            self._sync_version(self._dataset)
            return self._dataset
        operation = LanceOperation.Project(pa.schema(kept))
        detached = lance.LanceDataset.commit(
            self._dataset, Transaction(self.version, operation), detached=True
        )
        for manifest in (self.path / "_versions").glob("d*.manifest"):
            remove(manifest)  # it is loaded; left behind it would never be cleaned up
        return detached

    def _sync_data(self, names: Iterable[str]) -> None:
        with table_errors(self.path):
            for name in names:
                sync_file(self.path / "data" / name)
            if (self.path / "data").is_dir():
                sync_folder(self.path / "data")

    def _sync_version(self, dataset: lance.LanceDataset) -> None:
        """Push what a commit wrote beside the data to the disk: manifest, transaction, deletions."""
        files = [self.path / "_versions" / f"{2**64 - 1 - dataset.version:020d}.manifest"]
        if transaction := dataset.read_transaction(dataset.version):
            files.append(self.path / "_transactions" / f"{transaction.read_version}-{transaction.uuid}.txn")
            if isinstance(transaction.operation, LanceOperation.Delete):
                files.extend((self.path / "_deletions").glob("*"))
        with table_errors(self.path):
            for file in files:
                sync_file(file)
            for name in ("", "_versions", "_transactions", "_deletions"):
                if (self.path / name).is_dir():
                    sync_folder(self.path / name)

    def _version_record(self, entry: Mapping[str, Any]) -> Version:
        transaction = self._dataset.read_transaction(entry["version"])
        operation = type(transaction.operation).__name__ if transaction else ""
        properties = (transaction.transaction_properties or {}) if transaction else {}
        rows = int(entry["metadata"].get("total_rows", 0))
        created_at = entry["timestamp"].astimezone().isoformat(timespec="seconds")
        return version_record(
            entry["version"], rows, created_at, _OPERATIONS.get(operation, operation.lower()), properties
        )

    def _check_columns(self, columns: Sequence[str]) -> Sequence[str]:
        for name in columns:
            if name not in self.schema.names:
                raise CatalogError(
                    f"{self.path}: there is no column {name!r} at version {self.version}; "
                    f"{near_names(name, self.schema.names)}"
                )
        return columns

    def _reading(self, where: str | None = None) -> AbstractContextManager[None]:
        return table_errors(self.path, where=where, columns=self.columns)


def _field_names(schema: LanceSchema) -> dict[int, str]:
    """Number of each field, nested ones too -> its path of names."""
    names = {}
    todo = [(one, one.name()) for one in schema.fields()]
    while todo:
        one, name = todo.pop()
        names[one.id()] = name
        todo.extend((child, f"{name}/{child.name()}") for child in one.children())
    return names


def _renames(before: LanceSchema, after: LanceSchema) -> bool:
    """Whether a field's number would pass to a field of another name."""
    names = _field_names(before)
    return any(names.get(number, name) != name for number, name in _field_names(after).items())


def _renumbers(before: LanceSchema, after: LanceSchema) -> bool:
    """Whether a field would get another number than it has."""
    names = _field_names(before)
    return any(names.get(number) != name for number, name in _field_names(after).items())


def _named_position(batch: pa.RecordBatch) -> pa.RecordBatch:
    fields = [*list(batch.schema)[:-1], pa.field(POSITION, pa.int64())]
    return pa.RecordBatch.from_arrays(
        [*batch.columns[:-1], batch.columns[-1].cast(pa.int64())], schema=pa.schema(fields)
    )
