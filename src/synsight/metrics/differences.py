"""The difference of two scores: its interval, its p-value, and the smallest one that would have been found.

Paired: both sides answered the same rows, so what is hard for both cancels. Unpaired: only the two values and
their intervals are known.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from synsight.errors import ConfigError
from synsight.metrics.bca import RESAMPLES, bootstrap_over_groups
from synsight.metrics.intervals import Interval
from synsight.metrics.repetitions import Spread, spread_of_repetitions
from synsight.metrics.scores import Scores, WeightedScores, weigh
from synsight.metrics.sign_flips import sign_flip_p_value

FEW_DIFFERENT = 30
"""Below this many groups in which the sides differ, the bootstrap is not asked."""
POWER = 0.8


@dataclass(frozen=True)
class ScoreDifference:
    """First minus second."""

    value: float
    low: float
    high: float
    p_value: float
    """Two-sided, for "no difference"."""
    detectable: float
    """A true difference of this size would be found, at 5%, in 80% of such experiments."""
    method: str
    """How the ends were found, for a reader."""


def paired_difference(
    first: Sequence[Scores],
    second: Sequence[Scores],
    *,
    first_seeds: Sequence[int] = (),
    second_seeds: Sequence[int] = (),
    resamples: int = RESAMPLES,
    level: float = 0.95,
    seed: int = 0,
) -> ScoreDifference:
    """Mean of the first scores minus mean of the second, both on the same groups.

    Groups are drawn again jointly. Where the sides differ in fewer than 30 groups, the interval is Student's
    t of the variance of leaving groups out, after two imagined groups are added, one that speaks for each
    side, as in Bonett and Price's interval: without them ten rows answered alike would prove that no row can
    differ.

    With seeds (of training or of draws) the variation over them counts too, where a side has at least three:
    the interval is then Student's t of both variances (see `repetitions`), and so is the p-value. The sides
    need not have the same number of scores.

    Args:
        first: Measurements of the one side; their mean counts.
        second: Of the other side.
        first_seeds: A number for each of the first scores; scores with one number are one repetition. Empty:
            the interval says nothing about other seeds.
        second_seeds: Of the second scores. Where both sides have the same numbers, they are paired.
        resamples: How often the bootstrap draws the groups again.
        level: Share of repetitions of the experiment whose interval should hold the truth.
        seed: Of the drawing.

    Raises:
        ShapeError: A side without a score.
        ConfigError: No resample, a level outside 0 to 1, or another number of seeds than of scores.

    Reference: Bonett and Price 2012, "Adjusted Wald confidence interval for a difference of binomial
        proportions based on paired data", Journal of Educational and Behavioral Statistics 37.
    """
    if resamples < 1 or not 0 < level < 1:
        raise ConfigError(f"resamples must be >= 1 and level in 0 to 1; got {resamples!r} and {level!r}.")
    scores = weigh(
        [*first, *second], [1 / max(1, len(first))] * len(first) + [-1 / max(1, len(second))] * len(second)
    )
    contributions = scores.contributions()
    different = np.abs(contributions) > 1e-12
    contributions = np.where(different, contributions, 0.0)  # a third thrice is not one, to the last bit
    spread = spread_of_repetitions(scores, first_seeds, second_seeds)
    variance = scores.variance
    if different.sum() < FEW_DIFFERENT:
        imagined = np.abs(contributions[different]).mean() if different.any() else 1 / scores.num_groups
        variance += 2 * float(imagined) ** 2
    total, freedom = spread.added_to(variance, scores.num_groups - 1)
    deviation = float(np.sqrt(total))
    quantile = float(stdtrit(freedom, (1 + level) / 2))
    p_value = sign_flip_p_value(contributions, seed=seed)
    if spread.variance > 0:
        p_value = max(p_value, float(2 * stdtr(freedom, -abs(scores.value) / deviation)))
    if spread.variance > 0 or different.sum() < FEW_DIFFERENT:
        low, high = scores.value - quantile * deviation, scores.value + quantile * deviation
    else:
        low, high = bootstrap_over_groups(scores, resamples=resamples, level=level, seed=seed)
    return ScoreDifference(
        value=scores.value,
        low=max(-1.0, low),
        high=min(1.0, high),
        p_value=p_value,
        detectable=min(1.0, (quantile + float(stdtrit(freedom, POWER))) * deviation),
        method=_method(scores, int(different.sum()), spread),
    )


def difference_of_intervals(first: Interval, second: Interval, *, level: float = 0.95) -> ScoreDifference:
    """First minus second of two measurements that have nothing in common, from their intervals alone.

    Args:
        first: A value with its ends.
        second: Another one, of other rows or of rows that nobody knows.
        level: Of both intervals, and of the one that is returned.

    References: Newcombe 1998, Statistics in Medicine 17:873, method 10; for any two intervals Zou and Donner
        2008, Statistics in Medicine 27:1693. The p-value is the level at which the interval would end at zero
        if it grew in proportion.
    """
    value = first.value - second.value
    below = float(np.hypot(first.value - first.low, second.high - second.value))
    above = float(np.hypot(first.high - first.value, second.value - second.low))
    z = float(ndtri((1 + level) / 2))
    towards_zero = below if value > 0 else above
    p_value = 1.0 if value == 0 else 0.0
    if value and towards_zero:
        p_value = float(2 * ndtr(-abs(value) * z / towards_zero))
    detectable = (z + float(ndtri(POWER))) * (below + above) / (2 * z)
    return ScoreDifference(
        value, max(-1.0, value - below), min(1.0, value + above), p_value, min(1.0, detectable), "unpaired"
    )


def _method(scores: WeightedScores, different: int, spread: Spread) -> str:
    groups = f"{scores.num_groups:,} groups"
    if spread.variance > 0:
        return f"t over {groups} and {spread.repetitions} seeds"
    if different < FEW_DIFFERENT:
        return f"t over {groups}, {different} of which differ"
    return f"BCa bootstrap over {groups}"
