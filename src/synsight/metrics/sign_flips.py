"""A test of "no difference" between two answers to the same rows, by swapping the two within groups."""

import numpy as np
from numpy.typing import NDArray

FLIPS = 5_000
_ENUMERATED = 12
"""Up to so many groups that differ, all 2^12 ways of swapping are looked at."""


def sign_flip_p_value(differences: NDArray[np.float64], *, flips: int = FLIPS, seed: int = 0) -> float:
    """Two-sided p-value for "which answer is whose makes no difference".

    If it makes none, the difference of each group might as well have had the other sign. The p-value is the
    share of all choices of signs whose sum is further from zero than the one found, plus half of those that
    are as far (mid-p): differences of shares are discrete, and counting all ties would find too little.

    Args:
        differences: [G] what each group adds to the difference. Groups without one tell nothing.
        flips: Choices of signs that are drawn where there are too many to look at.
        seed: Of the drawing.

    References: Fisher 1935, "The Design of Experiments", section 21; mid-p as recommended for paired shares
        by Fagerland, Lydersen and Laake 2013, BMC Medical Research Methodology 13. With one row a group this
        is McNemar's mid-p test.
    """
    sizes = np.abs(differences)
    largest = sizes.max(initial=0.0)
    sizes = sizes[sizes > 1e-9 * largest]
    if not len(sizes):
        return 1.0
    found = abs(differences.sum())
    sums = np.abs(_enumerated(sizes) if len(sizes) <= _ENUMERATED else _drawn(sizes, flips, seed))
    near = np.isclose(sums, found, rtol=0, atol=1e-9 * sizes.sum())
    further = np.sum((sums > found) & ~near)
    if len(sizes) <= _ENUMERATED:
        return float((further + near.sum() / 2) / len(sums))
    return float((further + (near.sum() + 1) / 2) / (len(sums) + 1))  # what was found is one choice more


def _enumerated(sizes: NDArray[np.float64]) -> NDArray[np.float64]:
    choices = np.arange(2 ** len(sizes))[:, None] >> np.arange(len(sizes)) & 1
    sums: NDArray[np.float64] = (2 * choices - 1) @ sizes
    return sums


def _drawn(sizes: NDArray[np.float64], flips: int, seed: int) -> NDArray[np.float64]:
    """Groups of one size are drawn at once: how many of them are positive is binomial."""
    generator = np.random.default_rng(seed)
    sums = np.zeros(flips)
    distinct, counts = np.unique(np.round(sizes / sizes.max(), 9), return_counts=True)
    for size, count in zip(distinct * sizes.max(), counts, strict=True):
        sums += size * (2 * generator.binomial(count, 0.5, size=flips) - count)
    return sums
