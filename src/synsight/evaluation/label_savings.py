"""Curves of accuracy over labels, read horizontally: how many labels of one model do the work of another's.

A curve is made monotone (isotonic regression) and joined by PCHIP in the logarithm of the labels, in each
resample anew. Nothing is extrapolated: what lies above the last or below the first measured number of labels
is said to lie there, with the signs `>` and `<`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import PchipInterpolator

from synsight.errors import ShapeError
from synsight.evaluation.resampling import Drawn, ends

METHOD = (
    "isotonic regression of the mean accuracies, joined by PCHIP in the logarithm of the labels; "
    "made anew in each resample of test groups and draws; not extrapolated"
)

GRID = 1024
"""Points at which a curve is read; neighbours differ by less than 1% in labels over four decades."""


def monotone(values: Drawn) -> Drawn:
    """Nearest non-decreasing sequences (least squares, equal weights), [..., K].

    Reference: Robertson, Wright and Dykstra 1988, theorem 1.4.4: the max-min formula.
    """
    count = values.shape[-1]
    totals = np.concatenate([np.zeros((*values.shape[:-1], 1)), np.cumsum(values, axis=-1)], axis=-1)
    fitted = np.empty_like(values, dtype=np.float64)
    for place in range(count):
        best = np.full(values.shape[:-1], -np.inf)
        for start in range(place + 1):
            least = np.full(values.shape[:-1], np.inf)
            for end in range(place, count):
                least = np.minimum(least, (totals[..., end + 1] - totals[..., start]) / (end + 1 - start))
            best = np.maximum(best, least)
        fitted[..., place] = best
    return fitted


def labels_for(labels: Sequence[int], accuracies: Drawn, targets: Drawn) -> Drawn:
    """Fewest labels with which a monotone curve reaches an accuracy, [R + 1].

    Args:
        labels: [K] numbers of labels, rising, K >= 2.
        accuracies: [R + 1, K], as `monotone` gives them.
        targets: [R + 1].

    Returns:
        Labels; inf where the curve ends below the target, 0 where it begins above it.

    Raises:
        ShapeError: Fewer than two numbers of labels, or they do not rise.
    """
    places = np.log(np.asarray(labels, np.float64))
    if len(places) < 2 or (np.diff(places) <= 0).any():
        raise ShapeError(f"a curve needs two numbers of labels or more, rising; got {list(labels)}.")
    grid = np.linspace(places[0], places[-1], GRID)
    read = np.empty(len(targets))
    for start in range(0, len(targets), 256):
        part = slice(start, start + 256)
        heights = PchipInterpolator(places, accuracies[part], axis=1)(grid)
        heights[:, -1] = accuracies[part, -1]  # no rounding error may turn an equal end into a lower one
        read[part] = _crossings(grid, heights, targets[part])
    return read


def _crossings(grid: Drawn, heights: Drawn, targets: Drawn) -> Drawn:
    rows = np.arange(len(targets))
    above = (heights < targets[:, None]).sum(axis=1)  # the first point that reaches the target
    after, before = np.clip(above, 1, len(grid) - 1), np.clip(above - 1, 0, len(grid) - 2)
    rise = heights[rows, after] - heights[rows, before]
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(rise > 0, (targets - heights[rows, before]) / rise, 0.0)
    found: Drawn = np.exp(grid[before] + np.clip(share, 0, 1) * (grid[after] - grid[before]))
    found[targets < heights[:, 0]] = 0.0
    found[above == len(grid)] = np.inf
    return found


@dataclass(frozen=True)
class Reading:
    """A number of labels with its interval; infinite: more than `most`; 0: fewer than `least`."""

    value: float
    low: float
    high: float
    least: int
    """Fewest labels that the curve was measured with."""
    most: int


def read_horizontally(
    labels: Sequence[int], accuracies: Drawn, targets: Drawn, *, level: float = 0.95
) -> tuple[Reading, Drawn]:
    """How many labels of one curve give another's accuracy, and the same for every resample.

    Args:
        labels: [K] of the curve that is read.
        accuracies: [R + 1, K] of it; need not be monotone.
        targets: [R + 1] accuracies of the other, from the same resamples.
        level: Of the interval.
    """
    read = labels_for(labels, monotone(accuracies), targets)
    low, high = ends(read, level=level)
    return Reading(float(read[0]), low, high, min(labels), max(labels)), read
