"""Logistic regression of several labels a row: one classifier a class, all fitted at once.

The classes share no parameter, so each has its own Newton steps, solved by conjugate gradients in the
features' principal axes as in `softmax_regression`; taken together, a product with the curvature is two
matrix products for all classes that are still on their way.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from synsight.errors import ShapeError
from synsight.metrics.arrays import Floats, check_finite
from synsight.metrics.average_precision import mean_average_precision
from synsight.metrics.linear_probe import FEW_C_GRID
from synsight.metrics.softmax_regression import along_axes, mean_and_deviation, principal_axes

_TOLERANCE, _COARSE = 3e-5, 1e-2
"""Share of a class' objective: it has converged when a whole step lowers it by less; the coarse one shows
which penalty is best."""
_MAX_STEPS, _MAX_PRODUCTS = 50, 50
_WORTH, _ARMIJO, _LEAST_SIZE, _ROUNDING, _LEAST_CURVATURE = 0.2, 1e-4, 1e-3, 1e-6, 1e-6
"""As in `softmax_regression`, class by class."""
_PATIENCE = 1
"""Decades of C that may bring nothing; the precision is smooth in C, and weak penalties take longest."""


@dataclass(frozen=True, eq=False)
class OneVsRest:
    """Fitted classifiers on features as they come from the encoder."""

    weight: NDArray[np.float64]
    """[C, D]"""
    bias: NDArray[np.float64]
    """[C]"""
    c: float
    """The inverse strength of the L2 penalty that was chosen."""
    converged: bool
    """Whether every class met the tolerance."""

    def probabilities(self, features: Floats) -> NDArray[np.float32]:
        """Of each class by itself, [M, C], for features [M, D].

        Raises:
            ShapeError: Another dimension than that of the training rows.
            DataError: A feature is NaN or infinite.
        """
        check_finite(features)
        if features.shape[1] != self.weight.shape[1]:
            raise ShapeError(
                f"features must have the {self.weight.shape[1]} dimensions of the training rows; got "
                f"{features.shape}; embed both with the same model."
            )
        found: NDArray[np.float32] = expit(features.astype(np.float64) @ self.weight.T + self.bias).astype(
            np.float32
        )
        return found


def fit_one_vs_rest(
    train_features: Floats,
    train_truth: NDArray[np.bool_],
    val_features: Floats,
    val_truth: NDArray[np.bool_],
    *,
    grid: tuple[float, ...] = FEW_C_GRID,
) -> OneVsRest:
    """Fit on the training rows; of the grid, the C with the highest mean average precision on the validation
    rows is kept, one for all classes.

    Minimises, for each class, the summed binary cross-entropy + |w|^2 / (2 C) on standardised features with a
    free bias: scikit-learn's LogisticRegression behind its StandardScaler. The path goes from strong to weak
    regularisation, coarsely, and stops when two values have brought nothing; the best one is fitted to
    convergence.

    Args:
        train_features: [N, D].
        train_truth: [N, C]; every class needs a row that has it and one that has it not.
        val_features: [V, D].
        val_truth: [V, C], one true entry at least.
        grid: Values of C to try, ascending.

    Raises:
        ShapeError: Features and truth do not fit, or a class is true of all training rows, or of none.
        DataError: A feature is NaN or infinite.
    """
    best, best_precision, since = grid[0], -1.0, 0
    for probe in one_vs_rest_path(train_features, train_truth, grid=grid, tolerance=_COARSE):
        precision = mean_average_precision(probe.probabilities(val_features), val_truth)
        since += 1
        if precision > best_precision:
            best, best_precision, since = probe.c, precision, 0
        if since > _PATIENCE:
            break
    return next(one_vs_rest_path(train_features, train_truth, grid=(best,)))


def one_vs_rest_path(
    features: Floats, truth: NDArray[np.bool_], *, grid: Sequence[float], tolerance: float = _TOLERANCE
) -> Iterator[OneVsRest]:
    """One fit for each C, each starting from the one before; see `fit_one_vs_rest`."""
    check_finite(features)
    if truth.ndim != 2 or len(truth) != len(features) or not (truth.any(axis=0) & ~truth.all(axis=0)).all():
        raise ShapeError(
            f"truth must be [rows, classes], each class true of some rows and not of others; got "
            f"{truth.shape} for features {features.shape}; leave out classes that do not vary."
        )
    mean, deviation = mean_and_deviation(features)
    scale = np.where(deviation > 0, deviation, 1.0)
    axes, spread = principal_axes(features, mean, scale)
    problem = _Problem(along_axes(features, axes, mean, scale), truth, spread)
    start = np.zeros((truth.shape[1], len(spread) + 1))
    start[:, -1] = logit(truth.mean(axis=0))
    for c in grid:
        start, converged = problem.solve(start, c=c, tolerance=tolerance)
        weight = (start[:, :-1] @ axes.T) / scale
        yield OneVsRest(weight, start[:, -1] - weight @ mean, c, converged)


class _Problem:
    """The same rows for a whole path; inputs are [N, R + 1] and parameters [C, R + 1] in principal axes, the
    bias last.
    """

    def __init__(
        self, inputs: NDArray[np.float32], truth: NDArray[np.bool_], spread: NDArray[np.float64]
    ) -> None:
        self.inputs = inputs
        self.targets = truth.astype(np.float32)
        self.squares = np.append(spread, len(inputs)).astype(np.float32)

    def solve(
        self, start: NDArray[np.float64], *, c: float, tolerance: float
    ) -> tuple[NDArray[np.float64], bool]:
        """The parameters at the optimum, and whether every class met the tolerance."""
        penalties = np.full(len(self.squares), 1 / c, np.float32)
        penalties[-1] = 0  # the bias is free
        solution, converged = start.copy(), np.zeros(len(start), bool)
        open_ = np.arange(len(start))
        values = np.full(len(start), np.inf)
        for _ in range(_MAX_STEPS):
            here = solution[open_]
            step, gain, values[open_] = self._newton_step(open_, here, penalties)
            met = gain < tolerance * values[open_]
            solution[open_], moved = self._line_search(open_, here, step, gain, values[open_], penalties)
            converged[open_[met]] = True
            open_ = open_[~met & moved]
            if not len(open_):
                break
        return solution, bool(converged.all())

    def _value(self, scores: NDArray[np.float32], targets: NDArray[np.float32]) -> NDArray[np.float64]:
        """Cross-entropy of each class, [A]: log(1 + exp(s)) - s y, summed over the rows."""
        each = np.maximum(scores, 0) - scores * targets + np.log1p(np.exp(-np.abs(scores)))
        total: NDArray[np.float64] = each.sum(axis=0, dtype=np.float64)
        return total

    def _newton_step(
        self, classes: NDArray[np.int64], here: NDArray[np.float64], penalties: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.float64]]:
        """For each class the step [A, R + 1] by conjugate gradients, what it promises, and the objective."""
        targets = self.targets[:, classes]
        scores = self.inputs @ here.T.astype(np.float32)
        values = self._value(scores, targets) + 0.5 * (penalties * here**2).sum(axis=1)
        chances = expit(scores)
        rest = -((chances - targets).T @ self.inputs + penalties * here).astype(np.float32)
        bends = chances * (1 - chances)
        curvature = bends.mean(axis=0)[:, None] * self.squares + penalties
        curvature = np.maximum(curvature, _LEAST_CURVATURE * curvature.max(axis=1, keepdims=True))
        step, scaled = np.zeros_like(rest), rest / curvature
        direction, size = scaled, _dots(rest, scaled)
        gain, going = np.zeros(len(classes)), np.ones(len(classes), bool)
        for number in range(1, _MAX_PRODUCTS + 1):
            product = ((self.inputs @ direction.T) * bends).T @ self.inputs + penalties * direction
            bent = _dots(direction, product)
            going &= (bent > 0) & (size > 0)  # else nothing is left but rounding
            length = np.where(going, size / np.where(going, bent, 1), 0)
            step += length[:, None].astype(np.float32) * direction
            rest -= length[:, None].astype(np.float32) * product
            gain += (brought := 0.5 * size * length)
            going &= number * brought >= _WORTH * gain
            if not going.any():
                break
            scaled = rest / curvature
            size, before = _dots(rest, scaled), size
            turn = np.where(going, size / np.where(going, before, 1), 0)
            direction = scaled + turn[:, None].astype(np.float32) * direction
        return step, gain, values

    def _line_search(
        self,
        classes: NDArray[np.int64],
        here: NDArray[np.float64],
        step: NDArray[np.float32],
        gain: NDArray[np.float64],
        values: NDArray[np.float64],
        penalties: NDArray[np.float32],
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Where the steps lead, halved until they bring what they should; whether a class moved at all."""
        found, moved = here.copy(), np.zeros(len(classes), bool)
        trying, size = np.flatnonzero(gain > 0), 1.0
        while len(trying) and size >= _LEAST_SIZE:
            there = here[trying] + size * step[trying]
            scores = self.inputs @ there.T.astype(np.float32)
            reached = self._value(scores, self.targets[:, classes[trying]])
            reached += 0.5 * (penalties * there**2).sum(axis=1)
            good = reached <= (1 + _ROUNDING) * values[trying] - _ARMIJO * size * gain[trying]
            found[trying[good]], moved[trying[good]] = there[good], True
            trying, size = trying[~good], size / 2
        return found, moved


def _dots(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float64]:
    """Row by row, [A]."""
    products: NDArray[np.float64] = np.einsum("cr,cr->c", first, second, dtype=np.float64)
    return products
