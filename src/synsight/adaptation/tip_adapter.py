"""Tip-Adapter: a classifier plus a vote of the labelled rows, with (-F) or without training their keys.

N rows, D dimensions, C classes.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from synsight.adaptation.base import ClassWeight, LabelledRows, Missing
from synsight.adaptation.class_vectors import ClassVectors, unit_class_vectors
from synsight.adaptation.logistic import cross_validated, path
from synsight.adaptation.preparation import Preparation, apply_layers, preparation_layers
from synsight.adaptation.tuning import (
    Fold,
    Quality,
    TunedEstimator,
    folds,
    log_softmax_or_sigmoid,
    quality,
)
from synsight.errors import ConfigError
from synsight.metrics.arrays import unit_rows
from synsight.metrics.linear_probe import FOLDS
from synsight.models.head_layers import Affinity, Layer, Linear, Normalise, Scale, Sequence_, Sum

LOGIT_SCALE = 100.0
"""CLIP's largest, which the authors use."""
ALPHAS = (0.0, *(float(one) for one in np.geomspace(0.1, 50, 15)))
SHARPNESSES = tuple(float(one) for one in np.geomspace(0.1, 50, 12))
"""The range of the authors' grid, whose 200 x 200 values are evenly spaced."""
_BATCH, _RATE, _EPSILON = 256, 1e-3, 1e-4
Prior = Literal["logistic", "prototypes"]


class TipAdapter(TunedEstimator):
    """Tip-Adapter: logits prior(f) + alpha sum_i exp(-beta (1 - f' f_i)) onehot(y_i) over labelled rows i.

    The prior is 100 f' t_k with the vectors t_k of the classes' names. Without names the method was not
    published; then a logistic regression stands in (`prior="logistic"`), so that the vote corrects what a
    linear classifier cannot say, or the classes' means (`prior="prototypes"`). Alpha and beta (`sharpness`)
    are chosen on validation rows, or by folds of the training rows, where prior and vote come from the other
    folds; alpha 0, the prior alone, is among the values. With one label a class both are 1, the authors'
    beginning.

    Args:
        class_vectors: From class to its vector, as a text encoder embeds its name; None: the prior stands in.
        prior: What stands in.
        alpha, sharpness: Weight of the vote and beta; None: chosen.
        folds: Most folds.
        blocks, prepare, missing, class_weight, seed: See `FeatureEstimator`; the seed is that of the folds.
            Weights of rows multiply their votes.

    Attributes:
        alpha_, sharpness_: What was used.
        keys_, votes_: [N, D] and [N, C].

    Reference: Zhang et al. 2022, eqs. 4 to 6, https://arxiv.org/abs/2207.09519. Departures: the grid is
        spaced geometrically, and holds alpha 0; accuracy chooses, ties go to the likelihood.
    """

    several_labels = False

    def __init__(
        self,
        *,
        class_vectors: ClassVectors = None,
        prior: Prior = "logistic",
        alpha: float | None = None,
        sharpness: float | None = None,
        folds: int = FOLDS,
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
        self.prior = prior
        self.alpha = alpha
        self.sharpness = sharpness
        self.folds = folds

    def _learn(self, train: LabelledRows, held_out: LabelledRows | None) -> None:
        if self.prior not in ("logistic", "prototypes"):
            raise ConfigError(f"prior must be 'logistic' or 'prototypes'; got {self.prior!r}.")
        if (self.alpha is not None and self.alpha < 0) or (
            self.sharpness is not None and not self.sharpness > 0
        ):
            raise ConfigError(
                f"alpha must be >= 0 and sharpness > 0; got {self.alpha!r}, {self.sharpness!r}."
            )
        parts = folds(train, most=self.folds, seed=self.seed)
        strength = 0.0
        if self.class_vectors is None and self.prior == "logistic":
            strength, _ = cross_validated(_standardised(train, train)[0], parts)
        self.prior_ = self._prior_layers(train, strength)
        self.keys_ = unit_rows(train.features)
        self.votes_ = train.truth * train.weights[:, None]
        if held_out is not None:
            asked = [_Asked.of(self.prior_, train, held_out)]
        else:
            asked = [self._asked(train, part, strength) for part in parts]
        self.alpha_, self.sharpness_ = self._chosen(asked)
        self._finish(train, held_out)

    def _finish(self, train: LabelledRows, held_out: LabelledRows | None) -> None:
        """What follows the choice: nothing."""

    def _asked(self, train: LabelledRows, part: Fold, strength: float) -> "_Asked":
        fitted = train.take(part.fitted)
        prior = self._prior_layers(fitted, strength, coarse=True)
        return _Asked.of(prior, fitted, train.take(part.held_out))

    def _chosen(self, asked: Sequence["_Asked"]) -> tuple[float, float]:
        """Alpha and beta."""
        alphas = ALPHAS if self.alpha is None else (float(self.alpha),)
        sharpnesses = SHARPNESSES if self.sharpness is None else (float(self.sharpness),)
        if not asked or len(alphas) * len(sharpnesses) == 1:
            return (1.0 if self.alpha is None else alphas[0]), (
                1.0 if self.sharpness is None else sharpnesses[0]
            )
        truth = _together([one.rows for one in asked])
        prior = np.concatenate([one.prior for one in asked])
        tried: list[tuple[Quality, float, float]] = []
        for sharpness in sharpnesses:
            votes = np.concatenate([one.votes(sharpness) for one in asked])
            for alpha in alphas:
                chances = log_softmax_or_sigmoid(prior + alpha * votes, several=False)
                tried.append((quality(chances, truth), alpha, sharpness))
        _, alpha, sharpness = max(tried, key=lambda one: one[0])
        return alpha, sharpness

    def _prior_layers(self, train: LabelledRows, strength: float, *, coarse: bool = False) -> list[Layer]:
        """From prepared rows to the prior's scores."""
        if self.class_vectors is None and self.prior == "logistic":
            rows, layers = _standardised(train, train)
            weight, bias = next(path(rows, (strength,), coarse=coarse))
            bias = np.maximum(bias, -LOGIT_SCALE)  # of a class without a row in this fold
            return [*layers, Linear.of(torch.from_numpy(weight), torch.from_numpy(bias))]
        vectors = unit_class_vectors(self.class_vectors, classes=self.classes_.tolist(), train=train)
        return [Normalise(), Linear.of(torch.from_numpy(LOGIT_SCALE * vectors))]

    def _score_layers(self) -> list[Layer]:
        vote = [
            Normalise(),
            Linear.of(torch.from_numpy(self.keys_)),
            Affinity(self.sharpness_),
            Linear.of(torch.from_numpy(np.ascontiguousarray(self.votes_.T))),
            Scale(self.alpha_),
        ]
        return [Sum(Sequence_(*self.prior_), Sequence_(*vote))]


class TipAdapterF(TipAdapter):
    """Tip-Adapter-F: Tip-Adapter whose keys f_i are trained.

    Alpha and beta are Tip-Adapter's (where they leave no vote, both begin at 1), the keys then descend the
    cross-entropy of the training rows by AdamW: rate 1e-3 on half a cosine, epsilon 1e-4, batches of 256.
    With validation rows the best epoch is kept, and alpha and beta are chosen again with the trained keys.

    Args:
        epochs: Passes over the rows.
        class_vectors, prior, alpha, sharpness, folds, blocks, prepare, missing, class_weight, seed: See
            `TipAdapter`; the seed is also that of the order of the rows.

    Reference: Zhang et al. 2022, section 3.2, https://arxiv.org/abs/2207.09519. Departure: the authors'
        program keeps the epoch that is best on the test rows; here validation rows decide, or none do.
    """

    def __init__(
        self,
        *,
        epochs: int = 20,
        class_vectors: ClassVectors = None,
        prior: Prior = "logistic",
        alpha: float | None = None,
        sharpness: float | None = None,
        folds: int = FOLDS,
        blocks: Sequence[int] | None = None,
        prepare: Preparation | Sequence[Preparation] = "unit",
        missing: Missing = "error",
        class_weight: ClassWeight = None,
        seed: int = 0,
    ) -> None:
        super().__init__(
            class_vectors=class_vectors,
            prior=prior,
            alpha=alpha,
            sharpness=sharpness,
            folds=folds,
            blocks=blocks,
            prepare=prepare,
            missing=missing,
            class_weight=class_weight,
            seed=seed,
        )
        self.epochs = epochs

    def _finish(self, train: LabelledRows, held_out: LabelledRows | None) -> None:
        if self.epochs < 1:
            raise ConfigError(f"epochs must be >= 1; got {self.epochs!r}.")
        if self.alpha is None and self.alpha_ == 0:
            self.alpha_, self.sharpness_ = 1.0, self.sharpness or 1.0
        self.keys_ = self._trained(train, held_out)
        if held_out is not None:
            asked = _Asked.of(self.prior_, train, held_out, keys=self.keys_)
            self.alpha_, self.sharpness_ = self._chosen([asked])

    def _trained(self, train: LabelledRows, held_out: LabelledRows | None) -> NDArray[np.float32]:
        rows = torch.from_numpy(unit_rows(train.features))
        prior = torch.from_numpy(apply_layers(self.prior_, train.features).astype(np.float32))
        votes = torch.from_numpy(self.votes_.astype(np.float32))
        labels = torch.from_numpy(np.asarray(train.labels))
        weights = torch.from_numpy(train.weights.astype(np.float32))
        keys = rows.clone().requires_grad_()
        optimiser = torch.optim.AdamW([keys], lr=_RATE, eps=_EPSILON)
        steps = self.epochs * -(-len(rows) // _BATCH)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
        order = np.random.default_rng(self.seed)
        best, highest = self.keys_, Quality(-1.0, -np.inf)
        for _ in range(self.epochs):
            for batch in torch.split(torch.from_numpy(order.permutation(len(rows))), _BATCH):
                affinity = (self.sharpness_ * (rows[batch] @ keys.T - 1)).exp()
                scores = prior[batch] + self.alpha_ * affinity @ votes
                losses = F.cross_entropy(scores, labels[batch], reduction="none")
                optimiser.zero_grad()
                torch.autograd.backward((losses * weights[batch]).mean())
                optimiser.step()
                schedule.step()
            now = keys.detach().numpy().copy()
            if held_out is None:
                best = now
            elif (found := self._quality(train, held_out, now)) > highest:
                best, highest = now, found
        return best

    def _quality(self, train: LabelledRows, held_out: LabelledRows, keys: NDArray[np.float32]) -> Quality:
        asked = _Asked.of(self.prior_, train, held_out, keys=keys)
        scores = asked.prior + self.alpha_ * asked.votes(self.sharpness_)
        return quality(log_softmax_or_sigmoid(scores, several=False), held_out)


class _Asked(NamedTuple):
    """Rows that were not fitted, and what decides about them."""

    rows: LabelledRows
    prior: NDArray[np.float64]
    """[V, C]"""
    cosines: NDArray[np.float32]
    """[V, N] to the keys."""
    cast: NDArray[np.float32]
    """[N, C] of the keys."""

    @classmethod
    def of(
        cls,
        prior: Sequence[Layer],
        fitted: LabelledRows,
        asked: LabelledRows,
        keys: NDArray[np.float32] | None = None,
    ) -> "_Asked":
        """Of rows and those that vote about them; `keys` of the latter, where they have been trained."""
        keys = unit_rows(fitted.features) if keys is None else keys
        cast = (fitted.truth * fitted.weights[:, None]).astype(np.float32)
        cosines = unit_rows(asked.features) @ keys.T
        return cls(asked, apply_layers(prior, asked.features), cosines, cast)

    def votes(self, sharpness: float) -> NDArray[np.float32]:
        """[V, C] before alpha."""
        found: NDArray[np.float32] = np.exp(np.float32(sharpness) * (self.cosines - 1)) @ self.cast
        return found


def _standardised(train: LabelledRows, like: LabelledRows) -> tuple[LabelledRows, list[Layer]]:
    """The rows with their columns standardised, for a logistic regression."""
    layers = preparation_layers(
        like.features, widths=[like.features.shape[1]], kinds="standardise", weights=like.weights
    )
    features = apply_layers(layers, train.features).astype(np.float32)
    return LabelledRows(features, train.labels, train.truth, train.weights, train.groups), layers


def _together(parts: Sequence[LabelledRows]) -> LabelledRows:
    labels = np.concatenate([np.asarray(one.labels) for one in parts])
    features, truth, weights, groups = (
        np.concatenate([getattr(one, name) for one in parts])
        for name in ("features", "truth", "weights", "groups")
    )
    return LabelledRows(features, labels, truth, weights, groups)
