"""Why not the other class: the fewest words that would have had to be seen otherwise.

Letters: V words, D dimensions, K words that may change.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Lead = Callable[[Floats], float]
"""Word logits [V] as they might have been -> by how much the predicted class would lead."""

MOST_CHANGES = 8
_HALVINGS = 40
OVERSHOOT = 1e-3
"""By how much of its lead the other class shall lead, so that rounding does not turn the answer back."""
REACH = (0.02, 0.98)
"""A word may be seen as little or as much as in 2% and 98% of the reference's images: what is asked for must
exist."""


@dataclass(frozen=True)
class Changes:
    """Words that turn an answer.

    Attributes:
        words: Classes, [K], largest effect first; empty: not to be had.
        after: Their logits afterwards, [K].
        verified: The answer was asked for with these logits, and had turned.
    """

    words: NDArray[np.int64]
    after: Floats
    verified: bool


def fewest_changes(
    weights: Floats,
    logits: Floats,
    *,
    lead: Lead,
    low: Floats,
    high: Floats,
    most: int = MOST_CHANGES,
) -> Changes:
    """Change words one after the other, the greatest effect first, until the lead is gone; the last only as
    far as needed.

    Where the lead is linear in the words, effects add up whatever the order, so no smaller number of words
    within the same bounds would do: any k words take off at most what the k greatest do.

    Args:
        weights: What one unit of each word's logit adds to the lead, [V]; 0: the word may not change.
        logits: Of the image, [V].
        lead: Asked after each change.
        low: Least logit of each word, [V].
        high: Greatest logit of each word, [V].
        most: Words changed at most.
    """
    ends = np.where(weights > 0, np.minimum(low, logits), np.maximum(high, logits))
    effects = weights * (logits - ends)
    changed = logits.copy()
    chosen: list[int] = []
    for word in np.argsort(-effects, kind="stable")[:most]:
        if effects[word] <= 0:
            break
        chosen.append(int(word))
        changed[word] = ends[word]
        if lead(changed) < 0:
            goal = -OVERSHOOT * abs(lead(logits))
            changed[word] = _just_enough(lead, changed, int(word), logits[word], goal)
            return Changes(np.array(chosen), changed[chosen], verified=bool(lead(changed) < 0))
    return Changes(np.empty(0, np.int64), np.empty(0), verified=False)


def bounds(logits: Floats) -> tuple[Floats, Floats]:
    """How little and how much each word is seen in the reference's images, [V] each, from logits [N, V]."""
    low, high = np.quantile(logits, REACH, axis=0)
    return low, high


def nearest_features(
    features: Floats, words: Floats, moves: Floats, *, covariance: Floats | None = None
) -> Floats:
    """Features [D] in which some words' logits have moved, and nothing has that need not: the shortest move,
    measured by the covariance of images.

    Args:
        features: Of the image, [D].
        words: Weights of the words that move, [K, D].
        moves: Of their logits, [K].
        covariance: Of the reference's features, [D, D]; None: plain length.
    """
    spread = words.T if covariance is None else covariance @ words.T
    step: Floats = spread @ np.linalg.lstsq(words @ spread, moves, rcond=None)[0]
    return features + step


def _just_enough(lead: Lead, changed: Floats, word: int, before: float, goal: float) -> float:
    """The logit nearest to what it was, by bisection, at which the lead is the goal; else as changed."""
    tried = changed.copy()
    near, far = before, float(changed[word])
    for _ in range(_HALVINGS):
        tried[word] = (near + far) / 2
        if lead(tried) <= goal:
            far = float(tried[word])
        else:
            near = float(tried[word])
    return far
