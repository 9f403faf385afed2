"""Batches cut anywhere, dealt out again in the lengths that someone else needs."""

from collections.abc import Iterable, Iterator

import pyarrow as pa

from synsight.errors import DataError

POSITION = "_position"
"""Name of the extra column of a scan that says where its rows are: int64, what `Catalog.take` wants."""


class RowStream:
    """Rows in order, to be read in pieces.

    Args:
        schema: What every batch is cast to; its fields' order may differ.
        batches: The rows; read as they are wanted.
    """

    def __init__(self, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
        self.schema = schema
        self._batches = iter(batches)
        self._rest: pa.RecordBatch | None = None
        self._dealt = 0
        self.error: BaseException | None = None
        """What the batches raised; a reader that crosses into native code loses it otherwise."""

    def reader(self, rows: int) -> pa.RecordBatchReader:
        """The next `rows` rows.

        Raises:
            DataError: While reading: there are fewer.
        """
        return pa.RecordBatchReader.from_batches(self.schema, self._remembering_errors(rows))

    def expect_end(self) -> None:
        """Check that nothing is left.

        Raises:
            DataError: There is.
        """
        if self._rest is not None or any(batch.num_rows for batch in self._batches):
            raise DataError(
                f"new columns need one value for each of the {self._dealt} rows; found more values: "
                "give as many rows as the catalog has, in its order."
            )

    def _remembering_errors(self, rows: int) -> Iterator[pa.RecordBatch]:
        try:
            yield from self._next(rows)
        except GeneratorExit:
            raise
        except BaseException as error:
            self.error = error
            raise

    def _next(self, rows: int) -> Iterator[pa.RecordBatch]:
        while rows:
            batch = self._rest if self._rest is not None else next(self._batches, None)
            self._rest = None
            if batch is None:
                raise DataError(
                    f"new columns need one value for each row; found {self._dealt} values: "
                    "give as many rows as the catalog has, in its order."
                )
            if batch.num_rows > rows:
                batch, self._rest = batch.slice(0, rows), batch.slice(rows)
            rows -= batch.num_rows
            self._dealt += batch.num_rows
            yield batch.select(self.schema.names).cast(self.schema)
