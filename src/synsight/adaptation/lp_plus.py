"""LP++: a linear probe mixed with the classes' text vectors, whose step sizes follow from the data.

N rows, D dimensions, C classes.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import eigh
from scipy.special import softmax

from synsight.adaptation.base import ClassWeight, LabelledRows, Missing
from synsight.adaptation.class_vectors import ClassVectors, unit_class_vectors
from synsight.adaptation.preparation import Preparation
from synsight.adaptation.tuning import Quality, TunedEstimator, log_softmax_or_sigmoid, quality
from synsight.errors import ConfigError
from synsight.models.head_layers import Layer, Linear

MOMENTUM = 0.9
ALPHA_EVERY = 10
"""Steps of the weights between two steps of alpha."""
_ALPHA_SCALE = 250
"""The paper's initial guess of alpha is this times the mean cosine of a row and its class' vector."""


class LPPlusPlus(TunedEstimator):
    """LP++: logits f' (w_k + alpha_k t_k) + b_k, where t_k is the vector of class k and alpha_k learnt.

    Full-batch block descent of the mean cross-entropy, without a setting to search: w begins as the class
    sums of the rows and moves by steps of 4N / lambda_max(F'F) with momentum 0.9; every ten steps alpha moves
    by N / (4 max_k sum_i (f_i' t_k)^2). With validation rows the best of the epochs is kept, otherwise the
    last.

    Args:
        class_vectors: From class to its vector, as a text encoder embeds its name; None: the classes' means,
            which the method was not published with.
        epochs: Steps of the weights.
        blocks, prepare, missing, class_weight, seed: See `FeatureEstimator`; nothing is drawn. Weights of
            rows multiply their losses.

    Attributes:
        coef_, intercept_: w + alpha t [C, D], and b [C].
        alpha_: [C]
        weight_step_, alpha_step_: The step sizes.

    Reference: Huang et al. 2024, "LP++: A surprisingly strong linear probe for few-shot CLIP",
        https://arxiv.org/abs/2404.02285. Departures: the authors' code never sets the gradient of alpha back
        to zero, so that its alpha moves by the sum of all gradients so far; here it moves by its gradient, as
        in the paper. b begins at zero, in the code at random. Where classes differ in size, the first alpha
        is a mean over classes, which is the paper's value where they do not.
    """

    several_labels = False

    def __init__(
        self,
        *,
        class_vectors: ClassVectors = None,
        epochs: int = 300,
        blocks: Sequence[int] | None = None,
        prepare: Preparation | Sequence[Preparation] = "unit",
        missing: Missing = "error",
        class_weight: ClassWeight = None,
        seed: int = 0,
    ) -> None:
        super().__init__(
            blocks=blocks, prepare=prepare, missing=missing, class_weight=class_weight, seed=seed
        )
        self.class_vectors = class_vectors
        self.epochs = epochs

    def _learn(self, train: LabelledRows, held_out: LabelledRows | None) -> None:
        if self.epochs < 1:
            raise ConfigError(f"epochs must be >= 1; got {self.epochs!r}.")
        vectors = unit_class_vectors(self.class_vectors, classes=self.classes_.tolist(), train=train)
        descent = _Descent(train, vectors)
        self.weight_step_, self.alpha_step_ = descent.weight_step, descent.alpha_step
        best, highest = descent.solution(), Quality(-1.0, -np.inf)
        for epoch in range(1, self.epochs + 1):
            descent.step(alpha_too=epoch % ALPHA_EVERY == 0)
            if held_out is not None and (found := descent.solution().quality(held_out)) >= highest:
                best, highest = descent.solution(), found
        if held_out is None:
            best = descent.solution()
        self.coef_, self.intercept_, self.alpha_ = best

    def _score_layers(self) -> list[Layer]:
        return [Linear.of(torch.from_numpy(self.coef_), torch.from_numpy(self.intercept_))]


class _Solution(NamedTuple):
    coef: NDArray[np.float32]
    bias: NDArray[np.float32]
    alpha: NDArray[np.float32]

    def quality(self, held_out: LabelledRows) -> Quality:
        scores = held_out.features @ self.coef.T + self.bias
        return quality(log_softmax_or_sigmoid(scores, several=False), held_out)


class _Descent:
    """Where the descent stands."""

    def __init__(self, train: LabelledRows, vectors: NDArray[np.float32]) -> None:
        self.rows, self.vectors = train.features, vectors
        self.shares = (train.weights / train.weights.sum()).astype(np.float32)[:, None]
        self.targets = train.truth.astype(np.float32)
        self.likeness = self.rows @ vectors.T  # [N, C] of rows and class vectors
        count = len(self.rows)
        weighted = train.weights[:, None]
        self.weight_step = np.float32(4 * count / _largest_eigenvalue(np.sqrt(weighted) * self.rows))
        self.alpha_step = np.float32(
            count / (4 * np.maximum(1e-12, (weighted * self.likeness**2).sum(axis=0).max()))
        )
        own = (weighted * self.targets * self.likeness).sum(axis=0) / (weighted * self.targets).sum(axis=0)
        self.alpha = np.full(len(vectors), _ALPHA_SCALE * own.mean(), np.float32)
        self.weight = ((weighted * self.targets).T @ self.rows).astype(np.float32)
        self.bias = np.zeros(len(vectors), np.float32)
        self.weight_speed, self.bias_speed = np.zeros_like(self.weight), np.zeros_like(self.bias)

    def step(self, *, alpha_too: bool) -> None:
        scores = self.rows @ self.weight.T + self.bias + self.alpha * self.likeness
        errors = (softmax(scores, axis=1) - self.targets) * self.shares
        self.weight_speed = MOMENTUM * self.weight_speed + errors.T @ self.rows
        self.bias_speed = MOMENTUM * self.bias_speed + errors.sum(axis=0)
        self.weight = self.weight - self.weight_step * self.weight_speed
        self.bias = self.bias - self.weight_step * self.bias_speed
        if alpha_too:
            self.alpha = self.alpha - self.alpha_step * (errors * self.likeness).sum(axis=0)

    def solution(self) -> _Solution:
        return _Solution(self.weight + self.alpha[:, None] * self.vectors, self.bias, self.alpha)


def _largest_eigenvalue(rows: NDArray[np.floating]) -> float:
    """Of rows' rows, [N, D]."""
    square = rows.T @ rows if rows.shape[1] <= len(rows) else rows @ rows.T
    last = len(square) - 1
    found = eigh(square.astype(np.float64), eigvals_only=True, subset_by_index=(last, last))
    return max(float(found[0]), 1e-12)
