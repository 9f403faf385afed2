"""How do time, memory and disk of `words` grow with ten million captions, and with workers?

    python benchmarks/many_captions.py [--rows 10000000] [--small 1000000] [--workers 1 2]
        [--runner processes] [--folder KEEP]

Captions are made up from those of the shipped samples: each takes the build of one of them, in which every
other word is drawn anew. They are written in chunks, to catalogs of `--small` and of `--rows` rows. Each run
is a process of its own. Printed: captions a second of the part that the workers share (the stage) and of the
whole verb, processor time, the largest resident memory of the process that was called and of one worker, and
disk. The last lines give a billion captions on paper from these figures.

Left out: images (the catalogs hold none), languages but those of the samples, stores and networks.
"""

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from turns import machine

import synsight.data
from synsight.data.catalog import Catalog, Commit

SCHEMA = pa.schema([("id", pa.string()), ("caption", pa.string()), ("split", pa.string())])
ROWS_PER_FILE = 250_000
BILLION = 1_000_000_000
COST_PER_CORE_HOUR = 0.05
"""Dollars: an assumption, near the list prices of general machines in large clouds; put your own here."""

PROGRAM = """
import json, resource, sys, time
from dataclasses import dataclass
from synsight.language.labelling import find_words
from synsight.process_pool import ProcessRunner
from synsight.stages import ThreadRunner


class Timed:
    def __init__(self, runner):
        self.runner, self.seconds = runner, 0.0

    def run(self, *arguments, **settings):
        began = time.perf_counter()
        counts = self.runner.run(*arguments, **settings)
        self.seconds += time.perf_counter() - began
        return counts


def main():
    catalog, kind, workers = sys.argv[1], sys.argv[2], int(sys.argv[3])
    if kind == "ray":
        from synsight.ray_data import RayRunner
        runner = Timed(RayRunner(workers=workers))
    else:
        runner = Timed({"processes": ProcessRunner, "threads": ThreadRunner}[kind](workers=workers))
    began = time.perf_counter()
    summary = find_words(catalog, runner=runner)
    seconds = time.perf_counter() - began
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    print(json.dumps({
        "captions": summary.captions, "words": summary.vocabulary_size, "seconds": seconds,
        "stage_seconds": runner.seconds, "cpu_seconds": sum(one.ru_utime + one.ru_stime for one in used),
        "own_cpu_seconds": used[0].ru_utime + used[0].ru_stime, "memory": used[0].ru_maxrss << 10,
        "worker_memory": used[1].ru_maxrss << 10,
    }))


if __name__ == "__main__":
    main()
"""


def captions(rows: int, *, seed: int = 0) -> Iterator[list[str]]:
    """Made-up captions, the same on every run, `ROWS_PER_FILE` at a time."""
    files = Path(synsight.data.__file__).parent / "sample_files"
    tables = [pq.read_table(files / f"{name}.parquet", columns=["caption"]) for name in ("emoji", "clipart")]
    known = [text.split(" ") for table in tables for text in table.column(0).to_pylist() if text]
    words = sorted({word for caption in known for word in caption})
    for start in range(0, rows, ROWS_PER_FILE):
        rng = random.Random(f"{seed} {start}")
        yield [
            " ".join(word if rng.random() < 0.5 else rng.choice(words) for word in rng.choice(known))
            for _ in range(min(ROWS_PER_FILE, rows - start))
        ]


def write_catalog(path: Path, rows: int) -> Catalog:
    """A catalog of so many captions; an earlier one of this size is taken as it is."""
    if Catalog.exists(path) and Catalog.open(path).count_rows() == rows:
        return Catalog.open(path)
    shutil.rmtree(path, ignore_errors=True)
    commit = Commit(verb="benchmark")
    catalog = Catalog.create(path, SCHEMA, commit=commit)
    files, first = [], 0
    for texts in captions(rows):
        ids = [f"{first + n:010d}" for n in range(len(texts))]
        splits = ["test" if n % 5 == 4 else "train" for n in range(len(texts))]
        files += catalog.write_fragment(pa.record_batch([ids, texts, splits], schema=SCHEMA))
        first += len(texts)
    catalog.append(files, commit=commit)
    return catalog


def measured(program: Path, catalog: Catalog, kind: str, workers: int) -> dict[str, float]:
    """One run from the beginning, in a process of its own."""
    shutil.rmtree(catalog.work_folder, ignore_errors=True)  # ledger and fingerprints, too
    done = subprocess.run(
        [sys.executable, program, catalog.path, kind, str(workers)], check=True, stdout=subprocess.PIPE
    )
    return json.loads(done.stdout)


def show(found: dict[str, float], workers: int) -> None:
    rows = found["captions"]
    print(
        f"{rows:>12,.0f} captions, {workers} worker(s): stage {rows / found['stage_seconds']:>9,.0f}/s, "
        f"whole verb {rows / found['seconds']:>9,.0f}/s, {rows / found['cpu_seconds']:>9,.0f} a processor "
        f"second; peak {found['memory'] / 2**20:,.0f} MiB, "
        f"a worker {found['worker_memory'] / 2**20:,.0f} MiB; "
        f"{found['seconds']:,.0f} s",
        flush=True,
    )


def on_paper(one: dict[str, float], disk: float) -> None:
    """A billion captions from the processor time of one worker's run at full size."""
    rows = one["captions"]
    own = one["own_cpu_seconds"] / rows
    shared = one["cpu_seconds"] / rows - own
    print(f"\na caption: {1e6 * shared:.1f} us in workers, {1e6 * own:.1f} us in the calling process")
    for cores in (16, 64, 256):
        hours = BILLION * (shared / cores + own) / 3600  # as if nobody worked while the other did
        cost = hours * (cores + 1) * COST_PER_CORE_HOUR
        print(f"1 billion captions, {cores:>3} cores: {hours:6.1f} h, about ${cost:,.0f}")
    print(f"disk: {disk * BILLION / rows / 1e9:,.0f} GB beside the captions")


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--small", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--runner", choices=["processes", "threads", "ray"], default="processes")
    parser.add_argument("--folder", type=Path, help="where catalogs are kept for the next time")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = chosen.folder or Path(temporary)
        program = Path(temporary) / "words_program.py"
        program.write_text(PROGRAM)
        print(machine("pyarrow", "pylance", threads=max(chosen.workers)))
        sizes = sorted({min(chosen.small, chosen.rows), chosen.rows})
        peaks = []
        for rows in sizes:
            began = time.perf_counter()
            catalog = write_catalog(folder / f"captions_{rows}", rows)
            before = size_of(catalog.path)
            print(f"{rows:,} captions written in {time.perf_counter() - began:,.0f} s, {before:,} bytes")
            runs = [measured(program, catalog, chosen.runner, workers) for workers in chosen.workers]
            for found, workers in zip(runs, chosen.workers, strict=True):
                show(found, workers)
            for (one, fewer), (two, more) in pairwise(zip(runs, chosen.workers, strict=True)):
                gain = one["stage_seconds"] / two["stage_seconds"]
                print(f"{'':>12} stage with {more} workers against {fewer}: {gain:.2f} times the rate")
            peaks.append(max(found["memory"] for found in runs))
        if len(peaks) > 1:
            print(f"peak memory at {sizes[-1]:,} against {sizes[0]:,} captions: {peaks[-1] / peaks[0]:.2f}")
        on_paper(runs[0], size_of(catalog.path) - before)


if __name__ == "__main__":
    main()
