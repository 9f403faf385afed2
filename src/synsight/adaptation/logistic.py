"""Logistic regression with its penalty chosen: the baseline that every other estimator has to beat.

N rows, D dimensions, C classes.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import logit
from sklearn.linear_model import LogisticRegression as Reference

from synsight.adaptation.base import ClassWeight, LabelledRows, Missing
from synsight.adaptation.preparation import Preparation
from synsight.adaptation.tuning import (
    LEAST_CHANCE,
    Fold,
    Quality,
    TunedEstimator,
    folds,
    log_softmax_or_sigmoid,
    quality,
)
from synsight.errors import ConfigError
from synsight.metrics.linear_probe import C_GRID, DEFAULT_C, FEW_C_GRID, FOLDS
from synsight.metrics.one_vs_rest import one_vs_rest_path
from synsight.metrics.softmax_regression import COARSE, softmax_path
from synsight.models.head_layers import Layer, Linear

_PATIENCE = 2
"""Decades of C without a better likelihood, which is smooth in C and has one maximum; the accuracy jumps."""
_COARSE_SEVERAL = 1e-2
"""Of `one_vs_rest_path`; enough to see which penalty is best."""
_FINE, _COARSE_REFERENCE = 1e-4, 1e-3
"""Tolerances of scikit-learn's gradient, where rows have weights."""


class Rows(NamedTuple):
    """Of a linear classifier."""

    weight: NDArray[np.float64]
    """[C, D]"""
    bias: NDArray[np.float64]
    """[C]; minus infinity: a class without a row."""

    def log_chances(self, features: NDArray[np.floating], *, several: bool) -> NDArray[np.float64]:
        """Logarithms of the probabilities of rows [N, D], [N, C]."""
        return log_softmax_or_sigmoid(features @ self.weight.T + self.bias, several)


class LogisticRegression(TunedEstimator):
    """Softmax regression (of several labels a row: one logistic regression a class) with an L2 penalty.

    Minimises the summed cross-entropy + |W|^2 / (2 C) over standardised features with free biases:
    scikit-learn's LogisticRegression behind its StandardScaler. C is chosen as in `fit_few_labels`: by folds
    of the training rows that part no group, or on validation rows; the accuracy chooses (of several labels a
    row, mean average precision), ties go to the likelihood. With one label a class there is nothing to choose
    by, and C is 0.1. Rows of different weight (`class_weight`, `sample_weight`) are fitted by scikit-learn,
    all others by truncated Newton steps.

    Args:
        C: Inverse strength of the penalty; None: chosen from `grid`.
        grid: Values that are tried, ascending; None: 1e-5 to 1e2, one a decade for folds, two a decade for
            validation rows.
        folds: Most folds.
        blocks, prepare, missing, class_weight, seed: See `FeatureEstimator`; the seed is that of the folds.

    Attributes:
        C_: The value that was used.
        coef_, intercept_: [C, D] and [C] over prepared rows.
        out_of_fold_: Logarithms of the probabilities that the folds' fits gave the rows they had not seen,
            [N, C], at `C_`; NaN for a row that stood in no fold. None where there were no folds.
    """

    def __init__(
        self,
        *,
        C: float | None = None,
        grid: Sequence[float] | None = None,
        folds: int = FOLDS,
        blocks: Sequence[int] | None = None,
        prepare: Preparation | Sequence[Preparation] = "standardise",
        missing: Missing = "error",
        class_weight: ClassWeight = None,
        seed: int = 0,
    ) -> None:
        super().__init__(
            blocks=blocks, prepare=prepare, missing=missing, class_weight=class_weight, seed=seed
        )
        self.C = C
        self.grid = grid
        self.folds = folds

    def _learn(self, train: LabelledRows, held_out: LabelledRows | None) -> None:
        self.out_of_fold_ = None
        if self.C is not None:
            _check_grid((self.C,))
            self.C_ = float(self.C)
        elif held_out is not None:
            self.C_ = _chosen_on(train, held_out, _check_grid(self.grid or C_GRID))
        else:
            parts = folds(train, most=self.folds, seed=self.seed)
            self.C_, self.out_of_fold_ = cross_validated(train, parts, _check_grid(self.grid or FEW_C_GRID))
        self.coef_, self.intercept_ = next(path(train, (self.C_,), coarse=False))

    def _score_layers(self) -> list[Layer]:
        return [Linear.of(torch.from_numpy(self.coef_), torch.from_numpy(self.intercept_))]


def cross_validated(
    train: LabelledRows, parts: Sequence[Fold], grid: Sequence[float] = FEW_C_GRID
) -> tuple[float, NDArray[np.float64] | None]:
    """The C that tells the held-out rows best, and what its fits say of them; see `out_of_fold_`."""
    if not parts:
        return DEFAULT_C, None
    asked = np.concatenate([part.held_out for part in parts])
    truth, several = train.take(asked), train.labels is None
    paths = [path(train.take(part.fitted), grid, coarse=True) for part in parts]
    tried: list[tuple[Quality, float, NDArray[np.float64]]] = []
    for c, fits in zip(grid, zip(*paths, strict=True), strict=False):
        found = np.concatenate(
            [
                fit.log_chances(train.features[part.held_out], several=several)
                for fit, part in zip(fits, parts, strict=True)
            ]
        )
        tried.append((quality(found, truth), c, found))
        if _past_the_best([one[0] for one in tried], _PATIENCE):
            break
    _, c, found = max(tried, key=lambda one: one[0])
    out_of_fold = np.full(train.truth.shape, np.nan)
    out_of_fold[asked] = np.maximum(found, np.log(LEAST_CHANCE))
    return c, out_of_fold


def path(train: LabelledRows, grid: Sequence[float], *, coarse: bool) -> Iterator[Rows]:
    """One classifier for each C, each starting from the one before."""
    if train.labels is None:
        return _several_labels_path(train, grid, coarse)
    return _weighted_path(train, grid, coarse=coarse) if train.weighted else _plain_path(train, grid, coarse)


def _plain_path(train: LabelledRows, grid: Sequence[float], coarse: bool) -> Iterator[Rows]:
    assert train.labels is not None
    tolerance = {"tolerance": COARSE} if coarse else {}
    for fit in softmax_path(train.features, train.labels, grid=grid, **tolerance):
        yield _spread(fit.classes, fit.weight, fit.bias, train.num_classes)


def _weighted_path(train: LabelledRows, grid: Sequence[float], *, coarse: bool) -> Iterator[Rows]:
    assert train.labels is not None
    regression = Reference(max_iter=5000, tol=_COARSE_REFERENCE if coarse else _FINE, warm_start=True)
    for c in grid:
        regression.set_params(C=c).fit(train.features, train.labels, sample_weight=train.weights)
        weight, bias = np.asarray(regression.coef_, np.float64), np.asarray(regression.intercept_, np.float64)
        if len(weight) == 1:  # of two classes scikit-learn keeps one row, the second's less the first's
            weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
        yield _spread(regression.classes_, weight, bias, train.num_classes)


def _several_labels_path(train: LabelledRows, grid: Sequence[float], coarse: bool) -> Iterator[Rows]:
    """A class that every row has, or none, keeps its share whatever the features are."""
    varies = np.flatnonzero(train.truth.any(axis=0) & ~train.truth.all(axis=0))
    sums = train.weights @ train.truth
    shares = logit((sums + 0.5) / (train.weights.sum() + 1))
    fits = _several_weighted if train.weighted else _several_plain
    for fit in fits(train, varies, grid, coarse):
        weight, bias = np.zeros((train.num_classes, train.features.shape[1])), shares.copy()
        weight[varies], bias[varies] = fit
        yield Rows(weight, bias)


def _several_plain(
    train: LabelledRows, varies: NDArray[np.int64], grid: Sequence[float], coarse: bool
) -> Iterator[Rows]:
    if not len(varies):
        yield from (Rows(np.zeros((0, train.features.shape[1])), np.zeros(0)) for _ in grid)
        return
    tolerance = {"tolerance": _COARSE_SEVERAL} if coarse else {}
    for fit in one_vs_rest_path(train.features, train.truth[:, varies], grid=grid, **tolerance):
        yield Rows(fit.weight, fit.bias)


def _several_weighted(
    train: LabelledRows, varies: NDArray[np.int64], grid: Sequence[float], coarse: bool
) -> Iterator[Rows]:
    tolerance = _COARSE_REFERENCE if coarse else _FINE
    regressions = [Reference(max_iter=5000, tol=tolerance, warm_start=True) for _ in varies]
    for c in grid:
        weight, bias = np.zeros((len(varies), train.features.shape[1])), np.zeros(len(varies))
        for place, (column, one) in enumerate(zip(varies, regressions, strict=True)):
            one.set_params(C=c).fit(train.features, train.truth[:, column], sample_weight=train.weights)
            weight[place], bias[place] = one.coef_[0], one.intercept_[0]
        yield Rows(weight, bias)


def _spread(
    classes: NDArray[np.int64], weight: NDArray[np.float64], bias: NDArray[np.float64], count: int
) -> Rows:
    """Rows of some classes among those of all."""
    if len(classes) == count:
        return Rows(weight, bias)
    all_weight, all_bias = np.zeros((count, weight.shape[1])), np.full(count, -np.inf)
    all_weight[classes], all_bias[classes] = weight, bias
    return Rows(all_weight, all_bias)


def _chosen_on(train: LabelledRows, held_out: LabelledRows, grid: Sequence[float]) -> float:
    tried: list[tuple[Quality, float]] = []
    for c, fit in zip(grid, path(train, grid, coarse=True), strict=True):
        chances = fit.log_chances(held_out.features, several=train.labels is None)
        tried.append((quality(chances, held_out), c))
        if _past_the_best([one[0] for one in tried], 2 * _PATIENCE):  # twice as many values a decade
            break
    return max(tried, key=lambda one: one[0])[1]


def _past_the_best(qualities: Sequence[Quality], patience: int) -> bool:
    likeliest = max(range(len(qualities)), key=lambda number: qualities[number].log_likelihood)
    return len(qualities) - likeliest > patience


def _check_grid(grid: Sequence[float]) -> Sequence[float]:
    if not all(one > 0 for one in grid) or list(grid) != sorted(grid):
        raise ConfigError(f"C must be > 0, and a grid of several values ascend; got {list(grid)!r}.")
    return grid
