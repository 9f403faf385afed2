"""Test images of which the training pool holds nearly the same picture: found, reported, and left out once.

A copy saved again, reduced or trimmed has other bytes, so no list of hashes of bytes finds it (`seen_rows`).
Candidates are images whose perceptual hashes differ in few bits; a candidate counts when its pixels agree.
Nothing is refused: the share is reported, and each accuracy a second time without these test rows.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from os import cpu_count
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from synsight.data.catalog import Catalog
from synsight.data.image_hashes import image_hashes
from synsight.data.likeness import DIFFERENCE, pixel_difference, small_pixels
from synsight.data.perceptual_hash import hamming
from synsight.evaluation.rows import Splits
from synsight.records import Result
from synsight.stages import Runner

RADIUS = 10
"""Bits of 64: of emoji and clip art saved again as JPEG of quality 50 or at half the size, all stay within 7,
and of those with 2 in 100 cut off each side 99%."""
MOST_CANDIDATES = 32
"""Of one test image, the nearest; drawings of one shape share a hash by the hundred."""
MOST_EXAMPLES = 20
ROWS_AT_ONCE = 64

Positions = NDArray[np.int64]


class Copy(NamedTuple):
    """A test image and the picture in the pool that is most like it."""

    test: str
    """Its id."""
    pool: str
    difference: float
    """1 minus the correlation of the pixels; 0: the same picture."""


@dataclass(frozen=True, kw_only=True)
class NearCopies:
    """Which test rows the training pool holds nearly the same picture of."""

    pool: str
    """Name of the catalog."""
    pool_rows: int
    test_rows: int
    copies: tuple[Copy, ...]
    """One for each such test row, the most alike first."""

    @property
    def share(self) -> float:
        """Of the test rows."""
        return len(self.copies) / self.test_rows

    def as_settings(self) -> dict[str, Any]:
        """For evaluation.json."""
        return {
            "pool": self.pool,
            "pool_rows": self.pool_rows,
            "test_rows": self.test_rows,
            "near_copies": len(self.copies),
            "share": round(self.share, 6),
            "examples": [one._asdict() for one in self.copies[:MOST_EXAMPLES]],
        }


def near_copies(
    catalog: Catalog, splits: Splits, *, pool: Catalog | None = None, runner: Runner | None = None
) -> NearCopies:
    """Find the test rows whose picture the training pool nearly has.

    Every test image is compared with every image of the pool by hash: 7 s for each 1,000,000,000 pairs, and 8
    bytes of memory a row. Images are decoded once for their hashes, which are kept, and candidates again.

    Args:
        catalog: Where the test rows are.
        splits: The labelled rows.
        pool: Its rows of the split `train`, or all where it has no splits; None: `catalog`.
        runner: Where images are hashed; None: threads of this process.
    """
    pool = pool or catalog
    hashes, is_read = image_hashes(catalog, runner=runner)
    pool_hashes, pool_is_read = (hashes, is_read) if pool is catalog else image_hashes(pool, runner=runner)
    training = pool.positions("split = 'train'" if "split" in pool.columns else None)
    asked = splits.test.positions[is_read[splits.test.positions]]
    members = training[pool_is_read[training]]
    best: dict[int, tuple[float, int]] = {}
    for test, other in _candidates(asked, hashes[asked], members, pool_hashes[members]):
        found = _differences(catalog, test, pool, other)
        for one, partner, value in zip(test.tolist(), other.tolist(), found.tolist(), strict=True):
            if value <= DIFFERENCE and (value, partner) < best.get(one, (np.inf, 0)):
                best[one] = (max(value, 0.0), partner)
    return NearCopies(
        pool=pool.name,
        pool_rows=len(training),
        test_rows=len(splits.test),
        copies=tuple(_named(best, catalog, pool)),
    )


def without_copies(results: Sequence[Result], predictions: pa.Table, copies: NearCopies) -> list[Result]:
    """The same records; those of `acc1` also say what it is without the test rows that are copies.

    Args:
        results: Of one evaluation.
        predictions: Their predictions; a record without any stays as it is.
        copies: Found for the same test rows.
    """
    keys = ["model", "task", "n_labels", "seed"]
    is_copy = pc.is_in(predictions["id"], pa.array([one.test for one in copies.copies], pa.string()))
    hits = pc.equal(predictions["label"], predictions["prediction"]).cast(pa.int64())
    others = predictions.select(keys).append_column("hit", hits).filter(pc.invert(is_copy))
    rows = others.group_by(keys).aggregate([("hit", "mean"), ("hit", "count")]).to_pylist()
    values = {tuple(row[name] for name in keys): (row["hit_mean"], row["hit_count"]) for row in rows}

    def told(one: Result) -> Result:
        found = values.get((one.model, one.task, one.n_labels, one.seed))
        if one.metric != "acc1" or found is None or found[1] == one.n_test:
            return one
        more = {"acc1_without_near_copies": round(found[0], 6), "n_test_without_near_copies": found[1]}
        return replace(one, details={**one.details, **more})

    return [told(one) for one in results]


def _candidates(
    test: Positions, test_hashes: NDArray[np.uint64], pool: Positions, pool_hashes: NDArray[np.uint64]
) -> Iterator[tuple[Positions, Positions]]:
    """Pairs (test, pool) of positions whose hashes are near, in blocks."""
    for start in range(0, len(test), ROWS_AT_ONCE):
        some = slice(start, start + ROWS_AT_ONCE)
        bits = hamming(test_hashes[some, None], pool_hashes[None])
        rows, columns = np.nonzero(bits <= RADIUS)
        order = np.lexsort((columns, bits[rows, columns], rows))
        rows, columns = rows[order], columns[order]
        rank = np.arange(len(rows)) - np.searchsorted(rows, rows)  # 0 is the nearest of its test image
        kept = rank < MOST_CANDIDATES
        if kept.any():
            yield test[some][rows[kept]], pool[columns[kept]]


def _differences(catalog: Catalog, test: Positions, pool: Catalog, other: Positions) -> NDArray[np.float32]:
    sides = []
    for source, positions in ((catalog, test), (pool, other)):
        different, which = np.unique(positions, return_inverse=True)
        images = source.take(different, ["image"])["image"].to_pylist()
        with ThreadPoolExecutor(cpu_count() or 1) as threads:
            sides.append(np.stack(list(threads.map(small_pixels, images)))[which])
    return pixel_difference(*sides)


def _named(best: dict[int, tuple[float, int]], catalog: Catalog, pool: Catalog) -> list[Copy]:
    """With ids, the most alike first."""
    if not best:
        return []
    rows = sorted(best, key=lambda row: (*best[row], row))
    ids = catalog.take(rows, ["id"])["id"].to_pylist()
    partners = pool.take([best[row][1] for row in rows], ["id"])["id"].to_pylist()
    return [
        Copy(one, other, round(best[row][0], 5)) for row, one, other in zip(rows, ids, partners, strict=True)
    ]
