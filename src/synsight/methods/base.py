"""What every training method is: an encoder, what it needs from the catalog, and the loss of one batch."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from torch import Tensor, nn

from synsight.data.loader import Batch
from synsight.distributed import World


@dataclass(frozen=True)
class StepLoss:
    """The loss of one batch, with what is worth a curve beside it."""

    loss: Tensor
    """Scalar in float32; its gradient, averaged over the processes, is that of the joint batch."""
    features: Tensor
    """Features of the batch's views, [N, D], without gradient: what is watched for collapse."""
    logs: Mapping[str, Tensor] = field(default_factory=dict)
    """Scalars without gradient."""


class Method(nn.Module, ABC):
    """The wiring of one step.

    Args:
        encoder: A backbone that maps [B, 3, H, W] to features [B, D].
        embedding_dim: D.
    """

    needs: ClassVar[Literal["words", "label"] | None] = None
    """The column the method learns from, besides the images."""
    num_views: ClassVar[int] = 1

    def __init__(self, encoder: nn.Module, *, embedding_dim: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.embedding_dim = embedding_dim

    @abstractmethod
    def loss(self, batch: Batch, world: World) -> StepLoss:
        """The loss of this process's part of a batch."""

    @property
    def classifier(self) -> nn.Linear | None:
        """The head that the saved model keeps; None where the method's head is only scaffolding."""
        return None

    def chance_loss(self, batch_size: int) -> float | None:
        """The loss of a method that has learnt nothing, in nats; None where it says nothing.

        Args:
            batch_size: Rows of the batch over all processes.
        """
        return None
