"""The loss of X-CLR: how alike two captions are says how alike two images should be; dense and exact."""

import torch
from torch import Tensor
from torch.nn import functional as F

from synsight.errors import ShapeError
from synsight.objectives.nt_xent import check_negatives, check_views
from synsight.objectives.rows import Gather, check_temperature, own_columns, unit_rows


def xclr_loss(
    z0: Tensor,
    z1: Tensor,
    *,
    caption_embeddings: Tensor,
    temperature: float = 0.1,
    target_temperature: float = 0.1,
    gather: Gather | None = None,
    rank: int = 0,
) -> Tensor:
    """Contrast two views with soft targets from the similarity of captions (X-CLR).

    An anchor should spread its attention over the other 2N - 1 views as its caption does over theirs:
    `s = softmax_j(cos(caption_i, caption_j) / target_temperature)`, the cross entropy of which with
    `softmax_j(cos(z_i, z_j) / temperature)` is the loss. The other view of the same image has the same
    caption, similarity 1; the anchor itself is left out of both.

    Args:
        z0: Projections of the first view, [B, D]; need not be normalised.
        z1: Projections of the second view, [B, D]; row i shows the image of z0[i].
        caption_embeddings: Embeddings of the images' captions, [B, E]; need not be normalised, get no
            gradient.
        temperature: Divides the cosine similarities of the views; > 0.
        target_temperature: Divides the cosine similarities of the captions; > 0. As it goes to zero the loss
            becomes NT-Xent, if all captions differ.
        gather: Brings the rows of all processes; None: this process is alone.
        rank: Place of this process in what `gather` returns.

    Returns:
        Mean over the 2B anchors of this process in nats, a scalar; the mean over the processes is the loss
        of one process with all N images. Its least value is the entropy of the targets, not zero.

    Raises:
        ShapeError: The views differ in shape, or there is not one caption a row, or N < 2.
        ConfigError: A temperature is not positive.

    Reference: Sobal et al. 2024 (X-CLR), section 3, https://arxiv.org/abs/2407.18134
    """
    check_views(z0, z1, temperature)
    check_captions(caption_embeddings, len(z0), target_temperature)
    with torch.autocast(z0.device.type, enabled=False):
        first, second = unit_rows(z0), unit_rows(z1)
        captions = unit_rows(caption_embeddings.detach())
        everyone = (first, second, captions)
        all_first, all_second, all_captions = everyone if gather is None else map(gather, everyone)
        batch, images = len(first), len(all_first)
        check_negatives(images)
        logits = torch.cat([first, second]) @ torch.cat([all_first, all_second]).T / temperature  # [2B, 2N]
        alike = captions @ all_captions.T  # [B, N]
        own = own_columns(batch, rank, z0)
        alike[torch.arange(batch, device=z0.device), own] = 1
        itself = F.one_hot(torch.cat([own, own + images]), 2 * images).bool()
        targets = (alike / target_temperature).repeat(2, 2).masked_fill(itself, -torch.inf).softmax(dim=1)
        log_likelihood = logits.masked_fill(itself, -torch.inf).log_softmax(dim=1)
        return -(targets * log_likelihood.masked_fill(itself, 0)).sum(dim=1).mean()


def check_captions(caption_embeddings: Tensor, batch: int, target_temperature: float) -> None:
    """Raise unless there is one caption embedding a row, and a temperature for them."""
    check_temperature(target_temperature, "target_temperature")
    if caption_embeddings.ndim != 2 or len(caption_embeddings) != batch:
        raise ShapeError(
            f"X-CLR expects one caption embedding a row, [{batch}, E]; got {list(caption_embeddings.shape)}."
        )
