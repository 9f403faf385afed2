"""The sum of softplus over all pairs of an image and a stranger's caption, tile by tile."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from synsight.objectives.tiles import LN2, Grid, Precision, Workspace, as_float, logits_by_block


def softplus_sum(
    image: Tensor,
    text: Tensor,
    *,
    scale: Tensor,
    bias: Tensor,
    own: int,
    tile: int,
    precision: Precision,
) -> Tensor:
    """`sum log(1 + exp(scale * image . caption + bias))` over unit rows, without each image's own caption.

    Args:
        image: [B, D].
        text: [N, D].
        scale: Multiplies the cosine similarities.
        bias: Added to them.
        own: Row in `text` of image 0's caption.
        tile: Side of a tile.
        precision: Of the products.

    Returns:
        A scalar in nats.
    """
    grid = Grid(rows=len(image), columns=len(text), size=tile, own=own)
    total: Tensor = _SoftplusSum.apply(grid, precision, scale, bias, image, text)
    return total


class _SoftplusSum(torch.autograd.Function):
    """Computes its gradients together with its value."""

    @staticmethod
    def forward(
        ctx: Any,
        grid: Grid,
        precision: Precision,
        scale: Tensor,
        bias: Tensor,
        image: Tensor,
        text: Tensor,
    ) -> Tensor:
        _, _, scale_wanted, bias_wanted, image_wanted, text_wanted = ctx.needs_input_grad
        total, of_bias = image.new_zeros(()), image.new_zeros(())
        of_image = torch.zeros_like(image) if image_wanted or scale_wanted else None
        of_text = torch.zeros_like(text) if text_wanted else None
        work = Workspace(grid, image, precision)
        offset = as_float(bias) / LN2
        for block in logits_by_block(grid, work, [image], [text], as_float(scale)):
            tile = block.tile
            logits = block.values.add_(offset)
            logits.diagonal(tile.own).fill_(-torch.inf)  # softplus and sigmoid of which are zero
            small = work.spare(logits.shape)
            torch.abs(logits, out=small).neg_().exp2_()  # exp(-|x|)
            total += LN2 * logits.clamp(min=0).sum() + _sum_log1p(small)
            if not any((scale_wanted, bias_wanted, image_wanted, text_wanted)):
                continue
            sigmoids = logits.clamp_(max=0).exp2_().div_(small.add_(1))
            of_bias += sigmoids.sum()
            factor = work.factor(sigmoids)
            if of_image is not None:
                work.add_product(of_image[tile.rows], factor, block.right, times=as_float(scale))
            if of_text is not None:
                work.add_product(of_text[tile.columns], factor.T, block.left, times=LN2)
        of_scale = None
        if scale_wanted and of_image is not None:
            of_scale = ((image * of_image).sum() / scale).reshape(scale.shape)
        ctx.gradients = (
            of_scale,
            of_bias.reshape(bias.shape) if bias_wanted else None,
            of_image if image_wanted else None,
            of_text,
        )
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        kept: tuple[Tensor | None, ...] = ctx.gradients
        return None, None, *(None if one is None else one * gradient for one in kept)


def _sum_log1p(values: Tensor, *, folds: int = 3) -> Tensor:
    """Sum of log(1 + v): factors are multiplied first, since logarithms cost most of the time.

    (1 + a)(1 + b) = 1 + (a + b + ab) keeps what 1 + a would round away; v <= 1, so products stay below 256.
    """
    for _ in range(folds):
        if len(values) % 2:
            break
        upper, lower = values.chunk(2)
        values = torch.addcmul(upper, upper, lower).add_(lower)
    return values.log1p().sum()
