"""SimCLR: two views of an image are drawn together, all other images of the batch pushed away."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from synsight.data.batches import Batch
from synsight.distributed import World
from synsight.methods.base import Rows, StepLoss
from synsight.methods.two_views import TwoViews, check_contrast
from synsight.objectives import tiled_nt_xent


@dataclass(frozen=True, kw_only=True)
class SimCLRConfig:
    """Contrast two augmented views of each image (NT-Xent)."""

    name: Literal["simclr"] = "simclr"
    temperature: float = 0.2
    """Divides the cosine similarities; the paper's best is 0.1 on ImageNet, 0.5 for long runs on CIFAR-10."""
    projection_dim: int = 128
    decoupled: bool = False
    """Leave the positive out of the denominator (DCL, Yeh et al. 2021, https://arxiv.org/abs/2110.06848); it
    helps small batches most."""

    def __post_init__(self) -> None:
        check_contrast(self.temperature, self.projection_dim)


class SimCLR(TwoViews):
    """SimCLR's step: NT-Xent between both views of the images of all processes.

    Reference: Chen et al. 2020, algorithm 1, https://arxiv.org/abs/2002.05709

    Smaller views (`views.local_count`, the multi-crop of Caron et al. 2020, https://arxiv.org/abs/2006.09882)
    are each contrasted with each whole view; the loss is the mean over all such pairs and the pair of whole
    views.
    """

    def __init__(self, encoder: nn.Module, *, embedding_dim: int, config: SimCLRConfig) -> None:
        super().__init__(encoder, embedding_dim=embedding_dim, projection_dim=config.projection_dim)
        self.config = config

    def represent(self, batch: Batch) -> dict[str, Tensor]:
        """Projections of every view, [B, P] each, and the features of the first."""
        rows = super().represent(batch)
        if batch.local_views:
            local = self.projection_head(self.encoder(torch.cat(batch.local_views)))
            rows |= {f"local{i}": z for i, z in enumerate(local.chunk(len(batch.local_views)))}
        return rows

    def compare(self, rows: Rows, batch: Batch, world: World) -> StepLoss:
        """NT-Xent of this process's anchors against the views of all processes."""
        whole = [rows["z0"], rows["z1"]]
        local = [rows[f"local{i}"] for i in range(len(batch.local_views))]
        pairs = [(whole[0], whole[1]), *((small, large) for small in local for large in whole)]
        losses = [
            tiled_nt_xent(
                first,
                second,
                temperature=self.config.temperature,
                decoupled=self.config.decoupled,
                gather=world.gather if world.size > 1 else None,
                rank=world.rank,
            )
            for first, second in pairs
        ]
        return StepLoss(torch.stack(losses).mean(), features=rows["features"])

    def chance_loss(self, batch_size: int) -> float:
        """ln(2B - 1): every other view is as likely to be the partner; one view fewer with DCL."""
        return math.log(2 * batch_size - 1 - self.config.decoupled)
