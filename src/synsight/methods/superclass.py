"""SuperClass: pretraining as classification of an image by the words of its caption, rare words first."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from synsight.data.batches import Batch
from synsight.distributed import World
from synsight.methods.base import Method, Need, Rows, StepLoss
from synsight.models.heads import linear_head
from synsight.objectives import idf_softmax, weighted_rows


@dataclass(frozen=True, kw_only=True)
class SuperClassConfig:
    """Predict the caption's words or sub-words against each other (softmax on weighted targets)."""

    name: Literal["superclass"] = "superclass"
    idf: bool = True
    """Weight words by how rare they are; off: all the same."""


class WordSoftmax(nn.Module):
    """A linear head over features, softmax cross-entropy with the caption's words as targets.

    A word weighs log((N + 1) / (n + 1)), with N captions and n with this word seen so far, never negative; a
    row's weights are normalised to sum 1, and a row whose weights sum to nothing is left out. The counts are
    kept over all processes, in the checkpoint.

    Args:
        embedding_dim: D.
        num_classes: C.
        idf: Use the weights.

    Reference: Huang et al. 2024 (SuperClass), eq. 1 and 2, https://arxiv.org/abs/2411.03313; the weights as
    in the released code (the paper's are negative for a word that is everywhere).
    """

    captions: Tensor
    captions_with: Tensor

    def __init__(self, embedding_dim: int, num_classes: int, *, idf: bool) -> None:
        super().__init__()
        self.idf = idf
        self.head = linear_head(embedding_dim, num_classes)
        self.register_buffer("captions", torch.zeros((), dtype=torch.float64))
        self.register_buffer("captions_with", torch.zeros(num_classes, dtype=torch.float64))

    def forward(self, features: Tensor, batch: Batch, world: World) -> Tensor:
        """The loss of this process's rows [B, D], so that the mean over the processes is the joint loss."""
        assert batch.word_rows is not None and batch.word_classes is not None
        if self.training:
            self._count(batch.word_classes, len(batch), world)
        weights = self.weights
        words = (batch.word_rows, batch.word_classes, weights, batch.word_weights)
        rows = weighted_rows(*words, batch=len(batch))
        # Gradients are averaged over the processes: the mean count here makes it the joint batch's mean.
        normaliser = world.sum(rows.sum().float()) / world.size
        return idf_softmax(self.head(features), *words, normaliser=normaliser)

    @property
    def weights(self) -> Tensor:
        """Weight of each word, float32 [C]."""
        if not self.idf:
            return torch.ones_like(self.captions_with, dtype=torch.float32)
        return ((self.captions + 1) / (self.captions_with + 1)).log().float()

    @torch.no_grad()
    def _count(self, classes: Tensor, rows: int, world: World) -> None:
        found = torch.bincount(classes, minlength=len(self.captions_with)).to(self.captions_with)
        self.captions += rows * world.size
        self.captions_with += world.sum(found)


class SuperClass(Method):
    """SuperClass's step: the word softmax over the features."""

    head_kind: ClassVar[Literal["words", "labels"] | None] = "words"

    def __init__(
        self, encoder: nn.Module, *, embedding_dim: int, config: SuperClassConfig, num_classes: int
    ) -> None:
        super().__init__(encoder, embedding_dim=embedding_dim)
        self.config = config
        self.words = WordSoftmax(embedding_dim, num_classes, idf=config.idf)

    @classmethod
    def needs(cls, config: Any) -> frozenset[Need]:
        """The words of the captions."""
        return frozenset({"words"})

    def represent(self, batch: Batch) -> dict[str, Tensor]:
        """Features [B, D]."""
        return {"features": self.encoder(batch.views[0])}

    def compare(self, rows: Rows, batch: Batch, world: World) -> StepLoss:
        """The word softmax."""
        loss = self.words(rows["features"], batch, world)
        return StepLoss(loss, features=rows["features"].detach())

    @property
    def classifier(self) -> nn.Linear:
        """The word head."""
        return self.words.head
