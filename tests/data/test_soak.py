"""A long run takes no more memory, files or threads at its end than after its beginning."""

import os
import statistics
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pictures import jpeg

from synsight.data.ingestion import ingest
from synsight.language.labelling import find_words
from synsight.stages import StageCounts, ThreadRunner

ROWS = int(os.environ.get("SYNSIGHT_SOAK_ROWS", "1000000"))
WORDS = ("a", "the", "red", "old", "small", "dog", "cat", "wheel", "door", "house", "river", "bridge", "rust")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200)]


@dataclass
class Watch:
    """Looks at this process again and again while a block runs."""

    memory: list[int] = field(default_factory=list)
    files: list[int] = field(default_factory=list)
    threads: list[int] = field(default_factory=list)
    _end: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> "Watch":
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _look(self) -> None:
        process = psutil.Process()
        while not self._end.wait(0.05):
            self.memory.append(process.memory_info().rss)
            self.files.append(process.num_fds())
            self.threads.append(process.num_threads())

    def change(self, counts: list[int]) -> tuple[float, float]:
        """What is usual in the second fifth of the time, for the first is warm-up, and in the last."""
        fifth = len(counts) // 5
        return statistics.median(counts[fifth : 2 * fifth]), statistics.median(counts[-fifth:])


@dataclass
class Watched:
    """Threads, watched while a stage runs: what comes after it is other work, which needs other memory."""

    watch: Watch = field(default_factory=Watch)

    def run(self, *arguments: Any, **settings: Any) -> StageCounts:
        with self.watch:
            return ThreadRunner(workers=2).run(*arguments, **settings)

    def check(self) -> None:
        assert len(self.watch.memory) > 50, "too short a run to say anything; raise SYNSIGHT_SOAK_ROWS"
        early, late = self.watch.change(self.watch.memory)
        assert late < 1.05 * early
        for counts in (self.watch.files, self.watch.threads):
            early, late = self.watch.change(counts)
            assert late <= early + 2  # a commit that happens to be under way has two of its own


def write_source(path: Path) -> None:
    """Rows whose images all differ by their last bytes, which a decoder passes over."""
    rng = np.random.default_rng(0)
    pictures = [jpeg(n, quality=60) for n in range(200)]
    schema = pa.schema([("image", pa.binary()), ("caption", pa.string())])
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, ROWS, 1000):
            numbers = range(start, min(start + 1000, ROWS))
            images = [pictures[n % 200] + n.to_bytes(8, "big") for n in numbers]
            texts = [" ".join(rng.choice(WORDS, rng.integers(1, 12))) for _ in numbers]
            writer.write_batch(pa.record_batch([images, texts], schema=schema))


@pytest.fixture(scope="module")
def catalog(tmp_path_factory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("soak")
    write_source(folder / "rows.parquet")
    yield folder / "cat"


def test_an_ingest_of_a_million_rows_stays_as_it_is(catalog):
    runner = Watched()
    ingest(catalog.parent / "rows.parquet", out=catalog, runner=runner)
    runner.check()


def test_finding_the_words_of_a_million_rows_stays_as_it_is(catalog):
    runner = Watched()
    find_words(catalog, runner=runner)
    runner.check()
