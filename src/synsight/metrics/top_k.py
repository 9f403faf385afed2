"""Is the right class among the k most probable ones?"""

import numpy as np
from numpy.typing import NDArray

from synsight.errors import ShapeError
from synsight.metrics.arrays import Floats, Integers


def top_k_hits(probabilities: Floats, labels: Integers, *, k: int = 5) -> NDArray[np.bool_]:
    """Whether each row's class is among its k most probable ones, [N].

    A class that shares its probability with others counts behind all of them, so that an answer which leaves
    most classes at zero (k-NN votes) wins nothing by the order of the names.

    Args:
        probabilities: [N, C]
        labels: [N] integers in 0 to C - 1.
        k: >= 1.

    Raises:
        ShapeError: The arrays do not fit.
    """
    if probabilities.ndim != 2 or labels.shape != (len(probabilities),) or k < 1:
        raise ShapeError(
            f"probabilities must be [rows, classes] with one label a row and k >= 1; got "
            f"{probabilities.shape}, {labels.shape} and {k!r}; pass those of the same rows."
        )
    own = probabilities[np.arange(len(labels)), labels]
    hits: NDArray[np.bool_] = (probabilities >= own[:, None]).sum(axis=1) <= k
    return hits


def most_frequent_top_k(train_labels: Integers, test_labels: Integers, *, k: int = 5) -> float:
    """Share of hits of always naming the k most frequent classes of the training rows."""
    often = np.argsort(-np.bincount(train_labels), kind="stable")[:k]
    return float(np.mean(np.isin(test_labels, often)))
