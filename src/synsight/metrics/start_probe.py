"""Linear classifiers on frozen features that begin at given rows: does the beginning matter?

On a converged convex probe it cannot. It can where training ends after so many steps, and where the distance
from the first rows is what is penalised, in place of the distance from zero.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax
from sklearn.model_selection import StratifiedGroupKFold

from synsight.errors import ConfigError, ShapeError
from synsight.metrics.arrays import Floats, Integers, check_features, check_finite
from synsight.metrics.linear_probe import DEFAULT_C, FEW_C_GRID, FOLDS

_MAX_ITERATIONS = 2000
_TOLERANCE, _COARSE = 1e-8, 1e-5
"""Of the mean loss's gradient; the coarse one shows which c is best."""
_BETAS, _EPS = (0.9, 0.999), 1e-8


@dataclass(frozen=True, eq=False)
class Start:
    """Rows of a softmax classifier over features as the encoder gives them."""

    weight: NDArray[np.float64]
    """[C, D]"""
    bias: NDArray[np.float64]
    """[C]; minus infinity: the class is not in question."""

    def probabilities(self, features: Floats) -> NDArray[np.float32]:
        """Class probabilities [M, C] of features [M, D].

        Raises:
            ShapeError: Another dimension than that of the rows.
            DataError: A feature is NaN or infinite.
        """
        _check_start(self, features)
        probabilities: NDArray[np.float32] = softmax(self._scores(features), axis=1).astype(np.float32)
        return probabilities

    def _scores(self, features: Floats) -> NDArray[np.float64]:
        scores: NDArray[np.float64] = features.astype(np.float64) @ self.weight.T + self.bias
        return scores


@dataclass(frozen=True, eq=False)
class StartProbe(Start):
    """A fitted classifier; a class without a training row has probability zero."""

    c: float
    """The inverse strength of the L2 penalty."""
    converged: bool
    """Whether L-BFGS met its tolerance."""


def random_start(num_classes: int, dimension: int, *, seed: int = 0, deviation: float = 0.01) -> Start:
    """Normal rows without biases, as a new linear head begins."""
    weight = np.random.default_rng(seed).normal(0, deviation, (num_classes, dimension))
    return Start(weight, np.zeros(num_classes))


def fit_from_start(
    features: Floats,
    labels: Integers,
    *,
    start: Start,
    c: float = DEFAULT_C,
    pull: bool = True,
    tolerance: float = _TOLERANCE,
) -> StartProbe:
    """Softmax regression by L-BFGS from given rows, on standardised features.

    Minimises the summed cross-entropy + |W - A|^2 / (2 c), where A are the rows of the start (`pull`) or
    zero: the latter is scikit-learn's LogisticRegression, from wherever it begins. Biases are free. As in
    `fit_linear_probe`, features are standardised with the training rows' mean and deviation, and the start
    is converted so that it gives the same scores.

    Args:
        features: [N, D].
        labels: [N] integers in 0 to C - 1, two different ones at least.
        start: Rows of the C classes.
        c: Inverse strength of the penalty, > 0.
        pull: Penalise the distance from the start, not from zero.
        tolerance: Of the largest entry of the mean loss's gradient.

    Raises:
        ShapeError: Features, labels and start do not fit, or there is one class only.
        DataError: A feature is NaN or infinite.
        ConfigError: c is not positive.
    """
    if not c > 0:
        raise ConfigError(f"c must be > 0; got {c!r}.")
    classes = _check_training(features, labels, start)
    mean = features.mean(axis=0, dtype=np.float64)
    deviation = features.std(axis=0, dtype=np.float64)
    scale = np.where(deviation > 0, deviation, 1.0)
    inputs = (features - mean) / scale
    targets = labels[:, None] == classes
    first = np.column_stack([start.weight[classes] * scale, start._scores(mean[None])[0, classes]])
    centre = first[:, :-1] if pull else np.zeros_like(first[:, :-1])

    def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        rows = flat.reshape(first.shape)
        log_probabilities = log_softmax(inputs @ rows[:, :-1].T + rows[:, -1], axis=1)
        moved = rows[:, :-1] - centre
        value = -log_probabilities[targets].sum() + (moved**2).sum() / (2 * c)
        errors = np.exp(log_probabilities) - targets
        gradient = np.column_stack([errors.T @ inputs + moved / c, errors.sum(axis=0)])
        return value / len(inputs), gradient.ravel() / len(inputs)

    found = minimize(
        loss,
        first.ravel(),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": _MAX_ITERATIONS, "gtol": tolerance, "ftol": 1e-6 * tolerance, "maxcor": 20},
    )
    rows = found.x.reshape(first.shape)
    weight, bias = rows[:, :-1] / scale, rows[:, -1] - (rows[:, :-1] / scale) @ mean
    return StartProbe(*_spread(start, classes, weight, bias), c=c, converged=bool(found.success))


def fit_few_from_start(
    features: Floats,
    labels: Integers,
    groups: Integers,
    *,
    start: Start,
    pull: bool = True,
    grid: tuple[float, ...] = FEW_C_GRID,
) -> StartProbe:
    """`fit_from_start` with c chosen by cross-validation inside these rows, as `fit_few_labels` chooses it.

    Args:
        features: [N, D].
        labels: [N] integers in 0 to C - 1, two different ones at least.
        groups: [N] integers; rows of one group are near-duplicates and never parted.
        start: Rows of the C classes.
        pull: Penalise the distance from the start, not from zero.
        grid: Values of c to try. With one row a class there is nothing to choose by, and c is `DEFAULT_C`.

    Raises:
        ShapeError: Features, labels and start do not fit, or there is one class only.
        DataError: A feature is NaN or infinite.
    """
    _check_training(features, labels, start)
    totals = np.zeros((len(grid), 2))
    for train, held_out in _folds(features, labels, groups):
        for number, c in enumerate(grid):
            probe = fit_from_start(
                features[train], labels[train], start=start, c=c, pull=pull, tolerance=_COARSE
            )
            probabilities = probe.probabilities(features[held_out])
            right = probabilities[np.arange(len(held_out)), labels[held_out]]
            hits = probabilities.argmax(axis=1) == labels[held_out]
            totals[number] += hits.sum(), np.log(np.maximum(right, 1e-12)).sum()
    best = max(range(len(grid)), key=lambda number: tuple(totals[number]))
    c = grid[best] if totals.any() else DEFAULT_C
    return fit_from_start(features, labels, start=start, c=c, pull=pull)


def fit_fixed_steps(
    features: Floats,
    labels: Integers,
    *,
    start: Start,
    epochs: int = 30,
    rate: float = 3e-5,
    final_rate: float = 1e-6,
    batch_size: int = 256,
    seed: int = 0,
) -> Start:
    """Softmax regression by so many steps of AdamW without decay, on the features as they are.

    Args:
        features: [N, D].
        labels: [N] integers in 0 to C - 1, two different ones at least.
        start: Rows of the C classes.
        epochs: Passes over the rows, each in a new order; the last, smaller batch of each is used.
        rate: First learning rate.
        final_rate: Last one; half a cosine lies between.
        batch_size: Rows of a step.
        seed: Of the order.

    Raises:
        ShapeError: Features, labels and start do not fit, or there is one class only.
        DataError: A feature is NaN or infinite.

    Reference: the defaults are CatLIP's linear probe (Mehta et al. 2024, table 7,
    https://arxiv.org/abs/2404.15653), Adam as in torch.
    """
    classes = _check_training(features, labels, start)
    inputs = np.column_stack([features, np.ones(len(features))]).astype(np.float64)
    targets = (labels[:, None] == classes).astype(np.float64)
    rows = np.column_stack([start.weight[classes], start.bias[classes]])
    first_moment, second_moment = np.zeros_like(rows), np.zeros_like(rows)
    order = np.random.default_rng(seed)
    steps = epochs * math.ceil(len(inputs) / batch_size)
    batches = (
        batch
        for _ in range(epochs)
        for batch in np.array_split(
            order.permutation(len(inputs)), range(batch_size, len(inputs), batch_size)
        )
    )
    for step, batch in enumerate(batches):
        errors = softmax(inputs[batch] @ rows.T, axis=1) - targets[batch]
        gradient = errors.T @ inputs[batch] / len(batch)
        first_moment = _BETAS[0] * first_moment + (1 - _BETAS[0]) * gradient
        second_moment = _BETAS[1] * second_moment + (1 - _BETAS[1]) * gradient**2
        now = final_rate + (rate - final_rate) * (1 + math.cos(math.pi * step / steps)) / 2
        deviation = np.sqrt(second_moment / (1 - _BETAS[1] ** (step + 1)))
        rows = rows - now * first_moment / (1 - _BETAS[0] ** (step + 1)) / (deviation + _EPS)
    return Start(*_spread(start, classes, rows[:, :-1], rows[:, -1]))


def _folds(
    features: Floats, labels: Integers, groups: Integers
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    counts = np.bincount(labels)
    folds = min(FOLDS, int(counts[counts > 0].min()))
    if folds < 2:
        return
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=0)
    for train, held_out in splitter.split(features, labels, groups):
        if len(held_out) and len(np.unique(labels[train])) > 1:  # few groups may leave a fold empty
            yield train, held_out


def _spread(
    start: Start, classes: NDArray[np.int64], weight: NDArray[np.float64], bias: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rows of some classes among those of all; the others can no longer be predicted."""
    all_weight, all_bias = np.zeros(start.weight.shape), np.full(len(start.bias), -np.inf)
    all_weight[classes], all_bias[classes] = weight, bias
    return all_weight, all_bias


def _check_training(features: Floats, labels: Integers, start: Start) -> NDArray[np.int64]:
    """The classes that have a training row, ascending."""
    check_features(features, labels, num_classes=len(start.weight))
    _check_start(start, features)
    classes: NDArray[np.int64] = np.unique(labels)
    if len(classes) < 2:
        raise ShapeError(
            "a classifier needs two classes; all training rows have the same label; choose another label."
        )
    return classes


def _check_start(start: Start, features: Floats) -> None:
    check_finite(features)
    if start.weight.shape != (len(start.bias), features.shape[1]):
        raise ShapeError(
            f"the rows to start from must be [C, {features.shape[1]}] with a bias for each; got "
            f"{start.weight.shape} and {start.bias.shape}; take them from the model that made the features."
        )
