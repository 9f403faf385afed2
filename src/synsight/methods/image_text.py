"""Images and captions in one space: what CLIP and its relatives share."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synsight.data.batches import Batch
from synsight.errors import ConfigError
from synsight.methods.base import Method, Need
from synsight.models.heads import joint_projection
from synsight.models.text import TextEncoder, TextModule, load_text_encoder

TRANSFORMER = "transformer"
"""The text tower that is trained from scratch."""


@dataclass(frozen=True, kw_only=True)
class TowersConfig:
    """What every method that compares images with captions is set by."""

    text: str = TRANSFORMER
    """Text encoder: `transformer` (small, from scratch), or the name of a pretrained one."""
    text_frozen: bool = False
    """Read the captions' embeddings from the catalog, made by an encoder that is not trained, in place of
    `text` (`synsight words --embed-captions`)."""
    locked_image: bool = False
    """Keep the image encoder as it is, and train text and projections alone (LiT)."""
    projection_dim: int = 256
    """Width of the joint space; CLIP's is 512 for ViT-B."""

    def __post_init__(self) -> None:
        if self.projection_dim < 1:
            raise ConfigError(f"method.projection_dim must be at least 1; got {self.projection_dim!r}.")
        if self.text_frozen and self.text != TRANSFORMER:
            raise ConfigError(
                f"method.text is {self.text!r} and method.text_frozen is on, but frozen captions are read "
                "from the catalog, embedded by the encoder that `synsight words --embed-captions` was given; "
                "leave out one of the two."
            )


class ImageText(Method):
    """An image tower and a text tower, each with a linear projection into one space.

    Args:
        encoder: See `Method`.
        embedding_dim: See `Method`.
        config: Which towers are trained.
        text_encoder: Token ids [B, L] -> features [B, E]; None: `text_frozen`.
        caption_dim: E of the embeddings made beforehand; 0: there are none.
        caption_encoder: Name of the encoder that made them; None: unknown, so no other text can be read.
    """

    log_scale: nn.Parameter

    def __init__(
        self,
        encoder: nn.Module,
        *,
        embedding_dim: int,
        config: TowersConfig,
        text_encoder: TextModule | None = None,
        caption_dim: int = 0,
        caption_encoder: str | None = None,
    ) -> None:
        super().__init__(encoder, embedding_dim=embedding_dim)
        self.towers = config
        self.text_encoder = text_encoder
        self.caption_encoder = caption_encoder
        text_dim = caption_dim if text_encoder is None else text_encoder.embedding_dim
        self.image_projection = joint_projection(embedding_dim, config.projection_dim)
        self.text_projection = joint_projection(text_dim, config.projection_dim)
        if config.locked_image:
            encoder.requires_grad_(False)

    @classmethod
    def needs(cls, config: Any) -> frozenset[Need]:
        """Captions, as token ids or as embeddings made beforehand."""
        return frozenset({"caption_embedding" if config.text_frozen else "tokens"})

    @property
    def frozen_parts(self) -> Sequence[nn.Module]:
        """The image encoder when it is locked."""
        return (self.encoder,) if self.towers.locked_image else ()

    @property
    def pretrained_parts(self) -> Sequence[nn.Module]:
        """What began with pretrained weights."""
        text = self.text_encoder
        return (*super().pretrained_parts, *((text,) if text is not None and text.pretrained else ()))

    def represent(self, batch: Batch) -> dict[str, Tensor]:
        """Image and text rows in the joint space, [B, P] each, not normalised, and the features."""
        features = self.encoder(batch.views[0])
        return {
            "features": features,
            "image_z": self.image_projection(features),
            "text_z": self.text_projection(self._text_features(batch)),
        }

    def _text_features(self, batch: Batch) -> Tensor:
        if self.text_encoder is None:
            assert batch.caption_embeddings is not None
            return batch.caption_embeddings
        assert batch.tokens is not None
        features: Tensor = self.text_encoder(batch.tokens)
        return features

    def image_embeddings(self, features: Tensor) -> Tensor:
        """Features [B, D] -> unit rows of the joint space [B, P]."""
        return F.normalize(self.image_projection(features).float(), dim=1)

    def text_embeddings(self, texts: Sequence[str]) -> Tensor | None:
        """Unit rows of the joint space, [C, P], without gradient; None: the captions' encoder is unknown."""
        if self.text_encoder is None and self.caption_encoder is None:
            return None
        training = self.training
        self.eval()
        with torch.inference_mode():
            embeddings = F.normalize(self.text_projection(self._read(list(texts))).float(), dim=1)
        self.train(training)
        return embeddings

    def text_tower(self) -> TextModule | None:
        """The module that reads captions; None: it is not known which one embedded them."""
        if self.text_encoder is None and self.caption_encoder is not None:
            return _frozen_encoder(self.caption_encoder).tower
        return self.text_encoder

    def _read(self, texts: list[str]) -> Tensor:
        device = self.text_projection.weight.device
        if self.text_encoder is not None:
            features: Tensor = self.text_encoder(self.text_encoder.tokenise(texts).to(device))
            return features
        assert self.caption_encoder is not None
        return torch.from_numpy(_frozen_encoder(self.caption_encoder).encode(texts)).to(device)


@lru_cache(maxsize=1)
def _frozen_encoder(name: str) -> TextEncoder:
    return load_text_encoder(name)
