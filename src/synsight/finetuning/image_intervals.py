"""Intervals of what is measured on images together, not row by row: whole groups of images drawn again."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from synsight.metrics import Interval
from synsight.metrics.arrays import Integers
from synsight.metrics.bca import bca_ends, expanded_level, group_counts

MOST_LEVEL = 0.9999
"""Of two or three groups Student's t asks for more than any number of resamples holds."""
_MOST_CELLS = 4_000_000
"""Counts of images held at once; bounds the memory at about 100 MB."""


def group_draws(groups: Integers, *, resamples: int, seed: int = 0) -> NDArray[np.int64]:
    """How often each of N images is drawn in R resamples of their groups, [R, N].

    Args:
        groups: [N] integers.
        resamples: R.
        seed: Of the drawing.
    """
    names, codes = np.unique(groups, return_inverse=True)
    counts = group_counts(np.random.default_rng(seed), resamples, len(names))
    draws: NDArray[np.int64] = counts.astype(np.int64)[:, codes]
    return draws


def without_each_group(
    measure: Callable[[NDArray[np.int64]], NDArray[np.float64]], groups: Integers
) -> NDArray[np.float64]:
    """The measures [G, M] when one of G groups is left out in turn."""
    names, codes = np.unique(groups, return_inverse=True)
    part = max(1, _MOST_CELLS // len(codes))
    return np.concatenate(
        [
            measure((np.arange(start, min(start + part, len(names)))[:, None] != codes).astype(np.int64))
            for start in range(0, len(names), part)
        ]
    )


def image_interval(
    measure: Callable[[NDArray[np.int64]], NDArray[np.float64]],
    groups: Integers,
    *,
    resamples: int,
    seed: int = 0,
    skew: bool,
) -> list[Interval]:
    """The 95% intervals of some measures of the same images, corrected for bias.

    Args:
        measure: [R, N] how often each image counts -> [R, M] the measures, NaN where nothing can be said.
        groups: [N] integers; images of one are drawn together.
        resamples: How often.
        seed: Of the drawing.
        skew: Correct for skew, too (BCa), for which each group is left out once.
    """
    num_groups = len(np.unique(groups))
    values = measure(np.ones((1, len(groups)), dtype=np.int64))[0]
    drawn = measure(group_draws(groups, resamples=resamples, seed=seed))
    corrected = skew and num_groups > 1
    left_out = without_each_group(measure, groups) if corrected else np.zeros((1, len(values)))
    level = min(expanded_level(0.95, num_groups), MOST_LEVEL)
    name = "BCa" if skew else "bias-corrected"
    method = f"{name} bootstrap over {num_groups:,} groups, {resamples} resamples"
    found = []
    for at, value in enumerate(values.tolist()):
        low, high = bca_ends(drawn[:, at], value=value, left_out=left_out[:, at], level=level)
        found.append(Interval(value, min(low, value), max(high, value), method))
    return found
