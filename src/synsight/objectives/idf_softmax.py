"""Cross entropy with a caption's words as one soft target, rare words heavier, without a target matrix."""

import torch
from torch import Tensor

from synsight.errors import ShapeError
from synsight.objectives.rows import at_least_float32


def idf_softmax(
    logits: Tensor,
    word_rows: Tensor,
    word_classes: Tensor,
    weights: Tensor,
    word_weights: Tensor | None = None,
    *,
    normaliser: float | Tensor | None = None,
) -> Tensor:
    """Softmax cross entropy against weighted K-hot targets, averaged over the rows with one (SuperClass).

    A row's target is `w_c / sum of w over its words` at its words and nothing elsewhere. With the words as P
    coordinates the loss of a row is `logsumexp_c x_c - sum_{c in words} target_c x_c`. A row whose words
    weigh nothing together (none, or only words that stand in every caption) has no target and is left out.

    Args:
        logits: Scores before the softmax, [B, C].
        word_rows: Row of each word, [P] int64 in 0..B-1.
        word_classes: Class of each word, [P] int64 in 0..C-1; no pair twice.
        weights: Weight of each class, [C], >= 0: `log((N + 1) / (df + 1))` for a class that stands in df of
            N captions.
        word_weights: What each word's weight is multiplied by, [P] in 0..1; None: 1.
        normaliser: What the sum is divided by; None: the rows of this batch that have a target
            (`weighted_rows`). Under data parallel training, where gradients are averaged over W processes,
            pass the number of such rows in all processes divided by W.

    Returns:
        A scalar in nats. Zero, with a graph, when no row has a target.

    Raises:
        ShapeError: `logits` is no matrix, the words are not two vectors of one length, or there is not one
            weight a class.

    Reference: Huang et al. 2024 (SuperClass), eq. 1 and 2, https://arxiv.org/abs/2411.03313. Their weight
    log(N / (1 + df)) is negative for a word of every caption; the smoothed form above is that of their code.
    """
    _check(logits, word_rows, word_classes, weights)
    logits = at_least_float32(logits)
    heavy = _heavy(weights.to(logits), word_classes, word_weights)  # [P]
    mass = _mass(word_rows, heavy, len(logits))  # [B]
    has_target = mass > 0
    targets = heavy / torch.where(has_target, mass, 1)[word_rows]
    aimed = (targets * logits[word_rows, word_classes]).sum()  # rows without a target add zero
    loss = (torch.logsumexp(logits, dim=1) * has_target).sum() - aimed
    rows = torch.as_tensor(has_target.sum() if normaliser is None else normaliser, device=logits.device)
    return loss / torch.where(rows > 0, rows, 1)


def weighted_rows(
    word_rows: Tensor,
    word_classes: Tensor,
    weights: Tensor,
    word_weights: Tensor | None = None,
    *,
    batch: int,
) -> Tensor:
    """Which rows of a batch have a target: [B] bool; arguments as of `idf_softmax`."""
    return _mass(word_rows, _heavy(at_least_float32(weights), word_classes, word_weights), batch) > 0


def _heavy(weights: Tensor, word_classes: Tensor, word_weights: Tensor | None) -> Tensor:
    heavy = weights[word_classes]
    return heavy if word_weights is None else heavy * word_weights.to(heavy)


def _mass(word_rows: Tensor, heavy: Tensor, batch: int) -> Tensor:
    return torch.zeros(batch, dtype=heavy.dtype, device=heavy.device).index_add(0, word_rows, heavy)


def _check(logits: Tensor, word_rows: Tensor, word_classes: Tensor, weights: Tensor) -> None:
    if logits.ndim != 2 or word_rows.ndim != 1 or word_rows.shape != word_classes.shape:
        raise ShapeError(
            "IDF softmax expects logits [B, C] and words as two vectors [P]; got "
            f"{list(logits.shape)}, {list(word_rows.shape)} and {list(word_classes.shape)}."
        )
    if weights.shape != logits.shape[1:]:
        raise ShapeError(
            f"IDF softmax expects one weight a class, [{logits.shape[1]}]; got {list(weights.shape)}."
        )
