"""SigLIP: for each image and each caption by itself, do they belong together?"""

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from synsight.data.batches import Batch
from synsight.distributed import World
from synsight.methods.base import Rows, StepLoss
from synsight.methods.image_text import ImageText, TowersConfig
from synsight.objectives import tiled_siglip_loss

INITIAL_SCALE = 10.0
INITIAL_BIAS = -10.0


@dataclass(frozen=True, kw_only=True)
class SigLIPConfig(TowersConfig):
    """Contrast images with captions (pairwise sigmoid)."""

    name: Literal["siglip"] = "siglip"


class SigLIP(ImageText):
    """SigLIP's step, over the captions of all processes.

    Reference: Zhai et al. 2023, algorithm 1, https://arxiv.org/abs/2303.15343: scale 10 and bias -10 at the
    start, both learnt, so that the many negatives do not swamp the first steps.
    """

    def __init__(
        self, encoder: nn.Module, *, embedding_dim: int, config: SigLIPConfig, **towers: Any
    ) -> None:
        super().__init__(encoder, embedding_dim=embedding_dim, config=config, **towers)
        self.log_scale = nn.Parameter(torch.tensor(math.log(INITIAL_SCALE)))
        self.bias = nn.Parameter(torch.tensor(INITIAL_BIAS))

    def compare(self, rows: Rows, batch: Batch, world: World) -> StepLoss:
        """The sum over all pairs, divided by the images."""
        scale = self.log_scale.exp()
        loss = tiled_siglip_loss(
            rows["image_z"],
            rows["text_z"],
            logit_scale=scale,
            logit_bias=self.bias,
            gather=world.gather if world.size > 1 else None,
            rank=world.rank,
        )
        logs = {"logit_scale": scale.detach(), "logit_bias": self.bias.detach()}
        return StepLoss(loss, features=rows["features"].detach(), logs=logs)
