"""Bootstrap intervals over groups, for one number and for the difference of two.

Test rows of one concept, patient or lot are not independent, so whole groups are drawn again, not rows.
Several measurements (draws of few labels, training seeds) are drawn again together: in one resample each
sees the same groups. An interval therefore says what other test groups would have given; it says nothing
about other seeds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synsight.errors import ConfigError, ShapeError
from synsight.metrics.arrays import Integers

RESAMPLES = 2000
_MOST_CELLS = 4_000_000
"""Group draws held at once; bounds the memory at about 100 MB."""


@dataclass(frozen=True, eq=False)
class Scores:
    """A score of rows, ready to be drawn again: the mean over strata of the share of hits.

    Args:
        hits: [N] whether the row was answered rightly.
        strata: [N] integers >= 0. All zero gives a micro average (`acc1`); the class of each row gives a
            macro average (`mean_per_class_recall`).
        groups: [N] integers >= 0. Scores that are averaged or compared use the same numbers for the same
            groups.
    """

    hits: NDArray[np.bool_]
    strata: Integers
    groups: Integers

    def __post_init__(self) -> None:
        if not (self.hits.shape == self.strata.shape == self.groups.shape == (len(self.hits),)):
            raise ShapeError(
                f"hits, strata and groups must be [N]; got {self.hits.shape}, {self.strata.shape} and "
                f"{self.groups.shape}; pass one of each for every row."
            )
        if len(self.hits) == 0:
            raise ShapeError("a score needs at least one row; got none; check which rows were kept.")


@dataclass(frozen=True)
class Interval:
    """A number with the ends of its interval."""

    value: float
    low: float
    high: float


def bootstrap_interval(
    scores: Sequence[Scores], *, resamples: int = RESAMPLES, level: float = 0.95, seed: int = 0
) -> Interval:
    """Mean of one or several scores, with the percentile bootstrap interval over groups.

    Args:
        scores: Measurements that are averaged, as those of three draws.
        resamples: How often the groups are drawn again.
        level: Share of repetitions of the experiment whose interval should hold the truth.
        seed: Of the drawing.

    Reference: Efron and Tibshirani 1993, chapter 13; groups as in chapter 8.
    """
    tables = _tables([*scores])
    return _interval(tables, np.full(len(tables), 1 / len(tables)), resamples, level, seed)


def paired_difference(
    first: Sequence[Scores],
    second: Sequence[Scores],
    *,
    resamples: int = RESAMPLES,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Mean of the first scores minus mean of the second, both seeing the same groups in every resample.

    What is hard for both cancels, so the interval is narrower than the two apart. Arguments as in
    `bootstrap_interval`; the two sides need not have the same number of scores.
    """
    tables = _tables([*first, *second])
    signs = np.concatenate([np.full(len(first), 1 / len(first)), np.full(len(second), -1 / len(second))])
    return _interval(tables, signs, resamples, level, seed)


def _tables(scores: list[Scores]) -> list[NDArray[np.float64]]:
    """For each score the hits and the rows of every group in every stratum, [G, 2, strata]."""
    if not scores:
        raise ShapeError("an interval needs at least one score; got none; check which rows were kept.")
    _, codes = np.unique(np.concatenate([one.groups for one in scores]), return_inverse=True)
    num_groups = int(codes.max()) + 1
    tables = []
    for one, groups in zip(
        scores, np.split(codes, np.cumsum([len(one.hits) for one in scores])[:-1]), strict=True
    ):
        present, strata = np.unique(one.strata, return_inverse=True)
        shape = (num_groups, len(present))
        cells = np.ravel_multi_index((groups, strata), shape)
        hits = np.bincount(cells, weights=one.hits, minlength=shape[0] * shape[1]).reshape(shape)
        rows = np.bincount(cells, minlength=shape[0] * shape[1]).reshape(shape)
        tables.append(np.stack([hits, rows], axis=1, dtype=np.float64))
    return tables


def _interval(
    tables: list[NDArray[np.float64]],
    weights: NDArray[np.float64],
    resamples: int,
    level: float,
    seed: int,
) -> Interval:
    if resamples < 1 or not 0 < level < 1:
        raise ConfigError(f"resamples must be >= 1 and level in 0 to 1; got {resamples!r} and {level!r}.")
    num_groups = len(tables[0])
    value = _statistic(tables, weights, np.ones((1, num_groups)))[0]
    generator = np.random.default_rng(seed)
    part = max(1, _MOST_CELLS // num_groups)
    drawn = [
        _statistic(tables, weights, _counts(generator, min(part, resamples - start), num_groups))
        for start in range(0, resamples, part)
    ]
    # A resample in which a score has no row at all says nothing.
    low, high = np.nanquantile(np.concatenate(drawn), [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(value), float(low), float(high))


def _counts(generator: np.random.Generator, resamples: int, num_groups: int) -> NDArray[np.float64]:
    """How often each group was drawn, [resamples, G]."""
    drawn = generator.integers(num_groups, size=(resamples, num_groups), dtype=np.int32)
    cells = drawn + num_groups * np.arange(resamples)[:, None]
    counts = np.bincount(cells.ravel(), minlength=resamples * num_groups)
    return counts.reshape(resamples, num_groups).astype(np.float64)


def _statistic(
    tables: list[NDArray[np.float64]], weights: NDArray[np.float64], counts: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Weighted sum of the scores when group g stands in the test set counts[r, g] times, [resamples]."""
    total = np.zeros(len(counts))
    for weight, table in zip(weights, tables, strict=True):
        hits, rows = np.moveaxis((counts @ table.reshape(len(table), -1)).reshape(-1, *table.shape[1:]), 1, 0)
        with np.errstate(invalid="ignore"):
            shares = hits / rows  # NaN where a resample left a stratum out
        seen = rows > 0
        with np.errstate(invalid="ignore"):
            total += weight * np.where(seen, shares, 0).sum(axis=1) / seen.sum(axis=1)
    return total
