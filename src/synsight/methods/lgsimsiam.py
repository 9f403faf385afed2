"""LG-SimSiam: SimSiam whose second view shows an image with a similar caption."""

from dataclasses import dataclass
from typing import Any, Literal

from synsight.methods.base import Need
from synsight.methods.simsiam import SimSiam, check_simsiam
from synsight.methods.two_views import check_neighbours


@dataclass(frozen=True, kw_only=True)
class LGSimSiamConfig:
    """Predict the projection of an image whose caption is near."""

    name: Literal["lgsimsiam"] = "lgsimsiam"
    projection_dim: int = 512
    """The paper's code: 2,048."""
    predictor_dim: int = 128
    num_neighbours: int = 1
    """Nearest captions one of which is drawn in each epoch; 1: always the nearest."""

    def __post_init__(self) -> None:
        check_simsiam(self.projection_dim, self.predictor_dim)
        check_neighbours(self.num_neighbours)


class LGSimSiam(SimSiam):
    """SimSiam's step on an image and one whose caption is near; a row without neighbour is its own partner.

    Reference: El Banani et al. 2023, https://arxiv.org/abs/2302.12248
    """

    @classmethod
    def needs(cls, config: Any) -> frozenset[Need]:
        """Caption neighbours."""
        return frozenset({"neighbours"})
