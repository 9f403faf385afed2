"""Log-sum-exp over the negatives of each anchor, tile by tile, forward and backward.

Only negatives are summed: an image and its own partner are left out, and the losses add the partner's logit
exactly. So rounding in bfloat16 tiles touches no positive, and the decoupled loss is the simpler of the two.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from synsight.objectives.tiles import (
    LN2,
    Block,
    Grid,
    Precision,
    Workspace,
    as_float,
    logits_by_block,
    pairs_by_tile,
)

SAFE = 86.0
"""Logits of at most this size in base 2 (60 nats) need no shift: 2^86 added up a million times stays within
float32, and so does 2^-86 as the only term."""
FAINT = -72.0
"""A sum below 2^-72 may have lost terms that float32 does not hold (below 2^-126), so it is computed anew."""

Shift = float | list[Tensor]
"""Subtracted from logits before they are exponentiated: one number, or one of each row of each view, [B]."""


def log_sum_exps(
    anchors: Sequence[Tensor],
    candidates: Sequence[Tensor],
    *,
    scale: float | Tensor,
    own: int = 0,
    ignored: tuple[Tensor, Tensor] | None = None,
    tile: int,
    precision: Precision,
) -> Tensor:
    """`log sum_j exp(scale * anchor . candidate_j)` over all views of other images.

    Args:
        anchors: V views of unit rows, each [B, D].
        candidates: Views of unit rows, each [N, D]; the same object as `anchors` when both are the same rows,
            which halves the work.
        scale: Multiplies the cosine similarities.
        own: Candidate row of the image of anchor row 0.
        ignored: Rows and columns of images whose views are left out too, two [P] int64.
        tile: Side of a tile.
        precision: Of the products.

    Returns:
        [V, B] in nats; minus infinity where an anchor has no negative.
    """
    same = candidates is anchors
    rows = tuple(anchors) if same else (*anchors, *candidates)

    def grid(*, symmetric: bool) -> Grid:
        size, columns = tile, len(candidates[0])
        by_tile = {}
        if ignored is not None:
            by_tile = pairs_by_tile(ignored, size=size, columns=columns, symmetric=symmetric)
        return Grid(
            rows=len(anchors[0]), columns=columns, size=size, own=own, symmetric=symmetric, ignored=by_tile
        )

    shift = max(0.0, as_float(scale) / LN2 - SAFE)
    sums: Tensor
    (sums,) = _LogSumExps.apply(grid(symmetric=same), False, precision, shift, scale, len(anchors), *rows)
    if shift and not _is_held(sums, shift):
        plain = grid(symmetric=False)
        highest = _row_maxima(plain, precision, scale, anchors, candidates)
        (sums,) = _LogSumExps.apply(
            plain, False, precision, highest, scale, len(anchors), *anchors, *candidates
        )
    return sums


def two_way_log_sum_exps(
    rows: Tensor, columns: Tensor, *, scale: Tensor, tile: int, precision: Precision
) -> tuple[Tensor, Tensor]:
    """Log-sum-exp over the other columns of each row and over the other rows of each column, in one pass.

    Arguments as of `log_sum_exps`; `rows` and `columns` are [B, D] both. Returns two tensors [B] in nats.
    """
    shift = max(0.0, as_float(scale) / LN2 - SAFE)
    grid = Grid(rows=len(rows), columns=len(columns), size=tile)
    of_rows, of_columns = _LogSumExps.apply(grid, True, precision, shift, scale, 1, rows, columns)
    if shift and not (_is_held(of_rows, shift) and _is_held(of_columns, shift)):
        of_rows = log_sum_exps([rows], [columns], scale=scale, tile=tile, precision=precision)
        of_columns = log_sum_exps([columns], [rows], scale=scale, tile=tile, precision=precision)
    return of_rows[0], of_columns[0]


class _LogSumExps(torch.autograd.Function):
    """Sums over rows, of a symmetric grid over its lower half too, or, if `two_way`, over columns besides."""

    @staticmethod
    def forward(
        ctx: Any,
        grid: Grid,
        two_way: bool,
        precision: Precision,
        shift: Shift,
        scale: float | Tensor,
        views: int,
        *rows: Tensor,
    ) -> tuple[Tensor, ...]:
        anchors, candidates = rows[:views], rows if grid.symmetric else rows[views:]
        of_rows = rows[0].new_zeros(views, grid.rows)
        sums = [of_rows]
        if two_way:
            sums.append(rows[0].new_zeros(len(candidates), grid.columns))
        of_columns = of_rows if grid.symmetric else sums[1] if two_way else None
        work = Workspace(grid, rows[0], precision)
        for block in logits_by_block(grid, work, anchors, candidates, as_float(scale)):
            tile, ignored = block.tile, block.tile.ignored
            taken = _exponentiate(block, shift)
            row_sums = of_rows[block.anchor_view, tile.rows]
            row_sums += block.values.sum(dim=1)
            if of_columns is None:
                continue
            if ignored is not None:
                row_sums.index_add_(0, ignored.row, taken * ignored.row_keeps)
            if not block.is_symmetric:
                column_sums = of_columns[block.candidate_view, tile.columns]
                column_sums += block.values.sum(dim=0)
                if ignored is not None:
                    column_sums.index_add_(0, ignored.column, taken * ignored.column_keeps)
        ctx.save_for_backward(*sums, *rows)
        ctx.settings = grid, two_way, precision, shift, as_float(scale), views
        ctx.scale_like = scale if isinstance(scale, Tensor) else None
        offset = torch.stack(shift) if isinstance(shift, list) else shift
        return tuple((torch.log2(one) + offset) * LN2 for one in sums)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        grid, two_way, precision, shift, scale, views = ctx.settings
        saved: tuple[Tensor, ...] = ctx.saved_tensors
        sums, rows = saved[: 1 + two_way], saved[1 + two_way :]
        anchors, candidates = rows[:views], rows if grid.symmetric else rows[views:]
        wanted = ctx.needs_input_grad[6:]
        scale_wanted = ctx.needs_input_grad[4]
        # d log(sum) / d term = 1 / sum; an anchor without negatives has no terms.
        weights = [torch.where(one > 0, g / one, 0) for g, one in zip(gradients, sums, strict=True)]
        of_columns = weights[0] if grid.symmetric else weights[1] if two_way else None
        totals = [torch.zeros_like(one) for one in rows]
        of_candidates = totals if grid.symmetric else totals[views:]
        with torch.autocast(rows[0].device.type, enabled=False):
            work = Workspace(grid, rows[0], precision)
            for block in logits_by_block(grid, work, anchors, candidates, scale):
                a, b, tile = block.anchor_view, block.candidate_view, block.tile
                taken = _exponentiate(block, shift)
                factor = work.factor(_weigh(work, block, taken, weights[0][a], of_columns, b))
                if wanted[a] or scale_wanted:
                    work.add_product(totals[a][tile.rows], factor, block.right, times=scale)
                if not block.is_symmetric and wanted[b if grid.symmetric else views + b]:
                    work.add_product(of_candidates[b][tile.columns], factor.T, block.left, times=LN2)
        of_scale = None
        if scale_wanted:
            along = sum(torch.sum(row * total) for row, total in zip(anchors, totals, strict=False))
            of_scale = (along / (scale * (1 + grid.symmetric))).reshape(ctx.scale_like.shape)
        kept = [total if wants else None for total, wants in zip(totals, wanted, strict=True)]
        return None, None, None, None, of_scale, None, *kept


def _exponentiate(block: Block, shift: Shift) -> Tensor:
    """Turn logits to their powers in place, zero where no negative is; return what stood at ignored pairs."""
    values, tile = block.values, block.tile
    if isinstance(shift, list):
        values.sub_(shift[block.anchor_view][tile.rows, None])
    elif shift:
        values.sub_(shift)
    values.exp2_()
    values.diagonal(tile.own).zero_()
    if tile.ignored is None:
        return values[:0, 0]
    taken = values[tile.ignored.row, tile.ignored.column]
    values[tile.ignored.row, tile.ignored.column] = 0
    return taken


def _weigh(
    work: Workspace, block: Block, taken: Tensor, of_rows: Tensor, of_columns: Tensor | None, view: int
) -> Tensor:
    """Gradient of the logits: each power times the weights of the sums that it went into."""
    tile, ignored = block.tile, block.tile.ignored
    row_weights = of_rows[tile.rows]
    if of_columns is None:
        return block.values.mul_(row_weights[:, None])
    column_weights = of_columns[view, tile.columns]
    values = work.weigh(block.values, row_weights, column_weights)
    if ignored is not None:
        by_row = row_weights[ignored.row] * ignored.row_keeps
        by_column = column_weights[ignored.column] * ignored.column_keeps
        values[ignored.row, ignored.column] = taken * (by_row + by_column)
    return values


def _is_held(sums: Tensor, shift: float) -> bool:
    return bool(sums.detach().min() / LN2 - shift > FAINT)


@torch.no_grad()
def _row_maxima(
    grid: Grid,
    precision: Precision,
    scale: float | Tensor,
    anchors: Sequence[Tensor],
    candidates: Sequence[Tensor],
) -> list[Tensor]:
    """Largest logit of each row of each view in base 2, [B] each; zero where there is none."""
    highest = [torch.full_like(view[:, 0], -torch.inf) for view in anchors]
    work = Workspace(grid, anchors[0], precision)
    for block in logits_by_block(grid, work, anchors, candidates, as_float(scale)):
        tile, values = block.tile, block.values
        values.diagonal(tile.own).fill_(-torch.inf)
        if tile.ignored is not None:
            values[tile.ignored.row, tile.ignored.column] = -torch.inf
        so_far = highest[block.anchor_view][tile.rows]
        torch.maximum(so_far, values.amax(dim=1), out=so_far)
    return [torch.where(row.isneginf(), 0, row) for row in highest]
