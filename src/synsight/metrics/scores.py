"""Shares of hits that can be measured again on other groups of test rows.

Test rows of one concept, patient or lot are not independent, so whatever is drawn again or left out is a
whole group, never a row. Several measurements (draws of few labels, training seeds) see the same groups.

G groups, S strata, E cells (a group and a stratum with at least one row in common), R resamples.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from synsight.errors import ShapeError
from synsight.metrics.arrays import Integers


@dataclass(frozen=True, eq=False)
class Scores:
    """A score of rows: the mean over strata of the share of hits.

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


@dataclass(frozen=True, eq=False)
class Cells:
    """One score, summed up by group and stratum."""

    groups: NDArray[np.int64]
    """[E]"""
    strata: NDArray[np.int64]
    """[E]"""
    hits: NDArray[np.float64]
    """[E]"""
    rows: NDArray[np.float64]
    """[E]"""
    num_groups: int
    num_strata: int

    @cached_property
    def stratum_rows(self) -> NDArray[np.float64]:
        """[S]"""
        return _sums(self.strata, self.rows, self.num_strata)

    @cached_property
    def shares(self) -> NDArray[np.float64]:
        """[S] of hits."""
        return _sums(self.strata, self.hits, self.num_strata) / self.stratum_rows

    def by_group(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum of one value a cell over the cells of each group, [G]."""
        return _sums(self.groups, values, self.num_groups)

    def resampled(self, counts: NDArray[np.float64]) -> NDArray[np.float64]:
        """The score when group g stands in the test set counts[r, g] times, [R]; NaN where no row is left."""
        hits, rows = (counts @ self._matrix).reshape(len(counts), 2, self.num_strata).swapaxes(0, 1)
        seen = rows > 0
        with np.errstate(invalid="ignore"):
            mean: NDArray[np.float64] = np.where(seen, hits / rows, 0).sum(axis=1) / seen.sum(axis=1)
        return mean

    def left_out(self) -> NDArray[np.float64]:
        """The score without each group in turn, [G]; NaN where that leaves no row."""
        rows = self.stratum_rows[self.strata] - self.rows
        hits = (self.shares * self.stratum_rows)[self.strata] - self.hits
        before = self.shares[self.strata]
        with np.errstate(invalid="ignore"):
            change = np.where(rows > 0, hits / rows, 0) - before
            left = self.num_strata - self.by_group((rows == 0).astype(np.float64))
            without: NDArray[np.float64] = (self.shares.sum() + self.by_group(change)) / left
        return without

    @property
    def _matrix(self) -> NDArray[np.float64] | csr_array:
        """Hits and rows of each group by stratum, [G, 2S]."""
        places = np.tile(self.groups, 2), np.concatenate([self.strata, self.strata + self.num_strata])
        shape = (self.num_groups, 2 * self.num_strata)
        sums = csr_array((np.concatenate([self.hits, self.rows]), places), shape=shape)
        return sums.toarray() if self.num_strata < _MANY_STRATA else sums


_MANY_STRATA = 32
"""From here on a product with the zeros costs more than keeping track of where they are."""


@dataclass(frozen=True, eq=False)
class WeightedScores:
    """A weighted sum of scores over one numbering of groups: a mean, or a difference of two means."""

    cells: tuple[Cells, ...]
    weights: tuple[float, ...]

    @property
    def num_groups(self) -> int:
        """G."""
        return self.cells[0].num_groups

    @cached_property
    def value(self) -> float:
        """On the rows as they are."""
        return float(sum(weight * one.shares.mean() for weight, one in self._parts))

    def resampled(self, counts: NDArray[np.float64]) -> NDArray[np.float64]:
        """As `Cells.resampled`."""
        return sum(
            (weight * one.resampled(counts) for weight, one in self._parts), start=np.zeros(len(counts))
        )

    def left_out(self) -> NDArray[np.float64]:
        """As `Cells.left_out`."""
        return sum((weight * one.left_out() for weight, one in self._parts), start=np.zeros(self.num_groups))

    def contributions(self) -> NDArray[np.float64]:
        """What each group adds to the value, [G]."""
        return sum(
            (
                weight * one.by_group(one.hits / one.stratum_rows[one.strata]) / one.num_strata
                for weight, one in self._parts
            ),
            start=np.zeros(self.num_groups),
        )

    @cached_property
    def variance(self) -> float:
        """Of the value, by leaving each group out in turn (Efron and Tibshirani 1993, eq. 11.5)."""
        without = self.left_out()
        without = without[np.isfinite(without)]
        if len(without) < 2:
            return 0.0
        return float(((without - without.mean()) ** 2).sum() * (len(without) - 1) / len(without))

    @cached_property
    def degrees_of_freedom(self) -> int:
        """Of the variance: groups that can differ from each other within a stratum."""
        cells = max(len(one.groups) - one.num_strata for one in self.cells)
        return max(1, min(self.num_groups - 1, cells))

    @property
    def _parts(self) -> list[tuple[float, Cells]]:
        return [*zip(self.weights, self.cells, strict=True)]


def weigh(scores: Sequence[Scores], weights: Sequence[float]) -> WeightedScores:
    """Number the groups of all scores together and sum each score up.

    Raises:
        ShapeError: No score.
    """
    if not scores:
        raise ShapeError("an interval needs at least one score; got none; check which rows were kept.")
    present, codes = np.unique(np.concatenate([one.groups for one in scores]), return_inverse=True)
    parts = np.split(codes, np.cumsum([len(one.hits) for one in scores])[:-1])
    cells = [_cells(one, groups, len(present)) for one, groups in zip(scores, parts, strict=True)]
    return WeightedScores(tuple(cells), tuple(weights))


def mean_of(scores: Sequence[Scores]) -> WeightedScores:
    """The mean of the scores."""
    return weigh(scores, [1 / max(1, len(scores))] * len(scores))


def _cells(scores: Scores, groups: NDArray[np.int64], num_groups: int) -> Cells:
    present, strata = np.unique(scores.strata, return_inverse=True)
    keys, places = np.unique(groups * len(present) + strata, return_inverse=True)
    return Cells(
        groups=keys // len(present),
        strata=keys % len(present),
        hits=_sums(places, scores.hits, len(keys)),
        rows=_sums(places, np.ones(len(places)), len(keys)),
        num_groups=num_groups,
        num_strata=len(present),
    )


def _sums(places: NDArray[np.int64], values: NDArray[Any], length: int) -> NDArray[np.float64]:
    return np.asarray(np.bincount(places, weights=values, minlength=length), dtype=np.float64)
