"""What every few-label estimator shares: checks of rows and labels, missing values, blocks, and the head.

An estimator fits on prepared float32 rows and leaves layers behind. All predictions run through those layers,
so what is saved, served and exported is what was evaluated. To add one: list its settings in `__init__` (with
those of `FeatureEstimator`), then write `_fit` and `_score_layers`, and `_embedding_layers` where `transform`
gives something else than the prepared rows:

    class NearestMean(FeatureEstimator):
        def __init__(self, *, blocks=None, prepare="unit", missing="error", class_weight=None, seed=0):
            super().__init__(
                blocks=blocks, prepare=prepare, missing=missing, class_weight=class_weight, seed=seed
            )

        def _fit(self, train: LabelledRows) -> None:
            self.means_ = train.class_means()

        def _score_layers(self) -> list[Layer]:
            return [Linear.of(torch.from_numpy(self.means_)), Scale(10)]

N rows, D dimensions, C classes, E dimensions of the embedding that `transform` gives.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, softmax
from sklearn.base import BaseEstimator, ClassifierMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, column_or_1d, validate_data

from synsight.adaptation.preparation import Preparation, apply_layers, block_widths, preparation_layers
from synsight.errors import ConfigError, DataError
from synsight.models.feature_head import FeatureHead
from synsight.models.head_layers import Layer

Missing = Literal["error", "mean"]
"""NaN or infinity in the features: refuse them, or take the training rows' mean of the column instead."""
ClassWeight = Mapping[Any, float] | Literal["balanced"] | None


class FitError(DataError, ValueError):
    """Rows or labels that an estimator cannot use; a ValueError too, as scikit-learn's callers expect."""


@dataclass(frozen=True, eq=False)
class LabelledRows:
    """What an estimator learns from, checked and prepared."""

    features: NDArray[np.float32]
    """[N, D] prepared, finite."""
    labels: NDArray[np.int64] | None
    """[N] in 0 to C - 1, each class having a row; None: several labels a row."""
    truth: NDArray[np.bool_]
    """[N, C] which classes a row has; of several labels, a column may be all true or all false."""
    weights: NDArray[np.float64]
    """[N] of mean 1: sample weights times class weights, all above 0."""
    groups: NDArray[np.int64]
    """[N] rows with one number are near-duplicates and may not be parted."""

    @property
    def num_classes(self) -> int:
        """C."""
        return int(self.truth.shape[1])

    @property
    def weighted(self) -> bool:
        """Whether the rows count differently."""
        return bool(np.ptp(self.weights) > 1e-9)

    def class_means(self) -> NDArray[np.float64]:
        """Weighted mean of the rows that have each class, [C, D]; zeros where none has it."""
        shares = self.truth * self.weights[:, None]
        means: NDArray[np.float64] = (shares.T @ self.features) / np.maximum(
            shares.sum(axis=0), np.finfo(np.float64).tiny
        )[:, None]
        return means

    def take(self, rows: NDArray[Any]) -> "LabelledRows":
        """Some of the rows, by place or mask; the classes stay as they are."""
        labels = None if self.labels is None else self.labels[rows]
        return LabelledRows(
            self.features[rows], labels, self.truth[rows], self.weights[rows], self.groups[rows]
        )


class FeatureEstimator(ClassNamePrefixFeaturesOutMixin, ClassifierMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier of embeddings [N, D] float32 in scikit-learn's shape, which becomes a `FeatureHead`.

    Labels `y` are classes (strings or integers, [N]) or an indicator matrix [N, C] of several labels a row,
    whose probabilities are then each class' own. After `fit`: `classes_` [C] (0 to C - 1 for an indicator
    matrix), `n_features_in_`, `multilabel_`.

    Args:
        blocks: Widths of embeddings that stand side by side; None: one block.
        prepare: How each block is brought to one scale, one name or one a block; see `Preparation`.
        missing: What to do about NaN and infinity.
        class_weight: `balanced` lets every class count alike, a mapping gives each its own weight; a row of
            several labels counts as the mean of its labels.
        seed: Of whatever is drawn; the global random state is neither read nor changed.
    """

    def __init__(
        self,
        *,
        blocks: Sequence[int] | None = None,
        prepare: Preparation | Sequence[Preparation] | None = "standardise",
        missing: Missing = "error",
        class_weight: ClassWeight = None,
        seed: int = 0,
    ) -> None:
        self.blocks = blocks
        self.prepare = prepare
        self.missing = missing
        self.class_weight = class_weight
        self.seed = seed

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        groups: ArrayLike | None = None,
    ) -> Self:
        """Learn from rows and labels; an earlier fit is forgotten.

        Args:
            X: [N, D] features.
            y: [N] classes, or [N, C] of 0 and 1.
            sample_weight: [N] how much each row counts, 0 or more.
            groups: [N] rows of one group are near-duplicates, which no validation may part.

        Raises:
            FitError: Rows or labels that cannot be used; the sentence says which.
            ConfigError: A setting outside its range.
        """
        self._fit(self._labelled(X, y, sample_weight, groups))
        return self

    def transform(self, X: ArrayLike) -> NDArray[np.float32]:
        """The adapted embedding, [N, E] float32."""
        layers = [*self._fitted_layers(), *self._embedding_layers()]
        return apply_layers(layers, self._rows(X)).astype(np.float32)

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:
        """Scores [N, C]; of two classes [N], the second's less the first's, as scikit-learn has it."""
        scores = self._scores(X)
        return scores[:, 1] - scores[:, 0] if len(self.classes_) == 2 and not self.multilabel_ else scores

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Probabilities [N, C]: a softmax of the scores; of several labels a row, each class' own sigmoid."""
        scores = self._scores(X)
        found: NDArray[np.float64] = expit(scores) if self.multilabel_ else softmax(scores, axis=1)
        return found

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """The likeliest class, [N]; of several labels a row [N, C] of 0 and 1, those above one half."""
        scores = self._scores(X)
        if self.multilabel_:
            return (scores > 0).astype(np.int64)
        found: NDArray[Any] = self.classes_[scores.argmax(axis=1)]
        return found

    def head(self) -> FeatureHead:
        """From features [B, D] as the encoder gives them to scores [B, C]: what `predict_proba` computes.

        It is in single precision, and features must be finite there, whatever `missing` says.
        """
        return FeatureHead(*deepcopy([*self._fitted_layers(), *self._score_layers()])).float().eval()

    # What an estimator writes itself.

    def _fit(self, train: LabelledRows) -> None:
        raise NotImplementedError

    def _score_layers(self) -> list[Layer]:
        """From prepared rows [B, D] to scores [B, C]."""
        raise NotImplementedError

    def _embedding_layers(self) -> list[Layer]:
        """From prepared rows [B, D] to what `transform` gives, [B, E]."""
        return []

    def _preparation(self) -> Preparation | Sequence[Preparation]:
        """How blocks are prepared, for an estimator where that does not follow from `prepare` alone."""
        return "none" if self.prepare is None else self.prepare

    # What it finds ready.

    def _labelled(
        self, features: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None, groups: ArrayLike | None
    ) -> LabelledRows:
        """Checked and prepared rows; sets what all fitted estimators have."""
        rows = self._checked(features, reset=True)
        weights, truth = self._targets(rows, y, sample_weight)
        kept = weights > 0  # a row of weight 0 is no row: its class may not appear either
        rows = self._filled(rows, kept)
        truth = truth[kept] if self.multilabel_ else self._without_empty_classes(truth[kept])
        weights = weights[kept] * self._class_weights(truth, weights[kept])
        weights /= weights.mean()
        self.widths_ = block_widths(rows.shape[1], self.blocks)
        self.preparation_ = preparation_layers(
            rows[kept], widths=self.widths_, kinds=self._preparation(), weights=weights
        )
        prepared = apply_layers(self.preparation_, rows[kept]).astype(np.float32)
        labels = None if self.multilabel_ else truth.argmax(axis=1)
        return LabelledRows(prepared, labels, truth, weights, _group_numbers(groups, len(rows))[kept])

    def _rows(self, features: ArrayLike) -> NDArray[np.float32]:
        """Rows to predict, [N, D] as they came, missing values filled."""
        check_is_fitted(self, "classes_")
        return self._filled(self._checked(features, reset=False), None)

    def _prepared(self, features: ArrayLike) -> NDArray[np.float32]:
        """Rows to predict, [N, D], prepared as the training rows were."""
        return apply_layers(self.preparation_, self._rows(features)).astype(np.float32)

    def _scores(self, features: ArrayLike) -> NDArray[np.float64]:
        rows = self._rows(features)
        return apply_layers([*self._fitted_layers(), *self._score_layers()], rows)

    def _fitted_layers(self) -> list[Layer]:
        check_is_fitted(self, "classes_")
        layers: list[Layer] = self.preparation_
        return layers

    def _checked(self, features: ArrayLike, *, reset: bool) -> NDArray[np.float32]:
        try:
            rows: NDArray[np.float32] = validate_data(
                self, features, dtype=np.float32, reset=reset, ensure_all_finite=False
            )
        except ValueError as error:
            raise FitError(str(error)) from None
        return rows

    def _filled(self, rows: NDArray[np.float32], training: NDArray[np.bool_] | None) -> NDArray[np.float32]:
        """Rows without NaN and infinity; `training` marks those that give the means, None: they are known."""
        if self.missing not in ("error", "mean"):
            raise ConfigError(f"missing must be 'error' or 'mean'; got {self.missing!r}.")
        found = np.isfinite(rows)
        if self.missing == "mean" and training is not None:
            counted = found & training[:, None]
            sums = np.where(counted, rows, 0).sum(axis=0, dtype=np.float64)
            self.means_of_columns_ = (sums / np.maximum(1, counted.sum(axis=0))).astype(np.float32)
        if found.all():
            return rows
        if self.missing == "error":
            row, column = np.argwhere(~found)[0]
            raise FitError(
                f"expected finite features; found NaN or infinity in {int((~found).any(axis=1).sum()):,} of "
                f"{len(rows):,} rows, first in row {row}, column {column}; embed those rows again, leave "
                "them out, or set missing='mean'."
            )
        filled: NDArray[np.float32] = np.where(found, rows, self.means_of_columns_)
        return filled

    def _targets(
        self, rows: NDArray[np.float32], y: ArrayLike, sample_weight: ArrayLike | None
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Sample weights [N] and which classes each row has [N, C]; sets `classes_` and `multilabel_`."""
        if y is None:
            raise FitError("this estimator requires y to be passed, but the target y is None.")
        try:
            check_classification_targets(y)
            self.multilabel_ = type_of_target(y) == "multilabel-indicator"
            given = _dense(y) if self.multilabel_ else column_or_1d(y, warn=True)
            weights = _check_sample_weight(sample_weight, rows, dtype=np.float64, ensure_non_negative=True)
        except ValueError as error:
            raise FitError(str(error)) from None
        if len(given) != len(rows):
            raise FitError(
                f"expected one label a row; got {len(given)} labels for {len(rows)} rows of features "
                "(inconsistent numbers of samples); pass the labels of the same rows."
            )
        if not (weights > 0).any():
            raise FitError("expected a sample weight above 0; all sample weights are zero.")
        if self.multilabel_:
            self.classes_ = np.arange(given.shape[1])
            return weights, given != 0
        self.classes_, labels = np.unique(given, return_inverse=True)
        return weights, labels[:, None] == np.arange(len(self.classes_))

    def _without_empty_classes(self, truth: NDArray[np.bool_]) -> NDArray[np.bool_]:
        present = truth.any(axis=0)
        self.classes_ = self.classes_[present]
        if len(self.classes_) < 2:
            raise FitError(
                f"expected rows of two classes or more; found {len(truth)} of one class only; pass rows of "
                "another class too."
            )
        return truth[:, present]

    def _class_weights(self, truth: NDArray[np.bool_], weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """How much each row counts for its classes' sake, [N]."""
        if self.class_weight is None:
            return np.ones(len(truth))
        if isinstance(self.class_weight, Mapping):
            each = np.array([float(self.class_weight.get(one, 1.0)) for one in self.classes_.tolist()])
        elif self.class_weight == "balanced":
            sizes = weights @ truth
            each = sizes.sum() / (len(sizes) * np.maximum(sizes, np.finfo(np.float64).tiny))
        else:
            raise ConfigError(
                f"class_weight must be None, 'balanced' or a mapping; got {self.class_weight!r}."
            )
        labels = truth.sum(axis=1)
        return np.where(
            labels > 0, (truth @ np.where(truth.any(axis=0), each, 0)) / np.maximum(labels, 1), 1.0
        )

    @property
    def _n_features_out(self) -> int:
        """E, for scikit-learn's names of columns."""
        return int(self.transform(np.zeros((1, self.n_features_in_), np.float32)).shape[1])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        tags.input_tags.allow_nan = self.missing == "mean"
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


def _dense(y: Any) -> NDArray[Any]:
    """An indicator matrix, [N, C]; scipy's sparse ones are made full."""
    return np.asarray(y.toarray() if hasattr(y, "toarray") else y)


def _group_numbers(groups: ArrayLike | None, rows: int) -> NDArray[np.int64]:
    """[N] integers; every row its own where there are no groups."""
    if groups is None:
        return np.arange(rows)
    given = np.asarray(groups)
    if given.shape != (rows,):
        raise FitError(
            f"expected one group a row; got groups of shape {given.shape} for {rows} rows; pass those of the "
            "same rows."
        )
    return np.unique(given, return_inverse=True)[1].astype(np.int64)
