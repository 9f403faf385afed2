"""What estimators that choose a setting share: rows held out to choose by, and folds where there are none.

N rows, V validation rows, D dimensions, C classes.
"""

from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synsight.adaptation.base import FeatureEstimator, FitError, LabelledRows
from synsight.errors import ConfigError
from synsight.metrics.average_precision import mean_average_precision
from synsight.metrics.linear_probe import FOLDS

LEAST_CHANCE = 1e-12
"""Least probability whose logarithm counts."""


class Fold(NamedTuple):
    """Places of the rows that are fitted, and of those that are asked about."""

    fitted: NDArray[np.int64]
    held_out: NDArray[np.int64]


class Quality(NamedTuple):
    """The larger, the better: accuracy (of several labels, mean average precision), ties by likelihood."""

    accuracy: float
    log_likelihood: float
    """Mean, in nats."""


class TunedEstimator(FeatureEstimator):
    """An estimator that may choose by validation rows; without them, by folds of the rows themselves."""

    several_labels: ClassVar[bool] = True
    """Whether rows may have several labels."""

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        groups: ArrayLike | None = None,
        validation: tuple[ArrayLike, ArrayLike] | None = None,
    ) -> Self:
        """Learn from rows and labels; an earlier fit is forgotten.

        Args:
            X: [N, D] features.
            y: [N] classes, or [N, C] of 0 and 1.
            sample_weight: [N] how much each row counts, 0 or more.
            groups: [N] rows of one group are near-duplicates, which no fold parts.
            validation: Other rows [V, D] and their labels, by which settings are chosen; nothing else is
                learnt from them. None: folds of the rows themselves, where a setting has to be chosen.

        Raises:
            FitError: Rows or labels that cannot be used; the sentence says which.
            ConfigError: A setting outside its range.
        """
        train = self._labelled(X, y, sample_weight, groups)
        self._learn(train, None if validation is None else self._held_out(*validation))
        return self

    def _learn(self, train: LabelledRows, held_out: LabelledRows | None) -> None:
        raise NotImplementedError

    def _labelled(
        self, features: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None, groups: ArrayLike | None
    ) -> LabelledRows:
        train = super()._labelled(features, y, sample_weight, groups)
        if train.labels is None and not self.several_labels:
            raise FitError(
                f"{type(self).__name__} expects one label a row; got an indicator matrix of "
                f"{train.num_classes} columns; use LogisticRegression, NearestNeighbours or "
                "ContrastiveProjector for several labels a row."
            )
        return train

    def _held_out(self, features: ArrayLike, y: ArrayLike) -> LabelledRows:
        """Validation rows, prepared as the training rows are; their classes are among those of the fit."""
        rows, given = self._prepared(features), np.asarray(y)
        if len(given) != len(rows) or len(rows) == 0:
            raise FitError(
                f"expected one label a validation row, at least one; got {len(given)} labels for {len(rows)} "
                "rows; pass the labels of the same rows."
            )
        if self.multilabel_:
            truth = given != 0
            if truth.shape != (len(rows), len(self.classes_)):
                raise FitError(
                    f"expected validation labels of shape {(len(rows), len(self.classes_))}; got "
                    f"{given.shape}; pass one column a class, as in the training rows."
                )
        else:
            truth = given[:, None] == self.classes_
            unknown = ~truth.any(axis=1)
            if unknown.any():
                raise FitError(
                    f"expected validation labels of classes that have training rows; found "
                    f"{given[unknown].tolist()[0]!r}; leave such rows out."
                )
        labels = None if self.multilabel_ else truth.argmax(axis=1)
        return LabelledRows(rows, labels, truth, np.ones(len(rows)), np.arange(len(rows)))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = self.several_labels
        return tags


def folds(train: LabelledRows, *, most: int = FOLDS, seed: int = 0) -> list[Fold]:
    """Folds stratified by class (of several labels a row: by the rarest) that never part a group.

    The groups of each class are shuffled and dealt out in turn, large ones first. As many folds as the
    largest class has groups, `most` at the most; a class of one group is fitted in every fold, since nothing
    would be left to recognise it by.

    Returns:
        An empty list where no class has two groups.
    """
    if most < 2:
        raise ConfigError(f"folds must be >= 2; got {most!r}.")
    _, first, numbers, sizes = np.unique(
        train.groups, return_index=True, return_inverse=True, return_counts=True
    )
    rarity = np.where(train.truth, train.truth.sum(axis=0), len(train.truth) + 1)
    strata = rarity.argmin(axis=1)[first]  # of a group: that of its first row
    counts = np.bincount(strata)
    parts = min(most, int(counts.max()))
    shuffled = np.random.default_rng(seed).permutation(len(first))
    order = np.lexsort((shuffled, -sizes, strata))
    order = order[counts[strata[order]] > 1]
    places = np.full(len(first), -1)
    places[order] = np.arange(len(order)) % max(1, parts)
    of_row = places[numbers]
    found = [
        Fold(np.flatnonzero(of_row != one), np.flatnonzero(of_row == one)) for one in range(max(0, parts))
    ]
    return [one for one in found if parts > 1 and len(one.held_out) and _two_classes(train, one.fitted)]


def _two_classes(train: LabelledRows, rows: NDArray[np.int64]) -> bool:
    return train.labels is None or bool(np.ptp(train.labels[rows]) > 0)


def log_softmax_or_sigmoid(scores: NDArray[np.floating], several: bool) -> NDArray[np.float64]:
    """Logarithms of the probabilities of scores [N, C]."""
    exact: NDArray[np.float64] = scores.astype(np.float64)
    if several:
        exact = -np.logaddexp(0, -exact)
    else:
        exact -= np.logaddexp.reduce(exact, axis=1, keepdims=True)
    return exact


def quality(log_chances: NDArray[np.float64], held_out: LabelledRows) -> Quality:
    """How well logarithms of probabilities [V, C] tell the held-out rows' labels, with the rows' weights."""
    weights = held_out.weights / held_out.weights.sum()
    least = np.log(LEAST_CHANCE)
    if held_out.labels is None:
        others = np.log1p(-np.minimum(np.exp(log_chances), 1 - LEAST_CHANCE))
        likelihood = np.where(held_out.truth, np.maximum(log_chances, least), others).mean(axis=1)
        precise = mean_average_precision(log_chances, held_out.truth) if held_out.truth.any() else 0.0
        return Quality(precise, float(weights @ likelihood))
    right = np.maximum(log_chances[np.arange(len(weights)), held_out.labels], least)
    hits = log_chances.argmax(axis=1) == held_out.labels
    # Rounded, so that the order of summation does not decide a tie.
    return Quality(round(float(weights @ hits), 9), float(weights @ right))
