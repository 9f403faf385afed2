"""Sums of rows weighted by the similarity of captions, tile by tile: the soft targets of X-CLR."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from synsight.objectives.tiles import LN2, Block, Grid, Precision, Workspace, logits_by_block


def caption_sums(
    captions: Tensor,
    all_captions: Tensor,
    rows: Tensor,
    *,
    temperature: float,
    own: int,
    tile: int,
    precision: Precision,
) -> tuple[Tensor, Tensor]:
    """Rows of other images, weighted with `exp((cos(caption_i, caption_j) - 1) / temperature)`.

    A weight is at most 1, which is that of an image's own caption, so nothing can overflow, and what
    underflows is nothing beside it.

    Args:
        captions: Unit rows, [B, E]; no gradient.
        all_captions: Unit rows, [N, E]; the same object as `captions` when both are the same.
        rows: What is summed, [N, D]; gets a gradient.
        temperature: Divides the similarities.
        own: Row in `all_captions` of caption 0.
        tile: Side of a tile.
        precision: Of the products.

    Returns:
        Weighted sums [B, D] and sums of weights [B], both without the image itself.
    """
    grid = Grid(
        rows=len(captions),
        columns=len(all_captions),
        size=tile,
        own=own,
        symmetric=captions is all_captions,
    )
    sums, mass = _CaptionSums.apply(grid, precision, temperature, captions, all_captions, rows)
    return sums, mass


class _CaptionSums(torch.autograd.Function):
    """A product with the matrix of weights; its gradient is one with the transposed matrix."""

    @staticmethod
    def forward(
        ctx: Any,
        grid: Grid,
        precision: Precision,
        temperature: float,
        captions: Tensor,
        all_captions: Tensor,
        rows: Tensor,
    ) -> tuple[Tensor, Tensor]:
        ctx.settings = grid, precision, temperature
        ctx.save_for_backward(captions, all_captions)
        sums, mass = _weighted_sums(grid, precision, temperature, captions, all_captions, rows)
        ctx.mark_non_differentiable(mass)
        return sums, mass

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        grid, precision, temperature = ctx.settings
        captions, all_captions = ctx.saved_tensors
        turned = Grid(
            rows=grid.columns, columns=grid.rows, size=grid.size, own=-grid.own, symmetric=grid.symmetric
        )
        with torch.autocast(gradient.device.type, enabled=False):
            sums, _ = _weighted_sums(turned, precision, temperature, all_captions, captions, gradient)
        return None, None, None, None, None, sums


def _weighted_sums(
    grid: Grid, precision: Precision, temperature: float, captions: Tensor, others: Tensor, rows: Tensor
) -> tuple[Tensor, Tensor]:
    work = Workspace(grid, rows, precision)
    cast = work.cast(rows)
    sums, mass = rows.new_zeros(grid.rows, rows.shape[1]), rows.new_zeros(grid.rows)
    for block in _weights(grid, work, temperature, captions, others):
        down, across = block.tile.rows, block.tile.columns
        mass[down] += block.values.sum(dim=1)
        mirrored = grid.symmetric and not block.is_symmetric
        if mirrored:
            mass[across] += block.values.sum(dim=0)
        factor = work.factor(block.values)
        work.add_product(sums[down], factor, cast[across])
        if mirrored:
            work.add_product(sums[across], factor.T, cast[down])
    return sums, mass


def _weights(
    grid: Grid, work: Workspace, temperature: float, captions: Tensor, others: Tensor
) -> Iterator[Block]:
    for block in logits_by_block(grid, work, [captions], [others], 1 / temperature):
        block.values.sub_(1 / temperature / LN2).exp2_()
        block.values.diagonal(block.tile.own).zero_()
        yield block
