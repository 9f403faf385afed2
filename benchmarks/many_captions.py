"""How do time, memory and disk of `words` grow with ten million captions, and with workers?

    python benchmarks/many_captions.py [--rows 1000000 3000000 10000000] [--workers 1 2]
        [--runner processes] [--folder KEEP] [--cores 16 64 256] [--price 0.05]
    python benchmarks/many_captions.py --rows 1000000 --workers 1 2 --turns 5

Captions are made up from those of the shipped samples: each takes the build of one of them, in which every
other word is drawn anew. They are written in chunks, to a catalog of each size. Each run is a process of its
own. Printed: captions a second of the part that the workers share (the stage) and of the whole verb,
processor time, the largest resident memory of the process that was called and of one worker (looked at ten
times a second), what the run leaves on disk, and the machine's load at its end. The last lines give a
billion captions on paper, from the first number of workers at the largest size.

With --turns the numbers of workers take turns instead, at the first size, and processor seconds alone are
counted, so that other jobs on the machine matter little: captions a processor second of the workers, their
ratio within a turn, and between what bounds the rate would grow on idle cores. Each run has another on few
captions beside it, whose seconds, those of starting, are taken off. What this cannot see is waiting: for
locks, for the disk, and for each other beyond the two bounds.

Left out: images (the catalogs hold none), languages but those of the samples, stores and networks.
"""

import argparse
import json
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from turns import machine, ratio

import synsight.data
from synsight.data.catalog import Catalog, Commit

SCHEMA = pa.schema([("id", pa.string()), ("caption", pa.string()), ("split", pa.string())])
ROWS_PER_FILE = 250_000
BILLION = 1_000_000_000
STARTING_ROWS = 16 * 8192
"""For each worker, when its start is timed: every one of them gets some chunks, and so loads everything."""

PROGRAM = """
import json, os, resource, sys, threading, time
from pathlib import Path
import psutil
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


class Watch(threading.Thread):
    own, worker = 0, 0

    def run(self):
        me = psutil.Process()
        while True:
            self.own = max(self.own, me.memory_info().rss)
            for child in me.children(recursive=True):
                try:
                    self.worker = max(self.worker, child.memory_info().rss)
                except psutil.Error:
                    pass
            time.sleep(0.1)


def main():
    catalog, kind, workers = sys.argv[1], sys.argv[2], int(sys.argv[3])
    if kind == "ray":
        from synsight.ray_data import RayRunner
        runner = Timed(RayRunner(workers=workers))
    else:
        runner = Timed({"processes": ProcessRunner, "threads": ThreadRunner}[kind](workers=workers))
    watch = Watch(daemon=True)
    watch.start()
    began = time.perf_counter()
    summary = find_words(catalog, runner=runner)
    seconds = time.perf_counter() - began
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    print(json.dumps({
        "captions": summary.captions, "words": summary.vocabulary_size, "seconds": seconds,
        "stage_seconds": runner.seconds, "cpu_seconds": sum(one.ru_utime + one.ru_stime for one in used),
        "own_cpu_seconds": used[0].ru_utime + used[0].ru_stime, "memory": watch.own,
        "worker_memory": watch.worker, "load": os.getloadavg()[0],
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
    before = size_of(catalog.path)
    done = subprocess.run(
        [sys.executable, program, catalog.path, kind, str(workers)], check=True, stdout=subprocess.PIPE
    )
    return {**json.loads(done.stdout), "disk": size_of(catalog.path) - before}


def costs_in_turns(
    program: Path, start: Catalog, catalog: Catalog, workers: list[int], turns: int
) -> dict[int, list[tuple[float, float]]]:
    """Number of workers -> for each turn, processor seconds a caption: of workers, of the calling process."""
    found: dict[int, list[tuple[float, float]]] = {number: [] for number in workers}
    for turn in range(turns):
        for number in workers if turn % 2 else workers[::-1]:
            few, all_ = (measured(program, one, "processes", number) for one in (start, catalog))
            rows, seconds, own = (
                all_[name] - few[name] for name in ("captions", "cpu_seconds", "own_cpu_seconds")
            )
            found[number].append(((seconds - own) / rows, own / rows))
    return found


def show_turns(found: dict[int, list[tuple[float, float]]]) -> None:
    for number, costs in found.items():
        rates = [1 / shared for shared, _ in costs]
        print(
            f"{number} worker(s): {statistics.median(rates):,.0f} [{min(rates):,.0f} to {max(rates):,.0f}] "
            f"captions a processor second of the workers; in the calling process "
            f"{1e6 * statistics.median(own for _, own in costs):.1f} us each"
        )
    (one, before), *others = found.items()
    for number, costs in others:
        each = ratio([shared for shared, _ in before], [shared for shared, _ in costs])
        parts = [[(shared / n, own) for shared, own in some] for n, some in ((one, before), (number, costs))]
        alone, overlapped = (
            ratio(*([bound(part) for part in some] for some in parts)) for bound in (sum, max)
        )
        print(
            f"{number} worker(s) against {one}: {each} times the captions a processor second; on idle cores "
            f"{alone} times the rate where nobody works while another does, {overlapped} where all do"
        )


def show(found: dict[str, float], workers: int) -> None:
    rows, mib = found["captions"], 2**20
    print(
        f"{rows:>12,.0f} captions, {workers} worker(s): stage {rows / found['stage_seconds']:>9,.0f}/s, "
        f"whole verb {rows / found['seconds']:>9,.0f}/s, {rows / found['cpu_seconds']:>9,.0f} a processor "
        f"second; peak {found['memory'] / mib:,.0f} MiB, a worker {found['worker_memory'] / mib:,.0f} MiB; "
        f"{found['disk'] / rows:.1f} bytes a caption on disk; {found['seconds']:,.0f} s, "
        f"load {found['load']:.1f}",
        flush=True,
    )


def on_paper(one: dict[str, float], cores: list[int], price: float) -> None:
    """A billion captions from the processor time of one run at full size."""
    rows = one["captions"]
    own = one["own_cpu_seconds"] / rows
    shared = one["cpu_seconds"] / rows - own
    print(f"\na caption: {1e6 * shared:.1f} us in workers, {1e6 * own:.1f} us in the calling process")
    for number in cores:
        hours = BILLION * (shared / number + own) / 3600  # as if nobody worked while the other did
        cost = hours * (number + 1) * price
        print(
            f"1 billion captions, {number:>3} cores: {hours:6.1f} h, "
            f"about ${cost:,.2f} at ${price} a core and hour"
        )
    print(f"disk: {one['disk'] * BILLION / rows / 1e9:,.0f} GB beside the captions")


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 3_000_000, 10_000_000])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--runner", choices=["processes", "threads", "ray"], default="processes")
    parser.add_argument("--folder", type=Path, help="where catalogs are kept for the next time")
    parser.add_argument("--cores", type=int, nargs="+", default=[16, 64, 256], help="of the cluster on paper")
    parser.add_argument("--price", type=float, default=0.05, help="dollars for a core and hour on paper")
    parser.add_argument("--turns", type=int, help="compare numbers of workers by processor seconds alone")
    chosen = parser.parse_args()
    few = STARTING_ROWS * max(chosen.workers)
    if chosen.turns and (chosen.runner != "processes" or chosen.rows[0] < 2 * few):
        parser.error(
            f"--turns needs --runner processes, and at least {2 * few:,} captions with these workers."
        )
    with tempfile.TemporaryDirectory() as temporary:
        folder = chosen.folder or Path(temporary)
        program = Path(temporary) / "words_program.py"
        program.write_text(PROGRAM)
        print(machine("pyarrow", "pylance", threads=max(chosen.workers)))
        if chosen.turns:
            start, catalog = (write_catalog(folder / f"captions_{n}", n) for n in (few, chosen.rows[0]))
            show_turns(costs_in_turns(program, start, catalog, chosen.workers, chosen.turns))
            return
        sizes = sorted(set(chosen.rows))
        firsts = []
        for rows in sizes:
            began = time.perf_counter()
            catalog = write_catalog(folder / f"captions_{rows}", rows)
            size = size_of(catalog.path)
            print(f"{rows:,} captions written in {time.perf_counter() - began:,.0f} s, {size:,} bytes")
            runs = []
            for workers in chosen.workers:
                runs.append(measured(program, catalog, chosen.runner, workers))
                show(runs[-1], workers)
            for (one, fewer), (two, more) in pairwise(zip(runs, chosen.workers, strict=True)):
                gain = one["stage_seconds"] / two["stage_seconds"]
                print(f"{'':>12} stage with {more} workers against {fewer}: {gain:.2f} times the rate")
            firsts.append(runs[0])
        if len(sizes) > 1:
            grown = firsts[-1]["memory"] / firsts[0]["memory"]
            print(f"peak memory at {sizes[-1]:,} against {sizes[0]:,} captions: {grown:.2f}")
        on_paper(firsts[-1], chosen.cores, chosen.price)


if __name__ == "__main__":
    main()
