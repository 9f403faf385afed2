"""SimSiam: each view's projection is predicted from the other's; no negatives."""

from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

import torch
from torch import Tensor, nn

from synsight.data.batches import Batch
from synsight.distributed import World
from synsight.errors import ConfigError
from synsight.methods.base import Method, Rows, StepLoss
from synsight.models.heads import Predictor, SimSiamProjector
from synsight.objectives import negative_cosine


@dataclass(frozen=True, kw_only=True)
class SimSiamConfig:
    """Predict one view's projection from the other's (negative cosine, stop-gradient)."""

    name: Literal["simsiam"] = "simsiam"
    projection_dim: int = 512
    """The paper's is 2,048, the width of ResNet-50's features."""
    predictor_dim: int = 128

    def __post_init__(self) -> None:
        check_simsiam(self.projection_dim, self.predictor_dim)


def check_simsiam(projection_dim: int, predictor_dim: int) -> None:
    """Raise a ConfigError unless both widths are positive."""
    for name, value in (("projection_dim", projection_dim), ("predictor_dim", predictor_dim)):
        if value < 1:
            raise ConfigError(f"method.{name} must be at least 1; got {value!r}.")


class Widths(Protocol):
    """What SimSiam's heads are built from."""

    @property
    def projection_dim(self) -> int:
        """P of the projections."""

    @property
    def predictor_dim(self) -> int:
        """Width of the predictor's bottleneck."""


class SimSiam(Method):
    """SimSiam's step over two views.

    The views go through the encoder in one pass, so that normalisation sees both.

    Reference: Chen and He 2020, algorithm 1, https://arxiv.org/abs/2011.10566. Departure: the predictor's
    learning rate follows the schedule of the rest; the paper keeps it constant.
    """

    num_views: ClassVar[int] = 2

    def __init__(self, encoder: nn.Module, *, embedding_dim: int, config: Widths) -> None:
        super().__init__(encoder, embedding_dim=embedding_dim)
        self.config = config
        self.projector = SimSiamProjector(embedding_dim, projection_dim=config.projection_dim)
        self.predictor = Predictor(config.projection_dim, hidden_dim=config.predictor_dim)

    def represent(self, batch: Batch) -> dict[str, Tensor]:
        """Projections z and predictions p of both views, [B, P] each, and the features of the first."""
        features = self.encoder(torch.cat(batch.views))  # [2B, D]
        projections = self.projector(features)
        z0, z1 = projections.chunk(2)
        p0, p1 = self.predictor(projections).chunk(2)
        return {"features": features[: len(batch)].detach(), "z0": z0, "z1": z1, "p0": p0, "p1": p1}

    def compare(self, rows: Rows, batch: Batch, world: World) -> StepLoss:
        """Half the sum of both negative cosines; no other process is asked."""
        loss = negative_cosine(rows["p0"], rows["z1"], rows["p1"], rows["z0"])
        return StepLoss(loss, features=rows["features"])
