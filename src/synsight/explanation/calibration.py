"""What a word's score is worth: scores put right on images whose captions say what is there.

Letters: N images, V words.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

Floats = NDArray[np.floating]

PRIOR_SLOPE, PRIOR_OFFSET = 0.25, 1.0
"""Deviations of a word's own slope and offset from the pooled ones, for logits of deviation 1."""
_ROUNDS = 30
_WORDS_AT_ONCE = 256


@dataclass(frozen=True)
class WordCalibration:
    """Probability of a word = sigmoid(slope * logit + offset).

    Attributes:
        slope: [V].
        offset: [V].
        rows: Images it was fitted on.
    """

    slope: NDArray[np.float64]
    offset: NDArray[np.float64]
    rows: int

    def probabilities(self, logits: Floats) -> NDArray[np.float64]:
        """Calibrated probabilities, [N, V] or [V] as the logits."""
        calibrated: NDArray[np.float64] = expit(self.slope * logits + self.offset)
        return calibrated


def fit_calibration(
    logits: Floats, present: NDArray[np.bool_], *, known: NDArray[np.bool_] | None = None
) -> WordCalibration:
    """Platt scaling, pooled over the words, from which each word departs as far as its images bear it out.

    One slope and offset is fitted to all words together; then each word's own by maximum a posteriori under a
    Gaussian prior around the pooled pair, so that a word in two captions stays there and a frequent one finds
    its own. The probability is that a caption would name the word, not that the thing is there: captions
    leave things out.

    Departure: a word's targets are 0 and 1; Platt's smoothed ones are what the prior does here.

    Args:
        logits: Of the words, [N, V].
        present: Whether the caption has the word, [N, V].
        known: Words whose presence is known, [V]; the others get the pooled pair. None: all.

    Returns:
        The calibration; without rows or without a single word that is there, the identity.

    Reference: Platt 1999, Probabilistic outputs for support vector machines; Lin, Lin and Weng 2007 for the
    Newton steps.
    """
    words = logits.shape[1]
    known = np.ones(words, bool) if known is None else known
    if not len(logits) or not present[:, known].any():
        return WordCalibration(np.ones(words), np.zeros(words), 0)
    scale = float(logits[:, known].std()) or 1.0
    z = logits.astype(np.float64) / scale
    start = np.array([[1.0, 0.0]])
    weak = np.array([[1e-6, 1e-6]])
    flat = z[:, known].reshape(-1, 1), present[:, known].reshape(-1, 1)
    pooled = _newton(*flat, start=start * scale, centre=start * scale, precision=weak)
    pairs = np.repeat(pooled, words, axis=0)
    prior = np.array([[PRIOR_SLOPE**-2, PRIOR_OFFSET**-2]])
    for first in range(0, words, _WORDS_AT_ONCE):
        some = np.arange(first, min(first + _WORDS_AT_ONCE, words))
        some = some[known[some]]
        if len(some):
            centre = pairs[some]
            pairs[some] = _newton(z[:, some], present[:, some], start=centre, centre=centre, precision=prior)
    # A score that falls as the logit rises would say the opposite of what the model saw.
    return WordCalibration(np.maximum(pairs[:, 0], 0) / scale, pairs[:, 1], len(logits))


def _newton(
    z: NDArray[np.float64],
    present: NDArray[np.bool_],
    *,
    start: NDArray[np.float64],
    centre: NDArray[np.float64],
    precision: NDArray[np.float64],
) -> NDArray[np.float64]:
    """(slope, offset) [W, 2] of each column's penalised logistic regression; steps are halved where they
    would lose.
    """
    pairs = start.copy()
    value = _loss(pairs, z, present, centre, precision)
    for _ in range(_ROUNDS):
        p = expit(pairs[:, 0] * z + pairs[:, 1])
        error, weight = p - present, p * (1 - p)
        gradient = np.stack([(error * z).sum(0), error.sum(0)], 1) + precision * (pairs - centre)
        aa = (weight * z * z).sum(0) + precision[:, 0]
        ab = (weight * z).sum(0)
        bb = weight.sum(0) + precision[:, 1]
        determinant = aa * bb - ab * ab + 1e-12
        step = (
            np.stack(
                [bb * gradient[:, 0] - ab * gradient[:, 1], aa * gradient[:, 1] - ab * gradient[:, 0]], 1
            )
            / determinant[:, None]
        )
        size = np.ones((len(pairs), 1))
        for _ in range(12):
            tried = pairs - size * step
            losses = _loss(tried, z, present, centre, precision)
            worse = losses > value + 1e-12
            if not worse.any():
                break
            size = np.where(worse[:, None], size / 2, size)
        better = losses <= value + 1e-12
        pairs = np.where(better[:, None], tried, pairs)
        gain = np.where(better, value - losses, 0)
        value = np.where(better, losses, value)
        if gain.max() < 1e-9 * max(1.0, float(np.abs(value).max())):
            break
    return pairs


def _loss(
    pairs: NDArray[np.float64],
    z: NDArray[np.float64],
    present: NDArray[np.bool_],
    centre: NDArray[np.float64],
    precision: NDArray[np.float64],
) -> NDArray[np.float64]:
    x = pairs[:, 0] * z + pairs[:, 1]
    penalty = 0.5 * (precision * (pairs - centre) ** 2).sum(1)
    loss: NDArray[np.float64] = (np.logaddexp(0, x) - present * x).sum(0) + penalty
    return loss
