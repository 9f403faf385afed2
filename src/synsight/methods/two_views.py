"""Two views, one projection head: what SimCLR and its language-guided relatives share."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from synsight.data.batches import Batch
from synsight.errors import ConfigError
from synsight.methods.base import Method
from synsight.models.heads import ProjectionHead


def check_contrast(temperature: float, projection_dim: int) -> None:
    """Raise a ConfigError unless the temperature is positive and the projections have a dimension."""
    if not temperature > 0:
        raise ConfigError(f"method.temperature must be > 0; got {temperature!r}.")
    if projection_dim < 1:
        raise ConfigError(f"method.projection_dim must be at least 1; got {projection_dim!r}.")


def check_neighbours(num_neighbours: int) -> None:
    """Raise a ConfigError unless there is at least one neighbour to draw."""
    if num_neighbours < 1:
        raise ConfigError(f"method.num_neighbours must be at least 1; got {num_neighbours!r}.")


class TwoViews(Method):
    """Both views through encoder and projection head in one pass.

    One pass over the 2B views means that normalisation sees both; SimCLR's code does the same.

    Args:
        encoder: See `Method`.
        embedding_dim: See `Method`.
        projection_dim: Width P of the projections.
    """

    num_views: ClassVar[int] = 2

    def __init__(self, encoder: nn.Module, *, embedding_dim: int, projection_dim: int) -> None:
        super().__init__(encoder, embedding_dim=embedding_dim)
        self.projection_head = ProjectionHead(embedding_dim, projection_dim=projection_dim)

    def represent(self, batch: Batch) -> dict[str, Tensor]:
        """Projections z0, z1 of both views, [B, P] each, and the features of the first."""
        features = self.encoder(torch.cat(batch.views))  # [2B, D]
        z0, z1 = self.projection_head(features).chunk(2)
        return {"features": features[: len(batch)].detach(), "z0": z0, "z1": z1}
