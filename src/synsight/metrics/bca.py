"""The bootstrap over groups, with its ends corrected for bias and skew (BCa)."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, stdtrit

from synsight.errors import ConfigError
from synsight.metrics.scores import WeightedScores

RESAMPLES = 2000
_MOST_CELLS = 4_000_000
"""Group draws held at once; bounds the memory at about 100 MB."""
_WIDEST = 0.9999
"""Level; for two groups Student's t asks for all of the distribution."""


def bootstrap_over_groups(
    scores: WeightedScores, *, resamples: int = RESAMPLES, level: float = 0.95, seed: int = 0
) -> tuple[float, float]:
    """Ends of the BCa interval when whole groups are drawn again.

    The level is raised by what Student's t with G - 1 degrees of freedom asks beyond the normal (Hesterberg
    2015, "expanded percentile"), since a bootstrap of G groups has the variance of G - 1.

    Raises:
        ConfigError: No resample, or a level outside 0 to 1.
    """
    if resamples < 1 or not 0 < level < 1:
        raise ConfigError(f"resamples must be >= 1 and level in 0 to 1; got {resamples!r} and {level!r}.")
    generator = np.random.default_rng(seed)
    part = max(1, _MOST_CELLS // scores.num_groups)
    drawn = [
        scores.resampled(group_counts(generator, min(part, resamples - start), scores.num_groups))
        for start in range(0, resamples, part)
    ]
    return bca_ends(
        np.concatenate(drawn),
        value=scores.value,
        left_out=scores.left_out(),
        level=expanded_level(level, scores.num_groups),
    )


def bca_ends(
    drawn: NDArray[np.float64], *, value: float, left_out: NDArray[np.float64], level: float = 0.95
) -> tuple[float, float]:
    """Ends of the bias-corrected and accelerated interval of any statistic.

    Args:
        drawn: [R] the statistic of each resample; NaN where a resample says nothing.
        value: The statistic of what was measured.
        left_out: [G] the statistic without each group in turn.
        level: Share of repetitions of the experiment whose interval should hold the truth.

    Reference: Efron 1987, "Better bootstrap confidence intervals", JASA 82, eqs. 2.3 and 6.6. Departure:
        where all resamples lie on one side of the value, half a resample is taken to lie on the other.
    """
    drawn = drawn[np.isfinite(drawn)]
    if len(drawn) == 0 or np.ptp(drawn) == 0:
        return value, value
    tied = np.abs(drawn - value) <= 1e-9 * np.ptp(drawn)  # sums in another order differ in their last digits
    below = (np.sum((drawn < value) & ~tied) + tied.sum() / 2) / len(drawn)
    bias = ndtri(np.clip(below, 0.5 / len(drawn), 1 - 0.5 / len(drawn)))
    skew = left_out[np.isfinite(left_out)]
    skew = skew.mean() - skew
    spread = (skew**2).sum() ** 1.5
    acceleration = (skew**3).sum() / (6 * spread) if spread > 0 else 0.0
    tails = ndtri(np.array([(1 - level) / 2, (1 + level) / 2]))
    moved = ndtr(bias + (bias + tails) / (1 - acceleration * (bias + tails)))
    low, high = np.quantile(drawn, moved)
    return float(low), float(high)


def expanded_level(level: float, num_groups: int) -> float:
    """The level at which a normal interval is as wide as one of Student's t at G - 1 degrees of freedom."""
    if num_groups < 2:
        return level
    quantile = stdtrit(num_groups - 1.0, (1 + level) / 2)
    wide = float(2 * ndtr(np.sqrt(num_groups / (num_groups - 1)) * quantile) - 1)
    return min(wide, _WIDEST)


def group_counts(generator: np.random.Generator, resamples: int, num_groups: int) -> NDArray[np.float64]:
    """How often each group was drawn, [R, G]."""
    drawn = generator.integers(num_groups, size=(resamples, num_groups), dtype=np.int32)
    cells = drawn + num_groups * np.arange(resamples)[:, None]
    counts = np.bincount(cells.ravel(), minlength=resamples * num_groups)
    return counts.reshape(resamples, num_groups).astype(np.float64)
