"""Numbers about maps of classes: mean intersection over union, and the share of pixels named rightly.

Both are ratios of three counts a class, so those of several images are added before anything is divided.
C classes, the background among them.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from synsight.errors import ShapeError
from synsight.metrics.arrays import Floats, Integers

Counts = Floats | Integers
"""[..., 3, C]: pixels named rightly, pixels so named, pixels that are so."""


def pixel_counts(predicted: Integers, labels: Integers, *, num_classes: int) -> NDArray[np.int64]:
    """The counts of one image, [3, C].

    Args:
        predicted: [H, W] classes 0 to C - 1.
        labels: [H, W] classes; a pixel with a negative one is left out.
        num_classes: C.

    Raises:
        ShapeError: The maps differ in shape, or hold a class of C or more.
    """
    if predicted.shape != labels.shape:
        raise ShapeError(
            f"predicted and labels must be maps of one shape; got {predicted.shape} and {labels.shape}; "
            "resize the prediction to the image."
        )
    asked = labels >= 0
    found, true = predicted[asked], labels[asked]
    if len(found) and (min(found.min(), 0) < 0 or max(found.max(), true.max()) >= num_classes):
        raise ShapeError(
            f"classes must lie in 0 to {num_classes - 1}; found up to {max(found.max(), true.max())}; "
            "give pixels that are not asked about a negative label."
        )
    return np.stack(
        [np.bincount(some, minlength=num_classes) for some in (true[found == true], found, true)]
    ).astype(np.int64)


def class_iou(counts: Counts) -> NDArray[np.float64]:
    """Intersection over union of each class, [..., C]; NaN for a class that is nowhere and nowhere said."""
    hits, named, true = (np.asarray(counts, dtype=np.float64)[..., row, :] for row in range(3))
    union = named + true - hits
    with np.errstate(invalid="ignore"):
        iou: NDArray[np.float64] = hits / union
    return iou


def mean_iou(counts: Counts) -> NDArray[Any]:
    """Mean of `class_iou` over the classes that occur in the labels or in the prediction, [...]."""
    iou = class_iou(counts)
    known = ~np.isnan(iou)
    mean: NDArray[np.float64] = np.where(known, iou, 0.0).sum(axis=-1) / known.sum(axis=-1)
    return mean


def pixel_accuracy(counts: Counts) -> NDArray[Any]:
    """Share of the pixels that are named rightly, [...]."""
    table = np.asarray(counts, dtype=np.float64)
    share: NDArray[np.float64] = table[..., 0, :].sum(axis=-1) / table[..., 2, :].sum(axis=-1)
    return share
