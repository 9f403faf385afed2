"""Temperature scaling: one number that makes probabilities as sure as they are right. N rows, C classes."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from synsight.adaptation.tuning import LEAST_CHANCE, log_softmax_or_sigmoid
from synsight.errors import ShapeError

LEAST_ROWS = 20
"""With fewer rows a temperature would be chance; it is 1."""
_RANGE = 100.0
"""Temperatures lie in 1/100 to 100."""


def fit_temperature(
    scores: NDArray[np.floating],
    truth: NDArray[np.bool_],
    *,
    several: bool = False,
    weights: NDArray[np.floating] | None = None,
) -> float:
    """The temperature by which scores are to be divided, from rows that the classifier has not learnt from.

    Minimises the mean cross-entropy of softmax(scores / temperature); of several labels a row, that of the
    sigmoids. The order of the classes stays as it is, so no answer changes (of several labels: none crosses
    one half).

    Args:
        scores: [N, C]; minus infinity for a class that cannot be.
        truth: [N, C] which classes a row has.
        several: Whether a row may have several labels.
        weights: [N] how much each row counts.

    Returns:
        A number > 0; 1 with fewer than 20 rows.

    Raises:
        ShapeError: The arrays do not fit.

    Reference: Guo et al. 2017, section 4.2, https://arxiv.org/abs/1706.04599
    """
    if scores.ndim != 2 or scores.shape != truth.shape:
        raise ShapeError(
            f"scores and truth must be [N, C] of one shape; got {scores.shape} and {truth.shape}; pass those "
            "of the same rows."
        )
    if len(scores) < LEAST_ROWS:
        return 1.0
    shares = np.ones(len(scores)) if weights is None else np.asarray(weights, np.float64)
    least = np.log(LEAST_CHANCE)

    def loss(log_temperature: float) -> float:
        scaled = scores.astype(np.float64) * np.exp(-log_temperature)
        chances = np.maximum(log_softmax_or_sigmoid(scaled, several), least)
        told = np.where(truth, chances, 0.0)
        if several:
            told = told + np.where(truth, 0.0, np.maximum(log_softmax_or_sigmoid(-scaled, True), least))
        return float(-shares @ told.sum(axis=1) / shares.sum())

    end = np.log(_RANGE)
    return float(np.exp(minimize_scalar(loss, bounds=(-end, end), method="bounded").x))
