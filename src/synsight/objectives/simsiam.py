"""The loss of SimSiam: each prediction is drawn to the other view's projection, which stands still."""

import torch
from torch import Tensor
from torch.nn import functional as F

from synsight.objectives.rows import at_least_float32, check_pairs


def negative_cosine(p0: Tensor, z1: Tensor, p1: Tensor, z0: Tensor) -> Tensor:
    """Symmetric negative cosine similarity with a stop-gradient on the projections (SimSiam).

    Args:
        p0: Predictions from the first view, [B, D].
        z1: Projections of the second view, [B, D]; get no gradient.
        p1: Predictions from the second view, [B, D].
        z0: Projections of the first view, [B, D]; get no gradient.

    Returns:
        Mean over images and both directions, a scalar in -1..1. It needs no negatives, so that processes
        need not gather: the mean over them is the loss of the joint batch.

    Raises:
        ShapeError: Predictions and projections differ in shape.

    Reference: Chen and He 2021 (SimSiam), eq. 1 to 4 and algorithm 1, https://arxiv.org/abs/2011.10566
    """
    check_pairs(p0, z1, "SimSiam")
    check_pairs(p1, z0, "SimSiam")
    with torch.autocast(p0.device.type, enabled=False):
        p0, z1, p1, z0 = (at_least_float32(rows) for rows in (p0, z1.detach(), p1, z0.detach()))
        one_way = F.cosine_similarity(p0, z1, dim=1).mean()
        other_way = F.cosine_similarity(p1, z0, dim=1).mean()
        return -(one_way + other_way) / 2
