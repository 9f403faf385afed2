"""How many images a second does the image audit check, and does its memory depend on their number?

    python benchmarks/audit_images.py [--source FILE] [--images 2000] [--turns 5] [--rows 5000 50000]
                                      [--threads 2]

Ingest and audit of synthetic rows (32 x 32 JPEGs, all different) run in processes of their own, whose peak
resident memory and wall-clock rate are printed, then the ratio of the largest to the smallest number of rows.
The rate after that is of one core (process time): decoding alone, and the whole stage (decode, measures, two
hashes), taking turns over the same images of the shipped emoji sample (64 px WebP) or of a source of yours.
Last, ingest and check together, on threads, in a process of their own: by the clock, and
by processor time, which tells more where others use the machine. Left out: the page and the captions.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from memory import INGEST, peak_megabytes, write_source
from turns import machine, take_turns

from synsight.curation.audit.image_measures import DECODED_SIDE, ImageStage
from synsight.data.catalog import Catalog
from synsight.data.fast_decode import decode_pixels
from synsight.data.ingestion import ingest
from synsight.data.samples import sample

CHECK = "from synsight.curation.audit.image_checks import check_images; checks = check_images({catalog!r})"
DUPLICATES = (
    "; from synsight.data.catalog import Catalog; from synsight.curation.audit.near_duplicates import"
    " find_near_duplicates; find_near_duplicates(Catalog.open({catalog!r}), checks.hashes)"
)


def rates(source: Path | None, images: int, turns: int, folder: Path) -> None:
    """Print images a second of one core."""
    catalog = folder / "rate"
    if source is None:
        sample("emoji", out=catalog)
    else:
        ingest(source, out=catalog)
    opened = Catalog.open(catalog)
    batch = next(iter(opened.scan(["image"], batch_size=images)))
    data = batch.column("image").to_pylist()
    stage = ImageStage()
    found = stage(batch)
    assert len(data) == len(found.column("image_hash").drop_null())
    steps = {
        "decode": lambda: [decode_pixels(one, shrink_to=DECODED_SIDE) for one in data],
        "check": lambda: stage(pa.record_batch([batch.column("image")], ["image"])),
    }
    for name, seconds in take_turns(steps, turns=turns, warm_up=1).items():
        each = [len(data) / one for one in seconds]
        print(
            f"{name:7} {statistics.median(each):7,.0f} images/s a core [{min(each):,.0f} to {max(each):,.0f}]"
        )


PARTS = ("ingest", "decode and hash", "check")
TOGETHER = """
import os, time
from synsight.data.catalog import Catalog
from synsight.data.image_hashes import image_hashes
from synsight.data.ingestion import ingest
from synsight.curation.audit.image_checks import check_images
from synsight.stages import ThreadRunner
runner = ThreadRunner(workers={threads})
times = [(time.perf_counter(), time.process_time())]
for part in (
    lambda: ingest({source!r}, out={catalog!r}, runner=runner),
    lambda: image_hashes(Catalog.open({catalog!r}), runner=runner),
    lambda: check_images({catalog!r}, runner=runner),
):
    part()
    times.append((time.perf_counter(), time.process_time()))
print(*(one for both in times for one in both), os.getloadavg()[0])
"""


def together(source: Path | None, threads: int, folder: Path) -> None:
    """Print images a second of ingest, of decoding with a hash, and of the checks, on threads."""
    if source is None:
        sample("emoji", out=folder / "whole")
        source = folder / "emoji.parquet"
        pq.write_table(Catalog.open(folder / "whole").table(["id", "image"]), source)
    catalog = folder / "together"
    program = TOGETHER.format(threads=threads, source=str(source), catalog=str(catalog))
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    *found, load = map(float, done.stdout.split())
    times = np.diff(np.array(found).reshape(-1, 2), axis=0)  # [part, (clock, processor)]
    rows = Catalog.open(catalog).count_rows()
    print(f"on {threads} threads, {rows:,} images, load {load:.1f}:")
    for part, spent in [*zip(PARTS, times, strict=True), (" + ".join(PARTS[:2]), times[:2].sum(axis=0))]:
        print(f"  {part:24} {rows / spent[0]:7,.0f} a second, {rows / spent[1]:7,.0f} a processor second")


def memory(rows: list[int], folder: Path) -> None:
    """Print peaks and wall-clock rates of ingest, checks, and checks with duplicates."""
    peaks: dict[str, dict[int, float]] = {}
    for count in rows:
        source, catalog = folder / f"{count}.parquet", folder / f"cat_{count}"
        write_source(source, count)
        for verb, program in (("ingest", INGEST), ("check", CHECK), ("near", CHECK + DUPLICATES)):
            peak, seconds = peak_megabytes(program.format(source=str(source), catalog=str(catalog)))
            peaks.setdefault(verb, {})[count] = peak
            print(f"{verb:7} {count:>9,} rows: {peak:6.0f} MB peak, {count / seconds:7,.0f} rows/s")
    low, high = min(rows), max(rows)
    for verb, found in peaks.items():
        print(f"{verb:7} {high:,} / {low:,} rows: {found[high] / found[low]:.2f} times the memory")


def main() -> None:
    """Measure rates and memory."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--source", type=Path, help="anything that `synsight ingest` reads")
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--rows", type=int, nargs="+", default=[5_000, 50_000])
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    print(machine("numpy", "pillow", "pyarrow", threads=1))
    with tempfile.TemporaryDirectory() as folder:
        # First: a process inherits the peak of the one that starts it.
        memory(arguments.rows, Path(folder))
        rates(arguments.source, arguments.images, arguments.turns, Path(folder))
        together(arguments.source, arguments.threads, Path(folder))


if __name__ == "__main__":
    main()
