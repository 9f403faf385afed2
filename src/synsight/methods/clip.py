"""CLIP: each image is drawn to its own caption and pushed from the other captions of the batch."""

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from synsight.data.batches import Batch
from synsight.distributed import World
from synsight.methods.base import Rows, StepLoss
from synsight.methods.image_text import ImageText, TowersConfig
from synsight.objectives import tiled_clip_loss

INITIAL_TEMPERATURE = 0.07
LARGEST_SCALE = 100.0


@dataclass(frozen=True, kw_only=True)
class CLIPConfig(TowersConfig):
    """Contrast images with captions (symmetric softmax cross-entropy)."""

    name: Literal["clip"] = "clip"


class CLIP(ImageText):
    """CLIP's step, over the captions of all processes.

    Reference: Radford et al. 2021, figure 3, https://arxiv.org/abs/2103.00020: the logit scale is learnt as
    its logarithm, begins at 1 / 0.07, and never exceeds 100.
    """

    def __init__(
        self, encoder: nn.Module, *, embedding_dim: int, config: TowersConfig, **towers: Any
    ) -> None:
        super().__init__(encoder, embedding_dim=embedding_dim, config=config, **towers)
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / INITIAL_TEMPERATURE)))

    def compare(self, rows: Rows, batch: Batch, world: World) -> StepLoss:
        """The mean of both directions."""
        scale = self.log_scale.exp()
        loss = tiled_clip_loss(
            rows["image_z"],
            rows["text_z"],
            logit_scale=scale,
            gather=world.gather if world.size > 1 else None,
            rank=world.rank,
        )
        return StepLoss(loss, features=rows["features"].detach(), logs={"logit_scale": scale.detach()})

    @torch.no_grad()
    def after_step(self) -> None:
        """Hold the logit scale."""
        self.log_scale.clamp_(max=math.log(LARGEST_SCALE))

    def chance_loss(self, batch_size: int) -> float | None:
        """Ln B: every caption is as likely."""
        return math.log(batch_size)
