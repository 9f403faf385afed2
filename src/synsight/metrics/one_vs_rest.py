"""Logistic regression of several labels a row: one classifier a class, all fitted at once.

The classes share no parameter, so the joint optimum is each one's own; fitted together, a step is two matrix
products for all of them. L-BFGS works in the features' principal axes, each scaled by the curvature there:
the axis' sum of squares times that of a class with its share of rows, p (1 - p), and the penalty. A label
that one row in two hundred has has a fiftieth of the curvature of one that half of the rows have.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, logit

from synsight.errors import ShapeError
from synsight.metrics.arrays import Floats, check_finite
from synsight.metrics.average_precision import mean_average_precision
from synsight.metrics.linear_probe import FEW_C_GRID
from synsight.metrics.softmax_regression import principal_axes

_MAX_ITERATIONS, _COARSE_ITERATIONS = 300, 40
_TOLERANCE, _COARSE = 1e-3, 1e-2
"""Of the gradient's largest entry in the scaled coordinates; the coarse one shows which penalty is best."""
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
    """Whether L-BFGS met its tolerance for it."""

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
    convergence, or 300 steps.

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
    mean = features.mean(axis=0, dtype=np.float64)
    deviation = features.std(axis=0, dtype=np.float64)
    scale = np.where(deviation > 0, deviation, 1.0)
    standardised = (features - mean) / scale
    axes, spread = principal_axes(standardised)
    inputs = (standardised @ axes).astype(np.float32)
    start = np.zeros((truth.shape[1], len(spread) + 1))
    start[:, -1] = logit(truth.mean(axis=0))
    for c in grid:
        start, converged = _solve(inputs, truth, spread, c=c, start=start, tolerance=tolerance)
        weight = (start[:, :-1] @ axes.T) / scale
        yield OneVsRest(weight, start[:, -1] - weight @ mean, c, converged)


def _solve(
    inputs: NDArray[np.float32],
    truth: NDArray[np.bool_],
    spread: NDArray[np.float64],
    *,
    c: float,
    start: NDArray[np.float64],
    tolerance: float,
) -> tuple[NDArray[np.float64], bool]:
    """Rows [C, R + 1] in principal axes, the bias last."""
    rows = len(inputs)
    targets = truth.astype(np.float32)
    shares = targets.mean(axis=0, dtype=np.float64)
    curvature = (shares * (1 - shares))[:, None] * np.append(spread, rows)
    penalties = np.append(np.full(len(spread), 1 / c), 0.0)
    scale = 1 / np.sqrt(curvature + penalties)

    def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        actual = flat.reshape(start.shape) * scale
        scores = inputs @ actual[:, :-1].T.astype(np.float32) + actual[:, -1].astype(np.float32)
        errors = expit(scores)
        # log(1 + e^x) = max(x, 0) - log(expit(|x|)); one exponential serves both.
        value = np.maximum(scores, 0).sum(dtype=np.float64) - scores[truth].sum(dtype=np.float64)
        value -= np.log(np.maximum(errors, 1 - errors)).sum(dtype=np.float64)
        errors -= targets
        gradient = np.empty(start.shape)
        gradient[:, :-1] = errors.T @ inputs
        gradient[:, -1] = errors.sum(axis=0, dtype=np.float64)
        gradient += penalties * actual
        return float(value + 0.5 * (penalties * actual**2).sum()), (gradient * scale).ravel()

    most = _COARSE_ITERATIONS if tolerance >= _COARSE else _MAX_ITERATIONS
    found = minimize(
        loss,
        (start / scale).ravel(),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": most, "gtol": tolerance, "ftol": 1e-10},
    )
    return found.x.reshape(start.shape) * scale, bool(found.success)
