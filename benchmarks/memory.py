"""Does the memory of `ingest` and `words` depend on the number of rows?

    python benchmarks/memory.py [--rows 10000 200000] [--folder KEEP]

Synthetic rows (32 x 32 JPEGs, all different, with captions of one to twelve words) in one Parquet file. Every
verb runs in a process of its own, whose peak resident memory is printed; the last line of each verb is the
ratio of the largest to the smallest number of rows. Left out: images above a few kilobytes, for which the
batches in flight (at most 2 a thread, of 32 MB each) add a constant.
"""

import argparse
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import version
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

WORDS = """
    the a of with and old red blue small broken cat dog car wheel door house tree river bridge crack rust weld
    gear bolt plate bottle glass cup chair table window roof brick road boat plane train apple bread fish bird
""".split()  # noqa: SIM905  as prose it can be read

INGEST = "from synsight.data.ingestion import ingest; ingest({source!r}, out={catalog!r})"
WORDS_VERB = "from synsight.language.labelling import find_words; find_words({catalog!r})"
PEAK = "; import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
IMPORTS_ONLY = "import synsight.data.ingestion, synsight.language.labelling"


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


def peak_megabytes(program: str) -> tuple[float, float]:
    """(peak resident memory in MB, seconds) of a program in a process of its own."""
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", program + PEAK], stdout=subprocess.PIPE, text=True, check=True
    )
    return int(done.stdout.split()[-1]) / 1024, time.perf_counter() - start


def main() -> None:
    """Measure both verbs for every number of rows, print peaks and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 200_000])
    parser.add_argument("--folder", type=Path, help="keep the sources and catalogs here")
    arguments = parser.parse_args()
    print(platform.platform(), "| python", platform.python_version(), end=" | ")
    print(*(f"{name} {version(name)}" for name in ("pyarrow", "pylance", "pillow")), sep=", ")
    print(f"imports alone: {peak_megabytes(IMPORTS_ONLY)[0]:.0f} MB")
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        peaks: dict[str, dict[int, float]] = {"ingest": {}, "words": {}}
        for rows in arguments.rows:
            source, catalog = folder / f"{rows}.parquet", folder / f"cat_{rows}"
            write_source(source, rows)
            for verb, program in (("ingest", INGEST), ("words", WORDS_VERB)):
                peak, seconds = peak_megabytes(program.format(source=str(source), catalog=str(catalog)))
                peaks[verb][rows] = peak
                print(f"{verb:7} {rows:>9,} rows: {peak:6.0f} MB peak, {rows / seconds:7,.0f} rows/s")
    for verb, found in peaks.items():
        low, high = min(found), max(found)
        print(f"{verb:7} {high:,} / {low:,} rows: {found[high] / found[low]:.2f} times the memory")


if __name__ == "__main__":
    main()
