"""A converged linear classifier on frozen features, with its regularisation chosen where it may be."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from synsight.errors import ShapeError
from synsight.metrics.arrays import Floats, Integers, check_features, check_finite
from synsight.metrics.softmax_regression import (
    COARSE,
    TOLERANCE,
    SoftmaxRegression,
    mean_and_deviation,
    softmax_path,
)

C_GRID = tuple(float(f"{10 ** (half / 2):.3g}") for half in range(-10, 5))
"""Inverse strengths of the L2 penalty that are tried: 1e-5 to 1e2, two a decade."""
FEW_C_GRID = C_GRID[::2]
"""The same for a few labels, one a decade: cross-validation on them can tell no finer."""
DEFAULT_C = 0.1
"""Taken where nothing can choose: one label a class."""
FOLDS = 5
_PATIENCE = 3
_FEW_PATIENCE = 2
"""As many decades nearly: their grid has one value a decade."""


@dataclass(frozen=True, eq=False)
class LinearProbe:
    """Softmax regression on standardised features."""

    mean: NDArray[np.float32]
    """[D] of the training rows."""
    scale: NDArray[np.float32]
    """[D] standard deviation of the training rows; 1 where a feature does not vary."""
    regression: SoftmaxRegression
    num_classes: int

    @property
    def c(self) -> float:
        """The inverse strength of the L2 penalty that was chosen."""
        return self.regression.c

    @property
    def converged(self) -> bool:
        """Whether the fit met its tolerance for the chosen C."""
        return self.regression.converged

    def probabilities(self, features: Floats) -> NDArray[np.float32]:
        """Class probabilities [M, C] of features [M, D]; zero for a class without a training row.

        Raises:
            ShapeError: Another dimension than that of the training rows.
            DataError: A feature is NaN or infinite.
        """
        check_finite(features)
        if features.shape[1] != len(self.mean):
            raise ShapeError(
                f"features must have the {len(self.mean)} dimensions of the training rows; got "
                f"{features.shape}; embed both with the same model."
            )
        found = self.regression.probabilities(_standardised(features, self.mean, self.scale))
        full = np.zeros((len(features), self.num_classes), dtype=np.float32)
        full[:, self.regression.classes] = found
        return full


def fit_linear_probe(
    train_features: Floats,
    train_labels: Integers,
    val_features: Floats,
    val_labels: Integers,
    *,
    num_classes: int,
    grid: tuple[float, ...] = C_GRID,
) -> LinearProbe:
    """Fit on the training rows; of the grid, the C with the highest accuracy on the validation rows is kept.

    Features are standardised by dimension with the training rows' mean and deviation, so that one C means
    the same to every encoder, whatever the size of its features. The objective is scikit-learn's; the path
    goes from strong to weak regularisation with warm starts, and stops early when C has become too weak. Ties
    of accuracy go to the lower log loss. The fit is not repeated with the validation rows.

    Args:
        train_features: [N, D].
        train_labels: [N] integers in 0 to C - 1, two different ones at least.
        val_features: [V, D].
        val_labels: [V].
        num_classes: C.
        grid: Values of C to try, ascending.

    Raises:
        ShapeError: Features and labels do not fit, or there is one class only.
        DataError: A feature is NaN or infinite.
    """
    _check_two_classes(train_features, train_labels, num_classes)
    check_features(val_features, val_labels, num_classes=num_classes)
    tried: list[tuple[Quality, LinearProbe]] = []
    for probe in _path(train_features, train_labels, num_classes=num_classes, grid=grid):
        tried.append((_quality(probe, val_features, val_labels), probe))
        # The log loss is smooth in C with one minimum; the accuracy jumps, so it chooses but does not stop.
        likeliest = max(range(len(tried)), key=lambda number: tried[number][0].log_likelihood)
        if len(tried) - likeliest > _PATIENCE:
            break
    return max(tried, key=lambda one: one[0])[1]


def fit_few_labels(
    features: Floats,
    labels: Integers,
    groups: Integers,
    *,
    num_classes: int,
    grid: tuple[float, ...] = FEW_C_GRID,
) -> LinearProbe:
    """Fit on a few labelled rows and nothing else: C is chosen by cross-validation inside these very rows.

    A validation split of hundreds of labels would be hidden labels. Folds are stratified by class and never
    part a group; with one row a class there is nothing to choose by, and C is `DEFAULT_C`.

    Args:
        features: [N, D].
        labels: [N] integers in 0 to C - 1, two different ones at least.
        groups: [N] integers; rows of one group are near-duplicates. `np.arange(N)` where there are none.
        num_classes: C.
        grid: Values of C to try, ascending.

    Raises:
        ShapeError: Features and labels do not fit, or there is one class only.
        DataError: A feature is NaN or infinite.
    """
    _check_two_classes(features, labels, num_classes)
    counts = np.bincount(labels)
    folds = min(FOLDS, int(counts[counts > 0].min()))
    chosen = (
        DEFAULT_C if folds < 2 else _cross_validated_c(features, labels, groups, num_classes, folds, grid)
    )
    return next(_path(features, labels, num_classes=num_classes, grid=(chosen,)))


def _cross_validated_c(
    features: Floats,
    labels: Integers,
    groups: Integers,
    num_classes: int,
    folds: int,
    grid: tuple[float, ...],
) -> float:
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=0)
    parts = [
        (train, held_out)
        for train, held_out in splitter.split(features, labels, groups)
        if len(held_out) and len(np.unique(labels[train])) > 1  # few groups may leave a fold empty
    ]
    paths = [
        _path(features[train], labels[train], num_classes=num_classes, grid=grid, tolerance=COARSE)
        for train, _ in parts
    ]
    totals: list[tuple[float, float]] = []
    for probes in zip(*paths, strict=True):
        found = [
            np.array(_quality(probe, features[held_out], labels[held_out])) * len(held_out)
            for probe, (_, held_out) in zip(probes, parts, strict=True)
        ]
        accuracy, log_likelihood = np.sum(found, axis=0)
        totals.append((accuracy, log_likelihood))
        likeliest = max(range(len(totals)), key=lambda number: totals[number][1])
        if len(totals) - likeliest > _FEW_PATIENCE:
            break  # as in `fit_linear_probe`; the weakest penalties take the longest
    return grid[max(range(len(totals)), key=lambda number: totals[number])] if totals else DEFAULT_C


def _path(
    features: Floats,
    labels: Integers,
    *,
    num_classes: int,
    grid: tuple[float, ...],
    tolerance: float = TOLERANCE,
) -> Iterator[LinearProbe]:
    """One fitted probe for each C, each starting from the one before."""
    mean, deviation = (one.astype(np.float32) for one in mean_and_deviation(features))
    scale = np.where(deviation > 0, deviation, np.float32(1))
    regressions = softmax_path(_standardised(features, mean, scale), labels, grid=grid, tolerance=tolerance)
    for regression in regressions:
        yield LinearProbe(mean, scale, regression, num_classes)


class Quality(NamedTuple):
    """The larger, the better the probe: accuracy first, ties by likelihood."""

    accuracy: float
    log_likelihood: float
    """Mean, in nats."""


def _quality(probe: LinearProbe, features: Floats, labels: Integers) -> Quality:
    probabilities = probe.probabilities(features)
    right = probabilities[np.arange(len(labels)), labels]
    accuracy = float(np.mean(probabilities.argmax(axis=1) == labels))
    return Quality(accuracy, float(np.log(np.maximum(right, 1e-12)).mean()))


def _standardised(features: Floats, mean: Floats, scale: Floats) -> NDArray[np.float32]:
    standardised: NDArray[np.float32] = (features - mean).astype(np.float32, copy=False)
    standardised /= scale
    return standardised


def _check_two_classes(features: Floats, labels: Integers, num_classes: int) -> None:
    check_features(features, labels, num_classes=num_classes)
    if len(np.unique(labels)) < 2:
        raise ShapeError(
            "a classifier needs two classes; all training rows have the same label; choose another label."
        )
