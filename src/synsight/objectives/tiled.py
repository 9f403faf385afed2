"""Contrastive losses of large batches in flat memory: equal to their dense forms, without an N x N matrix.

A tile of similarities is computed, summed and forgotten, and computed again in the backward pass. Memory
grows with the rows, not with their square.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from synsight.objectives.nt_xent import check_negatives, check_views, decoupled_contrast
from synsight.objectives.rows import Gather, check_pairs, check_scalar, checked_pairs, unit_rows
from synsight.objectives.tiled_captions import caption_sums
from synsight.objectives.tiled_log_sum_exp import log_sum_exps, two_way_log_sum_exps
from synsight.objectives.tiled_sigmoid import softplus_sum
from synsight.objectives.tiles import Precision
from synsight.objectives.xclr import check_captions


def tiled_nt_xent(
    z0: Tensor,
    z1: Tensor,
    *,
    temperature: float = 0.1,
    decoupled: bool = False,
    ignore: tuple[Tensor, Tensor] | None = None,
    gather: Gather | None = None,
    rank: int = 0,
    tile: int = 1024,
    precision: Precision = "float32",
) -> Tensor:
    """`nt_xent` without its [2B, 2N] matrix.

    Alone, only tiles on and above the diagonal are computed: similarity is symmetric. Among W processes each
    computes its own rows against all.

    Args:
        z0, z1, temperature, decoupled, ignore, gather, rank: As of `nt_xent`.
        tile: Side of a tile; its buffers take 8 bytes times the square of it.
        precision: "float32": equal to the dense form but for the order of sums; float64 rows stay float64.
            "bfloat16": products of tiles in bfloat16, with positives and sums in float32; about twice as fast
            where the processor knows bfloat16.

    Returns:
        As `nt_xent`.

    Raises:
        ShapeError: As `nt_xent`.
        ConfigError: As `nt_xent`, or the tile is smaller than 1, or the precision is unknown.

    Reference: as of `nt_xent`; in tiles after Cheng et al. 2024 (Inf-CL), https://arxiv.org/abs/2410.17243,
    who accumulate log-sum-exps on a GPU.
    """
    check_views(z0, z1, temperature)
    with torch.autocast(z0.device.type, enabled=False):
        views = unit_rows(z0), unit_rows(z1)
        everyone = _gathered(views, gather)
        check_negatives(len(everyone[0]))
        if ignore is not None:
            ignore = checked_pairs(ignore, len(z0), len(everyone[0]), rank)
        negatives = log_sum_exps(
            views,
            everyone,
            scale=1 / temperature,
            own=rank * len(z0),
            ignored=ignore,
            tile=tile,
            precision=precision,
        )  # [2, B]
        positive = (views[0] * views[1]).sum(dim=1) / temperature  # [B]
        if decoupled:
            return decoupled_contrast(positive, negatives)
        return _contrast(positive, negatives)


def tiled_clip_loss(
    image_z: Tensor,
    text_z: Tensor,
    *,
    logit_scale: Tensor,
    gather: Gather | None = None,
    rank: int = 0,
    tile: int = 1024,
    precision: Precision = "float32",
) -> Tensor:
    """`clip_loss` without its two [B, N] matrices.

    Alone, one pass over the tiles serves both directions. A side that needs no gradient (a frozen text
    encoder) gets no product of its own.

    Args:
        image_z, text_z, logit_scale, gather, rank: As of `clip_loss`.
        tile, precision: As of `tiled_nt_xent`.

    Returns:
        As `clip_loss`.

    Raises:
        ShapeError: As `clip_loss`.
        ConfigError: The tile is smaller than 1, or the precision is unknown.
    """
    check_pairs(image_z, text_z, "CLIP")
    check_scalar(logit_scale, "logit_scale")
    with torch.autocast(image_z.device.type, enabled=False):
        image, text = unit_rows(image_z), unit_rows(text_z)
        pair = image, text
        everyone = _gathered(pair, gather)
        if everyone is pair:
            negatives = two_way_log_sum_exps(image, text, scale=logit_scale, tile=tile, precision=precision)
        else:
            of_images, of_captions = (
                log_sum_exps(
                    [one],
                    [others],
                    scale=logit_scale,
                    own=rank * len(one),
                    tile=tile,
                    precision=precision,
                )
                for one, others in zip(pair, reversed(everyone), strict=True)
            )
            negatives = of_images[0], of_captions[0]
        positive = logit_scale * (image * text).sum(dim=1)  # [B]
        return _contrast(positive, torch.stack(negatives))


def tiled_siglip_loss(
    image_z: Tensor,
    text_z: Tensor,
    *,
    logit_scale: Tensor,
    logit_bias: Tensor,
    gather: Gather | None = None,
    rank: int = 0,
    tile: int = 1024,
    precision: Precision = "float32",
) -> Tensor:
    """`siglip_loss` without its [B, N] matrix.

    No normaliser stands between a logit and its gradient, so the forward pass makes both and no tile is
    computed twice.

    Args:
        image_z, text_z, logit_scale, logit_bias, gather, rank: As of `siglip_loss`.
        tile, precision: As of `tiled_nt_xent`.

    Returns:
        As `siglip_loss`.

    Raises:
        ShapeError: As `siglip_loss`.
        ConfigError: The tile is smaller than 1, or the precision is unknown.
    """
    check_pairs(image_z, text_z, "SigLIP")
    check_scalar(logit_scale, "logit_scale")
    check_scalar(logit_bias, "logit_bias")
    with torch.autocast(image_z.device.type, enabled=False):
        image, text = unit_rows(image_z), unit_rows(text_z)
        strangers = softplus_sum(
            image,
            text if gather is None else gather(text),
            scale=logit_scale,
            bias=logit_bias,
            own=rank * len(image),
            tile=tile,
            precision=precision,
        )
        own = F.logsigmoid(logit_scale * (image * text).sum(dim=1) + logit_bias)  # [B]
        return (strangers - own.sum()) / len(image)


def tiled_xclr_loss(
    z0: Tensor,
    z1: Tensor,
    *,
    caption_embeddings: Tensor,
    temperature: float = 0.1,
    target_temperature: float = 0.1,
    gather: Gather | None = None,
    rank: int = 0,
    tile: int = 1024,
    precision: Precision = "float32",
) -> Tensor:
    """`xclr_loss` without its [2B, 2N] matrices of logits and of targets.

    The cross entropy of an anchor is `logsumexp_j x_j - sum_j s_j x_j`, and as logits are linear in the
    candidates, the second term is the anchor's product with the candidates' mean under its targets. Captions
    are as many as images, not views, so that mean costs one tile of captions for four tiles of views.

    Args:
        z0, z1, caption_embeddings, temperature, target_temperature, gather, rank: As of `xclr_loss`.
        tile, precision: As of `tiled_nt_xent`.

    Returns:
        As `xclr_loss`.

    Raises:
        ShapeError: As `xclr_loss`.
        ConfigError: As `xclr_loss`, or the tile is smaller than 1, or the precision is unknown.
    """
    check_views(z0, z1, temperature)
    check_captions(caption_embeddings, len(z0), target_temperature)
    with torch.autocast(z0.device.type, enabled=False):
        views = first, second = unit_rows(z0), unit_rows(z1)
        everyone = _gathered(views, gather)
        captions = unit_rows(caption_embeddings.detach())
        check_negatives(len(everyone[0]))
        own = rank * len(z0)
        sums, mass = caption_sums(
            captions,
            captions if everyone is views or gather is None else gather(captions),
            everyone[0] + everyone[1],
            temperature=target_temperature,
            own=own,
            tile=tile,
            precision=precision,
        )
        negatives = log_sum_exps(
            views, everyone, scale=1 / temperature, own=own, tile=tile, precision=precision
        )
        positive = (first * second).sum(dim=1) / temperature
        # Both views of another image weigh alike; of the anchor's own image the other view weighs 1.
        mass = temperature * (2 * mass + 1)
        expected = torch.stack(
            [(first * (sums + second)).sum(dim=1) / mass, (second * (sums + first)).sum(dim=1) / mass]
        )
        return (torch.logaddexp(negatives, positive) - expected).mean()


def _gathered(rows: tuple[Tensor, Tensor], gather: Gather | None) -> tuple[Tensor, Tensor]:
    """Rows of all processes; the very same tuple when this process is alone."""
    if gather is None:
        return rows
    first, second = gather(rows[0]), gather(rows[1])
    return rows if first is rows[0] and second is rows[1] else (first, second)


def _contrast(positive: Tensor, negatives: Tensor) -> Tensor:
    """Mean of -log(e^positive / (e^positive + e^negatives))."""
    return -F.logsigmoid(positive - negatives).mean()
