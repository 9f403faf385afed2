"""Ways in which rows might as well have been dealt to two samples, if both came from one source.

A permutation test looks at these. What is dealt is what is independent: whole groups (a lot, a patient, a
concept), not rows, since rows of one group are alike whether anything has changed or not.

N rows of both samples together, G groups, P exchanges.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from synsight.errors import ConfigError, ShapeError
from synsight.metrics.arrays import Integers

EXCHANGES = 999
"""Drawn unless told otherwise: p-values down to 0.001."""


@dataclass(frozen=True, eq=False)
class Exchanges:
    """Who stands in the first sample, as it is and as it might have been."""

    in_first: NDArray[np.bool_]
    """[1 + P, N]; the first row is the truth."""
    groups: NDArray[np.int64]
    """[N] one number a group, 0 to G - 1, over both samples."""
    least_p_value: float
    """No test can give less: 1 by the number of exchanges, or of different ones where those are fewer."""


def draw_exchanges(
    first_groups: Integers, second_groups: Integers, *, exchanges: int = EXCHANGES, seed: int = 0
) -> Exchanges:
    """Deal the groups of two samples anew.

    Groups of one sample only are dealt as wholes, as many to each sample as there were. Within a group that
    both samples have (a camera that both saw, a concept that both show) its rows are dealt, as many to each
    as there were: then what sets this group apart from others cannot pass for a change.

    Args:
        first_groups: [n] integers; rows without a group have a number of their own.
        second_groups: [m] the same numbers for the same groups.
        exchanges: P.
        seed: Of the dealing.

    Raises:
        ShapeError: A sample without a row.
        ConfigError: No exchange.

    Reference: Pesarin and Salmaso 2010, "Permutation tests for complex data", sections 1.4 and 2.2.
    """
    if len(first_groups) == 0 or len(second_groups) == 0:
        raise ShapeError(
            f"two samples need rows to be compared; got {len(first_groups)} and {len(second_groups)}; "
            "check which rows were kept."
        )
    if exchanges < 1:
        raise ConfigError(f"exchanges must be >= 1; got {exchanges!r}.")
    groups = np.unique(np.concatenate([first_groups, second_groups]), return_inverse=True)[1].astype(np.int64)
    truth = np.arange(len(groups)) < len(first_groups)
    rows = np.bincount(groups)
    in_first = np.bincount(groups, weights=truth).astype(np.int64)
    shared = (in_first > 0) & (in_first < rows)
    generator = np.random.default_rng(seed)
    dealt = np.empty((1 + exchanges, len(groups)), dtype=bool)
    dealt[0] = truth
    inside = np.flatnonzero(shared[groups])
    inside = inside[np.argsort(groups[inside], kind="stable")]
    alone = np.flatnonzero(~shared)
    side = in_first > 0
    for number in range(1, 1 + exchanges):
        new = side.copy()
        new[alone] = side[alone][generator.permutation(len(alone))]
        dealt[number] = new[groups]
        if len(inside):
            mixed = inside[np.lexsort((generator.random(len(inside)), groups[inside]))]
            dealt[number, mixed] = truth[inside]
    ways = _log_ways(int(side[alone].sum()), len(alone), in_first[shared], rows[shared])
    least = max(1 / (1 + exchanges), math.exp(-ways))
    return Exchanges(dealt, groups, least)


def _log_ways(
    first: int, alone: int, shared_in_first: NDArray[np.int64], shared_rows: NDArray[np.int64]
) -> float:
    """Natural logarithm of the number of different dealings."""

    def log_choices(of: Integers, chosen: Integers) -> float:
        return float(np.sum(gammaln(of + 1) - gammaln(chosen + 1) - gammaln(of - chosen + 1)))

    return log_choices(np.array([alone]), np.array([first])) + log_choices(shared_rows, shared_in_first)


def p_values(statistics: NDArray[np.floating]) -> NDArray[np.float64]:
    """The p-value that each dealing would have had, [1 + P]; the first is that of the truth.

    The share of all dealings, the truth among them, whose statistic is at least as large.

    Args:
        statistics: [1 + P], large where the samples differ.

    Reference: Phipson and Smyth 2010, "Permutation p-values should never be zero",
        https://doi.org/10.2202/1544-6115.1585
    """
    found = np.asarray(statistics, np.float64)
    slack = 1e-9 * max(float(np.ptp(found)), float(np.abs(found).max()), 1e-300)  # sums in another order
    ordered = np.sort(found)
    below = np.searchsorted(ordered, found - slack, side="left")
    shares: NDArray[np.float64] = (len(found) - below) / len(found)
    return shares


def combined_p_value(tests: Sequence[NDArray[np.floating]]) -> float:
    """One p-value for several tests on the same dealings: is the harmonic mean of theirs smaller than chance?

    How small the harmonic mean of several p-values is by chance is seen from the same dealings, so that
    tests that say the same cost nothing, where a factor for their number would count them as so many. The
    harmonic mean is ruled by the smallest, as one test that is certain must suffice; unlike the smallest
    alone it has few ties, of which a few hundred dealings give many and which all count against an alarm,
    and several tests that are nearly certain add up.

    Args:
        tests: The statistics of each test, [1 + P] each, in the same order of dealings.

    Raises:
        ShapeError: No test, or tests of different dealings.

    References: Wilson 2019, "The harmonic mean p-value for combining dependent tests", PNAS 116, eq. 1 (there
        with an asymptotic level); Pesarin and Salmaso 2010, section 4.2 (combinations over one set of
        dealings; exact for any dependence).
    """
    if not tests or len({len(one) for one in tests}) != 1:
        raise ShapeError("tests that are combined must be of the same dealings, and at least one.")
    inverse = np.mean([1 / p_values(one) for one in tests], axis=0)
    return float(p_values(inverse)[0])
