"""How much do other ways to part rows change, and which copies of test images are found? (docs/splits.md)

    python benchmarks/splits.py
    python benchmarks/splits.py --data cat/ --label category

Printed: how many of 20,000 rows in ten classes have the same split by `stratified` as by `hash`, and how many
of 10,000 keep theirs when 1,000 come; memory of the sorting; near copies among the test images of the samples
(or of a catalog), and those that equal a training image byte for byte; of test images saved again as JPEG, at
half the size or cut, the share that the search reaches; seconds for 1,000,000,000 pairs of hashes.

What it leaves out: groups, rows by time, and whether a near copy gives an answer away.
"""

import argparse
import io
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image
from turns import machine

from synsight.data import Catalog
from synsight.data.image_hashes import HashImages
from synsight.data.images import decode_image
from synsight.data.perceptual_hash import hamming
from synsight.data.samples import sample
from synsight.data.splits import ORDER, cut_by_class, drawn_split, hash_number
from synsight.data.trained_rows import content_hashes
from synsight.evaluation.near_copies import RADIUS, near_copies
from synsight.evaluation.rows import Splits, read_splits

SEEDS = 5
MOST_SPOILT = 1000
"""Test images that are saved again."""
PAIRS = 20_000_000


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="a catalog in place of the samples")
    parser.add_argument("--label", default="category")
    asked = parser.parse_args()
    print(machine("synsight", "numpy", "pillow", threads=1), flush=True)
    print_parted()
    print_rate()
    with tempfile.TemporaryDirectory() as folder:
        if asked.data:
            print_copies(Catalog.open(asked.data), asked.label)
            return
        for name in ("emoji", "clipart"):
            sample(name, out=Path(folder) / name)
            print_copies(Catalog.open(Path(folder) / name), asked.label)


def print_parted() -> None:
    """Rows without groups; classes of any size, drawn by Dirichlet's law."""
    same, kept = [], []
    for seed in range(SEEDS):
        rng = np.random.default_rng(seed)
        ids = [f"row {seed} {number}" for number in range(20_000)]
        classes = rng.choice(10, size=len(ids), p=rng.dirichlet(np.ones(10))).astype(np.uint64)
        keys = np.array([hash_number(one) for one in ids], np.uint64)
        by_hash = np.array([ORDER.index(drawn_split(one)) for one in ids])
        same.append((cut_by_class(classes, keys) == by_hash).mean())
        before = cut_by_class(classes[:10_000], keys[:10_000])
        kept.append((cut_by_class(classes[:11_000], keys[:11_000])[:10_000] == before).mean())
    tracemalloc.start()
    many = np.random.default_rng(0).integers(2**63, size=500_000).astype(np.uint64)
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    cut_by_class(many % 10, many)
    peak = (tracemalloc.get_traced_memory()[1] - held) / len(many)
    tracemalloc.stop()
    print(f"stratified as by hash: {spread(same)} of 20,000 rows in ten classes ({SEEDS} seeds)")
    print(f"stratified, 10,000 rows that become 11,000: {spread(kept)} keep their split")
    print(f"memory of sorting: {peak:.0f} bytes a row beside its own 16", flush=True)


def spread(shares: list[float]) -> str:
    """Mean and range, per cent."""
    low, mean, high = (100 * float(one) for one in (min(shares), np.mean(shares), max(shares)))
    return f"{mean:.1f}% ({low:.1f} to {high:.1f})"


def print_rate() -> None:
    """Of the comparison alone, 64 test images at a time as in the search."""
    hashes = np.random.default_rng(0).integers(2**63, size=PAIRS // 64).astype(np.uint64)
    began = time.process_time()
    np.nonzero(hamming(hashes[:64, None], hashes[None]) <= RADIUS)
    print(f"1,000,000,000 pairs: {(time.process_time() - began) * 1e9 / PAIRS:.1f} s of processor time")


def print_copies(catalog: Catalog, label: str) -> None:
    """Copies that are there, and copies that are made."""
    splits = read_splits(catalog, label)
    found = near_copies(catalog, splits)
    print(f"\n{catalog.name}: {len(found.copies):,} of {found.test_rows:,} test images have a near copy")
    print(f"{catalog.name}: {equal_bytes(catalog, splits):,} test images are training images byte for byte")
    some = np.random.default_rng(0).permutation(splits.test.positions)[:MOST_SPOILT]
    images = [decode_image(one) for one in catalog.take(np.sort(some), ["image"])["image"].to_pylist()]
    whole = hashes_of([saved(one, "PNG") for one in images])
    for name, spoil in SPOILT.items():
        bits = hamming(whole, hashes_of([spoil(one) for one in images]))
        reached = f"{(bits <= RADIUS).mean():.1%} within {RADIUS} bits of 64, the farthest at {bits.max()}"
        print(f"{catalog.name}, {name}: {reached} ({len(images):,} images)", flush=True)


def equal_bytes(catalog: Catalog, splits: Splits) -> int:
    """Test rows whose bytes a training row has, too."""
    test, train = (content_hashes(catalog, one.positions) for one in (splits.test, splits.train))
    return int(np.isin(test, train).sum())


def hashes_of(images: list[bytes]) -> NDArray[np.uint64]:
    """As the search computes them."""
    batch = HashImages()(pa.record_batch([pa.array(images, pa.binary())], ["image"]))
    return batch.column(0).to_numpy(zero_copy_only=False).astype(np.uint64)


def saved(image: Image.Image, kind: str, **settings: int) -> bytes:
    """The bytes of a file."""
    out = io.BytesIO()
    image.save(out, format=kind, **settings)
    return out.getvalue()


def cut(image: Image.Image) -> Image.Image:
    """Without 2 in 100 of each side, at least a pixel."""
    across, down = (max(1, round(0.02 * side)) for side in image.size)
    return image.crop((across, down, image.width - across, image.height - down))


SPOILT: dict[str, Callable[[Image.Image], bytes]] = {
    "JPEG of quality 50": lambda image: saved(image, "JPEG", quality=50),
    "half the size": lambda image: saved(image.resize((image.width // 2, image.height // 2)), "PNG"),
    "2% cut off each side": lambda image: saved(cut(image), "PNG"),
}


if __name__ == "__main__":
    main()
