"""SuperCLIP: CLIP with one more linear layer that predicts the words of the caption."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import nn

from synsight.data.batches import Batch
from synsight.distributed import World
from synsight.errors import ConfigError
from synsight.methods.base import Need, Rows, StepLoss
from synsight.methods.clip import CLIP
from synsight.methods.image_text import ImageText, TowersConfig
from synsight.methods.superclass import WordSoftmax


@dataclass(frozen=True, kw_only=True)
class SuperCLIPConfig(TowersConfig):
    """Contrast images with captions, and predict the captions' words."""

    name: Literal["superclip"] = "superclip"
    word_weight: float = 1.0
    """Lambda: what the word loss counts beside CLIP's."""
    idf: bool = True
    """Weight words by how rare they are."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.word_weight > 0:
            raise ConfigError(f"method.word_weight must be > 0; got {self.word_weight!r}.")


class SuperCLIP(CLIP):
    """CLIP + lambda x SuperClass, the words read off the features.

    Reference: https://github.com/hustvl/SuperCLIP; lambda 1 is its best.
    """

    head_kind: ClassVar[Literal["words", "labels"] | None] = "words"

    def __init__(
        self,
        encoder: nn.Module,
        *,
        embedding_dim: int,
        config: SuperCLIPConfig,
        num_classes: int,
        **towers: Any,
    ) -> None:
        super().__init__(encoder, embedding_dim=embedding_dim, config=config, **towers)
        self.config = config
        self.words = WordSoftmax(embedding_dim, num_classes, idf=config.idf)

    @classmethod
    def needs(cls, config: Any) -> frozenset[Need]:
        """Captions and their words."""
        return ImageText.needs(config) | {"words"}

    def compare(self, rows: Rows, batch: Batch, world: World) -> StepLoss:
        """The weighted sum."""
        contrast = super().compare(rows, batch, world)
        words = self.words(rows["features"], batch, world)
        logs = {**contrast.logs, "clip_loss": contrast.loss.detach(), "word_loss": words.detach()}
        loss = contrast.loss + self.config.word_weight * words
        return StepLoss(loss, features=contrast.features, logs=logs)

    def chance_loss(self, batch_size: int) -> float | None:
        """A sum of two losses has no value of chance."""
        return None

    @property
    def classifier(self) -> nn.Linear:
        """The word head."""
        return self.words.head
