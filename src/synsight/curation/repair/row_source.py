"""Chosen rows of a catalog as the input of a stage, with texts that are no column of it yet."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, partial

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synsight.data.catalog import Catalog
from synsight.data.column_stage import ColumnSpool
from synsight.errors import ConfigError
from synsight.stages import Chunk, Stage, chunk_key, stage_key

TEXTS = "texts"
"""Column of the texts given along, list<string>."""


class RowSource:
    """A stage's `Source`: rows at given positions, in their order.

    Args:
        catalog: Read at the version it has now.
        columns: What the stage sees of it.
        positions: Which rows, int64 [N].
        texts: For each of them some texts, as the column `texts`; None: no such column.
        rows_per_chunk: Rows that are read, worked on and acknowledged together; > 0.
    """

    def __init__(
        self,
        catalog: Catalog,
        columns: Sequence[str],
        positions: NDArray[np.int64],
        *,
        texts: Sequence[Sequence[str]] | None = None,
        rows_per_chunk: int,
    ) -> None:
        if rows_per_chunk < 1:
            raise ConfigError(f"rows_per_chunk must be >= 1; got {rows_per_chunk!r}.")
        self._catalog, self._columns = catalog.at_version(catalog.version), tuple(columns)
        self._positions, self._texts = positions, texts
        self._rows_per_chunk = rows_per_chunk

    @property
    def rows(self) -> int:
        """Rows in all chunks together."""
        return len(self._positions)

    @cached_property
    def fingerprint(self) -> str:
        """Identity of the content of the columns read."""
        return self._catalog.fingerprint(self._columns)

    def chunks(self) -> Iterator[Chunk]:
        """See `Source.chunks`."""
        for start in range(0, self.rows, self._rows_per_chunk):
            part = slice(start, start + self._rows_per_chunk)
            positions = self._positions[part]
            texts = None if self._texts is None else [list(one) for one in self._texts[part]]
            first, last = int(positions[0]), int(positions[-1])
            yield Chunk(
                key=chunk_key(self.fingerprint, self._columns, positions.tolist(), texts),
                rows=len(positions),
                read=partial(_read, self._catalog, self._columns, positions, texts),
                name=f"{len(positions)} rows from {first:,} to {last:,} of {self._catalog.path}",
            )


def spool_of(catalog: Catalog, stage: Stage, source: RowSource) -> ColumnSpool:
    """Where a stage over chosen rows keeps its results until they are used."""
    folder = catalog.local_folder / "work" / stage_key(stage)
    return ColumnSpool(folder, stage, source)


def _read(
    catalog: Catalog,
    columns: Sequence[str],
    positions: NDArray[np.int64],
    texts: list[list[str]] | None,
) -> pa.RecordBatch:
    table = catalog.take(positions, columns).combine_chunks()
    arrays: Mapping[str, pa.Array] = {name: table.column(name).chunk(0) for name in columns}
    given = {} if texts is None else {TEXTS: pa.array(texts, pa.list_(pa.string()))}
    return pa.record_batch({**arrays, **given})
