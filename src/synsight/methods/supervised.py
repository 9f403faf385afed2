"""Supervised training from a label column: what pretraining has to be compared with."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from synsight.data.batches import Batch
from synsight.data.training_data import IMAGENET_MEAN, IMAGENET_STD
from synsight.distributed import World
from synsight.errors import ConfigError
from synsight.methods.base import Need, Rows, StepLoss
from synsight.methods.one_view import OneView
from synsight.methods.range_augment import RangeAugment
from synsight.models.heads import linear_head
from synsight.objectives.class_weights import ClassWeights, class_weights


@dataclass(frozen=True, kw_only=True)
class SupervisedConfig:
    """Predict the label (cross-entropy)."""

    name: Literal["supervised"] = "supervised"
    label_smoothing: float = 0.0
    class_weights: ClassWeights = "none"
    """How much a row counts by the size of its class: none, sqrt, inverse or effective."""
    range_augment: bool = False
    """Change brightness, contrast and noise by strengths that are learned (RangeAugment)."""
    norm_statistics: Literal["batch", "kept"] = "batch"
    """What BatchNorm normalises by in training: the batch's statistics, or those the encoder came with, which
    then stay as they are. A few rows are a poor sample of what it was pretrained on."""
    initial_weights: str | None = None
    """File with the head's first rows (`training.start_head`); none: small random ones."""

    def __post_init__(self) -> None:
        if not 0 <= self.label_smoothing < 1:
            raise ConfigError(
                f"method.label_smoothing must lie between 0 and 1; got {self.label_smoothing!r}."
            )


class Supervised(OneView):
    """Softmax cross-entropy over one linear head; rows without a label are left out of the mean.

    With class weights rows count by their class, label smoothing and all.

    Args:
        label_names: Names of the classes, in the order of the head's rows.
        label_counts: Rows of each class, [C]; needed by class weights alone.
        head: The head to begin with; None: small random rows.
        mean: Of the pixels' normalisation, which RangeAugment undoes.
        std: As `mean`.
    """

    head_kind: ClassVar[Literal["words", "labels"] | None] = "labels"
    row_weights: Tensor | None

    def __init__(
        self,
        encoder: nn.Module,
        *,
        embedding_dim: int,
        config: SupervisedConfig,
        num_classes: int,
        label_names: Sequence[str] = (),
        label_counts: Tensor | None = None,
        head: nn.Linear | None = None,
        mean: tuple[float, ...] = IMAGENET_MEAN,
        std: tuple[float, ...] = IMAGENET_STD,
    ) -> None:
        super().__init__(encoder, embedding_dim=embedding_dim)
        self.config = config
        self.label_names = tuple(label_names)
        self.head = linear_head(embedding_dim, num_classes) if head is None else head
        weights = None
        if config.class_weights != "none":
            if label_counts is None:
                raise ConfigError("method.class_weights needs the rows of each class; got none.")
            weights = class_weights(label_counts, config.class_weights)
        # Not in the checkpoint: they follow from the training rows.
        self.register_buffer("row_weights", weights, persistent=False)
        self.range_augment = RangeAugment(mean=mean, std=std) if config.range_augment else None

    @classmethod
    def needs(cls, config: Any) -> frozenset[Need]:
        """The labels."""
        return frozenset({"label"})

    def compare(self, rows: Rows, batch: Batch, world: World) -> StepLoss:
        """Cross-entropy of this process's rows over the mean number of labelled rows of a process."""
        assert batch.labels is not None
        features = rows["features"]
        logits = self.head(features)  # [B, C]
        labelled = batch.labels >= 0
        # Gradients are averaged over the processes: the mean count here makes it the joint batch's mean.
        labelled_rows = world.sum(labelled.sum().float()) / world.size
        loss = self._total(logits.float(), batch.labels) / labelled_rows.clamp(min=1 / world.size)
        logs: dict[str, Tensor] = {}
        loss = self.with_penalty(loss, rows, logs)
        hits = ((logits.argmax(dim=1) == batch.labels) & labelled).sum()
        accuracy = hits / labelled.sum().clamp(min=1)
        return StepLoss(loss, features=features.detach(), logs={"train_acc1": accuracy, **logs})

    def train(self, mode: bool = True) -> "Supervised":
        """Training mode, for all but the norms whose statistics are kept; their scales learn all the same."""
        super().train(mode)
        if self.config.norm_statistics == "kept":
            for part in self.encoder.modules():
                if isinstance(part, nn.modules.batchnorm._BatchNorm):
                    part.eval()
        return self

    @property
    def classifier(self) -> nn.Linear:
        """The label head."""
        return self.head

    def _total(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Summed cross-entropy of the rows with a label, each as often as it counts."""
        weighted = self.row_weights is not None
        losses = F.cross_entropy(
            logits,
            labels,
            ignore_index=-1,
            reduction="none" if weighted else "sum",
            label_smoothing=self.config.label_smoothing,
        )
        return losses if self.row_weights is None else losses @ self.row_weights[labels.clamp(min=0)]
