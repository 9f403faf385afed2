"""How do memory and time of what reads every row grow with the number of rows?

    python benchmarks/memory.py [--rows 100000 400000] [--verbs ingest words captions spelling mismatch]
        [--folder KEEP]

Synthetic rows (32 x 32 JPEGs, all different, with captions of one to twelve words) in one Parquet file. Every
verb runs in a process of its own, whose peak resident memory is printed; the last line of each verb says what
the largest number of rows takes beyond the smallest: bytes a row, rows a second, and rows a processor second.
`captions`, `mismatch`: these checks of the audit; `spelling`: what repair learns from the catalog's words.
Above 50,000 different captions `mismatch` encodes none, so that smaller numbers of rows may take more.
Left out: images above a few kilobytes, for which the batches in flight (at most 2 a thread, of 32 MB each)
add a constant; drawn captions nearly repeat one another more often than people's.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from os import cpu_count
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from turns import machine

WORDS = """
    the a of with and old red blue small broken cat dog car wheel door house tree river bridge crack rust weld
    gear bolt plate bottle glass cup chair table window roof brick road boat plane train apple bread fish bird
""".split()  # noqa: SIM905  as prose it can be read

VERBS = {
    "ingest": "from synsight.data.ingestion import ingest; ingest({source!r}, out={catalog!r})",
    "words": "from synsight.language.labelling import find_words; find_words({catalog!r})",
    "captions": "from synsight.curation.audit.caption_checks import check_captions; "
    "check_captions({catalog!r})",
    "spelling": "from synsight.curation.repair.spelling import find_spelling; "
    "from synsight.data.catalog import Catalog; find_spelling(Catalog.open({catalog!r}), ['caption'])",
    "mismatch": "from synsight.curation.audit.mismatch import check_mismatch; check_mismatch({catalog!r})",
}
"""Verb, or part of one -> the program; `ingest` makes what the others read."""
USED = (
    "; import resource; used = resource.getrusage(resource.RUSAGE_SELF); "
    "print(used.ru_maxrss, used.ru_utime + used.ru_stime)"
)
IMPORTS_ONLY = "import synsight.data.ingestion, synsight.language.labelling"


@dataclass(frozen=True)
class Run:
    """One program, from its start to its end."""

    kilobytes: int
    """Of resident memory, at its peak."""
    seconds: float
    processor_seconds: float


def row_groups(rows: int, *, size: int = 1000) -> Iterator[pa.RecordBatch]:
    """Made-up rows, the same on every run."""
    rng = np.random.default_rng(0)
    for start in range(0, rows, size):
        images, captions = [], []
        for pixels in rng.integers(0, 256, (min(size, rows - start), 4, 4, 3), dtype=np.uint8):
            out = BytesIO()
            Image.fromarray(pixels).resize((32, 32)).save(out, "JPEG", quality=60)
            images.append(out.getvalue())
            captions.append(" ".join(rng.choice(WORDS, rng.integers(1, 13))))
        yield pa.record_batch([images, captions], ["image", "caption"])


def write_source(path: Path, rows: int) -> None:
    """The Parquet file of so many rows, never more than one row group in memory."""
    batches = row_groups(rows)
    first = next(batches)
    with pq.ParquetWriter(path, first.schema) as writer:
        writer.write_batch(first)
        for batch in batches:
            writer.write_batch(batch)


def measured(program: str) -> Run:
    """A program in a process of its own."""
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", program + USED], stdout=subprocess.PIPE, text=True, check=True
    )
    kilobytes, processor_seconds = done.stdout.split()[-2:]
    return Run(int(kilobytes), time.perf_counter() - start, float(processor_seconds))


def main() -> None:
    """Measure every verb for every number of rows, print peaks and what further rows take."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 400_000])
    parser.add_argument("--verbs", nargs="+", choices=VERBS, default=list(VERBS))
    parser.add_argument("--folder", type=Path, help="keep the sources and catalogs here")
    arguments = parser.parse_args()
    verbs = list(dict.fromkeys(["ingest", *arguments.verbs]))
    print(machine("pyarrow", "pylance", "pillow", threads=cpu_count() or 1))
    print(f"imports alone: {measured(IMPORTS_ONLY).kilobytes / 1024:.0f} MB")
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        runs: dict[str, dict[int, Run]] = {verb: {} for verb in verbs}
        for rows in arguments.rows:
            source, catalog = folder / f"{rows}.parquet", folder / f"cat_{rows}"
            write_source(source, rows)
            for verb in verbs:
                run = measured(VERBS[verb].format(source=str(source), catalog=str(catalog)))
                runs[verb][rows] = run
                print(
                    f"{verb:8} {rows:>9,} rows: {run.kilobytes / 1024:6.0f} MB peak, "
                    f"{rows / run.seconds:7,.0f} rows/s",
                    flush=True,
                )
    for verb, found in runs.items():
        low, high = min(found), max(found)
        if low == high:
            continue
        few, many, more = found[low], found[high], high - low
        bytes_a_row = 1024 * (many.kilobytes - few.kilobytes) / more
        print(
            f"{verb:8} {more:,} rows more: {bytes_a_row:,.0f} bytes a row, "
            f"{more / (many.seconds - few.seconds):,.0f} rows/s, "
            f"{more / (many.processor_seconds - few.processor_seconds):,.0f} rows a processor second"
        )


if __name__ == "__main__":
    main()
