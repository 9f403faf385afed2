"""Micro and macro accuracy as two metrics, and what an answer without looking would reach."""

import numpy as np

from synsight.errors import ShapeError
from synsight.metrics.arrays import Integers


def acc1(labels: Integers, predictions: Integers) -> float:
    """Share of rows whose prediction is right (micro average): every row counts the same.

    Args:
        labels: [N] integers, N >= 1.
        predictions: [N] integers.
    """
    _check(labels, predictions)
    return float(np.mean(labels == predictions))


def mean_per_class_recall(labels: Integers, predictions: Integers) -> float:
    """Recall of each class that has a row, averaged over these classes (macro average).

    Args:
        labels: [N] integers >= 0, N >= 1.
        predictions: [N] integers; an answer that is nobody's label is only wrong.
    """
    _check(labels, predictions)
    rows = np.bincount(labels)
    right = np.bincount(labels[labels == predictions], minlength=len(rows))
    return float(np.mean(right[rows > 0] / rows[rows > 0]))


def most_frequent_accuracy(train_labels: Integers, test_labels: Integers) -> float:
    """`acc1` of always answering the most frequent class of the training rows."""
    _check(test_labels, test_labels)
    return float(np.mean(test_labels == np.argmax(np.bincount(train_labels))))


def chance_recall(test_labels: Integers) -> float:
    """`mean_per_class_recall` of an answer that does not look at the row: 1 / classes of the test rows."""
    _check(test_labels, test_labels)
    return 1.0 / len(np.unique(test_labels))


def _check(labels: Integers, predictions: Integers) -> None:
    if labels.ndim != 1 or labels.shape != predictions.shape or len(labels) == 0:
        raise ShapeError(
            f"labels and predictions must be [N] of the same N >= 1; got {labels.shape} and "
            f"{predictions.shape}; pass the predictions of the same rows."
        )
