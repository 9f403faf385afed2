"""Binary cross-entropy over all pairs of a batch: is this pair of one class? And who is like whom.

B batch, D dimensions, C classes.
"""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from synsight.errors import ConfigError, ShapeError
from synsight.objectives.rows import at_least_float32, check_temperature, unit_rows

Likeness = Literal["any", "jaccard"]
"""Of rows with several labels: 1 where they share one, or the size of what they share by that of what either
has."""


def pairwise_bce(
    z: Tensor,
    likeness: Tensor,
    *,
    temperature: float = 0.1,
    normalise: bool = False,
    weights: Tensor | None = None,
    negatives: Tensor | None = None,
) -> Tensor:
    """Mean binary cross-entropy of `z_i . z_j / temperature` against the likeness of i and j, over i < j.

    The dot products of all pairs are one matrix product, where the published code passes both rows of every
    pair through the network: B (B - 1) rows in place of B, with the same value and gradient.

    Args:
        z: [B, D] projections.
        likeness: [B, B] symmetric, 0 to 1; 1: the pair belongs together. The diagonal is not read.
        temperature: Divides the products; > 0.
        normalise: Take cosines in place of products; published: False.
        weights: [B] how much each row counts; a pair counts as the product of its rows. None: all alike.
        negatives: [B, B] bool; pairs of likeness 0 count only where either direction is True. None: all do.

    Returns:
        Mean over the pairs that count, in nats, a scalar; 0 without such a pair.

    Raises:
        ShapeError: z is not [B, D], or another argument does not fit it.
        ConfigError: The temperature is not positive.

    Reference: Margaritis et al. 2025, section 3, https://arxiv.org/abs/2502.02048
    """
    check_likeness(z, likeness, weights, negatives)
    check_temperature(temperature)
    with torch.autocast(z.device.type, enabled=False):
        rows = unit_rows(z) if normalise else at_least_float32(z)
        logits = rows @ rows.T / temperature  # [B, B]
        counted = torch.ones_like(likeness, dtype=torch.bool).triu(diagonal=1)
        if negatives is not None:
            counted &= (likeness > 0) | negatives | negatives.T
        if weights is None and negatives is None:
            first, second = torch.triu_indices(len(z), len(z), offset=1, device=z.device)
            losses = F.binary_cross_entropy_with_logits(
                logits[first, second], likeness[first, second].to(logits.dtype), reduction="sum"
            )
            return losses / max(1, len(first))
        shares = counted.to(logits.dtype)
        if weights is not None:
            shares = shares * torch.outer(weights, weights).to(logits.dtype)
        losses = F.binary_cross_entropy_with_logits(
            logits, likeness.to(logits.dtype), weight=shares, reduction="sum"
        )
        return losses / shares.sum().clamp_min(torch.finfo(logits.dtype).tiny)


def same_class(labels: Tensor) -> Tensor:
    """Likeness [B, B] of rows with one class each, [B]: 1 where it is the same."""
    return (labels[:, None] == labels[None, :]).float()


def shared_labels(truth: Tensor, kind: Likeness = "any") -> Tensor:
    """Likeness [B, B] of rows with several labels, [B, C] of 0 and 1; rows without a label are like nobody.

    Raises:
        ConfigError: An unknown kind.
    """
    has = truth.float()
    both = has @ has.T
    if kind == "any":
        return (both > 0).float()
    if kind != "jaccard":
        raise ConfigError(f"likeness must be 'any' or 'jaccard'; got {kind!r}.")
    sizes = has.sum(dim=1)
    return both / (sizes[:, None] + sizes[None, :] - both).clamp_min(1)


def semi_hard_negatives(z: Tensor, likeness: Tensor, *, margin: float = 0.2) -> Tensor:
    """Pairs of likeness 0 that still teach: less similar than the anchor's nearest positive, but not by far.

    Row a marks the negatives n with `min_p s(a, p) - margin < s(a, n) < max_p s(a, p)` over the positives p
    of a (likeness > 0), in cosines s. Harder ones are often wrong labels, easier ones have nothing left to
    give. An anchor without positives, or with no negative in that band, keeps all of its negatives.

    Args:
        z: [B, D] projections; no gradient passes.
        likeness: [B, B] symmetric, 0 to 1.
        margin: Of the cosine, >= 0.

    Returns:
        [B, B] bool.

    Reference: Schroff et al. 2015 (FaceNet), section 3.2, https://arxiv.org/abs/1503.03832, where the band is
        that of one positive; here all positives of an anchor share one band.
    """
    check_likeness(z, likeness)
    rows = unit_rows(z.detach())
    similarities = rows @ rows.T
    itself = torch.eye(len(z), dtype=torch.bool, device=z.device)
    positive, negative = (likeness > 0) & ~itself, (likeness <= 0) & ~itself
    nearest = similarities.masked_fill(~positive, -torch.inf).amax(dim=1, keepdim=True)
    farthest = similarities.masked_fill(~positive, torch.inf).amin(dim=1, keepdim=True)
    band = negative & (similarities < nearest) & (similarities > farthest - margin)
    return torch.where(band.any(dim=1, keepdim=True), band, negative)


def check_likeness(
    z: Tensor, likeness: Tensor, weights: Tensor | None = None, negatives: Tensor | None = None
) -> None:
    """Raise ShapeError unless they belong to the same B rows."""
    batch = len(z)
    fits = z.ndim == 2 and likeness.shape == (batch, batch)
    fits &= weights is None or weights.shape == (batch,)
    fits &= negatives is None or negatives.shape == (batch, batch)
    if not fits:
        others = [None if one is None else list(one.shape) for one in (likeness, weights, negatives)]
        raise ShapeError(
            f"expected rows [B, D] with likeness [B, B], weights [B] and negatives [B, B]; got "
            f"{list(z.shape)} with {others}; pass those of the same rows."
        )
