"""Stages in threads of this process."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from os import cpu_count

from synsight.errors import ConfigError
from synsight.stages.contract import Chunk, Stage
from synsight.stages.job import JobRunner, Results
from synsight.stages.work import Result, work


@dataclass(frozen=True, kw_only=True)
class ThreadRunner(JobRunner):
    """Runs a stage in threads of this process, with a bounded number of batches in memory.

    Image codecs and Arrow release the interpreter lock, so threads are as fast as processes here.
    """

    workers: int | None = None
    """Threads; None: one a processor core."""
    in_flight: int | None = None
    """Most batches read and not yet handed to the sink; None: two a worker."""
    progress: bool = True

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
