"""X-CLR: how far two images are drawn together is how much their captions say the same."""

from dataclasses import dataclass
from typing import Any, Literal

from torch import nn

from synsight.data.batches import Batch
from synsight.distributed import World
from synsight.errors import ConfigError
from synsight.methods.base import Need, Rows, StepLoss
from synsight.methods.two_views import TwoViews, check_contrast
from synsight.objectives import tiled_xclr_loss


@dataclass(frozen=True, kw_only=True)
class XCLRConfig:
    """Contrast two views of each image, with caption similarities as soft targets."""

    name: Literal["xclr"] = "xclr"
    temperature: float = 0.1
    """Divides the cosine similarities of the projections."""
    target_temperature: float = 0.1
    """Divides the cosine similarities of the captions; lower: nearer to SimCLR's hard targets."""
    projection_dim: int = 128

    def __post_init__(self) -> None:
        check_contrast(self.temperature, self.projection_dim)
        if not self.target_temperature > 0:
            raise ConfigError(f"method.target_temperature must be > 0; got {self.target_temperature!r}.")


class XCLR(TwoViews):
    """X-CLR's step: SimCLR's views, the softmax of the captions' similarities in place of one partner.

    Captions are embedded beforehand by a frozen encoder (`synsight words --embed-captions`); no search for
    neighbours is needed.

    Reference: Sobal et al. 2024, section 3, https://arxiv.org/abs/2407.18134
    """

    def __init__(self, encoder: nn.Module, *, embedding_dim: int, config: XCLRConfig) -> None:
        super().__init__(encoder, embedding_dim=embedding_dim, projection_dim=config.projection_dim)
        self.config = config

    @classmethod
    def needs(cls, config: Any) -> frozenset[Need]:
        """Embeddings of the captions."""
        return frozenset({"caption_embedding"})

    def compare(self, rows: Rows, batch: Batch, world: World) -> StepLoss:
        """Cross-entropy of soft targets over the views of all processes."""
        assert batch.caption_embeddings is not None
        loss = tiled_xclr_loss(
            rows["z0"],
            rows["z1"],
            caption_embeddings=batch.caption_embeddings,
            temperature=self.config.temperature,
            target_temperature=self.config.target_temperature,
            gather=world.gather if world.size > 1 else None,
            rank=world.rank,
        )
        return StepLoss(loss, features=rows["features"])
