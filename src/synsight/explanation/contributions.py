"""Which words carried a score: exact sums where the head reads words, else few words for its gradient.

Letters: D dimensions, C classes, V words, K chosen words.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from synsight.explanation.affine import Affine, in_features

Floats = NDArray[np.float64]

MOST_WORDS = 12
"""K at most; further words take turns at explaining the same little rest."""
_PATH = 64
"""Points of the path from the average image to the image."""


@dataclass(frozen=True)
class Direction:
    """What a score is made of along the way from the average image to an image.

    Attributes:
        gradient: Of the score in the features, averaged over the way, [D]; for a linear head its row.
        baseline: Score of the average image.
        score: Score of the image: baseline + gradient . (features - mean), to the error of the path's sum.
        linear: Whether the head is linear, so that the error is nothing but rounding.
    """

    gradient: Floats
    baseline: float
    score: float
    linear: bool


@dataclass(frozen=True)
class WordSum:
    """score = baseline + sum of values + residual.

    Attributes:
        values: Contribution of each word, [V]; 0 for words that were not chosen.
        said: Share of the direction's variance over the reference that the chosen words span, 0 to 1.
        exact: No approximation but rounding.
    """

    values: Floats
    baseline: float
    score: float
    residual: float
    said: float
    exact: bool
    method: str


def from_words(head: Affine, logits: Floats, *, of: int) -> WordSum:
    """Contributions to a class of a head that is linear in word logits: weight * (logit - centre).

    Args:
        head: `affine.in_words` of the model.
        logits: Of the image's words, [V].
        of: The class.
    """
    weight, centre = head.weight[of].numpy(), head.centre.numpy()
    values = weight * (logits - centre)
    baseline = float(weight @ centre + head.bias[of].item())
    return WordSum(values, baseline, baseline + float(values.sum()), 0.0, 1.0, True, "words")


def direction(
    head: nn.Module, features: Tensor, *, of: int, mean: Floats, against: int | None = None
) -> Direction:
    """The gradient of a class's score, averaged over the straight way from the average image.

    By integrated gradients the parts sum to the difference of the two scores for any head; for a linear one
    the gradient is its row, and this is gradient times input.

    Args:
        head: Features [B, D] -> scores [B, C].
        features: Of the image, [D].
        of: The class.
        mean: The average image's features, [D].
        against: Take the lead over this class in place of the score.

    Reference: Sundararajan et al. 2017 (integrated gradients), eq. 1, https://arxiv.org/abs/1703.01365
    """
    linear = in_features(head)
    if linear is not None:
        row, bias = linear.weight[of], linear.bias[of]
        if against is not None:
            row, bias = row - linear.weight[against], bias - linear.bias[against]
        gradient = row.cpu().numpy()
        start = float(gradient @ mean + bias.item())
        end = float(gradient @ features.double().cpu().numpy() + bias.item())
        return Direction(gradient, start, end, linear=True)
    score = _score(head, of, against)
    first = torch.from_numpy(mean).to(features)
    middles = (torch.arange(_PATH, device=features.device) + 0.5) / _PATH
    points = (first + middles[:, None] * (features.detach().clone() - first)).requires_grad_()
    with torch.enable_grad():
        (gradients,) = torch.autograd.grad(score(points).sum(), points)
    with torch.no_grad():
        ends = score(torch.stack([first, features.clone()]))
    return Direction(gradients.double().mean(0).cpu().numpy(), float(ends[0]), float(ends[1]), linear=False)


def in_span(
    way: Direction,
    features: Floats,
    words: Floats,
    *,
    mean: Floats,
    covariance: Floats | None = None,
    most: int = MOST_WORDS,
) -> WordSum:
    """A direction as a sum of word directions, sparse: least squares on at most `most` words, found one after
    the other (orthogonal matching pursuit).

    There are often more words than dimensions, and then every direction is a sum of words in endless ways;
    few words that say most of it can be read. With a covariance the squares are those of the score over the
    reference's images; without one all dimensions count the same.

    Args:
        way: What is to be said.
        features: Of the image, [D].
        words: Weights of the word head, [V, D].
        mean: The average image's features, [D].
        covariance: Of the reference's features, [D, D].
        most: Words chosen at most.

    Reference: Pati et al. 1993 (orthogonal matching pursuit).
    """
    chosen, weights, said = sparse_words(way.gradient, words, covariance=covariance, most=most)
    away = features - mean
    values = np.zeros(len(words))
    values[chosen] = weights * (words[chosen] @ away)
    residual = way.score - way.baseline - float(values.sum())
    return WordSum(values, way.baseline, way.score, residual, said, way.linear, "gradient")


def sparse_words(
    gradient: Floats, words: Floats, *, covariance: Floats | None, most: int = MOST_WORDS
) -> tuple[NDArray[np.int64], Floats, float]:
    """(classes [K], weights [K], said): gradient ~ sum of weights times word directions, and the share of its
    squares that this is.
    """
    root = np.eye(len(gradient)) if covariance is None else np.linalg.cholesky(covariance)
    target, rows = gradient @ root, words @ root
    lengths = np.linalg.norm(rows, axis=1)
    total = float(target @ target)
    if total == 0 or not lengths.any():
        return np.empty(0, np.int64), np.empty(0), 0.0
    units = rows / np.where(lengths > 0, lengths, 1)[:, None]
    chosen: list[int] = []
    rest: Floats = target
    weights: Floats = np.empty(0)
    for _ in range(min(most, len(target), int((lengths > 0).sum()))):
        fits = np.abs(units @ rest)
        fits[chosen] = -1
        best = int(fits.argmax())
        if fits[best] < 1e-9 * np.sqrt(total):
            break
        chosen.append(best)
        weights = np.asarray(np.linalg.lstsq(rows[chosen].T, target, rcond=None)[0], np.float64)
        rest = np.asarray(target - weights @ rows[chosen], np.float64)
    return np.array(chosen, np.int64), weights, float(np.clip(1 - rest @ rest / total, 0, 1))


def _score(head: nn.Module, of: int, against: int | None) -> Callable[[Tensor], Tensor]:
    def score(features: Tensor) -> Tensor:
        scores: Tensor = head(features)
        return scores[:, of] if against is None else scores[:, of] - scores[:, against]

    return score
