"""Supervised training from a label column: what pretraining has to be compared with."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from synsight.data.batches import Batch
from synsight.distributed import World
from synsight.errors import ConfigError
from synsight.methods.base import Method, Need, Rows, StepLoss
from synsight.models.heads import linear_head


@dataclass(frozen=True, kw_only=True)
class SupervisedConfig:
    """Predict the label (cross-entropy)."""

    name: Literal["supervised"] = "supervised"
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.label_smoothing < 1:
            raise ConfigError(
                f"method.label_smoothing must lie between 0 and 1; got {self.label_smoothing!r}."
            )


class Supervised(Method):
    """Softmax cross-entropy over one linear head; rows without a label are left out of the mean."""

    head_kind: ClassVar[Literal["words", "labels"] | None] = "labels"

    def __init__(
        self, encoder: nn.Module, *, embedding_dim: int, config: SupervisedConfig, num_classes: int
    ) -> None:
        super().__init__(encoder, embedding_dim=embedding_dim)
        self.config = config
        self.head = linear_head(embedding_dim, num_classes)

    @classmethod
    def needs(cls, config: Any) -> frozenset[Need]:
        """The labels."""
        return frozenset({"label"})

    def represent(self, batch: Batch) -> dict[str, Tensor]:
        """Features [B, D]."""
        return {"features": self.encoder(batch.views[0])}

    def compare(self, rows: Rows, batch: Batch, world: World) -> StepLoss:
        """Cross-entropy of this process's rows over the mean number of labelled rows of a process."""
        assert batch.labels is not None
        features = rows["features"]
        logits = self.head(features)  # [B, C]
        labelled = batch.labels >= 0
        # Gradients are averaged over the processes: the mean count here makes it the joint batch's mean.
        labelled_rows = world.sum(labelled.sum().float()) / world.size
        total = F.cross_entropy(
            logits.float(),
            batch.labels,
            ignore_index=-1,
            reduction="sum",
            label_smoothing=self.config.label_smoothing,
        )
        loss = total / labelled_rows.clamp(min=1 / world.size)
        hits = ((logits.argmax(dim=1) == batch.labels) & labelled).sum()
        accuracy = hits / labelled.sum().clamp(min=1)
        return StepLoss(loss, features=features.detach(), logs={"train_acc1": accuracy})

    @property
    def classifier(self) -> nn.Linear:
        """The label head."""
        return self.head
