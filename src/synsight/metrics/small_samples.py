"""Wilson's interval for shares of rows that come in groups, where a bootstrap cannot be trusted.

With few groups, or with hardly a miss (or a hit), drawing again what was seen says nothing about what was
not: the bootstrap of 40 hits in 40 rows is the interval 1 to 1. Wilson's interval asks instead which true
shares would have let this happen. It wants independent rows; as many of them are counted as tell as much as
the grouped ones do (*effective rows*, N divided by the design effect).

The variance is that of leaving groups out, an estimate that is itself poor where few groups hold a miss.
There it is compared with the variance of a model (every two rows of a group have the same correlation,
estimated over all groups), and the larger of the two is taken. `benchmarks/coverage.py` shows what each rule
covers.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri, stdtrit

from synsight.metrics.scores import Cells, WeightedScores

FEW_MISSES = 10
"""Below this many effective misses (or hits) the variance of leaving groups out is not trusted alone."""


@dataclass(frozen=True)
class EffectiveRows:
    """How many independent rows would tell as much as the rows there are."""

    count: float
    """> 0."""
    value: float
    """The share that was measured among them."""

    @property
    def rarer(self) -> float:
        """Effective misses or effective hits, whichever are fewer."""
        return self.count * min(self.value, 1 - self.value)


def effective_rows(scores: WeightedScores) -> EffectiveRows:
    """Effective rows of a share, or of a mean of shares.

    Where the variance cannot be estimated (no miss at all, or a single group), each group counts as one row,
    groups of different size as Kish's number.

    References: Kish 1965, "Survey Sampling", section 8.2; the intra-group correlation is that of the
        analysis of variance (Donner 1986, International Statistical Review 54), on residuals from the strata.
    """
    value = min(1.0, max(0.0, scores.value))
    spread = value * (1 - value)
    left_out = scores.variance
    modelled = left_out * _model_ratio(scores) if left_out > 0 else _model(scores)
    largest = max(left_out, modelled)
    if spread < 1e-12 or largest < 1e-15:
        return EffectiveRows(_groups_as_rows(scores), value)
    rows = max(float(one.rows.sum()) for one in scores.cells)
    strata = max(one.num_strata for one in scores.cells)
    spread *= rows / max(1.0, rows - strata)  # of single rows, estimated as the variances are
    careful = EffectiveRows(spread / largest, value)
    if careful.rarer < FEW_MISSES or left_out <= 0:
        return careful
    return EffectiveRows(spread / left_out, value)


def wilson(rows: EffectiveRows, *, level: float = 0.95, widening: float = 1.0) -> tuple[float, float]:
    """Ends of Wilson's interval.

    Args:
        rows: What was measured; for ungrouped rows the share and the number of rows.
        level: Share of repetitions of the experiment whose interval should hold the truth.
        widening: Multiplies the normal quantile; `quantile_widening` gives it for an estimated variance.

    References: Wilson 1927, JASA 22; effective rows and the widening follow Korn and Graubard 1998, Survey
        Methodology 24 (for Clopper and Pearson's interval), and Dean and Pagano 2015, Journal of Survey
        Statistics and Methodology 3 (for Wilson's).
    """
    z = ndtri((1 + level) / 2) * widening
    shrunk = 1 + z * z / rows.count
    centre = (rows.value + z * z / (2 * rows.count)) / shrunk
    half = z / shrunk * np.sqrt(rows.value * (1 - rows.value) / rows.count + z * z / (4 * rows.count**2))
    # In exact arithmetic no share lies outside 0 to 1, nor outside its own interval.
    return float(max(0.0, min(rows.value, centre - half))), float(min(1.0, max(rows.value, centre + half)))


def quantile_widening(scores: WeightedScores, *, level: float = 0.95) -> float:
    """Quantile of Student's t at the groups' degrees of freedom over that at the rows'.

    1 for groups of one row, whose variance is that of the share itself.
    """
    num_rows = max(float(one.rows.sum()) - one.num_strata for one in scores.cells)
    groups, rows = float(scores.degrees_of_freedom), max(float(scores.degrees_of_freedom), num_rows)
    tail = (1 + level) / 2
    return float(stdtrit(groups, tail) / stdtrit(rows, tail))


def _model_ratio(scores: WeightedScores) -> float:
    """The model's variances of the scores over those of leaving groups out; their mean keeps the ratio."""
    apart = [WeightedScores((one,), (1.0,)).variance for one in scores.cells]
    return sum(_model_variance(one) for one in scores.cells) / max(sum(apart), 1e-300)


def _model(scores: WeightedScores) -> float:
    return float(
        sum(
            weight**2 * _model_variance(one) for weight, one in zip(scores.weights, scores.cells, strict=True)
        )
    )


def _model_variance(cells: Cells) -> float:
    """Of a score whose rows have one correlation within groups."""
    weights = 1 / (cells.num_strata * cells.stratum_rows)  # of a row, [S]
    spreads = cells.shares * (1 - cells.shares)
    apart = float((weights**2 * cells.stratum_rows * spreads).sum())
    alone = float((weights**2 * cells.stratum_rows).sum())
    together = float((cells.by_group(cells.rows * weights[cells.strata]) ** 2).sum())
    if cells.num_groups < 2 or apart == 0:
        return 0.0
    correlation = _intra_group_correlation(cells, spreads)
    design_effect = 1 + correlation * (together / alone - 1)
    return apart * design_effect * cells.num_groups / (cells.num_groups - 1)


def _intra_group_correlation(cells: Cells, spreads: np.ndarray) -> float:
    """Of the residuals from the strata's shares, 0 to 1."""
    rows = cells.by_group(cells.rows)
    present = rows > 0
    rows, total = rows[present], float(rows.sum())
    num_groups = len(rows)
    if num_groups < 2:
        return 1.0
    residuals = cells.by_group(cells.hits - cells.shares[cells.strata] * cells.rows)[present]
    between = float((residuals**2 / rows).sum())
    within = max(0.0, float((cells.stratum_rows * spreads).sum()) - between)
    size = (total - float((rows**2).sum()) / total) / (num_groups - 1)
    between /= num_groups - 1
    within /= max(1.0, total - num_groups)
    whole = between + (size - 1) * within
    return min(1.0, max(0.0, (between - within) / whole)) if whole > 0 else 1.0


def _groups_as_rows(scores: WeightedScores) -> float:
    """Kish's number of groups of unequal weight, at least 1."""
    weights = sum(
        (
            weight * one.by_group(one.rows / one.stratum_rows[one.strata]) / one.num_strata
            for weight, one in zip(scores.weights, scores.cells, strict=True)
        ),
        start=np.zeros(scores.num_groups),
    )
    return float(weights.sum() ** 2 / (weights**2).sum())
