"""NT-Xent, the loss of SimCLR, dense and exact."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from synsight.errors import ConfigError, ShapeError

Gather = Callable[[Tensor], Tensor]
"""Rows of this process [B, D] -> rows of all processes [W * B, D], in rank order and with gradient."""


def nt_xent(
    z0: Tensor,
    z1: Tensor,
    *,
    temperature: float = 0.1,
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
        gather: Brings the rows of all processes; None: this process is alone.
        rank: Place of this process in what `gather` returns.

    Returns:
        Mean over the 2B anchors of this process in nats, a scalar. The mean over the processes, which is
        what averaging gradients computes, is the loss of one process with all N images.

    Raises:
        ShapeError: The views differ in shape, or N < 2 leaves no negatives.
        ConfigError: The temperature is not positive.

    Reference: Chen et al. 2020 (SimCLR), eq. 1 and algorithm 1, https://arxiv.org/abs/2002.05709. The
    released TF2 code returns the sum over the two views, twice this value.
    """
    _check(z0, z1, temperature)
    # Half-precision similarities would be off by 0.04 at temperature 0.1, so the loss leaves autocast.
    with torch.autocast(z0.device.type, enabled=False):
        first, second = (F.normalize(_at_least_float32(z), dim=1) for z in (z0, z1))
        all_first, all_second = (first, second) if gather is None else (gather(first), gather(second))
        batch, images = len(first), len(all_first)
        if images < 2:
            raise ShapeError(f"NT-Xent expects at least 2 images for negatives; got {images}.")
        anchors = torch.cat([first, second])  # [2B, D]
        logits = anchors @ torch.cat([all_first, all_second]).T / temperature  # [2B, 2N]
        own = torch.arange(batch, device=z0.device) + rank * batch
        itself, partner = torch.cat([own, own + images]), torch.cat([own + images, own])
        logits[
            torch.arange(2 * batch, device=z0.device), itself
        ] = -torch.inf  # no anchor is its own negative
        return F.cross_entropy(logits, partner)


def _check(z0: Tensor, z1: Tensor, temperature: float) -> None:
    if z0.ndim != 2 or z0.shape != z1.shape:
        raise ShapeError(
            f"NT-Xent expects two views of one shape [B, D]; got {list(z0.shape)} and {list(z1.shape)}."
        )
    if not temperature > 0:
        raise ConfigError(f"temperature must be > 0; got {temperature!r}.")


def _at_least_float32(z: Tensor) -> Tensor:
    return z.float() if z.dtype in (torch.float16, torch.bfloat16) else z
