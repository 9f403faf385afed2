"""CatLIP: pretraining as classification of an image by the words found in its caption."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import nn

from synsight.data.batches import Batch
from synsight.distributed import World
from synsight.errors import ConfigError
from synsight.methods.base import Need, Rows, StepLoss
from synsight.methods.one_view import OneView
from synsight.methods.range_augment import RangeAugment
from synsight.models.heads import linear_head
from synsight.objectives import labelled_rows, sparse_bce


@dataclass(frozen=True, kw_only=True)
class CatLIPConfig:
    """Predict the caption's words, each a class of its own (binary cross-entropy)."""

    name: Literal["catlip"] = "catlip"
    start_probability: float | None = None
    """Probability every word is given at the start, through the bias of the head; None: 1 / classes. A head
    that starts at one half spends its first epochs learning that most words are absent."""
    range_augment: bool = False
    """Change brightness, contrast and noise by strengths that are learned (RangeAugment)."""

    def __post_init__(self) -> None:
        if self.start_probability is not None and not 0 < self.start_probability < 1:
            raise ConfigError(
                f"method.start_probability must lie between 0 and 1; got {self.start_probability!r}."
            )


class CatLIP(OneView):
    """A linear head over the features, one logit a word; sum over words, mean over the rows that have one.

    Rows without a word are masked out of the loss; the paper's code takes them as examples of nothing.

    Reference: Mehta et al. 2024, https://arxiv.org/abs/2404.15653, section 3.
    """

    head_kind: ClassVar[Literal["words", "labels"] | None] = "words"

    def __init__(
        self, encoder: nn.Module, *, embedding_dim: int, config: CatLIPConfig, num_classes: int
    ) -> None:
        super().__init__(encoder, embedding_dim=embedding_dim)
        self.config = config
        prior = config.start_probability or 1 / max(num_classes, 2)
        self.head = linear_head(embedding_dim, num_classes, prior=prior)
        self.range_augment = RangeAugment() if config.range_augment else None

    @classmethod
    def needs(cls, config: Any) -> frozenset[Need]:
        """The words of the captions."""
        return frozenset({"words"})

    def compare(self, rows: Rows, batch: Batch, world: World) -> StepLoss:
        """Binary cross-entropy of this process's rows over the mean number of labelled rows of a process.

        RangeAugment adds its penalty, the mean over all rows.
        """
        assert batch.word_rows is not None and batch.word_classes is not None
        features = rows["features"]
        logits = self.head(features)  # [B, C]
        has_word = labelled_rows(batch.word_rows, len(logits)).float()
        # Gradients are averaged over the processes: the mean count here makes it the joint batch's mean.
        normaliser = world.sum(has_word.sum()) / world.size
        words = (batch.word_rows, batch.word_classes, batch.word_weights)
        loss = sparse_bce(logits, *words, normaliser=normaliser)
        logs = {"share_with_word": has_word.mean()}
        loss = self.with_penalty(loss, rows, logs)
        return StepLoss(loss, features=features.detach(), logs=logs)

    @property
    def classifier(self) -> nn.Linear:
        """The word head."""
        return self.head
