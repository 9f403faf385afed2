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
