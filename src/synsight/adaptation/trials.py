"""Comparing estimators on rows that none of them has seen, within a time.

N rows, C classes, M members of a pool.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, softmax, stdtrit
from scipy.stats import rankdata

from synsight.adaptation.base import LabelledRows
from synsight.adaptation.tuning import Fold
from synsight.metrics import Scores, paired_difference

clock: Callable[[], float] = time.monotonic
"""Seconds; what a budget is counted in."""
_FIRST_PACE = 2e-10
"""Seconds a multiplication, until something has been measured."""


@dataclass(frozen=True)
class Trial:
    """What became of one estimator."""

    method: str
    score: float | None = None
    """Cross-validated accuracy (mean over the classes, where they were to count alike; of several labels a
    row, label ranking average precision); None: not tried."""
    gain: float | None = None
    """Over logistic regression, on the same rows."""
    low: float | None = None
    high: float | None = None
    """Ends of the gain's interval, widened for the number of comparisons."""
    seconds: float = 0.0
    """Of all its folds; of one that was not tried, the prediction."""
    outcome: str = ""
    """For a reader."""


class Gain(NamedTuple):
    """Of one estimator over another, with the ends of its interval."""

    value: float
    low: float
    high: float


class Budget:
    """The time that is left, and how long things will take on this machine.

    Args:
        seconds: From now on; None: no end.
    """

    def __init__(self, seconds: float | None) -> None:
        self.end = None if seconds is None else clock() + seconds
        self.predicted, self.measured = 0.0, 0.0

    def left(self) -> float:
        """Seconds; infinity where there is no end."""
        return np.inf if self.end is None else self.end - clock()

    def prediction(self, operations: float) -> float:
        """Seconds for so many multiplications, by what earlier ones took."""
        pace = self.measured / self.predicted if self.predicted else _FIRST_PACE
        return operations * pace

    def learn(self, operations: float, seconds: float) -> None:
        """That so many multiplications took so long."""
        self.predicted += operations
        self.measured += seconds


def asked_rows(parts: Sequence[Fold]) -> NDArray[np.int64]:
    """The rows that stand in a fold, ascending."""
    return np.sort(np.concatenate([part.held_out for part in parts]))


def score(scores: NDArray[np.float64], rows: LabelledRows, *, alike: bool) -> float:
    """See `Trial.score`; `alike`: classes count alike."""
    if rows.labels is None:
        return float(_precisions(scores, rows).mean())
    hits = scores.argmax(axis=1) == rows.labels
    return float(
        np.mean([hits[rows.labels == one].mean() for one in np.unique(rows.labels)] if alike else hits)
    )


def gain(
    scores: NDArray[np.float64],
    baseline: NDArray[np.float64],
    rows: LabelledRows,
    *,
    level: float,
    alike: bool,
) -> Gain:
    """How much better scores [N, C] answer than those of a baseline, with an interval over groups of rows.

    The interval takes the fits as they are: what other training rows would have brought is not in it.
    """
    if rows.labels is None:
        return _mean_gain(_precisions(scores, rows) - _precisions(baseline, rows), rows.groups, level)
    strata = np.unique(rows.labels, return_inverse=True)[1] if alike else np.zeros_like(rows.labels)
    ours, theirs = (
        Scores(one.argmax(axis=1) == rows.labels, strata, rows.groups) for one in (scores, baseline)
    )
    found = paired_difference([ours], [theirs], level=level)
    return Gain(found.value, found.low, found.high)


def _precisions(scores: NDArray[np.float64], rows: LabelledRows) -> NDArray[np.float64]:
    """Label ranking average precision of each row, [N]; 1 where every class is true, or none.

    Over the true classes of a row, the mean share of true ones among those that score at least as high.
    """
    above = rankdata(-scores, method="max", axis=1)
    true_above = rankdata(np.where(rows.truth, -scores, np.inf), method="max", axis=1)
    counts = rows.truth.sum(axis=1)
    sums = np.where(rows.truth, true_above / above, 0).sum(axis=1)
    return np.where(counts > 0, sums / np.maximum(counts, 1), 1.0)


def _mean_gain(gains: NDArray[np.float64], groups: NDArray[np.int64], level: float) -> Gain:
    """Student's t over the groups' sums."""
    numbers = np.unique(groups, return_inverse=True)[1]
    count, mean = int(numbers.max()) + 1, float(gains.mean())
    if count < 2:
        return Gain(mean, -1.0, 1.0)
    apart = np.bincount(numbers, gains - mean, count)
    deviation = np.sqrt(count / (count - 1) * (apart**2).sum()) / len(gains)
    half = float(stdtrit(count - 1, (1 + level) / 2) * deviation)
    return Gain(mean, mean - half, mean + half)


def pool_weights(members: Sequence[NDArray[np.float64]], rows: LabelledRows) -> NDArray[np.float64]:
    """Weights [M] >= 0 of a logarithmic pool, softmax(sum_m w_m s_m) of scores s_m [N, C], under which the
    labels are likeliest (of several labels a row: sigmoids). They need not sum to 1: the sum makes the pool
    as sure as it is right.
    """
    stacked, several = np.stack(members), rows.labels is None
    shares = rows.weights[:, None] / rows.weights.sum()

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        scores = np.tensordot(weights, stacked, axes=1)
        if several:
            value = (shares * (np.logaddexp(0, scores) - rows.truth * scores)).sum()
            errors = expit(scores) - rows.truth
        else:
            value = (shares[:, 0] * (np.logaddexp.reduce(scores, axis=1) - scores[rows.truth])).sum()
            errors = softmax(scores, axis=1) - rows.truth
        return float(value), np.tensordot(stacked, shares * errors, axes=2)

    first = np.full(len(members), 1 / len(members))
    found = minimize(loss, first, jac=True, method="L-BFGS-B", bounds=[(0, None)] * len(members))
    weights: NDArray[np.float64] = found.x
    return weights
