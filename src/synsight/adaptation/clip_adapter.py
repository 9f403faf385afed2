"""CLIP-Adapter: a small bottleneck that moves the features towards the classes' vectors.

B batch, N rows, D dimensions, C classes.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from synsight.adaptation.base import ClassWeight, LabelledRows, Missing
from synsight.adaptation.class_vectors import ClassVectors, unit_class_vectors
from synsight.adaptation.preparation import Preparation
from synsight.adaptation.tuning import Quality, TunedEstimator, folds, log_softmax_or_sigmoid, quality
from synsight.errors import ConfigError
from synsight.models.head_layers import Layer, Linear, Relu, Scale, Sequence_, Sum

LOGIT_SCALE = 100.0
RATIOS = (0.2, 0.4, 0.6, 0.8)
_REDUCTION, _BATCH, _RATE = 4, 256, 1e-3


class CLIPAdapter(TunedEstimator):
    """CLIP-Adapter: logits 100 g' t_k with g = ratio relu(W2 relu(W1 f)) + (1 - ratio) f.

    W1 is [D / 4, D], W2 [D, D / 4], both without bias; t_k is the vector of class k, which stays as it is.
    `transform` gives g.

    Args:
        class_vectors: From class to its vector, as a text encoder embeds its name; None: the classes' means,
            which the method was not published with.
        ratio: How much of g is new, 0 to 1; None: 0.2, 0.4, 0.6 or 0.8, chosen on validation rows, or on one
            fold of the training rows (with one label a class: 0.2).
        epochs: Passes over the rows.
        blocks, prepare, missing, class_weight, seed: See `FeatureEstimator`; the seed is that of the first
            weights, the order of the rows, and the fold. Weights of rows multiply their losses.

    Attributes:
        ratio_: What was used.
        first_, second_: W1 and W2.
        vectors_: [C, D]

    Reference: Gao et al. 2021, eqs. 5 to 8, https://arxiv.org/abs/2110.04544. Departures: AdamW (rate 1e-3 on
        half a cosine, batches of 256) in place of SGD in batches of 32, which needs ten times the steps; g is
        not normalised again, as in the authors' equations; the text adapter, which they leave out of their
        final model, is left out.
    """

    several_labels = False

    def __init__(
        self,
        *,
        class_vectors: ClassVectors = None,
        ratio: float | None = 0.2,
        epochs: int = 60,
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
        self.ratio = ratio
        self.epochs = epochs

    def _learn(self, train: LabelledRows, held_out: LabelledRows | None) -> None:
        if self.epochs < 1 or (self.ratio is not None and not 0 <= self.ratio <= 1):
            raise ConfigError(
                f"epochs must be >= 1 and ratio in 0 to 1; got {self.epochs!r}, {self.ratio!r}."
            )
        self.ratio_ = self._chosen_ratio(train, held_out) if self.ratio is None else float(self.ratio)
        self.vectors_ = self._vectors(train)
        self.first_, self.second_ = self._trained(train, self.vectors_, self.ratio_, held_out)[0]

    def _chosen_ratio(self, train: LabelledRows, held_out: LabelledRows | None) -> float:
        fitted = train
        if held_out is None:
            parts = folds(train, seed=self.seed)
            if not parts:
                return RATIOS[0]
            fitted, held_out = train.take(parts[0].fitted), train.take(parts[0].held_out)
        vectors = self._vectors(fitted)
        reached = {one: self._trained(fitted, vectors, one, held_out)[1] for one in RATIOS}
        return max(RATIOS, key=lambda one: reached[one])

    def _vectors(self, train: LabelledRows) -> NDArray[np.float32]:
        return unit_class_vectors(self.class_vectors, classes=self.classes_.tolist(), train=train)

    def _trained(
        self,
        train: LabelledRows,
        vectors: NDArray[np.float32],
        ratio: float,
        held_out: LabelledRows | None,
    ) -> tuple[tuple[NDArray[np.float32], NDArray[np.float32]], Quality]:
        """The two maps after the last epoch (with validation rows: after the best), and how good they are."""
        adapter = _Adapter(vectors, ratio, seed=self.seed)
        rows, labels = torch.from_numpy(train.features), torch.from_numpy(np.asarray(train.labels))
        weights = torch.from_numpy(train.weights.astype(np.float32))
        optimiser = torch.optim.AdamW(adapter.maps, lr=_RATE)
        steps = self.epochs * -(-len(rows) // _BATCH)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
        order = np.random.default_rng(self.seed)
        best, highest = adapter.arrays(), Quality(-1.0, -np.inf)
        for _ in range(self.epochs):
            for batch in torch.split(torch.from_numpy(order.permutation(len(rows))), _BATCH):
                losses = F.cross_entropy(adapter(rows[batch]), labels[batch], reduction="none")
                optimiser.zero_grad()
                torch.autograd.backward((losses * weights[batch]).mean())
                optimiser.step()
                schedule.step()
            if held_out is None:
                continue
            with torch.inference_mode():
                scores = adapter(torch.from_numpy(held_out.features)).numpy()
            found = quality(log_softmax_or_sigmoid(scores, several=False), held_out)
            if found > highest:
                best, highest = adapter.arrays(), found
        return (adapter.arrays() if held_out is None else best), highest

    def _embedding_layers(self) -> list[Layer]:
        first, second = (Linear.of(torch.from_numpy(one)) for one in (self.first_, self.second_))
        new = Sequence_(first, Relu(), second, Relu(), Scale(self.ratio_))
        return [Sum(new, Scale(1 - self.ratio_))]

    def _score_layers(self) -> list[Layer]:
        return [*self._embedding_layers(), Linear.of(torch.from_numpy(LOGIT_SCALE * self.vectors_))]


class _Adapter:
    """The two maps while they are trained."""

    def __init__(self, vectors: NDArray[np.float32], ratio: float, *, seed: int) -> None:
        width = vectors.shape[1]
        narrow = max(1, width // _REDUCTION)
        generator = torch.Generator().manual_seed(seed)
        # As torch begins its linear layers: evenly within one over the root of the inputs.
        self.maps = [
            torch.empty(outputs, inputs)
            .uniform_(-(inputs**-0.5), inputs**-0.5, generator=generator)
            .requires_grad_()
            for outputs, inputs in ((narrow, width), (width, narrow))
        ]
        self.vectors, self.ratio = torch.from_numpy(vectors), ratio

    def __call__(self, rows: Tensor) -> Tensor:
        """Scores [B, C] of rows [B, D]."""
        new = F.relu(F.relu(rows @ self.maps[0].T) @ self.maps[1].T)
        return LOGIT_SCALE * (self.ratio * new + (1 - self.ratio) * rows) @ self.vectors.T

    def arrays(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        first, second = (one.detach().numpy().copy() for one in self.maps)
        return first, second
