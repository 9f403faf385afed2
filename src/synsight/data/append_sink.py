"""Appending to a catalog through a stage: every row once, whenever the process is killed."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as pt

from synsight.data.lineage import Commit
from synsight.errors import DataError
from synsight.files import replacing
from synsight.ledger import Receipt
from synsight.stages import REJECTED

if TYPE_CHECKING:
    from synsight.data.catalog import Catalog

ROWS_PER_COMMIT = 2_000
"""Fewest rows worth a version; beside an eighth of what is there, which keeps versions few."""


class AppendSink:
    """A stage's `Sink` that appends to a catalog and lists what was rejected.

    A chunk becomes data files that no version reads; its receipt names them. A commit makes the files of
    many chunks part of a version, leaving out those that already are, so that it may be repeated.

    Args:
        catalog: Moves on to each version made.
        commit: Written into each version.
        strict: Raise at the first rejected row.
    """

    def __init__(self, catalog: "Catalog", *, commit: Commit, strict: bool = False) -> None:
        self._catalog, self._commit, self._strict = catalog, commit, strict

    def write(self, key: str, kept: pa.RecordBatch, rejected: pa.RecordBatch) -> Mapping[str, Any]:
        """See `Sink.write`. The receipt holds Lance's description of the files."""
        if rejected.num_rows:
            if self._strict:
                raise DataError(
                    f"{rejected.num_rows} rows were rejected, the first because of "
                    f"{rejected.column(REJECTED)[0].as_py()!r}; mend them, or leave out --strict: "
                    "then they are listed in rejected.parquet."
                )
            write_ipc(self._rejects_path(key), without_bytes(rejected))
        return {"fragments": self._catalog.write_fragment(kept) if kept.num_rows else []}

    def holds(self, receipt: Receipt) -> bool:
        """See `Sink.holds`. What is committed stays done, even if the rows were deleted since."""
        if receipt.committed:
            return True
        files = [self._catalog.path / "data" / name for name in data_files(receipt)]
        rejects = [self._rejects_path(receipt.key)] if receipt.rejected else []
        return all(path.exists() for path in (*files, *rejects))

    def commit(self, receipts: Sequence[Receipt]) -> None:
        """See `Sink.commit`."""
        fragments = [fragment for receipt in receipts for fragment in receipt.value["fragments"]]
        self._catalog.append(fragments, commit=self._commit)

    def commit_due(self, rows: int) -> bool:
        """See `Sink.commit_due`."""
        return rows >= max(ROWS_PER_COMMIT, self._catalog.count_rows() // 8)

    def finish(self, receipts: Iterable[Receipt]) -> None:
        """Write `rejected.parquet`: all columns of the rejected rows but bytes, with the reason."""
        ours = [self._rejects_path(receipt.key) for receipt in receipts if receipt.rejected]
        others = sorted(set(self._rejects_path("").parent.glob("*.arrow")) - set(ours))
        fields = [field for field in self._catalog.schema if not _is_bytes(field.type)]
        empty = pa.schema([*fields, pa.field(REJECTED, pa.string())]).empty_table()
        tables = [read_ipc(part) for part in (*others, *ours) if part.exists()]
        rejected = pa.concat_tables([empty, *tables], promote_options="permissive")
        path = self._catalog.path / "rejected.parquet"
        if path.exists() and read_parquet(path).equals(rejected):
            return
        with replacing(path) as temporary:
            pq.write_table(rejected, temporary)

    def _rejects_path(self, key: str) -> Path:
        return self._catalog.local_folder / "rejected" / f"{key}.arrow"


def data_files(receipt: Receipt) -> list[str]:
    """Names of the data files that an append's receipt speaks of; none if it is of another kind."""
    return [file["path"] for one in receipt.value.get("fragments", ()) for file in one["files"]]


def without_bytes(batch: pa.RecordBatch) -> pa.RecordBatch:
    """A batch without its binary columns: a list of rejects is no second store of images."""
    return batch.select([field.name for field in batch.schema if not _is_bytes(field.type)])


def write_ipc(path: Path, rows: pa.RecordBatch | pa.Table) -> None:
    """Write rows as an Arrow file, whole or not at all."""
    with (
        replacing(path) as temporary,
        pa.OSFile(str(temporary), "wb") as file,
        pa.ipc.new_file(file, rows.schema) as writer,
    ):
        writer.write(rows)


def read_ipc(path: Path) -> pa.Table:
    """Read an Arrow file."""
    with pa.OSFile(str(path), "rb") as file:
        return pa.ipc.open_file(file).read_all()


def read_parquet(path: Path) -> pa.Table:
    """Read a Parquet file of ours, in a folder or a store."""
    return pq.read_table(pa.BufferReader(path.read_bytes()))


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(pt.is_binary(kind) or pt.is_large_binary(kind) or pt.is_fixed_size_binary(kind))
