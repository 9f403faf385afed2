"""The loss of SigLIP: every pair of image and caption is a yes or a no of its own; dense and exact."""

import torch
from torch import Tensor
from torch.nn import functional as F

from synsight.objectives.rows import Gather, check_pairs, check_scalar, own_columns, unit_rows


def siglip_loss(
    image_z: Tensor,
    text_z: Tensor,
    *,
    logit_scale: Tensor,
    logit_bias: Tensor,
    gather: Gather | None = None,
    rank: int = 0,
) -> Tensor:
    """Pairwise sigmoid loss between images and captions (SigLIP).

    `-log sigmoid(x)` for an image's own caption and `-log sigmoid(-x)` for all others, summed over captions.
    Since `-log sigmoid(x) = softplus(x) - x`, it is computed as the softplus of all logits minus the logits
    of the pairs, without a matrix of labels.

    Args:
        image_z: Projections of images, [B, D]; need not be normalised.
        text_z: Projections of their captions, [B, D].
        logit_scale: What cosine similarities are multiplied with, one number > 0: the exponential of the
            learned parameter (which starts at ln 10), already taken.
        logit_bias: Added to every logit, one number; starts at -10, where nearly no pair is a match.
        gather: Brings the captions of all processes; None: this process is alone.
        rank: Place of this process in what `gather` returns.

    Returns:
        Sum over captions, mean over this process's B images in nats, a scalar. The mean over the processes
        is the loss of one process with all pairs.

    Raises:
        ShapeError: Images and captions differ in shape, or scale or bias is not one number.

    Reference: Zhai et al. 2023 (SigLIP), eq. 1 and algorithm 1, https://arxiv.org/abs/2303.15343
    """
    check_pairs(image_z, text_z, "SigLIP")
    check_scalar(logit_scale, "logit_scale")
    check_scalar(logit_bias, "logit_bias")
    with torch.autocast(image_z.device.type, enabled=False):
        image, text = unit_rows(image_z), unit_rows(text_z)
        all_text = text if gather is None else gather(text)
        logits = logit_scale * image @ all_text.T + logit_bias  # [B, N]
        rows = torch.arange(len(image), device=image.device)
        positives = logits[rows, own_columns(len(image), rank, image)]
        return (F.softplus(logits).sum() - positives.sum()) / len(image)
