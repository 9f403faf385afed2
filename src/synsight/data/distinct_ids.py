"""The sink of `ingest`: what appends to the catalog, behind a filter that makes every id different."""

import base64
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from synsight.data.seen_ids import SeenIds, hashes_of
from synsight.data.sources import MESSAGE, PLACE
from synsight.errors import DataError
from synsight.ledger import Receipt
from synsight.stages import Sink


class DistinctIds:
    """Numbers the copies of an id in the order of the source, then hands the rows on.

    The second image with the same bytes gets `-2` behind its id, the third `-3`. A receipt holds its rows'
    hashes, 8 bytes a row, so that a resumed run goes on with the same numbers.

    Args:
        sink: What appends.
        strict: Raise at the first rejected row.
    """

    def __init__(self, sink: Sink, *, strict: bool) -> None:
        self._sink, self._strict = sink, strict
        self._seen = SeenIds()

    def write(self, key: str, kept: pa.RecordBatch, rejected: pa.RecordBatch) -> Mapping[str, Any]:
        """See `Sink.write`.

        Raises:
            DataError: A row was rejected, and `strict` asks for none.
        """
        if self._strict and rejected.num_rows:
            message = rejected.column(MESSAGE)[0].as_py()
            raise DataError(
                f"{message} (To list such rows in rejected.parquet and go on, leave out --strict.)"
            )
        ids = self._seen.make_distinct(kept.column("id").to_pylist())
        where = kept.schema.get_field_index("id")
        kept = kept.set_column(where, "id", pa.array(ids, pa.string())).drop_columns([PLACE, MESSAGE])
        hashes = base64.b64encode(hashes_of(ids).tobytes()).decode()
        return {**self._sink.write(key, kept, rejected), "ids": hashes}

    def holds(self, receipt: Receipt) -> bool:
        """See `Sink.holds`; the ids of a chunk that is kept count as seen."""
        if not self._sink.holds(receipt):
            return False
        self._seen.add(np.frombuffer(base64.b64decode(receipt.value["ids"]), dtype=np.uint64))
        return True

    def commit(self, receipts: Sequence[Receipt]) -> None:
        """See `Sink.commit`."""
        self._sink.commit(receipts)

    def commit_due(self, rows: int) -> bool:
        """See `Sink.commit_due`."""
        return self._sink.commit_due(rows)

    def finish(self, receipts: Iterable[Receipt]) -> None:
        """See `Sink.finish`."""
        self._sink.finish(receipts)
