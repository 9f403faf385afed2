"""How many images a second does the image audit check, and does its memory depend on their number?

    python benchmarks/audit_images.py [--source FILE] [--images 2000] [--turns 5] [--rows 5000 50000]

Ingest and audit of synthetic rows (32 x 32 JPEGs, all different) run in processes of their own, whose peak
resident memory and wall-clock rate are printed, then the ratio of the largest to the smallest number of rows.
The rate after that is of one core (process time): decoding alone, and the whole stage (decode, measures, two
hashes), taking turns over the same images of the shipped emoji sample (64 px WebP) or of a source of yours.
Left out: the page and the captions.
"""

import argparse
import statistics
import tempfile
from pathlib import Path

import pyarrow as pa
from memory import INGEST, peak_megabytes, write_source
from turns import machine, take_turns

from synsight.curation.image_measures import DECODED_SIDE, ImageStage
from synsight.data.catalog import Catalog
from synsight.data.fast_decode import decode_pixels
from synsight.data.ingestion import ingest
from synsight.data.samples import sample

CHECK = "from synsight.curation.image_checks import check_images; checks = check_images({catalog!r})"
DUPLICATES = (
    "; from synsight.data.catalog import Catalog; from synsight.curation.near_duplicates import"
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
    arguments = parser.parse_args()
    print(machine("numpy", "pillow", "pyarrow", threads=1))
    with tempfile.TemporaryDirectory() as folder:
        # First: a process inherits the peak of the one that starts it.
        memory(arguments.rows, Path(folder))
        rates(arguments.source, arguments.images, arguments.turns, Path(folder))


if __name__ == "__main__":
    main()
