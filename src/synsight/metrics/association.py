"""Do two yes-or-no facts come together, and do they still within each stratum? With rows that come in groups.

N rows, K strata, G groups.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from synsight.errors import ShapeError
from synsight.metrics.arrays import Integers

Cells = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]
"""Rows with both facts, with the first alone, with the second alone, with neither; [..., K] each."""

ADDED_ROWS = 2.0
"""Of no association; as many as Haldane's half a row in each of four cells."""


@dataclass(frozen=True, eq=False)
class Association:
    """The common odds ratio of two facts over strata."""

    log_odds: float
    """Its natural logarithm; 0: they have nothing to do with each other."""
    error: float
    """Standard error of `log_odds`, over groups."""
    left_out: NDArray[np.float64]
    """[G] `log_odds` without each group in turn."""
    level: float = 0.95

    @property
    def odds_ratio(self) -> float:
        """How many times higher the odds of the one fact are where the other holds."""
        return float(np.exp(self.log_odds))

    @property
    def ends(self) -> tuple[float, float]:
        """Ends of the odds ratio's interval."""
        half = float(ndtri((1 + self.level) / 2)) * self.error
        return float(np.exp(self.log_odds - half)), float(np.exp(self.log_odds + half))

    @property
    def p_value(self) -> float:
        """Two-sided, for no association."""
        return float(2 * ndtr(-abs(self.log_odds) / self.error))


def mantel_haenszel(
    first: NDArray[np.bool_],
    second: NDArray[np.bool_],
    groups: Integers,
    strata: Integers | None = None,
    *,
    level: float = 0.95,
) -> Association:
    """The odds ratio that two facts have in common over the strata (conditional on them).

    Two rows are added, spread over strata and cells as the rows would be if the facts had nothing to do with
    each other within a stratum: an empty cell makes nothing infinite, and what is little seen is drawn
    towards no association. Where one of the facts never varies, the error is infinite.

    The variance is the larger of that of leaving groups out and that for independent rows (Robins, Breslow
    and Greenland 1986, Biometrics 42:311), since a table with an empty cell hardly changes when a group goes.

    Args:
        first: [N] whether the one fact holds.
        second: [N] whether the other holds.
        groups: [N] integers >= 0; rows of one group are not independent.
        strata: [N] integers >= 0; None: one stratum, the plain odds ratio.
        level: Of the interval.

    Raises:
        ShapeError: The arrays are not of one length, or empty.

    References: Mantel and Haenszel 1959, Journal of the National Cancer Institute 22:719; the added rows are
        the pseudo-Bayes estimate of Fienberg and Holland 1973, JASA 68:683, with two rows.
    """
    strata = np.zeros(len(first), np.int64) if strata is None else strata
    if not len(first) or not len(first) == len(second) == len(groups) == len(strata):
        raise ShapeError(
            f"first, second, groups and strata must be [N] with N >= 1; got {len(first)}, {len(second)}, "
            f"{len(groups)} and {len(strata)} values; pass one of each for every row."
        )
    strata = np.unique(strata, return_inverse=True)[1]
    codes = np.unique(groups, return_inverse=True)[1]
    num_strata, num_groups = int(strata.max()) + 1, int(codes.max()) + 1
    facts = (first & second, first & ~second, ~first & second, ~first & ~second)
    whole = _cells(facts, np.zeros_like(codes), strata, 1, num_strata)
    by_group = _cells(facts, codes, strata, num_groups, num_strata)
    added = _added(whole)
    filled = tuple(one + more for one, more in zip(whole, added, strict=True))
    if not (filled[0] * filled[3]).any() or not (filled[1] * filled[2]).any():
        return Association(0.0, float("inf"), np.zeros(num_groups), level)
    left = _log_odds(tuple(one - own for one, own in zip(filled, by_group, strict=True)))
    spread = float(((left - left.mean()) ** 2).sum() * (num_groups - 1) / num_groups)
    variance = max(spread, _independent_variance(tuple(one[0] for one in filled)))
    return Association(float(_log_odds(filled)[0]), float(np.sqrt(variance)), left, level)


def change_of(first: Association, second: Association) -> tuple[float, float]:
    """How much larger the first log odds ratio is, and the standard error, on the same rows and groups.

    The variance is that of leaving groups out of both at once, and at least a tenth of the larger one.

    Raises:
        ShapeError: They were measured on other groups.
    """
    if first.left_out.shape != second.left_out.shape:
        raise ShapeError(
            f"expected associations over the same groups; got {len(first.left_out)} and "
            f"{len(second.left_out)}; measure both on the same rows."
        )
    changes = first.left_out - second.left_out
    count = len(changes)
    variance = float(((changes - changes.mean()) ** 2).sum() * (count - 1) / count)
    least = 0.1 * max(first.error, second.error) ** 2
    return first.log_odds - second.log_odds, float(np.sqrt(max(variance, least)))


def _cells(
    facts: tuple[NDArray[np.bool_], ...],
    groups: NDArray[np.int64],
    strata: NDArray[np.int64],
    num_groups: int,
    num_strata: int,
) -> Cells:
    """Rows of each cell by group and stratum, [G, K] each."""
    places = groups * num_strata + strata
    shape = (num_groups, num_strata)
    first, second, third, fourth = (
        np.bincount(places[fact], minlength=num_groups * num_strata).reshape(shape).astype(np.float64)
        for fact in facts
    )
    return first, second, third, fourth


def _added(cells: Cells) -> Cells:
    """Two rows in all, [1, K] each: a stratum's in proportion to its rows, a cell's to its margins."""
    both, one, other, neither = cells
    rows = both + one + other + neither
    scale = ADDED_ROWS / (rows.sum() * rows)
    first, second = both + one, both + other
    return (
        scale * first * second,
        scale * first * (rows - second),
        scale * (rows - first) * second,
        scale * (rows - first) * (rows - second),
    )


def _log_odds(cells: tuple[NDArray[np.float64], ...]) -> NDArray[np.float64]:
    """Of each table [..., K]."""
    both, one, other, neither = cells
    rows = both + one + other + neither
    for_it, against = (both * neither / rows).sum(axis=-1), (one * other / rows).sum(axis=-1)
    return np.asarray(np.log(for_it / against))


def _independent_variance(cells: tuple[NDArray[np.float64], ...]) -> float:
    """Of the log odds ratio, were all rows independent; [K] each."""
    both, one, other, neither = cells
    rows = both + one + other + neither
    agree, differ = (both + neither) / rows, (one + other) / rows
    for_it, against = both * neither / rows, one * other / rows
    total, rest = for_it.sum(), against.sum()
    return float(
        (agree * for_it).sum() / (2 * total**2)
        + (agree * against + differ * for_it).sum() / (2 * total * rest)
        + (differ * against).sum() / (2 * rest**2)
    )
