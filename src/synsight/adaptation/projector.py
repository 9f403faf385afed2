"""The contrastive projector: embeddings mapped so that rows of a class lie together, then a classifier.

N rows, V held-out rows, D dimensions, E dimensions of the projection, C classes.
"""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Literal, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from synsight.adaptation.alignment import AlignmentKind, align
from synsight.adaptation.base import ClassWeight, FitError, LabelledRows, Missing
from synsight.adaptation.logistic import path
from synsight.adaptation.preparation import Preparation
from synsight.adaptation.projector_choice import ProjectorChoice, choose, projected
from synsight.adaptation.projector_settings import (
    RECIPES,
    Negatives,
    Penalty,
    ProjectionLoss,
    ProjectorSettings,
    Shape,
)
from synsight.adaptation.projector_training import Projector, train_projector
from synsight.adaptation.tuning import TunedEstimator
from synsight.errors import UsageError, near_names
from synsight.models.head_layers import Layer, Linear, Scale
from synsight.objectives.pairwise_bce import Likeness


class ContrastiveProjector(TunedEstimator):
    """A projection learnt by contrast of labelled pairs, and logistic regression on what it gives.

    `recipe="paper"` is the published projector: D -> 16 -> 128 with a ReLU, unnormalised products divided by
    0.1, binary cross-entropy over all pairs of a batch, Adam at 1e-3, batches of 128, 10 epochs, then
    logistic regression with C = 1. `recipe="site"` adds a map of rank 16 to the identity in its place, so
    that what the frozen features know stays, and takes it up only if held-out rows are told better by more
    than two standard errors (else `transform` gives the prepared features, and the classifier is a tuned
    logistic regression). Every other argument overrides one setting of the recipe; None leaves it as it is.

    Several labels a row (`y` an indicator matrix): a pair is as alike as `likeness` says, and the classifier
    gives each class its own probability.

    Args:
        recipe: `site` or `paper`; see `projector_settings`.
        shape, hidden, outputs, per_block: Of the map.
        loss, temperature, normalise, negatives, likeness: Of the contrast.
        balanced, batch_size, epochs, learning_rate, identity: Of the training.
        validated: Whether held-out rows decide how long to train, and whether to project at all: folds that
            are stratified by class and part no group.
        C: Of the classifier; `chosen`: on the held-out rows.
        calibrate: Whether the held-out rows give a temperature to the probabilities.
        alignment, consistency: What is done with `X_unlabelled`.
        blocks, prepare, missing, class_weight, seed: See `FeatureEstimator`.

    Attributes:
        settings_: The whole setting that was used.
        chosen_: What the held-out rows said; see `ProjectorChoice`.
        projector_: The map; None: the prepared features were kept.
        aligned_: Whether labelled rows were moved to the target domain's statistics.
        shift_p_value_: Of the test that decides it; NaN without unlabelled rows.
        coef_, intercept_: [C, E] and [C] of the classifier, before `chosen_.temperature`.

    Reference: Margaritis, Petridis and Bertsimas 2025, "Efficient Domain Adaptation of Multimodal Embeddings
        using Contrastive Learning", https://arxiv.org/abs/2502.02048. Departure of `paper`: all rows are
        learnt from, where their code puts a fifth aside to print a figure.
    """

    def __init__(
        self,
        *,
        recipe: Literal["site", "paper"] = "site",
        shape: Shape | None = None,
        hidden: int | None = None,
        outputs: int | None = None,
        per_block: bool | None = None,
        loss: ProjectionLoss | None = None,
        temperature: float | None = None,
        normalise: bool | None = None,
        negatives: Negatives | None = None,
        likeness: Likeness | None = None,
        balanced: bool | None = None,
        batch_size: int | None = None,
        epochs: int | None = None,
        learning_rate: float | None = None,
        identity: float | None = None,
        validated: bool | None = None,
        C: Penalty | None = None,
        calibrate: bool | None = None,
        alignment: AlignmentKind | None = None,
        consistency: float | None = None,
        blocks: Sequence[int] | None = None,
        prepare: Preparation | Sequence[Preparation] | None = None,
        missing: Missing = "error",
        class_weight: ClassWeight = None,
        seed: int = 0,
    ) -> None:
        super().__init__(
            blocks=blocks, prepare=prepare, missing=missing, class_weight=class_weight, seed=seed
        )
        self.recipe = recipe
        self.shape = shape
        self.hidden = hidden
        self.outputs = outputs
        self.per_block = per_block
        self.loss = loss
        self.temperature = temperature
        self.normalise = normalise
        self.negatives = negatives
        self.likeness = likeness
        self.balanced = balanced
        self.batch_size = batch_size
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.identity = identity
        self.validated = validated
        self.C = C
        self.calibrate = calibrate
        self.alignment = alignment
        self.consistency = consistency

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        groups: ArrayLike | None = None,
        validation: tuple[ArrayLike, ArrayLike] | None = None,
        X_unlabelled: ArrayLike | None = None,
        in_target: ArrayLike | None = None,
    ) -> Self:
        """Learn from rows and labels; an earlier fit is forgotten.

        Args:
            X: [N, D] features.
            y: [N] classes, or [N, C] of 0 and 1.
            sample_weight: [N] how much each row counts, 0 or more: in the classifier, and a pair in the
                contrast as the product of its rows.
            groups: [N] rows of one group are near-duplicates, which no fold parts.
            validation: Other rows and their labels, by which is chosen in place of folds.
            X_unlabelled: [M, D] rows of the domain that is to be predicted. Where they differ from the
                labelled rows by more than chance, those are moved to their statistics (`alignment`); the fit
                is then one for that domain.
            in_target: [N] bool, labelled rows that are of that domain already: they stay where they are, and
                count with the unlabelled ones. None: no row is.

        Raises:
            FitError: Rows or labels that cannot be used; the sentence says which.
            ConfigError: A setting outside its range.
            TrainingError: The loss became NaN.
        """
        self.settings_ = self._settings()
        train = self._labelled(X, y, sample_weight, groups)
        held_out = None if validation is None else self._held_out(*validation)
        unlabelled = None if X_unlabelled is None else self._prepared(X_unlabelled)
        kept = np.ones(len(train.features), bool) if sample_weight is None else np.asarray(sample_weight) > 0
        train = self._aligned(train, unlabelled, _in_target(in_target, kept))
        self._learn_with(train, held_out, unlabelled)
        return self

    def _settings(self) -> ProjectorSettings:
        if self.recipe not in RECIPES:
            raise UsageError(
                f"there is no projector recipe {self.recipe!r}; {near_names(str(self.recipe), RECIPES)}."
            )
        given = {
            one.name: getattr(self, one.name) for one in fields(ProjectorSettings) if one.name != "prepare"
        }
        return replace(
            RECIPES[self.recipe], **{name: value for name, value in given.items() if value is not None}
        )

    def _preparation(self) -> Preparation | Sequence[Preparation]:
        return self.settings_.prepare if self.prepare is None else self.prepare

    def _aligned(
        self, train: LabelledRows, unlabelled: NDArray[np.float32] | None, there: NDArray[np.bool_]
    ) -> LabelledRows:
        """The rows, with those of the source moved to the target's statistics."""
        self.aligned_, self.shift_p_value_ = False, float("nan")
        if unlabelled is None or there.all():
            return train
        source, target = train.features[~there], np.concatenate([unlabelled, train.features[there]])
        found = align(source, target, kind=self.settings_.alignment, seed=self.seed)
        self.aligned_, self.shift_p_value_ = found.applied, found.p_value
        moved = train.features.copy()
        moved[~there] = found.features
        return replace(train, features=moved)

    def _learn(self, train: LabelledRows, held_out: LabelledRows | None) -> None:
        self._learn_with(train, held_out, None)

    def _learn_with(
        self, train: LabelledRows, held_out: LabelledRows | None, unlabelled: NDArray[np.float32] | None
    ) -> None:
        def trained(rows: LabelledRows, stops: Sequence[int]) -> list[Projector]:
            return train_projector(
                rows, self.settings_, widths=self.widths_, seed=self.seed, unlabelled=unlabelled, stops=stops
            )

        self.chosen_: ProjectorChoice = choose(
            train, held_out, self.settings_, trained=trained, seed=self.seed
        )
        self.projector_ = trained(train, [self.chosen_.epochs])[0] if self.chosen_.projected else None
        space = projected(train, self.projector_)
        self.coef_, self.intercept_ = next(path(space, (self.chosen_.C,), coarse=False))

    def _embedding_layers(self) -> list[Layer]:
        layers: list[Layer] = [] if self.projector_ is None else self.projector_.layers()
        return layers

    def _score_layers(self) -> list[Layer]:
        linear = Linear.of(torch.from_numpy(self.coef_), torch.from_numpy(self.intercept_))
        return [*self._embedding_layers(), linear, Scale(1 / self.chosen_.temperature)]


def _in_target(given: ArrayLike | None, kept: NDArray[np.bool_]) -> NDArray[np.bool_]:
    if given is None:
        return np.zeros(int(kept.sum()), bool)
    rows = np.asarray(given)
    if rows.shape != kept.shape:
        raise FitError(
            f"expected one truth value a row in in_target; got shape {rows.shape} for {len(kept)} rows; pass "
            "those of the same rows."
        )
    return rows[kept].astype(bool)
