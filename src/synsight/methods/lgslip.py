"""LG-SLIP: images are drawn to images with similar captions, and to their own captions."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from synsight.data.batches import Batch
from synsight.distributed import World
from synsight.errors import ConfigError
from synsight.methods.base import Need, Rows, StepLoss
from synsight.methods.clip import CLIP
from synsight.methods.image_text import ImageText, TowersConfig
from synsight.methods.related import related_rows
from synsight.methods.two_views import check_contrast, check_neighbours
from synsight.objectives import tiled_nt_xent


@dataclass(frozen=True, kw_only=True)
class LGSLIPConfig(TowersConfig):
    """Contrast images of neighbouring captions, and images with their captions."""

    name: Literal["lgslip"] = "lgslip"
    temperature: float = 0.1
    """Of the contrast between images."""
    image_weight: float = 1.0
    """What the contrast between images counts beside CLIP's; equal in the published code."""
    num_neighbours: int = 1
    """Nearest captions one of which is drawn in each epoch; 1, as published: always the nearest."""
    mask_neighbours: bool = True
    """Neighbours that meet in a batch are no negatives of each other, between images."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_contrast(self.temperature, self.projection_dim)
        check_neighbours(self.num_neighbours)
        if not self.image_weight > 0:
            raise ConfigError(f"method.image_weight must be > 0; got {self.image_weight!r}.")


class LGSLIP(CLIP):
    """SimCLR on pairs of caption neighbours + CLIP on the first image and its caption.

    Reference: El Banani et al. 2023, https://arxiv.org/abs/2302.12248; as in its code, one projection of
    images serves both contrasts.
    """

    num_views: ClassVar[int] = 2

    def __init__(
        self, encoder: nn.Module, *, embedding_dim: int, config: LGSLIPConfig, **towers: Any
    ) -> None:
        super().__init__(encoder, embedding_dim=embedding_dim, config=config, **towers)
        self.config = config

    @classmethod
    def needs(cls, config: Any) -> frozenset[Need]:
        """Captions and their neighbours."""
        return ImageText.needs(config) | {"neighbours"}

    def represent(self, batch: Batch) -> dict[str, Tensor]:
        """Rows of both images and the caption in the joint space, [B, P] each, and the first's features."""
        features = self.encoder(torch.cat(batch.views))  # [2B, D]
        image_z, partner_z = self.image_projection(features).chunk(2)
        return {
            "features": features[: len(batch)].detach(),
            "image_z": image_z,
            "partner_z": partner_z,
            "text_z": self.text_projection(self._text_features(batch)),
        }

    def compare(self, rows: Rows, batch: Batch, world: World) -> StepLoss:
        """The weighted sum."""
        contrast = super().compare(rows, batch, world)
        pairs = tiled_nt_xent(
            rows["image_z"],
            rows["partner_z"],
            temperature=self.config.temperature,
            ignore=related_rows(batch, world) if self.config.mask_neighbours else None,
            gather=world.gather if world.size > 1 else None,
            rank=world.rank,
        )
        logs = {**contrast.logs, "clip_loss": contrast.loss.detach(), "pair_loss": pairs.detach()}
        loss = contrast.loss + self.config.image_weight * pairs
        return StepLoss(loss, features=contrast.features, logs=logs)

    def chance_loss(self, batch_size: int) -> float | None:
        """A sum of two losses has no value of chance."""
        return None
