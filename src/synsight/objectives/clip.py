"""The loss of CLIP: each image finds its caption, each caption its image; dense and exact."""

import torch
from torch import Tensor
from torch.nn import functional as F

from synsight.objectives.rows import Gather, check_pairs, check_scalar, own_columns, unit_rows


def clip_loss(
    image_z: Tensor,
    text_z: Tensor,
    *,
    logit_scale: Tensor,
    gather: Gather | None = None,
    rank: int = 0,
) -> Tensor:
    """Symmetric cross entropy between the images of a batch and their captions (CLIP).

    Args:
        image_z: Projections of images, [B, D]; need not be normalised.
        text_z: Projections of their captions, [B, D].
        logit_scale: What cosine similarities are multiplied with, one number > 0: the exponential of the
            learned parameter, already taken and clipped.
        gather: Brings the rows of all processes; None: this process is alone.
        rank: Place of this process in what `gather` returns.

    Returns:
        Mean over this process's B images and B captions in nats, a scalar. The mean over the processes is
        the loss of one process with all N = W * B pairs, though each compares only its own rows with those
        of all: B x N similarities, twice.

    Raises:
        ShapeError: Images and captions differ in shape, or the scale is not one number.

    Reference: Radford et al. 2021 (CLIP), figure 3, https://arxiv.org/abs/2103.00020; across processes as
    open_clip's `local_loss` with `gather_with_grad`.
    """
    check_pairs(image_z, text_z, "CLIP")
    check_scalar(logit_scale, "logit_scale")
    with torch.autocast(image_z.device.type, enabled=False):
        image, text = unit_rows(image_z), unit_rows(text_z)
        all_image, all_text = (image, text) if gather is None else (gather(image), gather(text))
        own = own_columns(len(image), rank, image)
        of_images = F.cross_entropy(logit_scale * image @ all_text.T, own)
        of_captions = F.cross_entropy(logit_scale * text @ all_image.T, own)
        return (of_images + of_captions) / 2
