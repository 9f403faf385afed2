"""SimCLR: two views of an image are drawn together, all other images of the batch pushed away."""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import nn

from synsight.data.loader import Batch
from synsight.distributed import World
from synsight.errors import ConfigError
from synsight.methods.base import Method, StepLoss
from synsight.models.heads import ProjectionHead
from synsight.objectives import nt_xent


@dataclass(frozen=True, kw_only=True)
class SimCLRConfig:
    """Contrast two augmented views of each image (NT-Xent)."""

    name: Literal["simclr"] = "simclr"
    temperature: float = 0.2
    """Divides the cosine similarities; the paper's best is 0.1 on ImageNet, 0.5 for long runs on CIFAR-10."""
    projection_dim: int = 128

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ConfigError(f"method.temperature must be > 0; got {self.temperature!r}.")
        if self.projection_dim < 1:
            raise ConfigError(f"method.projection_dim must be at least 1; got {self.projection_dim!r}.")


class SimCLR(Method):
    """SimCLR's step: both views through encoder and projection head in one pass, NT-Xent over all processes.

    Reference: Chen et al. 2020, algorithm 1, https://arxiv.org/abs/2002.05709. One pass over the 2B views
    means that normalisation sees both; the paper's code does the same.
    """

    num_views: ClassVar[int] = 2

    def __init__(self, encoder: nn.Module, *, embedding_dim: int, config: SimCLRConfig) -> None:
        super().__init__(encoder, embedding_dim=embedding_dim)
        self.config = config
        self.projection_head = ProjectionHead(embedding_dim, projection_dim=config.projection_dim)

    def loss(self, batch: Batch, world: World) -> StepLoss:
        """NT-Xent of this process's anchors against the views of all processes."""
        features = self.encoder(torch.cat(batch.views))  # [2B, D]
        projections = self.projection_head(features)
        z0, z1 = projections.chunk(2)
        loss = nt_xent(z0, z1, temperature=self.config.temperature, gather=world.gather, rank=world.rank)
        return StepLoss(loss, features=features.detach())

    def chance_loss(self, batch_size: int) -> float:
        """ln(2B - 1): every other view is as likely to be the partner."""
        return math.log(2 * batch_size - 1)
