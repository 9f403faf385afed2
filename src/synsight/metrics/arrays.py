"""What the metrics take, and the checks they share. N rows, M test rows, D dimension, C classes, G groups."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from synsight.errors import DataError, ShapeError

Floats = NDArray[np.floating[Any]]
Integers = NDArray[np.integer[Any]]


def check_features(features: Floats, labels: Integers, *, num_classes: int) -> None:
    """Make sure that features [N, D] and labels [N] (0 to C - 1) fit each other and are numbers.

    Raises:
        ShapeError: Wrong number of axes or rows, no row at all, or a label outside 0 to C - 1.
        DataError: A feature is NaN or infinite.
    """
    check_finite(features)
    if labels.shape != (len(features),) or len(features) == 0:
        raise ShapeError(
            f"labels must be one integer a row of features, at least one; got features {features.shape} "
            f"and labels {labels.shape}; pass the labels of the same rows."
        )
    if labels.min() < 0 or labels.max() >= num_classes:
        raise ShapeError(
            f"labels must lie in 0 to {num_classes - 1} (num_classes={num_classes}); found {labels.min()} "
            f"to {labels.max()}; leave unlabelled rows out first."
        )


def check_finite(features: Floats) -> None:
    """Make sure that features are [N, D] and hold no NaN or infinity.

    Raises:
        ShapeError: Not two axes.
        DataError: A feature is NaN or infinite; names the first row.
    """
    if features.ndim != 2:
        raise ShapeError(f"features must be [rows, dimension]; got shape {features.shape}; reshape them.")
    finite = np.isfinite(features).all(axis=1)
    if not finite.all():
        raise DataError(
            f"features must be finite numbers; {int((~finite).sum())} of {len(features)} rows are not, the "
            f"first is row {int(np.argmin(finite))}; the encoder that made them diverged, so train it again."
        )


def unit_rows(features: Floats) -> NDArray[np.float32]:
    """Rows at length one, float32 [N, D]; a zero row stays zero."""
    features = np.asarray(features, dtype=np.float32)
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    unit: NDArray[np.float32] = features / np.maximum(lengths, np.finfo(np.float32).tiny)
    return unit
