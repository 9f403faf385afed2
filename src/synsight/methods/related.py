"""Which images of a batch are neighbours of each other, and so must not be pushed apart."""

import torch
from torch import Tensor

from synsight.data.batches import Batch
from synsight.distributed import World


def related_rows(batch: Batch, world: World) -> tuple[Tensor, Tensor]:
    """Pairs of rows that share an image, or one of which shows a caption neighbour of the other.

    A row shows two images, its own and its partner's. Rows i and j are related when an image of one is an
    image of the other, or a neighbour of the other's own image.

    Args:
        batch: With `partners` [B] and `neighbours` [B, K].
        world: The rows of all processes are looked at.

    Returns:
        Row of this process, [P] int64 in 0..B-1, and row of all processes, [P] int64 in 0..W*B-1. Each pair
        once, no row with itself. Memory grows with B x K and with the pairs found, not with B x W*B.
    """
    assert batch.partners is not None and batch.neighbours is not None
    shown = world.collect(torch.stack([batch.positions, batch.partners], dim=1))  # [N, 2]
    near = torch.cat([shown, world.collect(batch.neighbours)], dim=1)  # [N, 2 + K]
    found = _matches(near, shown)
    pairs = torch.cat([found, found.flip(1)])  # a neighbour of a row has that row as its own
    pairs = torch.unique(pairs[pairs[:, 0] != pairs[:, 1]], dim=0)
    first = world.rank * len(batch)
    mine = pairs[(pairs[:, 0] >= first) & (pairs[:, 0] < first + len(batch))]
    return mine[:, 0] - first, mine[:, 1]


def _matches(wanted: Tensor, shown: Tensor) -> Tensor:
    """(i, j) for every value of wanted[i] >= 0 that is among shown[j], [P, 2]."""
    values, order = shown.reshape(-1).sort()
    owners = order // shown.shape[1]
    asked = wanted.reshape(-1)
    begin = torch.searchsorted(values, asked)
    end = torch.searchsorted(values, asked, right=True)
    counts = torch.where(asked >= 0, end - begin, 0)
    rows = torch.arange(len(wanted), device=wanted.device).repeat_interleave(wanted.shape[1])
    left = rows.repeat_interleave(counts)
    starts = begin.repeat_interleave(counts)
    within = torch.arange(len(left), device=wanted.device) - (counts.cumsum(0) - counts).repeat_interleave(
        counts
    )
    return torch.stack([left, owners[starts + within]], dim=1)
