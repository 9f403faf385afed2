"""Weighted k-nearest-neighbour classification: the metric that trains nothing."""

import numpy as np
from numpy.typing import NDArray

from synsight.errors import ConfigError, ShapeError
from synsight.metrics.arrays import Floats, Integers, check_features, check_finite, unit_rows

_MOST_ROWS = 1024
_MOST_CELLS = 8_000_000
"""Similarities held at once; with their negatives and their order 16 bytes each."""


def weighted_knn(
    train_features: Floats,
    train_labels: Integers,
    test_features: Floats,
    *,
    num_classes: int,
    k: int,
    temperature: float = 0.1,
    batch: int | None = None,
) -> NDArray[np.float32]:
    """Class probabilities by a vote of the k nearest training rows, weighted by exp(cosine / temperature).

    The votes are those of lightly's benchmark; they are divided by their sum, and the largest cosine is taken
    off first, which changes no ratio and cannot overflow at small temperatures.

    Args:
        train_features: [N, D]; need not be normalised.
        train_labels: [N] integers in 0 to C - 1.
        test_features: [M, D].
        num_classes: C.
        k: Neighbours that vote, 1 to N.
        temperature: Divides the cosines; > 0. Smaller lets the nearest decide.
        batch: Test rows compared at once; None: 1,024, or fewer where there are many training rows, so that
            the similarities held at once take about 130 MB at any N.

    Returns:
        [M, C], rows sum to one; the prediction is the argmax.

    Raises:
        ShapeError: Features and labels do not fit each other.
        ConfigError: k, temperature or batch out of range.
        DataError: A feature is NaN or infinite.

    Reference: Wu et al. 2018, section 3.4, https://arxiv.org/abs/1805.01978
    """
    check_features(train_features, train_labels, num_classes=num_classes)
    check_finite(test_features)
    if test_features.shape[1] != train_features.shape[1]:
        raise ShapeError(
            f"test features must have the dimension of the training features; got {test_features.shape} and "
            f"{train_features.shape}; embed both with the same model."
        )
    if not 1 <= k <= len(train_features):
        raise ConfigError(f"k must lie in 1 to {len(train_features)} (the training rows); got {k}; lower it.")
    batch = batch if batch is not None else max(1, min(_MOST_ROWS, _MOST_CELLS // len(train_features)))
    if not temperature > 0 or batch < 1:
        raise ConfigError(f"temperature and batch must be > 0; got {temperature!r} and {batch!r}.")
    train = unit_rows(train_features)
    labels = np.asarray(train_labels, dtype=np.int64)
    votes = np.empty((len(test_features), num_classes), dtype=np.float32)
    for start in range(0, len(test_features), batch):
        similarities = unit_rows(test_features[start : start + batch]) @ train.T  # [batch, N]
        votes[start : start + batch] = _votes(
            similarities, labels, num_classes=num_classes, k=k, temperature=temperature
        )
    return votes


def neighbour_count(train_labels: Integers, *, most: int = 20) -> int:
    """How many neighbours vote: min(`most`, twice the rows of the smallest class present).

    More than that and a small class can never win. Never more than there are rows.
    """
    counts = np.bincount(train_labels)
    return int(min(most, 2 * counts[counts > 0].min(), len(train_labels)))


def _votes(
    similarities: Floats, labels: Integers, *, num_classes: int, k: int, temperature: float
) -> NDArray[np.float64]:
    nearest = np.argpartition(-similarities, k - 1, axis=1)[:, :k]  # [batch, k], unordered
    close = np.take_along_axis(similarities, nearest, axis=1).astype(np.float64)
    weights = np.exp((close - close.max(axis=1, keepdims=True)) / temperature)
    cells = labels[nearest] + num_classes * np.arange(len(similarities))[:, None]
    votes = np.bincount(cells.ravel(), weights=weights.ravel(), minlength=num_classes * len(similarities))
    votes = votes.reshape(len(similarities), num_classes)
    shares: NDArray[np.float64] = votes / votes.sum(axis=1, keepdims=True)
    return shares
