"""Which of many means differ between two samples: words, classes, measures of images.

n rows of the first sample, m of the second, V columns, P exchanges.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit
from scipy.stats import false_discovery_control

from synsight.errors import ConfigError, ShapeError
from synsight.metrics.arrays import Floats, Integers
from synsight.metrics.drift import DriftTest
from synsight.metrics.exchanges import Exchanges

_COLUMNS_AT_ONCE = 512
_ROUNDING = 1e-5
"""Of a mean, in units of the column's largest value: sums are taken in float32."""


@dataclass(frozen=True, eq=False)
class MeanDifferences:
    """Second minus first, column by column."""

    first: NDArray[np.float64]
    """[V] means."""
    second: NDArray[np.float64]
    """[V] means."""
    error: NDArray[np.float64]
    """[V] standard error of the difference; infinite where a sample is of one group."""
    freedom: NDArray[np.float64]
    """[V] degrees of freedom of Student's t."""

    @property
    def value(self) -> NDArray[np.float64]:
        """[V]"""
        return self.second - self.first

    @property
    def p_values(self) -> NDArray[np.float64]:
        """[V] two-sided, for "no difference"."""
        differs = self.error > 0
        t = np.where(differs, np.abs(self.value) / np.where(differs, self.error, 1), 0)
        return np.where(differs, 2 * stdtr(self.freedom, -t), 1.0)

    def half_widths(self, level: float = 0.95) -> NDArray[np.float64]:
        """[V] half the width of the intervals of this level; infinite where nothing is known."""
        with np.errstate(invalid="ignore"):
            wide = stdtrit(self.freedom, (1 + level) / 2) * self.error
        return np.where(self.error > 0, wide, 0.0)


def mean_differences(
    first: Floats, second: Floats, *, first_groups: Integers, second_groups: Integers
) -> MeanDifferences:
    """Differences of column means, with errors that know of groups.

    The rows of a group count as one contribution, in which what it adds to both samples cancels. Each
    sample's part is raised by G / (G - 1) for its G groups; the degrees of freedom are Welch's. Where no
    group differs from its side though the sides do (a flag that all have and none had), the error is what two
    groups of the smaller side would bring if they lay a standard deviation of both sides off.

    Args:
        first: [n, V]
        second: [m, V]
        first_groups: [n] integers.
        second_groups: [m] the same numbers for the same groups.

    Raises:
        ShapeError: Another number of columns, or a sample without a row.

    References: Liang and Zeger 1986 (sums over clusters), Biometrika 73; Welch 1947, Biometrika 34.
    """
    if first.shape[1:] != second.shape[1:] or not len(first) or not len(second):
        raise ShapeError(
            f"both samples must have rows and the same columns; got {first.shape} and {second.shape}."
        )
    codes = np.unique(np.concatenate([first_groups, second_groups]), return_inverse=True)[1]
    num_groups = int(codes.max()) + 1
    parts, means, variances, counts = [], [], [], []
    for rows, own in ((first, codes[: len(first)]), (second, codes[len(first) :])):
        mean = rows.mean(axis=0, dtype=np.float64)
        sums = _sums_by_group(rows, own, num_groups) - np.bincount(own, minlength=num_groups)[:, None] * mean
        present = len(np.unique(own))
        with np.errstate(divide="ignore", invalid="ignore"):
            share = sums * np.sqrt(np.float64(present) / (present - 1)) / len(rows)
        if present < 2:
            share = np.full_like(sums, np.inf)
        parts.append(share)
        means.append(mean)
        counts.append(max(present - 1, 1))
        variances.append((share**2).sum(axis=0))
    with np.errstate(invalid="ignore"):
        variance = ((parts[1] - parts[0]) ** 2).sum(axis=0)
        total = variances[0] + variances[1]
        freedom = total**2 / (variances[0] ** 2 / counts[0] + variances[1] ** 2 / counts[1])
    both = np.concatenate([first, second]).astype(np.float64).std(axis=0)
    least = 2 * both / (1 + min(counts))
    differs = np.abs(means[1] - means[0]) > 1e-9 * both
    variance = np.where(differs & (variance < 1e-12 * both**2), least**2, variance)
    error = np.where(np.isfinite(variance), np.sqrt(variance), np.inf)
    freedom = np.where(np.isfinite(freedom) & (freedom > 0), freedom, float(min(counts)))
    return MeanDifferences(means[0], means[1], error, freedom)


def _sums_by_group(rows: Floats, codes: Integers, num_groups: int) -> NDArray[np.float64]:
    order = np.argsort(codes, kind="stable")
    present, starts = np.unique(codes[order], return_index=True)
    sums = np.zeros((num_groups, rows.shape[1]))
    sums[present] = np.add.reduceat(rows[order].astype(np.float64), starts, axis=0)
    return sums


def largest_difference(rows: Floats, exchanges: Exchanges) -> DriftTest:
    """The largest of all differences of means, each in units of its own spread over the exchanges.

    Args:
        rows: Both samples on top of each other, [N, V].
        exchanges: Of these rows.

    Reference: Westfall and Young 1993, "Resampling-based multiple testing", section 2.6 (maxT).
    """
    largest = np.zeros(len(exchanges.in_first))
    for scaled in _in_spreads(rows, exchanges):
        np.maximum(largest, np.abs(scaled).max(axis=1, initial=0.0), out=largest)
    return DriftTest(largest)


def _in_spreads(rows: Floats, exchanges: Exchanges) -> Iterator[NDArray[np.float64]]:
    """Differences of some columns at a time, [1 + P, v]."""
    first = exchanges.in_first.astype(np.float32)
    n = first.sum(axis=1, dtype=np.float64)[:, None]
    m = rows.shape[0] - n
    for start in range(0, rows.shape[1], _COLUMNS_AT_ONCE):
        part = rows[:, start : start + _COLUMNS_AT_ONCE].astype(np.float64)
        part -= part.mean(axis=0)
        size = np.abs(part).max(axis=0, initial=0.0)
        kept, size = part[:, size > 1e-9], size[size > 1e-9]
        if not kept.shape[1]:
            continue
        sums = (first @ kept.astype(np.float32)).astype(np.float64)
        differences = -sums / m - sums / n  # the columns' totals are zero
        spread = differences.std(axis=0)
        varies = spread > _ROUNDING * size  # not where every dealing gives the same sums but for rounding
        yield differences / np.where(varies, spread, np.inf)


@dataclass(frozen=True, eq=False)
class Discoveries:
    """Which of many differences are none by chance."""

    q_values: NDArray[np.float64]
    """[V] p-values raised so that of those below alpha a share of at most alpha is false."""
    found: NDArray[np.bool_]
    """[V] those at most alpha."""
    level: float
    """Of intervals for those found: a share of at most alpha of these intervals misses the truth."""


def discoveries(p_values: NDArray[np.float64], *, alpha: float = 0.05) -> Discoveries:
    """Control the share of false discoveries, whatever the columns have in common.

    Args:
        p_values: [V]
        alpha: Largest expected share of false ones among those found, between 0 and 1.

    Raises:
        ConfigError: Alpha is out of its range.

    References: Benjamini and Yekutieli 2001, "The control of the false discovery rate in multiple testing
        under dependency", theorem 1.3; 2005, "False discovery rate-adjusted multiple confidence intervals",
        JASA 100 (the level of the intervals).
    """
    if not 0 < alpha < 1:
        raise ConfigError(f"alpha must be between 0 and 1; got {alpha!r}.")
    if not len(p_values):
        return Discoveries(np.zeros(0), np.zeros(0, bool), 1 - alpha)
    q_values = np.asarray(false_discovery_control(p_values, method="by"), np.float64)
    found = q_values <= alpha
    harmonic = float((1 / np.arange(1, len(p_values) + 1)).sum())
    level = 1 - alpha * max(int(found.sum()), 1) / (len(p_values) * harmonic)
    return Discoveries(q_values, found, level)
