"""Stages: the same function over a table, wherever it runs.

A stage is a pure function from one Arrow batch to another plus its settings. It knows no catalog and no
runner: a runner takes chunks from a `Source`, maps the stage over them, hands the results in order to a
`Sink`, and notes finished chunks in a `Ledger`, so that a stopped job goes on where it was.

A chunk passes three points, and may be killed between any two of them:

    sink.write    its rows are on the disk, but no reader sees them
    ledger.note   it is acknowledged: no later run does its work again
    sink.commit   its rows are part of the whole; done for groups of chunks, and idempotent
"""

import hashlib
import json
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass, field, is_dataclass
from functools import partial
from os import cpu_count
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from synsight.errors import ConfigError, DataError, Interrupted, SynsightError, UsageError
from synsight.ledger import Ledger, Receipt
from synsight.progress import Bar, progress_bar
from synsight.ray_cluster import check_runner

__all__ = [
    "REJECTED",
    "Chunk",
    "Ledger",
    "Receipt",
    "Runner",
    "Sink",
    "Source",
    "Stage",
    "StageCounts",
    "ThreadRunner",
    "chunk_key",
    "runner",
    "stage_key",
]

RUNNERS = ("local", "processes", "ray")
"""Where stages run, by the names of a verb's `--runner`."""
REJECTED = "reject_reason"
"""Reserved output column of a stage (string; null: the row is kept)."""


@dataclass(frozen=True)
class Chunk:
    """A piece of a source with a stable identity."""

    key: str
    """Hash of what the piece is; equal on every run over the same input, and no two pieces share one."""
    rows: int | None
    """Number of rows; None when nobody knows before reading."""
    read: Callable[[], pa.RecordBatch]
    """Fetches the rows; called in a worker. Picklable, so that a worker may be another process."""
    name: str = ""
    """How a message calls it, as "rows 0 to 1,023"; empty: the key's beginning."""


class Source(Protocol):
    """Where chunks come from."""

    def chunks(self) -> Iterator[Chunk]:
        """The pieces, in the same order on every run."""


class Stage(Protocol):
    """A pure function over batches; picklable, and ignorant of where it runs."""

    @property
    def name(self) -> str:
        """What the work is called, as "decode"."""

    @property
    def version(self) -> str:
        """Changes whenever the code gives other results."""

    @property
    def settings(self) -> Mapping[str, object]:
        """Everything else that the results depend on, as JSON values."""

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """As many rows as came in, in their order; a row to be left out has a reason in `reject_reason`."""


class Sink(Protocol):
    """Where results go: durable at once, part of the whole at `commit`."""

    def write(self, key: str, kept: pa.RecordBatch, rejected: pa.RecordBatch) -> Mapping[str, Any]:
        """Put a chunk's rows on the disk (synced), unseen by readers; the JSON value finds them again."""

    def holds(self, receipt: Receipt) -> bool:
        """Whether what a receipt names is still there; if not, the chunk is done again."""

    def commit(self, receipts: Sequence[Receipt]) -> None:
        """Make chunks part of the whole, in this order; those that already are stay as they are."""

    def commit_due(self, rows: int) -> bool:
        """Whether so many rows that wait for a commit are worth one."""

    def finish(self, receipts: Iterable[Receipt]) -> None:
        """Every chunk is committed; `receipts` are all that this stage ever noted here, in order."""


@dataclass(frozen=True)
class StageCounts:
    """What a run did; a resumed run counts the whole job. `rows_in == rows_out + rejected`, always."""

    rows_in: int = 0
    rows_out: int = 0
    rejected: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)
    """Reject reason -> rows."""
    chunks_done: int = 0
    chunks_skipped: int = 0
    """Chunks that an earlier run had done."""


class Runner(Protocol):
    """Runs a stage over a source into a sink."""

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
        """Do all chunks that the ledger does not name yet, and commit the results in the source's order.

        Args:
            description: The verb, as a progress bar and messages say it.
            total: Rows of the source, where known.

        Raises:
            DataError: The stage failed, or lost or made rows; names the chunk.
            Interrupted: Ctrl-C; what was acknowledged is kept and committed.
        """


def stage_key(stage: Stage) -> str:
    """Identity of a stage's results for equal input: hash of its name, code version and settings."""
    return _digest([stage.name, stage.version, dict(stage.settings)])


def chunk_key(*parts: object) -> str:
    """Identity of a chunk from whatever identifies its input (JSON values)."""
    return _digest(list(parts))


@dataclass(frozen=True)
class Result:
    """What a chunk became."""

    rows_in: int
    kept: pa.RecordBatch
    rejected: pa.RecordBatch
    reasons: Mapping[str, int]


Results = Generator[tuple[Chunk, Result], None, None]
"""Chunks with their results, in the order of the source."""


class JobRunner(ABC):
    """A `Runner` that says how chunks become results; the book-keeping is the same for all."""

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
        return run_job(results, stage, source, sink, ledger=ledger, description=description, total=total)


@dataclass(frozen=True, kw_only=True)
class ThreadRunner(JobRunner):
    """Runs a stage in threads of this process, with a bounded number of batches in memory.

    Image codecs and Arrow release the interpreter lock, so threads are as fast as processes here.
    """

    workers: int | None = None
    """Threads; None: one a processor core."""
    in_flight: int | None = None
    """Most batches read and not yet handed to the sink; None: two a worker."""

    def __post_init__(self) -> None:
        for name in ("workers", "in_flight"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name} must be >= 1; got {value!r}.")

    def results(self, stage: Stage, chunks: Iterator[Chunk]) -> Results:
        """See `JobRunner.results`."""
        workers = self.workers or cpu_count() or 1
        pool = ThreadPoolExecutor(workers, thread_name_prefix=stage.name)
        waiting: deque[tuple[Chunk, Future[Result]]] = deque()
        try:
            for chunk in chunks:
                waiting.append((chunk, pool.submit(work, stage, chunk)))
                if len(waiting) >= (self.in_flight or 2 * workers):
                    first, future = waiting.popleft()
                    yield first, future.result()
            while waiting:
                first, future = waiting.popleft()
                yield first, future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def runner(name: str = "local", *, address: str | None = None) -> Runner | None:
    """The runner that a verb's flags `--runner` and `--address` ask for.

    Args:
        name: `local`: this process; `processes`: one a processor core of this machine; `ray`: a Ray cluster.
        address: Of the cluster; None: that of RAY_ADDRESS, else one on this machine.

    Returns:
        None for this process, in which each stage has as many threads as suit it.

    Raises:
        UsageError: An unknown name, or an address without a cluster.
        MissingDependency: Ray is not installed.
    """
    check_runner(name, RUNNERS)
    if name == "ray":
        from synsight.ray_data import RayRunner

        return RayRunner(address=address)
    if address is not None:
        raise UsageError(f"the address {address!r} is of a cluster; add --runner ray, or leave it out.")
    if name == "processes":
        from synsight.process_pool import ProcessRunner

        return ProcessRunner()
    return None


def run_job(
    results: Callable[[Iterator[Chunk]], Results],
    stage: Stage,
    source: Source,
    sink: Sink,
    *,
    ledger: Ledger,
    description: str,
    total: int | None,
) -> StageCounts:
    """What all runners do alike; see `Runner.run`.

    Args:
        results: Maps the stage over chunks, wherever that is; closed when the run ends early.
    """
    with ledger.exclusive(), progress_bar(description, total=total) as bar:
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
                raise DataError(f"{_name(chunk)} comes twice from the source; its chunks need distinct keys.")
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


def work(stage: Stage, chunk: Chunk) -> Result:
    """Read one chunk and map the stage over it; runs in a worker."""
    try:
        batch = chunk.read()
        output = stage(batch)
    except SynsightError as error:
        error.add_note(f"while {stage.name} worked on {_name(chunk)}")
        raise
    except Exception as error:
        raise DataError(
            f"{stage.name} failed on {_name(chunk)}: {type(error).__name__}: {error}; "
            "mend the cause and run the same command again: the chunks before it are kept."
        ) from error
    expected = batch.num_rows if chunk.rows is None else chunk.rows
    if not expected == batch.num_rows == output.num_rows:
        raise DataError(
            f"{stage.name} must keep or reject every row of {_name(chunk)}: {expected} announced, "
            f"{batch.num_rows} read, {output.num_rows} returned; this is a fault in the source or the stage."
        )
    return _split(output)


def bare_error(error: SynsightError) -> SynsightError:
    """The sentence and its kind, for the way between processes; causes may not travel."""
    bare = SynsightError.__new__(type(error))  # each kind has arguments of its own; the sentence is finished
    bare.args = (str(error),)
    for note in getattr(error, "__notes__", ()):
        bare.add_note(note)
    return bare


def _split(output: pa.RecordBatch) -> Result:
    """Part a stage's output into kept and rejected rows by its reserved column."""
    where = output.schema.get_field_index(REJECTED)
    if where < 0:
        return Result(output.num_rows, output, output.slice(0, 0), {})
    reasons = output.column(where)
    is_kept = pc.is_null(reasons)
    kept = output.filter(is_kept).drop_columns([REJECTED])
    rejected = output.filter(pc.invert(is_kept))
    return Result(output.num_rows, kept, rejected, Counter(rejected.column(where).to_pylist()))


def _name(chunk: Chunk) -> str:
    return f"chunk {chunk.name or chunk.key[:12]}"


def _digest(value: object) -> str:
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=_plain)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _plain(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    raise ConfigError(f"settings must be JSON values, so that they have one hash; got {value!r}.")
