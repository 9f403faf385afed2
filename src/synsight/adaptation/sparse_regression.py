"""Softmax regression in which each class reads a few of many inputs.

N rows, V inputs, C classes.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, softmax

CANDIDATES = 2000
"""Words that may be chosen: those that correlate most with a class; bounds memory where a vocabulary has tens
of thousands."""
PATH, LEAST_PENALTY = 24, 0.01
"""Penalties that are tried, from just below the one under which every weight is zero down to this part."""
MAX_STEPS = 400
TOLERANCE = 1e-4
"""Largest change of a weight in a step, as a share of the largest weight, at which a fit has converged."""


class SparseRegression:
    """Weighted mean cross-entropy of a softmax (or of sigmoids, for several labels) on fixed inputs.

    Args:
        inputs: [N, V] of about unit variance.
        truth: [N, C] which classes a row has.
        weights: [N] how much each row counts.
        multilabel: Several labels a row.
    """

    def __init__(
        self,
        inputs: NDArray[np.float64],
        truth: NDArray[np.bool_],
        weights: NDArray[np.float64],
        *,
        multilabel: bool,
    ) -> None:
        self.truth = truth.astype(np.float64)
        self.weights = weights / weights.sum()
        self.link = expit if multilabel else _softmax
        self.inputs, self.words = inputs, inputs.shape[1]
        shares = np.clip(self.weights @ self.truth, 1e-6, 1 - 1e-6)
        self.start = np.log(shares / (1 - shares)) if multilabel else np.log(shares)
        slope = np.abs(self._gradient(np.zeros((self.truth.shape[1], self.words)), self.start)[0])
        self.kept = np.sort(np.argsort(-slope.max(axis=0), kind="stable")[:CANDIDATES])
        self.inputs = np.ascontiguousarray(inputs[:, self.kept])
        self.largest = float(slope.max(initial=0.0))
        self.curvature = 0.25 if multilabel else 0.5

    def chosen_words(self, most: int) -> NDArray[np.bool_]:
        """[C, V'] the words of each class, at most so many: the heaviest where the L1 penalty, as it falls,
        first lets in that many for this class.

        One penalty for all classes would leave hard ones without a word where easy ones have dozens.
        """
        weight, bias = np.zeros((self.truth.shape[1], len(self.kept))), self.start
        chosen = np.zeros(weight.shape, bool)
        full = np.zeros(len(weight), bool)
        for penalty in self.largest * np.geomspace(0.9, LEAST_PENALTY, PATH):
            weight, bias = self.fitted(weight, bias, lasso=float(penalty))
            chosen[~full] = _heaviest(weight, most)[~full]
            full |= (weight != 0).sum(axis=1) >= most
            if full.all():
                break
        return chosen

    def refitted(
        self, chosen: NDArray[np.bool_], *, ridge: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Weights [C, V] of the chosen words alone, and the intercepts [C]."""
        weight, bias = self.fitted(np.zeros(chosen.shape), self.start, ridge=ridge, allowed=chosen)
        full = np.zeros((len(weight), self.words))
        full[:, self.kept] = weight
        return full, bias

    def fitted(
        self,
        weight: NDArray[np.float64],
        bias: NDArray[np.float64],
        *,
        lasso: float = 0.0,
        ridge: float = 0.0,
        allowed: NDArray[np.bool_] | None = None,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Minimise the mean loss + lasso |W|_1 + ridge |W|^2 / 2 by proximal gradients with momentum (FISTA
        with restarts), from given weights; the intercepts are free.

        Reference: Beck and Teboulle 2009; O'Donoghue and Candes 2015 for the restart.
        """
        step = 1 / (self.curvature * self._largest_eigenvalue() + ridge)
        ahead_weight, ahead_bias, momentum = weight, bias, 1.0
        for _ in range(MAX_STEPS):
            slope, slope_bias = self._gradient(ahead_weight, ahead_bias)
            moved = ahead_weight - step * (slope + ridge * ahead_weight)
            new = np.sign(moved) * np.maximum(np.abs(moved) - step * lasso, 0)
            if allowed is not None:
                new *= allowed
            new_bias = ahead_bias - step * slope_bias
            change, change_bias = new - weight, new_bias - bias
            uphill = ((ahead_weight - new) * change).sum() + (ahead_bias - new_bias) @ change_bias > 0
            before = momentum
            momentum = 1.0 if uphill else (1 + np.sqrt(1 + 4 * before**2)) / 2
            share = 0.0 if uphill else (before - 1) / momentum
            ahead_weight, ahead_bias = new + share * change, new_bias + share * change_bias
            weight, bias = new, new_bias
            size = max(float(np.abs(weight).max(initial=0)), float(np.abs(bias).max()), 1e-9)
            if max(float(np.abs(change).max(initial=0)), float(np.abs(change_bias).max())) < TOLERANCE * size:
                break
        return weight, bias

    def _gradient(
        self, weight: NDArray[np.float64], bias: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        wrong = (self.link(self.inputs @ weight.T + bias) - self.truth) * self.weights[:, None]
        return wrong.T @ self.inputs, wrong.sum(axis=0)

    def _largest_eigenvalue(self) -> float:
        """Of the inputs' second moments with the column of ones, by power steps, with a margin."""
        if not hasattr(self, "_eigenvalue"):
            vector = np.random.default_rng(0).normal(size=self.inputs.shape[1] + 1)
            value = 1.0
            for _ in range(50):
                vector /= np.linalg.norm(vector)
                shown = self.weights * (self.inputs @ vector[:-1] + vector[-1])
                vector = np.append(shown @ self.inputs, shown.sum())
                value = float(np.linalg.norm(vector))
            self._eigenvalue = 1.05 * value
        return self._eigenvalue


def _heaviest(weight: NDArray[np.float64], most: int) -> NDArray[np.bool_]:
    """Of each row the largest entries that are not zero, at most so many."""
    order = np.argsort(-np.abs(weight), axis=1, kind="stable")[:, :most]
    found: NDArray[np.bool_] = np.zeros(weight.shape, np.bool_)
    np.put_along_axis(found, order, True, axis=1)
    found &= weight != 0
    return found


def _softmax(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = softmax(scores, axis=1)
    return found
