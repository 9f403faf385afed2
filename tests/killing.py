"""A runner whose workers tell who they are, and what kills two of them in the middle of their work."""

import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from synsight.stages import Chunk, Stage
from synsight.stages.job import JobRunner, Results


@dataclass(frozen=True)
class Told:
    """A stage that leaves the number of its process in a folder, and takes its time."""

    stage: Stage
    folder: Path

    @property
    def name(self) -> str:
        return self.stage.name

    @property
    def version(self) -> str:
        return self.stage.version

    @property
    def settings(self) -> Mapping[str, object]:
        return self.stage.settings

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        (self.folder / str(os.getpid())).touch()
        time.sleep(0.1)
        return self.stage(batch)


@dataclass(frozen=True)
class Telling(JobRunner):
    """Another runner, all of whose stages are told."""

    runner: JobRunner
    folder: Path

    def results(self, stage: Stage, chunks: Iterator[Chunk]) -> Results:
        return self.runner.results(Told(stage, self.folder), chunks)


@contextmanager
def two_killed(folder: Path) -> Iterator[list[int]]:
    """While the block runs, the first two processes that tell their number in the folder are killed."""
    folder.mkdir()
    killed: list[int] = []

    def kill_two() -> None:
        deadline = time.monotonic() + 300
        while len(killed) < 2 and time.monotonic() < deadline:
            time.sleep(0.3)
            for one in folder.iterdir():
                if (number := int(one.name)) not in killed and len(killed) < 2 and number != os.getpid():
                    os.kill(number, signal.SIGKILL)
                    killed.append(number)

    thread = threading.Thread(target=kill_two, daemon=True)
    thread.start()
    yield killed
    thread.join()
