"""New columns through a stage: a catalog as the source, a spool of results, then one `add_columns`.

    source = catalog.source(["caption"])
    spool = catalog.spool(stage, source)
    with catalog.ledger() as ledger:
        runner.run(stage, source, spool, ledger=ledger, description="words")
    catalog.add_columns(schema, (finish(batch) for batch in spool.batches()), commit=...)
    spool.clear()

Killed anywhere, the same lines finish the work: the spool keeps what was done.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa

from synsight.data.append_sink import read_ipc, write_ipc
from synsight.errors import ConfigError, DataError
from synsight.files import remove
from synsight.ledger import Receipt
from synsight.stages import REJECTED, Chunk, Source, Stage, chunk_key, stage_key

if TYPE_CHECKING:
    from synsight.data.catalog import Catalog


class CatalogSource:
    """A stage's `Source`: columns of a catalog's version, in chunks of so many rows.

    A chunk's key depends on the content of these columns, so other new columns change no key.

    Args:
        catalog: Read at the version it has now.
        columns: What the stage sees.
        where: SQL condition; None: all rows.
        rows_per_chunk: Rows that are read, worked on and acknowledged together; > 0.
    """

    def __init__(
        self, catalog: "Catalog", columns: Sequence[str], *, where: str | None, rows_per_chunk: int
    ) -> None:
        if rows_per_chunk < 1:
            raise ConfigError(f"rows_per_chunk must be >= 1; got {rows_per_chunk!r}.")
        self._catalog = catalog.at_version(catalog.version)
        self._columns, self._where, self._rows_per_chunk = tuple(columns), where, rows_per_chunk

    @cached_property
    def fingerprint(self) -> str:
        """Identity of the content of the columns read."""
        return self._catalog.fingerprint(self._columns)

    @cached_property
    def rows(self) -> int:
        """Rows in all chunks together."""
        return self._catalog.count_rows(self._where)

    def chunks(self) -> Iterator[Chunk]:
        """See `Source.chunks`."""
        matching = None if self._where is None else self._catalog.positions(self._where)
        for start in range(0, self.rows, self._rows_per_chunk):
            stop = min(start + self._rows_per_chunk, self.rows)
            positions = range(start, stop) if matching is None else matching[start:stop]
            yield Chunk(
                key=chunk_key(self.fingerprint, self._columns, self._where, start, stop),
                rows=stop - start,
                read=partial(_read, self._catalog, positions, self._columns),
                name=f"rows {start:,} to {stop - 1:,} of {self._catalog.path}",
            )


class FingerprintedSource(Source, Protocol):
    """A source that knows the identity of what it reads."""

    @property
    def fingerprint(self) -> str:
        """Identity of the content of the columns read."""


class ColumnSpool:
    """A stage's `Sink` that keeps each chunk's result as one Arrow file until all are there.

    Args:
        folder: Its own; made when needed.
        stage: Whose results they are.
        source: Tells the order.
    """

    def __init__(self, folder: Path, stage: Stage, source: FingerprintedSource) -> None:
        self._folder, self._source = folder, source
        self.provenance: dict[str, str] = {
            "synsight.stage": stage_key(stage),
            "synsight.input": source.fingerprint,
        }
        """For the new fields' metadata; `Catalog.is_current` compares it, so that a rerun does no work."""

    def write(self, key: str, kept: pa.RecordBatch, rejected: pa.RecordBatch) -> Mapping[str, Any]:
        """See `Sink.write`.

        Raises:
            DataError: A row was rejected; a column needs a value (or null) for every row.
        """
        if rejected.num_rows:
            raise DataError(
                f"a stage that makes columns may reject no row; one was, because of "
                f"{rejected.column(REJECTED)[0].as_py()!r}; give null instead."
            )
        write_ipc(self._path(key), kept)
        return {"file": self._path(key).name}

    def holds(self, receipt: Receipt) -> bool:
        """See `Sink.holds`."""
        return self._path(receipt.key).exists()

    def commit(self, receipts: Sequence[Receipt]) -> None:
        """See `Sink.commit`; nothing to do, `add_columns` is the commit."""

    def commit_due(self, rows: int) -> bool:
        """See `Sink.commit_due`."""
        return False

    def finish(self, receipts: Iterable[Receipt]) -> None:
        """See `Sink.finish`."""

    def batches(self) -> Iterator[pa.RecordBatch]:
        """All results, in the order of the source's rows.

        Raises:
            DataError: A chunk's result is missing: the run has not finished.
        """
        for chunk in self._source.chunks():
            path = self._path(chunk.key)
            if not path.exists():
                raise DataError(f"{path}: the result of {chunk.name} is missing; run the same command again.")
            yield from read_ipc(path).to_batches()

    def clear(self) -> None:
        """Delete the results."""
        remove(self._folder)

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.arrow"


def _read(
    catalog: "Catalog", positions: "range | np.ndarray[Any, Any]", columns: Sequence[str]
) -> pa.RecordBatch:
    table = catalog.take(np.asarray(positions), columns).combine_chunks()
    return pa.RecordBatch.from_arrays([one.chunk(0) for one in table.columns], schema=table.schema)
