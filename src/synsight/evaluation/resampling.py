"""One joint resampling of test groups and of draws of labels, shared by everything that is compared.

Every array that comes from here has R + 1 rows: row 0 is the sample as measured, rows 1 to R are resamples.
In one resample all models see the same test groups, and models that learnt from the same draws the same
draws, so that sums, ratios and readings of curves may be formed row by row and keep what models share.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from synsight.errors import ShapeError
from synsight.metrics.arrays import Integers
from synsight.seeding import generator

Drawn = NDArray[np.float64]
"""[R + 1, ...]; row 0 as measured."""

LEVEL = 0.95
RESAMPLES = 2000
_MOST_CELLS = 4_000_000
"""Group counts held as floats at once; bounds the memory at about 32 MB."""


class Resampling:
    """Test groups drawn again R times.

    Args:
        groups: [N] number of the group of each test row; any integers.
        resamples: R.
        seed: Of the drawing.

    Reference: Efron and Tibshirani 1993, chapters 8 (groups) and 13 (percentiles).
    """

    def __init__(self, groups: Integers, *, resamples: int = RESAMPLES, seed: int = 0) -> None:
        if len(groups) == 0:
            raise ShapeError("resampling needs a test row; got none; check which rows were kept.")
        self._order = np.argsort(groups, kind="stable")
        _, self._starts = np.unique(groups[self._order], return_index=True)
        self.num_groups, self.resamples, self.seed = len(self._starts), resamples, seed
        drawer = generator("groups", seed)
        # No group of n is drawn more than 255 times in n draws: above 255 groups the odds are below 1e-500.
        self._counts = np.ones((resamples + 1, self.num_groups), np.uint8)
        for row in range(1, resamples + 1):
            drawn = drawer.integers(self.num_groups, size=self.num_groups)
            self._counts[row] = np.bincount(drawn, minlength=self.num_groups)

    def sums(self, values: NDArray[np.float64]) -> Drawn:
        """Sums over the test rows, each as often as its group was drawn: [N, K] to [R + 1, K]."""
        table = self._by_group(values)
        part = max(1, _MOST_CELLS // self.num_groups)
        starts = range(0, self.resamples + 1, part)
        return np.concatenate([self._counts[start : start + part].astype(float) @ table for start in starts])

    def means(
        self, hits: NDArray[np.bool_], *, seeds: Sequence[int] = (0,), strata: Integers | None = None
    ) -> Drawn:
        """Mean over draws of the share of hits, [R + 1].

        What a draw of labels and a group of test rows do together (a row that one draw answers and another
        does not) is already in the groups' part; it is taken out of the draws' part, where it would count
        twice.

        Args:
            hits: [S, N] for each draw of labels whether a test row was answered rightly.
            seeds: [S] of the draws.
            strata: [N] classes, for the mean over them of their shares; None: the share of all rows.

        Reference: Owen 2007 (https://arxiv.org/abs/0712.1111), on drawing rows and columns again at once.
        """
        strata = np.zeros(hits.shape[1], np.int64) if strata is None else strata
        members = (strata[:, None] == np.unique(strata)).astype(np.float64)  # [N, T]
        rows = self.sums(members)
        seen = rows > 0
        found = self.sums(members * hits.mean(axis=0)[:, None])
        shares = np.divide(found, rows, out=np.zeros_like(found), where=seen)
        over_groups: Drawn = shares.sum(axis=1) / seen.sum(axis=1)
        weights = (members / members.sum(axis=0)).mean(axis=1)
        return over_groups + self.over_draws(hits, seeds=seeds, weights=weights)

    def over_draws(
        self,
        hits: NDArray[np.bool_] | NDArray[np.float64],
        *,
        seeds: Sequence[int],
        weights: NDArray[np.float64],
    ) -> Drawn:
        """What other draws of labels would add to a mean with given weights of the rows, [R + 1]; row 0 is 0.

        Args:
            hits: [S, N]; or any value of a draw and a row, as the difference of two models' hits.
            seeds: [S].
            weights: [N], with sum 1.
        """
        if len(hits) == 1:
            return np.zeros(self.resamples + 1)
        means = hits @ weights  # [S]
        apart = means - means.mean()
        between = np.square(apart).sum() / (len(hits) - 1)
        if between == 0:
            return np.zeros(self.resamples + 1)
        centred = (hits - hits.mean(axis=0)) * weights - np.outer(apart, weights)
        together = np.square(self._by_group(centred.T)).sum() / (len(hits) - 1)
        kept = np.sqrt(max(0.0, 1 - together / between))
        over_draws: Drawn = kept * (self.draw_weights(seeds) - 1 / len(hits)) @ apart
        return over_draws

    def _by_group(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        table: NDArray[np.float64] = np.add.reduceat(values[self._order], self._starts, axis=0)
        return table

    def draw_weights(self, seeds: Sequence[int]) -> Drawn:
        """Weights of draws of labels that sum to 1, [R + 1, S]; the same for the same seeds, whoever asks.

        Since draws are few, the plain bootstrap would give too short intervals (its variance is (S - 1)/S of
        the right one, and its ends are the normal's): deviations are stretched by sqrt(S/(S - 1)) and by the
        ratio of Student's quantile with S - 1 degrees to the normal one. One draw says nothing about others
        and stays as it is.

        Reference: Hesterberg 2015 (https://arxiv.org/abs/1411.5279), on narrowness and expanded percentiles.
        """
        count = len(seeds)
        weights = np.full((self.resamples + 1, count), 1 / count)
        if count == 1:
            return weights
        drawer = generator("draws", self.seed, *seeds)
        drawn = drawer.multinomial(count, np.full(count, 1 / count), size=self.resamples) / count
        tail = (1 + LEVEL) / 2
        stretch = np.sqrt(count / (count - 1)) * stats.t.ppf(tail, count - 1) / stats.norm.ppf(tail)
        weights[1:] += stretch * (drawn - 1 / count)
        return weights


def ends(drawn: Drawn, *, level: float = LEVEL) -> tuple[float, float]:
    """Percentile ends of the resamples, row 0 left out; infinite values are kept in their order."""
    tails = [(1 - level) / 2, (1 + level) / 2]
    finite = bool(np.isfinite(drawn[1:]).all())
    low, high = np.quantile(drawn[1:], tails, method="linear" if finite else "inverted_cdf")
    return float(low), float(high)
