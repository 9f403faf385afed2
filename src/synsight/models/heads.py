"""What sits on top of a backbone during training."""

import math

from torch import Tensor, nn


class ProjectionHead(nn.Module):
    """SimCLR's projection head: features [B, D] -> projections [B, P]; thrown away after pretraining.

    Two layers as in the paper: Linear(D, D), BatchNorm, ReLU, Linear(D, P). Departure: the released TF2 code
    defaults to version 2's three layers with a BatchNorm after the last.

    Args:
        embedding_dim: D, also the hidden width.
        projection_dim: P.

    Reference: Chen et al. 2020 (SimCLR), section 2.1 and 4.2, https://arxiv.org/abs/2002.05709
    """

    def __init__(self, embedding_dim: int, *, projection_dim: int = 128) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(embedding_dim, embedding_dim, bias=False),  # BatchNorm brings the bias
            nn.BatchNorm1d(embedding_dim),
            nn.ReLU(inplace=True),
            nn.Linear(embedding_dim, projection_dim, bias=False),
        )

    def forward(self, features: Tensor) -> Tensor:
        """[B, D] -> [B, P], not normalised."""
        projections: Tensor = self.layers(features)
        return projections


def linear_head(embedding_dim: int, classes: int, *, prior: float = 0.0) -> nn.Linear:
    """A linear layer from features to one score a class.

    Args:
        embedding_dim: D.
        classes: C.
        prior: Share of positives expected in a class, in (0, 1); the bias starts at its logit, so that a
            loss over thousands of classes does not spend its first steps on saying "no" to all. 0: bias zero
            (softmax heads).
    """
    head = nn.Linear(embedding_dim, classes)
    nn.init.normal_(head.weight, std=0.01)
    nn.init.constant_(head.bias, 0.0 if prior == 0 else math.log(prior / (1 - prior)))
    return head


class SimSiamProjector(nn.Module):
    """SimSiam's projector: features [B, D] -> projections [B, P], three layers, BatchNorm after each.

    Args:
        embedding_dim: D.
        projection_dim: P, also the hidden width.

    Reference: Chen and He 2020 (SimSiam), section 3, https://arxiv.org/abs/2011.10566
    """

    def __init__(self, embedding_dim: int, *, projection_dim: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(embedding_dim, projection_dim, bias=False),
            nn.BatchNorm1d(projection_dim),
            nn.ReLU(inplace=True),
            nn.Linear(projection_dim, projection_dim, bias=False),
            nn.BatchNorm1d(projection_dim),
            nn.ReLU(inplace=True),
            nn.Linear(projection_dim, projection_dim, bias=False),
            nn.BatchNorm1d(projection_dim, affine=False),
        )

    def forward(self, features: Tensor) -> Tensor:
        """[B, D] -> [B, P]."""
        projections: Tensor = self.layers(features)
        return projections


class Predictor(nn.Module):
    """SimSiam's predictor: a bottleneck from projections [B, P] to predictions [B, P] of the other view's.

    Args:
        projection_dim: P.
        hidden_dim: Width of the bottleneck; a quarter of P in the paper.

    Reference: Chen and He 2020 (SimSiam), section 3, https://arxiv.org/abs/2011.10566
    """

    def __init__(self, projection_dim: int, *, hidden_dim: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(projection_dim, hidden_dim, bias=False),
            nn.BatchNorm1d(hidden_dim),
            nn.ReLU(inplace=True),
            nn.Linear(hidden_dim, projection_dim),
        )

    def forward(self, projections: Tensor) -> Tensor:
        """[B, P] -> [B, P]."""
        predictions: Tensor = self.layers(projections)
        return predictions


def joint_projection(embedding_dim: int, projection_dim: int) -> nn.Linear:
    """CLIP's linear projection into the space of images and texts, without bias; deviation 1 / sqrt(D).

    Reference: Radford et al. 2021 (CLIP), section 2.3, https://arxiv.org/abs/2103.00020
    """
    projection = nn.Linear(embedding_dim, projection_dim, bias=False)
    nn.init.normal_(projection.weight, std=embedding_dim**-0.5)
    return projection
