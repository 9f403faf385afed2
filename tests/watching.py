"""Looks at this process's memory, open files and threads while it works, and tells growth from noise."""

import ctypes
import gc
import statistics
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import psutil
import pyarrow as pa

from synsight.stages import StageCounts, ThreadRunner

MOST_GROWTH = 0.05
"""Of what is usual after the warm-up, over all the rest of the run."""
SPARE_FILES = 2
"""A commit under way has files of its own."""
LEAST_LOOKS = 50
FROM_EARLY_TO_LATE = 0.6
"""The part of the work between the middle of the second fifth of the time and that of the last."""


@dataclass
class Looks:
    """What was seen, one look after the other."""

    memory: list[int] = field(default_factory=list)
    files: list[int] = field(default_factory=list)
    threads: list[int] = field(default_factory=list)

    def look(self) -> None:
        process = psutil.Process()
        self.memory.append(process.memory_info().rss)
        self.files.append(process.num_fds())
        self.threads.append(process.num_threads())

    def check(self) -> None:
        """After the first fifth, which is warm-up, nothing grows."""
        grown = rise(self.memory) / statistics.median(self.memory)
        assert grown < MOST_GROWTH, f"{grown:+.1%} of {statistics.median(self.memory):,.0f} bytes"
        early, late = ends(self.files)
        assert late <= early + SPARE_FILES, f"{early} files became {late}"
        # A library's pool grows to what it may have, in a few steps, and its idle threads end after seconds.
        assert rise(self.threads) < 1, f"threads, one look after the other: {self.threads}"


def ends(counts: Sequence[int]) -> tuple[float, float]:
    """What is usual in the second fifth of the time, for the first is warm-up, and in the last."""
    fifth = len(counts) // 5
    return statistics.median(counts[fifth : 2 * fifth]), statistics.median(counts[-fifth:])


def rise(counts: Sequence[float]) -> float:
    """By how much a count grows after its first fifth: the usual step between tenths of the rest, by nine.

    What is kept of every row, or of every run, raises each step; a library's new thread with memory of its
    own raises one.
    """
    levels = [float(np.median(part)) for part in np.array_split(counts[len(counts) // 5 :], 10)]
    steps = np.diff(levels)
    return float(np.median(steps) * len(steps))


@dataclass
class Watched:
    """A runner in threads, watched while a stage runs: what follows is other work, with other needs."""

    seconds: float = 0.05
    """From one look to the next."""
    stages: dict[str, Looks] = field(default_factory=dict)

    def run(self, stage: Any, *arguments: Any, **settings: Any) -> StageCounts:
        looks = self.stages.setdefault(stage.name, Looks())
        end = threading.Event()

        def watch() -> None:
            while not end.wait(self.seconds):
                looks.look()

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            return ThreadRunner(workers=2).run(stage, *arguments, **settings)
        finally:
            end.set()
            thread.join()

    def check(self, *, needed: int = 1, known: int = 0) -> None:
        """Of so many stages at least there were enough looks; shorter ones say nothing.

        Args:
            needed: Stages.
            known: Bytes that the documentation owns up to, held when all is done.
        """
        long = {name: looks for name, looks in self.stages.items() if len(looks.memory) > LEAST_LOOKS}
        assert len(long) >= needed, f"{list(long)} alone took long enough; raise the number of rows"
        for name, looks in long.items():
            looks.check()
            early, late = ends(looks.memory)
            due = (1 + MOST_GROWTH) * early + FROM_EARLY_TO_LATE * known
            assert late < due, f"{name}: {early:,} bytes became {late:,}"


def again_and_again(work: Callable[[int], object], *, times: int) -> Looks:
    """Does the same work many times, and looks after each at what is still held."""
    looks = Looks()
    for number in range(times):
        work(number)
        give_back()
        looks.look()
    return looks


def give_back() -> None:
    """Lets allocators return what nobody holds any more, which is otherwise most of what memory varies by."""
    gc.collect()
    pa.default_memory_pool().release_unused()
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)
