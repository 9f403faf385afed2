"""A run of a stage: what is done already, what is written, acknowledged and committed, on any runner."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from functools import partial

from synsight.errors import DataError, Interrupted
from synsight.ledger import Ledger, Receipt
from synsight.progress import Bar, progress_bar
from synsight.stages.contract import Chunk, Sink, Source, Stage, StageCounts, stage_key
from synsight.stages.work import Result, name_of

Results = Generator[tuple[Chunk, Result], None, None]
"""Chunks with their results, in the order of the source."""


class JobRunner(ABC):
    """A `Runner` that says how chunks become results; the book-keeping is the same for all."""

    progress: bool = True
    """Whether a bar is shown."""

    @abstractmethod
    def results(self, stage: Stage, chunks: Iterator[Chunk]) -> Results:
        """Map the stage over chunks, in their order; closed early, it stops its workers.

        Raises:
            DataError: A worker was lost.
            ConfigError: Something cannot be sent to where the workers are, or may not be.
        """

    def run(
        self,
        stage: Stage,
        source: Source,
        sink: Sink,
        *,
        ledger: Ledger,
        description: str,
        total: int | None = None,
    ) -> StageCounts:
        """See `Runner.run`."""
        results = partial(self.results, stage)
        return run_job(
            results,
            stage,
            source,
            sink,
            ledger=ledger,
            description=description,
            total=total,
            progress=self.progress,
        )


def run_job(
    results: Callable[[Iterator[Chunk]], Results],
    stage: Stage,
    source: Source,
    sink: Sink,
    *,
    ledger: Ledger,
    description: str,
    total: int | None,
    progress: bool = True,
) -> StageCounts:
    """What all runners do alike; see `Runner.run`.

    Args:
        results: Maps the stage over chunks, wherever that is; closed when the run ends early.
        progress: Show a bar.
    """
    with ledger.exclusive(), progress_bar(description, total=total, shown=progress) as bar:
        job = _Job(stage, sink, ledger, bar)
        try:
            with closing(results(job.to_do(source))) as done:
                for chunk, result in done:
                    job.take(chunk, result)
            job.finish()
        except KeyboardInterrupt:
            job.commit()
            raise Interrupted(
                f"{description} was stopped; {job.rows:,} rows are saved: "
                "run the same command again to go on where it was."
            ) from None
    return job.counts()


class _Job:
    """One run's book-keeping; lives in the thread that called `run`."""

    def __init__(self, stage: Stage, sink: Sink, ledger: Ledger, bar: Bar) -> None:
        self._key = stage_key(stage)
        self._sink, self._ledger, self._bar = sink, ledger, bar
        self._pending: list[Receipt] = []
        self._seen: set[str] = set()
        self._totals: Counter[str] = Counter()
        self._reasons: Counter[str] = Counter()

    @property
    def rows(self) -> int:
        return self._totals["rows_out"]

    def to_do(self, source: Source) -> Iterator[Chunk]:
        """The chunks that no earlier run acknowledged; the others are counted in passing."""
        for chunk in source.chunks():
            if chunk.key in self._seen:
                raise DataError(
                    f"{name_of(chunk)} comes twice from the source; its chunks need distinct keys."
                )
            self._seen.add(chunk.key)
            receipt = self._ledger.receipt(self._key, chunk.key)
            if receipt is not None and self._sink.holds(receipt):
                self._count(receipt, "chunks_skipped")
            else:
                yield chunk

    def take(self, chunk: Chunk, result: Result) -> None:
        """Write a chunk, acknowledge it."""
        value = self._sink.write(chunk.key, result.kept, result.rejected)
        receipt = Receipt(
            key=chunk.key,
            value=value,
            rows_in=result.rows_in,
            rows_out=result.kept.num_rows,
            rejected=result.rejected.num_rows,
            reasons=result.reasons,
        )
        self._ledger.note(self._key, receipt)
        self._count(receipt, "chunks_done")

    def commit(self) -> None:
        if self._pending:
            self._sink.commit(self._pending)
            self._ledger.mark_committed(self._key, [receipt.key for receipt in self._pending])
            self._pending = []

    def finish(self) -> None:
        self.commit()
        self._sink.finish(self._ledger.receipts(self._key))

    def counts(self) -> StageCounts:
        return StageCounts(**self._totals, reasons=dict(sorted(self._reasons.items())))

    def _count(self, receipt: Receipt, chunks: str) -> None:
        self._totals.update(
            {
                "rows_in": receipt.rows_in,
                "rows_out": receipt.rows_out,
                "rejected": receipt.rejected,
                chunks: 1,
            }
        )
        self._reasons.update(receipt.reasons)
        self._bar.advance(receipt.rows_in)
        if not receipt.committed:
            self._pending.append(receipt)
            if self._sink.commit_due(sum(one.rows_out for one in self._pending)):
                self.commit()
