"""Softmax regression near its optimum, in coordinates where the optimum is near.

L-BFGS needs hundreds of steps on features that correlate, since the loss is then a long valley. The Hessian
of the summed cross-entropy is at most half the features' Gram matrix (D. Boehning, Multinomial logistic
regression algorithm, Ann. Inst. Stat. Math. 44, 1992). So the features are turned to their principal axes
and each axis is scaled by that bound with the penalty: in these coordinates the curvature is at most 1 in
every direction, and the same L-BFGS needs fewer steps. Where a weak penalty lets the classes be told apart
almost surely the true curvature is far below the bound, and the fit ends a per cent or two above the optimum
(`benchmarks/linear_probe.py`). One decomposition serves a whole path of penalties,
and axes on which no row varies, as with fewer rows than dimensions, are left out: the optimum has no part
there.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import softmax

from synsight.metrics.arrays import Floats, Integers

_MAX_ITERATIONS = 1000
TOLERANCE = 3e-5
"""Of the gradient's largest entry in the scaled coordinates, per square root of the rows."""
COARSE = 3e-4
"""Enough to see which penalty is best; a quarter of the steps."""
_RANK = 1e-10
"""Axes whose share of the largest one's variance is smaller hold rounding noise."""


@dataclass(frozen=True, eq=False)
class SoftmaxRegression:
    """Rows of a fitted classifier."""

    weight: NDArray[np.float64]
    """[K, D] of the classes that have training rows."""
    bias: NDArray[np.float64]
    """[K]"""
    classes: NDArray[np.int64]
    """[K] ascending."""
    c: float
    """The inverse strength of the L2 penalty."""
    converged: bool
    """Whether L-BFGS met its tolerance."""

    def probabilities(self, features: Floats) -> NDArray[np.float32]:
        """[M, K] of features [M, D]."""
        scores = features.astype(np.float32) @ self.weight.T.astype(np.float32) + self.bias.astype(np.float32)
        found: NDArray[np.float32] = softmax(scores, axis=1)
        return found


def softmax_path(
    features: Floats, labels: Integers, *, grid: Sequence[float], tolerance: float = TOLERANCE
) -> Iterator[SoftmaxRegression]:
    """One classifier for each C, each starting from the one before.

    Minimises the summed cross-entropy + |W|^2 / (2 C) over rows and free biases: the objective of
    scikit-learn's LogisticRegression, also with two classes, where it has one row in place of two.

    Args:
        features: [N, D], of about unit variance.
        labels: [N] integers of two classes at least.
        grid: Values of C.
        tolerance: When a fit has converged; see `TOLERANCE`.
    """
    problem = _Problem(features, labels)
    start: NDArray[np.float64] | None = None
    for c in grid:
        start, converged = problem.solve(c, start, tolerance)
        weight, bias = problem.rows(start)
        yield SoftmaxRegression(weight, bias, problem.classes, c, converged)


class _Problem:
    """The same rows for a whole path."""

    def __init__(self, features: Floats, labels: Integers) -> None:
        classes, self.targets = np.unique(labels, return_inverse=True)
        self.classes: NDArray[np.int64] = classes.astype(np.int64)
        self.centre = features.mean(axis=0, dtype=np.float64)
        centred = features.astype(np.float64) - self.centre
        self.axes, self.spread = _principal(centred)
        # Single precision where it counts, double where it is summed: the products are all the time it takes.
        self.inputs = (centred @ self.axes).astype(np.float32)
        self.count, self.range = len(self.classes), np.arange(len(self.inputs))

    def solve(
        self, c: float, start: NDArray[np.float64] | None, tolerance: float
    ) -> tuple[NDArray[np.float64], bool]:
        """Rows [K, R + 1] in principal axes, the bias last."""
        penalty = (2.0 if self.count == 2 else 1.0) / c
        rows = len(self.inputs)
        scale = 1 / np.sqrt(np.append(0.5 * self.spread + penalty, 0.5 * rows))
        penalties = np.append(np.full(len(self.spread), penalty), 0.0)
        inputs = self.inputs * scale[:-1].astype(np.float32)
        shape = (self.count, len(scale))

        def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            scaled = flat.reshape(shape)
            actual = scaled * scale
            scores = inputs @ scaled[:, :-1].T.astype(np.float32) + actual[:, -1].astype(np.float32)
            scores -= scores.max(axis=1, keepdims=True)
            right = scores[self.range, self.targets]
            errors = np.exp(scores, out=scores)
            sums = errors.sum(axis=1)
            value = np.log(sums).sum(dtype=np.float64) - right.sum(dtype=np.float64)
            errors /= sums[:, None]
            errors[self.range, self.targets] -= 1
            gradient = np.empty(shape)
            gradient[:, :-1] = errors.T @ inputs
            gradient[:, -1] = errors.sum(axis=0, dtype=np.float64) * scale[-1]
            gradient += penalties * actual * scale
            return float(value + 0.5 * (penalties * actual**2).sum()), gradient.ravel()

        begin = np.zeros(shape) if start is None else start / scale
        found = minimize(
            loss,
            begin.ravel(),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": _MAX_ITERATIONS, "gtol": float(tolerance * np.sqrt(rows)), "ftol": 1e-10},
        )
        return found.x.reshape(shape) * scale, bool(found.success)

    def rows(self, solution: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Weight [K, D] and bias [K] over the features as they were given."""
        weight = solution[:, :-1] @ self.axes.T
        bias = solution[:, -1] - weight @ self.centre
        return weight, bias - bias.mean()


def _principal(centred: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Axes [D, R] along which rows vary, and the sum of squares along each."""
    if len(centred) >= centred.shape[1]:
        spread, axes = np.linalg.eigh(centred.T @ centred)
    else:
        spread, left = np.linalg.eigh(centred @ centred.T)
        axes = centred.T @ (left / np.sqrt(np.maximum(spread, np.finfo(float).tiny)))
    kept = spread > _RANK * max(spread[-1], np.finfo(float).tiny)
    return axes[:, kept], spread[kept]
