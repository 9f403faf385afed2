"""Which rows are labelled when only a few of each class are."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synsight.errors import ConfigError
from synsight.metrics.arrays import Integers


@dataclass(frozen=True, eq=False)
class Draw:
    """Labelled rows of one draw."""

    rows: NDArray[np.int64]
    """[K x kept classes] indices into the labels, ascending."""
    classes: NDArray[np.int64]
    """Classes that take part, ascending."""
    dropped: NDArray[np.int64]
    """Classes that have rows, but fewer than asked for, ascending."""


def draw_per_class(labels: Integers, *, per_class: int, seed: int) -> Draw:
    """Draw the same number of rows of every class, without replacement.

    The draw of a class depends on the seed, the class and its rows alone; and of one seed, the draw of 5
    rows is part of the draw of 10, so that a curve over the number of labels rises on the same rows.

    Args:
        labels: [N] integers >= 0.
        per_class: K, rows of each class; classes with fewer are dropped.
        seed: Of the draw, >= 0.

    Raises:
        ConfigError: per_class < 1, seed < 0, or fewer than two classes have enough rows.
    """
    if per_class < 1 or seed < 0:
        raise ConfigError(f"per_class must be >= 1 and seed >= 0; got {per_class!r} and {seed!r}.")
    counts = np.bincount(labels)
    kept = np.flatnonzero(counts >= per_class)
    if len(kept) < 2:
        raise ConfigError(
            f"{per_class} labels a class need two classes with as many training rows; found {len(kept)} "
            f"(the largest have {sorted(counts.tolist(), reverse=True)[:3]} rows); ask for fewer labels."
        )
    rows = [
        np.random.default_rng([seed, int(one)]).permutation(np.flatnonzero(labels == one))[:per_class]
        for one in kept
    ]
    dropped = np.flatnonzero((counts > 0) & (counts < per_class))
    return Draw(rows=np.sort(np.concatenate(rows)), classes=kept, dropped=dropped)
