"""NT-Xent, the loss of SimCLR, and its decoupled form, dense and exact."""

import torch
from torch import Tensor
from torch.nn import functional as F

from synsight.errors import ShapeError
from synsight.objectives.rows import (
    Gather,
    check_pairs,
    check_temperature,
    checked_pairs,
    own_columns,
    unit_rows,
)


def nt_xent(
    z0: Tensor,
    z1: Tensor,
    *,
    temperature: float = 0.1,
    decoupled: bool = False,
    ignore: tuple[Tensor, Tensor] | None = None,
    gather: Gather | None = None,
    rank: int = 0,
) -> Tensor:
    """Normalised temperature-scaled cross entropy between two views (NT-Xent).

    Each projection is drawn to the other view of its image and pushed from the other 2N - 2 projections
    of the batch, where N = W * B counts the images of all W processes.

    Args:
        z0: Projections of the first view, [B, D]; need not be normalised.
        z1: Projections of the second view, [B, D]; row i shows the image of z0[i].
        temperature: Divides the cosine similarities; > 0.
        decoupled: Leave the positive out of the denominator (DCL). An anchor with no negative left costs
            nothing.
        ignore: Pairs of images that are neither positive nor negative: rows [P] int64 in 0..B-1 of this
            process and columns [P] int64 in 0..N-1 of all processes. No view of the column's image stands in
            the denominators of the row's anchors; the other way round only if that pair is named too. An
            image's own pair does nothing.
        gather: Brings the rows of all processes; None: this process is alone.
        rank: Place of this process in what `gather` returns.

    Returns:
        Mean over the 2B anchors of this process in nats, a scalar. The mean over the processes, which is
        what averaging gradients computes, is the loss of one process with all N images.

    Raises:
        ShapeError: The views differ in shape, or N < 2 leaves no negatives, or `ignore` points outside.
        ConfigError: The temperature is not positive.

    Reference: Chen et al. 2020 (SimCLR), eq. 1 and algorithm 1, https://arxiv.org/abs/2002.05709. The
    released TF2 code returns the sum over the two views, twice this value. Decoupled: Yeh et al. 2022 (DCL),
    eq. 6, https://arxiv.org/abs/2110.06848; the mean over anchors, where their code sums over the views.
    """
    check_views(z0, z1, temperature)
    # Half-precision similarities would be off by 0.04 at temperature 0.1, so the loss leaves autocast.
    with torch.autocast(z0.device.type, enabled=False):
        first, second = unit_rows(z0), unit_rows(z1)
        all_first, all_second = (first, second) if gather is None else (gather(first), gather(second))
        batch, images = len(first), len(all_first)
        check_negatives(images)
        anchors = torch.cat([first, second])  # [2B, D]
        logits = anchors @ torch.cat([all_first, all_second]).T / temperature  # [2B, 2N]
        own, rows = own_columns(batch, rank, z0), torch.arange(2 * batch, device=z0.device)
        itself, partner = torch.cat([own, own + images]), torch.cat([own + images, own])
        logits[rows, itself] = -torch.inf  # no anchor is its own negative
        if ignore is not None:
            anchor_rows, columns = checked_pairs(ignore, batch, images, rank)
            for row in (anchor_rows, anchor_rows + batch):
                for column in (columns, columns + images):
                    logits[row, column] = -torch.inf
        if not decoupled:
            return F.cross_entropy(logits, partner)
        positive = logits[rows, partner]
        logits[rows, partner] = -torch.inf
        return decoupled_contrast(positive, torch.logsumexp(logits, dim=1))


def decoupled_contrast(positive: Tensor, negatives: Tensor) -> Tensor:
    """Mean of `negatives - positive` over all anchors; those whose negatives sum to nothing add zero."""
    return torch.where(negatives.isneginf(), 0, negatives - positive).mean()


def check_views(z0: Tensor, z1: Tensor, temperature: float) -> None:
    """Raise unless two views [B, D] can be contrasted at this temperature."""
    check_pairs(z0, z1, "NT-Xent")
    check_temperature(temperature)


def check_negatives(images: int) -> None:
    """Raise unless there are two images."""
    if images < 2:
        raise ShapeError(f"NT-Xent expects at least 2 images for negatives; got {images}.")
