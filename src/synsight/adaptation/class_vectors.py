"""The vector that stands for a class where no row has been seen yet: its name, as a text encoder embeds it.

N rows, D dimensions, C classes.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synsight.adaptation.base import LabelledRows
from synsight.errors import ConfigError
from synsight.metrics.arrays import unit_rows

ClassVectors = Mapping[Any, ArrayLike] | None
"""From class to vector [D] in the space of the features; None: the classes' means stand in."""


def unit_class_vectors(
    given: ClassVectors, *, classes: Sequence[Any], train: LabelledRows
) -> NDArray[np.float32]:
    """One vector a class at length one, [C, D].

    Args:
        given: What the user passed; None: the means of the classes' unit rows.
        classes: C, in the order of the fit.
        train: The rows of the fit.

    Raises:
        ConfigError: A class without a vector, or a vector of another dimension.
    """
    if given is None:
        return unit_rows((train.truth * train.weights[:, None]).T @ unit_rows(train.features))
    missing = [one for one in classes if one not in given]
    if missing:
        raise ConfigError(
            f"class_vectors must have a vector for each class; {missing[0]!r} has none; add it, or leave "
            "class_vectors out."
        )
    vectors = [np.asarray(given[one], dtype=np.float32) for one in classes]
    width = train.features.shape[1]
    wrong = [one for one, vector in zip(classes, vectors, strict=True) if vector.shape != (width,)]
    if wrong or not all(np.isfinite(vector).all() for vector in vectors):
        raise ConfigError(
            f"class_vectors must be finite, of the {width} dimensions of the features; that of "
            f"{(wrong or list(classes))[0]!r} is not; embed names and images with the same model."
        )
    return unit_rows(np.stack(vectors))
