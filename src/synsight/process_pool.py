"""Stages in several processes of this machine: for work that is Python's own, which threads cannot share.

Words are found by Python code, so that threads add nothing; images are decoded by codecs that let other
threads go on, and are better off without the copies between processes.
"""

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import chain
from multiprocessing import get_context
from os import cpu_count

from synsight.between_processes import packed, unpacked
from synsight.errors import ConfigError, DataError, SynsightError
from synsight.stages import Chunk, Stage
from synsight.stages.job import JobRunner, Results
from synsight.stages.work import Result, bare_error, work

_stage: Stage | None = None
"""In a worker: what it was started for."""


@dataclass(frozen=True, kw_only=True)
class ProcessRunner(JobRunner):
    """Runs a stage in processes, with a bounded number of batches in memory.

    They are started anew, not forked: the table library does not live across a fork. That takes some seconds,
    and a program that uses this runner guards its beginning with `if __name__ == "__main__":`.
    """

    workers: int | None = None
    """Processes; None: one a processor core."""

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise ConfigError(f"workers must be >= 1; got {self.workers!r}.")

    def results(self, stage: Stage, chunks: Iterator[Chunk]) -> Results:
        """See `JobRunner.results`."""
        workers = self.workers or cpu_count() or 1
        first = next(chunks, None)
        if first is None:
            return  # a finished job starts no process
        waiting: deque[tuple[Chunk, Future[Result | SynsightError]]] = deque()
        pool = ProcessPoolExecutor(
            workers, mp_context=get_context("spawn"), initializer=_begin, initargs=(_pickled(stage),)
        )
        try:
            for chunk in chain([first], chunks):
                waiting.append((chunk, pool.submit(_work, _pickled(chunk))))
                if len(waiting) >= 2 * workers:
                    yield _next(waiting)
            while waiting:
                yield _next(waiting)
        except BrokenProcessPool as error:
            raise DataError(
                "a worker process was killed, perhaps for want of memory; what was finished is kept: "
                "run the same command again, with fewer workers or --runner local."
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def _next(waiting: deque[tuple[Chunk, "Future[Result | SynsightError]"]]) -> tuple[Chunk, Result]:
    chunk, future = waiting.popleft()
    result = future.result()
    if isinstance(result, SynsightError):
        raise result
    return chunk, result


def _pickled(value: Stage | Chunk) -> bytes:
    try:
        return packed(value)
    except Exception as error:  # whatever an object's own pickling raises
        raise ConfigError(
            f"{type(value).__name__} cannot be sent to another process ({error}); use --runner local."
        ) from error


def _begin(stage: bytes) -> None:
    global _stage
    os.environ["OMP_NUM_THREADS"] = "1"  # processes beside one another; read when a stage brings torch
    _stage = unpacked(stage)


def _work(chunk: bytes) -> Result | SynsightError:
    assert _stage is not None
    try:
        return work(_stage, unpacked(chunk))
    except SynsightError as error:
        return bare_error(error)
