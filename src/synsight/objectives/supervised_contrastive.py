"""Supervised contrastive loss: every row is drawn to all rows of its class. B batch, D dimensions."""

import torch
from torch import Tensor

from synsight.objectives.pairwise_bce import check_likeness
from synsight.objectives.rows import check_temperature, unit_rows


def supervised_contrastive(
    z: Tensor,
    likeness: Tensor,
    *,
    temperature: float = 0.1,
    weights: Tensor | None = None,
    negatives: Tensor | None = None,
) -> Tensor:
    """Mean over anchors of the cross-entropy between who is like them and a softmax over all others.

        L_i = - sum_j w_ij log softmax_j(cos(z_i, z_j) / temperature) / sum_j w_ij,   j != i

    Args:
        z: [B, D] projections; need not be normalised.
        likeness: w, [B, B] symmetric, 0 to 1, as of `same_class`. The diagonal is not read.
        temperature: Divides the cosines; > 0.
        weights: [B] how much each anchor counts; None: all alike.
        negatives: [B, B] bool; others of likeness 0 stand in row i's denominator only where True. None: all.

    Returns:
        Mean over the anchors that are like somebody, in nats, a scalar; 0 where there is none.

    Raises:
        ShapeError: z is not [B, D], or another argument does not fit it.
        ConfigError: The temperature is not positive.

    Reference: Khosla et al. 2020 (SupCon), eq. 2 (L_out), https://arxiv.org/abs/2004.11362. Their code
        multiplies by temperature / 0.07; this one, like eq. 2, does not. Shares of likeness between 0 and 1,
        for rows with several labels, are ours.
    """
    check_likeness(z, likeness, weights, negatives)
    check_temperature(temperature)
    with torch.autocast(z.device.type, enabled=False):
        rows = unit_rows(z)
        itself = torch.eye(len(z), dtype=torch.bool, device=z.device)
        alike = likeness.to(rows.dtype).masked_fill(itself, 0)
        left_out = itself if negatives is None else itself | ((alike <= 0) & ~negatives)
        logits = (rows @ rows.T / temperature).masked_fill(left_out, -torch.inf)
        totals = alike.sum(dim=1)
        has_positive = totals > 0
        if not bool(has_positive.any()):
            return (0 * z).sum()
        logits, alike, totals = logits[has_positive], alike[has_positive], totals[has_positive]
        # The sum over positives of l - log-sum-exp; a left out column has no positive, but 0 * -inf is NaN.
        drawn = (alike * logits.masked_fill(left_out[has_positive], 0)).sum(dim=1) / totals
        losses = torch.logsumexp(logits, dim=1) - drawn
        if weights is None:
            return losses.mean()
        counted = weights[has_positive].to(losses.dtype)
        return (losses * counted).sum() / counted.sum().clamp_min(torch.finfo(losses.dtype).tiny)
