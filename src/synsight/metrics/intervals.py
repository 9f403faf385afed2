"""The interval of a score: which rule holds where.

A share that rests on many groups gets the bootstrap over groups. One that rests on few groups, or that has
few misses or few hits, gets Wilson's interval at the effective number of rows, since drawing again what was
seen says nothing of what was not. `benchmarks/coverage.py` measures what both cover, `docs/statistics.md`
shows it.

An interval says what other test groups would have given; it says nothing about other seeds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from synsight.errors import ConfigError
from synsight.metrics.bca import RESAMPLES, bootstrap_over_groups
from synsight.metrics.scores import Scores, mean_of
from synsight.metrics.small_samples import effective_rows, quantile_widening, wilson

MANY_GROUPS = 60
"""From here on the bootstrap is asked."""
MANY_MISSES = 30
"""Effective misses, and effective hits, that the bootstrap needs."""


@dataclass(frozen=True)
class Interval:
    """A number with the ends of its interval."""

    value: float
    low: float
    high: float
    method: str = ""
    """How the ends were found, for a reader."""


def score_interval(
    scores: Sequence[Scores], *, resamples: int = RESAMPLES, level: float = 0.95, seed: int = 0
) -> Interval:
    """Mean of one or several scores, with its interval over groups.

    Args:
        scores: Measurements that are averaged, as those of three draws.
        resamples: How often the bootstrap draws the groups again.
        level: Share of repetitions of the experiment whose interval should hold the truth.
        seed: Of the bootstrap.

    Raises:
        ShapeError: No score.
        ConfigError: No resample, or a level outside 0 to 1.
    """
    if resamples < 1 or not 0 < level < 1:
        raise ConfigError(f"resamples must be >= 1 and level in 0 to 1; got {resamples!r} and {level!r}.")
    mean = mean_of(scores)
    rows = effective_rows(mean)
    if mean.num_groups < MANY_GROUPS or rows.rarer < MANY_MISSES:
        low, high = wilson(rows, level=level, widening=quantile_widening(mean, level=level))
        return Interval(rows.value, low, high, f"Wilson, {rows.count:,.0f} effective rows")
    low, high = bootstrap_over_groups(mean, resamples=resamples, level=level, seed=seed)
    return Interval(rows.value, low, high, f"BCa bootstrap over {mean.num_groups:,} groups")
