"""Binary cross entropy over many classes of which each image has few, without a target matrix."""

import torch
from torch import Tensor
from torch.nn import functional as F

from synsight.errors import ShapeError


def sparse_bce(
    logits: Tensor,
    word_rows: Tensor,
    word_classes: Tensor,
    word_weights: Tensor | None = None,
    *,
    normaliser: float | Tensor | None = None,
) -> Tensor:
    """Multi-label binary cross entropy, summed over the classes, averaged over the rows that have a word.

    With the positives as P coordinates it is `sum_c softplus(x_c) - sum_{c in words} w_c x_c` for each row.
    A row without a word tells nothing, so it is left out; it is never an example of nothing but negatives.

    Args:
        logits: Scores before the sigmoid, [B, C].
        word_rows: Row of each positive, [P] int64 in 0..B-1.
        word_classes: Class of each positive, [P] int64 in 0..C-1. A pair must not appear twice: it would
            count twice. (The loader's batches hold each once; checking here would stall a GPU.)
        word_weights: Target of each positive, [P] in 0..1; None: 1.
        normaliser: What the sum is divided by; None: the rows of this batch that have a word. Under data
            parallel training, where gradients are averaged over W processes, pass the number of such rows in
            all processes divided by W: then the average is the loss of one process with all rows.

    Returns:
        A scalar in nats. Zero, with a graph, when no row has a word.

    Raises:
        ShapeError: `logits` is no matrix, or the positives are not two vectors of one length.

    Reference: Mehta et al. 2024 (CatLIP), section 3.2, https://arxiv.org/abs/2404.15653; the scale (sum over
    classes, mean over rows) is that of its released code, which keeps rows without a word as negatives.
    """
    _check(logits, word_rows, word_classes)
    logits = logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits
    labelled = labelled_rows(word_rows, len(logits))
    negatives = F.softplus(logits).sum(dim=1)  # [B]
    aimed = logits[word_rows, word_classes]  # [P]
    if word_weights is not None:
        aimed = aimed * word_weights.to(logits)
    loss = (negatives * labelled).sum() - aimed.sum()
    rows = torch.as_tensor(labelled.sum() if normaliser is None else normaliser, device=logits.device)
    return loss / torch.where(rows > 0, rows, 1)


def labelled_rows(word_rows: Tensor, batch: int) -> Tensor:
    """Which rows of a batch have a word: [B] bool from the rows of the positives, [P] int64."""
    mask = torch.zeros(batch, dtype=torch.bool, device=word_rows.device)
    mask[word_rows] = True
    return mask


def _check(logits: Tensor, word_rows: Tensor, word_classes: Tensor) -> None:
    if logits.ndim != 2 or word_rows.ndim != 1 or word_rows.shape != word_classes.shape:
        raise ShapeError(
            "sparse BCE expects logits [B, C] and positives as two vectors [P]; got "
            f"{list(logits.shape)}, {list(word_rows.shape)} and {list(word_classes.shape)}."
        )
