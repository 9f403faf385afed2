"""Softmax regression at its optimum, by Newton steps whose equations are solved only as far as they pay.

First-order methods need hundreds of steps on features that correlate, since the loss is then a long valley,
and more where a weak penalty lets the classes be told apart almost surely: the curvature p (1 - p) is then
far below any bound that holds everywhere. So each step takes the curvature where it stands, through products
of the Hessian with vectors, which cost no more than a gradient (truncated Newton: Dembo and Steihaug,
Truncated-Newton algorithms for large-scale unconstrained optimization, Math. Programming 26, 1983; for this
model, Lin, Weng and Keerthi, Trust region Newton method for logistic regression, JMLR 9, 2008). In the
principal axes of the features the Hessian is close to diagonal: an axis' sum of squares times a class' mean
curvature, and the penalty. Conjugate gradients preconditioned by it need two to ten products. One
decomposition serves a whole path of penalties, and axes on which no row varies, as with fewer rows than
dimensions, are left out: the optimum has no part there.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from synsight.metrics.arrays import Floats, Integers

TOLERANCE = 3e-5
"""Share of the objective: a fit has converged when a whole step lowers it by less; what is left is a small
part of that."""
COARSE = 1e-3
"""Enough to see which penalty is best, in a half of the time."""
_MAX_STEPS = 200
_MAX_PRODUCTS = 200
"""Of the Hessian with a vector, in one step."""
_WORTH = 0.2
"""A step's equations are solved until a product brings less than this part of the mean gain of a product."""
_LEAST_CURVATURE = 1e-6
"""Of the largest; single precision has none where a class is certain."""
_ROUNDING = 1e-6
"""Of the objective, in single precision; no line search can see less."""
_ARMIJO, _LEAST_SIZE = 1e-4, 1e-3
"""Share of the promised gain that a step must bring, and the part of a step that is tried last."""
_CELLS = 4_000_000
"""Numbers held in double precision at once."""
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
    """Whether the last step met the tolerance."""

    def probabilities(self, features: Floats) -> NDArray[np.float32]:
        """[M, K] of features [M, D]."""
        scores = features.astype(np.float32, copy=False) @ self.weight.T.astype(
            np.float32
        ) + self.bias.astype(np.float32)
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
    del features  # the problem has them in its own axes, and a path may take long
    passed: list[tuple[float, NDArray[np.float64]]] = []
    for c in grid:
        found, converged = problem.solve(c, _starts(passed, c), tolerance)
        passed = [*passed[-1:], (np.log(c), found)]
        weight, bias = problem.rows(found)
        yield SoftmaxRegression(weight, bias, problem.classes, c, converged)


def _starts(passed: list[tuple[float, NDArray[np.float64]]], c: float) -> list[NDArray[np.float64]]:
    """Where to begin: where the path stands, and where it leads to, as weights grow about as log C."""
    if len(passed) < 2 or passed[0][0] == passed[1][0]:
        return [found for _, found in passed[-1:]]
    (before, first), (now, second) = passed
    return [second, second + (np.log(c) - now) / (now - before) * (second - first)]


class _Problem:
    """The same rows for a whole path.

    Parameters are [K, R + 1] in principal axes, the bias last. Single precision where it counts, double where
    it is summed: the products with the inputs are nearly all the time it takes.
    """

    def __init__(self, features: Floats, labels: Integers) -> None:
        classes, self.targets = np.unique(labels, return_inverse=True)
        self.classes: NDArray[np.int64] = classes.astype(np.int64)
        self.centre = features.mean(axis=0, dtype=np.float64)
        self.axes, spread = principal_axes(features, self.centre)
        self.inputs = along_axes(features, self.axes, self.centre)
        self.squares = np.append(spread, len(features)).astype(np.float32)
        self.count, self.range = len(self.classes), np.arange(len(features))

    def solve(
        self, c: float, starts: Sequence[NDArray[np.float64]], tolerance: float
    ) -> tuple[NDArray[np.float64], bool]:
        """The parameters at the optimum, and whether they met the tolerance; the best start is taken."""
        penalties = np.full(len(self.squares), (2.0 if self.count == 2 else 1.0) / c, np.float32)
        penalties[-1] = 0  # the bias is free
        points = [
            self._point(one, penalties) for one in starts or [np.zeros((self.count, len(self.squares)))]
        ]
        here = min(points, key=lambda point: point.value)
        for _ in range(_MAX_STEPS):
            step, gain = self._newton_step(here, penalties)
            if gain <= 0:
                return here.parameters, True
            size, least = 1.0, (1 + _ROUNDING) * here.value
            while (there := self._point(here.parameters + size * step, penalties)).value > (
                least - _ARMIJO * size * gain
            ):
                size /= 2
                if size < _LEAST_SIZE:
                    return here.parameters, False
            here = there
            if gain < tolerance * here.value:
                return here.parameters, True
        return here.parameters, False

    def _point(self, parameters: NDArray[np.float64], penalties: NDArray[np.float32]) -> "_Point":
        """The objective there; what is right is summed from what is wrong, so that certain rows count too."""
        scores = self.inputs @ parameters.T.astype(np.float32)
        scores -= scores.max(axis=1, keepdims=True)
        right = scores[self.range, self.targets].astype(np.float64)
        chances = np.exp(scores, out=scores)
        chances[self.range, self.targets] = 0
        others = chances.sum(axis=1, dtype=np.float64)
        sums = others + np.exp(right)
        chances /= sums[:, None].astype(np.float32)
        errors = chances.copy()
        errors[self.range, self.targets] = -others / sums
        chances[self.range, self.targets] = np.exp(right) / sums
        gradient = errors.T @ self.inputs + penalties * parameters
        value = (np.log(sums) - right).sum() + 0.5 * (penalties * parameters**2).sum()
        return _Point(parameters, float(value), gradient, chances)

    def _newton_step(
        self, here: "_Point", penalties: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], float]:
        """The step [K, R + 1] by conjugate gradients, and by how much it lowers the quadratic model."""
        chances = here.chances
        means = (chances * (1 - chances)).mean(axis=0)
        curvature = means[:, None] * self.squares + penalties
        curvature = np.maximum(curvature, _LEAST_CURVATURE * curvature.max())
        rest = -here.gradient.astype(np.float32)
        rest[:, -1] -= rest[:, -1].mean()
        step, scaled = np.zeros_like(rest), rest / curvature
        direction, size, gain = scaled, float(np.vdot(rest, scaled)), 0.0
        for number in range(1, _MAX_PRODUCTS + 1):
            moved = self.inputs @ direction.T
            moved -= moved[self.range, self.targets][:, None]  # else certain rows would hold rounding only
            moved *= chances
            moved -= chances * moved.sum(axis=1, keepdims=True)
            product = moved.T @ self.inputs + penalties * direction
            product[:, -1] -= product[:, -1].mean()  # one number added to all biases changes nothing
            bent = float(np.vdot(direction, product))
            if bent <= 0:  # nothing is left but rounding
                break
            length = np.float32(size / bent)
            step += length * direction
            rest -= length * product
            gain += (brought := 0.5 * size**2 / bent)
            if number * brought < _WORTH * gain:
                break
            scaled = rest / curvature
            size, before = float(np.vdot(rest, scaled)), size
            direction = scaled + np.float32(size / before) * direction
        return step, gain

    def rows(self, solution: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Weight [K, D] and bias [K] over the features as they were given."""
        weight = solution[:, :-1] @ self.axes.T
        bias = solution[:, -1] - weight @ self.centre
        return weight, bias - bias.mean()


@dataclass(frozen=True, eq=False)
class _Point:
    """The objective at some parameters."""

    parameters: NDArray[np.float64]
    value: float
    gradient: NDArray[np.float64]
    chances: NDArray[np.float32]
    """[N, K] of the classes for each row."""


def principal_axes(
    features: Floats, centre: NDArray[np.float64], scale: NDArray[np.float64] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Axes [D, R] along which rows [N, D] vary, and the sum of squares along each.

    Rows are taken less the centre, and over the scale where there is one, in double precision and a block at
    a time: no copy of all of them is made where there are more rows than dimensions.
    """
    blocks = (block for _, block in _blocks(features, centre, scale))
    if len(features) >= features.shape[1]:
        products = np.zeros((features.shape[1], features.shape[1]))
        for block in blocks:
            products += block.T @ block
        spread, axes = np.linalg.eigh(products)
    else:
        centred = np.concatenate(list(blocks))
        spread, left = np.linalg.eigh(centred @ centred.T)
        axes = centred.T @ (left / np.sqrt(np.maximum(spread, np.finfo(float).tiny)))
    kept = spread > _RANK * max(spread[-1], np.finfo(float).tiny)
    return axes[:, kept], spread[kept]


def along_axes(
    features: Floats,
    axes: NDArray[np.float64],
    centre: NDArray[np.float64],
    scale: NDArray[np.float64] | None = None,
) -> NDArray[np.float32]:
    """The rows in these axes with a one behind them, for the bias: [N, R + 1]."""
    inputs = np.ones((len(features), axes.shape[1] + 1), np.float32)
    for rows, block in _blocks(features, centre, scale):
        inputs[rows, :-1] = block @ axes
    return inputs


def mean_and_deviation(features: Floats) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of each column [D], in double precision, without a copy of all rows."""
    mean: NDArray[np.float64] = features.mean(axis=0, dtype=np.float64)
    squares = sum(np.square(block).sum(axis=0) for _, block in _blocks(features, mean, None))
    return mean, np.sqrt(squares / len(features))


def _blocks(
    features: Floats, centre: NDArray[np.float64], scale: NDArray[np.float64] | None
) -> Iterator[tuple[slice, NDArray[np.float64]]]:
    """Which rows, and these in double precision."""
    at_once = max(1, _CELLS // features.shape[1])
    for start in range(0, len(features), at_once):
        rows = slice(start, start + at_once)
        block = features[rows].astype(np.float64)
        block -= centre
        if scale is not None:
            block /= scale
        yield rows, block
