"""A head of words: each class is decided by a few named words that the model sees, and by nothing else.

The features go through the head that pretraining gave them (one logit a word), and a sparse softmax
regression reads those logits. What it answers is the sum of a few contributions, each of one word, so an
explanation is not an approximation of the model: it is the model.

Reference: Oikarinen et al. 2023 (Label-free Concept Bottleneck Models), section 3.4,
https://arxiv.org/abs/2304.06129; the sparse layer is that of Wong et al. 2021,
https://arxiv.org/abs/2105.04857. Departures: the words are those that captions taught the model, none are
asked of a language model; proximal gradients with momentum in place of GLM-SAGA; after the L1 penalty has
chosen the words, their weights are fitted again without it (the relaxed lasso, Meinshausen 2007), as the
penalty would shrink them.

V words, C classes, N rows, D dimensions.
"""

from collections.abc import Sequence
from typing import Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import nn

from synsight.adaptation.base import ClassWeight, FeatureEstimator, LabelledRows, Missing
from synsight.adaptation.sparse_regression import SparseRegression
from synsight.errors import ConfigError, ShapeError
from synsight.models.head_layers import Layer, Linear, Standardise


class WordsHead(FeatureEstimator):
    """Sparse softmax regression on standardised word logits.

    Attributes:
        coef_: [C, V] weights of the standardised logits; at most `words_per_class` a class are not zero.
        intercept_: [C].

    Args:
        word_weight: [V, D] rows of the head of words; None: the features are logits of words already.
        word_bias: [V]; None: zeros.
        word_names: [V] for people; None: "word 0", ...
        words_per_class: Most words that speak for or against a class.
        ridge: Strength of the L2 penalty of the last fit, on the mean loss.
        missing: As for every estimator.
        class_weight: As for every estimator.
        seed: As for every estimator; nothing is drawn.
    """

    def __init__(
        self,
        *,
        word_weight: ArrayLike | None = None,
        word_bias: ArrayLike | None = None,
        word_names: Sequence[str] | None = None,
        words_per_class: int = 8,
        ridge: float = 0.01,
        missing: Missing = "error",
        class_weight: ClassWeight = None,
        seed: int = 0,
    ) -> None:
        super().__init__(prepare="none", missing=missing, class_weight=class_weight, seed=seed)
        self.word_weight = word_weight
        self.word_bias = word_bias
        self.word_names = word_names
        self.words_per_class = words_per_class
        self.ridge = ridge

    @classmethod
    def of(cls, head: nn.Linear, names: Sequence[str], **settings: int | float | str | None) -> Self:
        """With the words of a model's head."""
        weight = head.weight.detach().cpu().numpy()
        bias = None if head.bias is None else head.bias.detach().cpu().numpy()
        return cls(word_weight=weight, word_bias=bias, word_names=list(names), **settings)  # type: ignore[arg-type]

    def logits(self, features: ArrayLike) -> NDArray[np.float64]:
        """Standardised logits of the words, [N, V]."""
        rows = self._rows(features).astype(np.float64)
        found: NDArray[np.float64] = (self._word_logits(rows) - self.shift_) * self.scale_
        return found

    def contributions(self, features: ArrayLike, label: object) -> NDArray[np.float64]:
        """What each word adds to the score of a class, [N, V]; with `intercept_` they sum to the score."""
        found: NDArray[np.float64] = self.logits(features) * self.coef_[self._number(label)]
        return found

    def evidence(self, features: ArrayLike, *, top: int = 5) -> list[list[tuple[str, float]]]:
        """For each row the words that did most for or against the class it was given, strongest first."""
        names, found = self._names(), []
        logits = self.logits(features)
        given = (logits @ self.coef_.T + self.intercept_).argmax(axis=1)
        for row, number in zip(logits, given, strict=True):
            parts = row * self.coef_[number]
            order = np.argsort(-np.abs(parts), kind="stable")[:top]
            found.append([(names[one], float(parts[one])) for one in order if parts[one] != 0])
        return found

    def words_of(self, label: object) -> list[tuple[str, float]]:
        """The words that decide a class with their weights, heaviest first."""
        names, row = self._names(), self.coef_[self._number(label)]
        order = np.argsort(-np.abs(row), kind="stable")
        return [(names[one], float(row[one])) for one in order if row[one] != 0]

    def _fit(self, train: LabelledRows) -> None:
        if self.words_per_class < 1 or not self.ridge >= 0:
            raise ConfigError(
                f"words_per_class must be >= 1 and ridge >= 0; got {self.words_per_class!r} and "
                f"{self.ridge!r}."
            )
        logits = self._word_logits(train.features.astype(np.float64))
        shares = train.weights / train.weights.sum()
        self.shift_ = shares @ logits
        deviation = np.sqrt(shares @ (logits - self.shift_) ** 2)
        self.scale_ = np.where(deviation > 0, 1 / np.where(deviation > 0, deviation, 1), 0.0)
        problem = SparseRegression(
            (logits - self.shift_) * self.scale_, train.truth, train.weights, multilabel=self.multilabel_
        )
        chosen = problem.chosen_words(self.words_per_class)
        fitted = problem.refitted(chosen, ridge=self.ridge)
        self.coef_, self.intercept_ = fitted
        self.words_used_ = int((self.coef_ != 0).any(axis=0).sum())

    def _score_layers(self) -> list[Layer]:
        layers: list[Layer] = []
        if self.word_weight is not None:
            weight, bias = self._word_rows()
            layers.append(Linear.of(torch.from_numpy(weight), torch.from_numpy(bias)))
        standardise = Standardise.of(torch.from_numpy(self.shift_), torch.from_numpy(self.scale_))
        linear = Linear.of(torch.from_numpy(self.coef_), torch.from_numpy(self.intercept_))
        return [*layers, standardise, linear]

    def _word_rows(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        weight = np.asarray(self.word_weight, np.float64)
        bias = np.zeros(len(weight)) if self.word_bias is None else np.asarray(self.word_bias, np.float64)
        if weight.ndim != 2 or weight.shape[1] != self.n_features_in_ or bias.shape != (len(weight),):
            raise ShapeError(
                f"expected a head of words [V, {self.n_features_in_}] with a bias [V]; got {weight.shape} "
                f"and {bias.shape}; pass the head of the model that gave the features."
            )
        return weight, bias

    def _word_logits(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.word_weight is None:
            return rows
        weight, bias = self._word_rows()
        found: NDArray[np.float64] = rows @ weight.T + bias
        return found

    def _names(self) -> Sequence[str]:
        return self.word_names or [f"word {number}" for number in range(self.coef_.shape[1])]

    def _number(self, label: object) -> int:
        found = np.flatnonzero(self.classes_ == label)
        if not len(found):
            raise ConfigError(f"no class is called {label!r}; the classes are {self.classes_.tolist()[:10]}.")
        return int(found[0])
