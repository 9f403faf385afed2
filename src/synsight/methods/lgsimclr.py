"""LGSimCLR: the positive of an image is another image whose caption says nearly the same."""

from dataclasses import dataclass
from typing import Any, Literal

from torch import nn

from synsight.data.batches import Batch
from synsight.distributed import World
from synsight.methods.base import Need, Rows, StepLoss
from synsight.methods.related import related_rows
from synsight.methods.two_views import TwoViews, check_contrast, check_neighbours
from synsight.objectives import tiled_nt_xent


@dataclass(frozen=True, kw_only=True)
class LGSimCLRConfig:
    """Contrast pairs of images whose captions are neighbours (NT-Xent)."""

    name: Literal["lgsimclr"] = "lgsimclr"
    temperature: float = 0.1
    """Divides the cosine similarities."""
    projection_dim: int = 128
    num_neighbours: int = 1
    """Nearest captions one of which is drawn in each epoch; 1, as published: always the nearest."""
    mask_neighbours: bool = True
    """Neighbours that meet in a batch are no negatives of each other. The published code has them as
    negatives."""
    decoupled: bool = False
    """Leave the positive out of the denominator (DCL)."""

    def __post_init__(self) -> None:
        check_contrast(self.temperature, self.projection_dim)
        check_neighbours(self.num_neighbours)


class LGSimCLR(TwoViews):
    """SimCLR's step on an image and one whose caption is near; a row without neighbour is its own partner.

    Reference: El Banani et al. 2023, section 3, https://arxiv.org/abs/2302.12248. The published pairs are
    fixed (nearest caption, itself alone excluded); here the partner may be drawn afresh in each epoch, and
    neighbours that meet are masked.
    """

    def __init__(self, encoder: nn.Module, *, embedding_dim: int, config: LGSimCLRConfig) -> None:
        super().__init__(encoder, embedding_dim=embedding_dim, projection_dim=config.projection_dim)
        self.config = config

    @classmethod
    def needs(cls, config: Any) -> frozenset[Need]:
        """Caption neighbours."""
        return frozenset({"neighbours"})

    def compare(self, rows: Rows, batch: Batch, world: World) -> StepLoss:
        """NT-Xent over all processes."""
        loss = tiled_nt_xent(
            rows["z0"],
            rows["z1"],
            temperature=self.config.temperature,
            decoupled=self.config.decoupled,
            ignore=related_rows(batch, world) if self.config.mask_neighbours else None,
            gather=world.gather if world.size > 1 else None,
            rank=world.rank,
        )
        return StepLoss(loss, features=rows["features"])
