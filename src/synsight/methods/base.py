"""What every training method is: an encoder, what it needs from the catalog, and the loss of one batch.

A step has two halves. `represent` turns each image of a batch into rows (features, projections), each row
from its own image alone. `compare` makes a loss of the rows of all processes. The cut lets a batch that does
not fit in memory be represented in parts and still be compared whole (GradCache), for every method alike.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from torch import Tensor, nn

from synsight.data.batches import Batch
from synsight.distributed import World

if TYPE_CHECKING:
    from synsight.models import Model

Need = Literal["words", "label", "tokens", "caption_embedding", "neighbours"]
"""What a method may ask of the catalog besides the images."""

Rows = Mapping[str, Tensor]
"""Names to rows, each [B, ...]."""


@dataclass(frozen=True)
class StepLoss:
    """The loss of one batch, with what is worth a curve beside it."""

    loss: Tensor
    """Scalar in float32; its gradient, averaged over the processes, is that of the joint batch."""
    features: Tensor
    """Features of the batch's images, [N, D], without gradient: what is watched for collapse."""
    logs: Mapping[str, Tensor] = field(default_factory=dict)
    """Scalars without gradient."""


class Method(nn.Module, ABC):
    """The wiring of one step.

    Args:
        encoder: A backbone that maps [B, 3, H, W] to features [B, D].
        embedding_dim: D.
    """

    num_views: ClassVar[int] = 1
    head_kind: ClassVar[Literal["words", "labels"] | None] = None
    """What the scores of `classifier` stand for."""

    def __init__(self, encoder: nn.Module, *, embedding_dim: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.embedding_dim = embedding_dim
        self.starts_pretrained = False
        """Whether the encoder began with pretrained weights."""

    @classmethod
    def needs(cls, config: Any) -> frozenset[Need]:
        """What the method with these settings asks of the catalog besides the images."""
        return frozenset()

    @abstractmethod
    def represent(self, batch: Batch) -> dict[str, Tensor]:
        """The rows of a batch, each from its own image (and caption) alone; "features" is one of them.

        Normalisation over the batch is the one exception: it sees the images that are represented together.
        """

    @abstractmethod
    def compare(self, rows: Rows, batch: Batch, world: World) -> StepLoss:
        """The loss of this process's rows, given what `represent` made of its whole batch."""

    def loss(self, batch: Batch, world: World) -> StepLoss:
        """The loss of this process's part of a batch."""
        return self.compare(self.represent(batch), batch, world)

    @property
    def classifier(self) -> nn.Linear | None:
        """The head that the saved model keeps; None where the method's head is only scaffolding."""
        return None

    @property
    def frozen_parts(self) -> Sequence[nn.Module]:
        """Parts that are used but not trained; they stay in evaluation mode."""
        return ()

    @property
    def pretrained_parts(self) -> Sequence[nn.Module]:
        """Parts that began with pretrained weights: they do not decay, and may learn more slowly."""
        return (self.encoder,) if self.starts_pretrained else ()

    def train(self, mode: bool = True) -> "Method":
        """Training mode for all but the frozen parts."""
        super().train(mode)
        for part in self.frozen_parts:
            part.eval()
        return self

    def begin(self, total_steps: int) -> None:
        """Told how long the run is, in steps, before its first step and when it goes on."""
        return

    def after_step(self) -> None:
        """What has to be put right after the optimiser moved the weights."""
        return

    def completed(self, model: "Model") -> "Model":
        """What is saved of the run, given the encoder with the parts that the config speaks of."""
        return model

    def text_embeddings(self, texts: Sequence[str]) -> Tensor | None:
        """Texts in the space of `image_embeddings`, unit length, [C, P]; None: the method reads no text."""
        return None

    def image_embeddings(self, features: Tensor) -> Tensor:
        """Features [B, D] in the space of the texts, [B, P]; the features where there are no texts."""
        return features

    def chance_loss(self, batch_size: int) -> float | None:
        """The loss of a method that has learnt nothing, in nats; None where it says nothing.

        Args:
            batch_size: Rows of the batch over all processes.
        """
        return None
