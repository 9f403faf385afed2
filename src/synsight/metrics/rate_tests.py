"""Does something happen more often in this part of the rows than in the rest? For many parts at once.

N rows, S parts, G groups. Rows of one group are not independent: counts are divided by the design effect of
the part's own group sizes (Rao and Scott's first-order correction), and what is left is tested exactly.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.stats import hypergeom, norm

from synsight.errors import ShapeError
from synsight.metrics.arrays import Integers

Numbers = NDArray[np.float64]

_SCALES = 1.5
"""Step between the standard deviations of the prior's components."""
_STEPS = 200
_NULL_WEIGHT = 10.0
"""Rows that speak for "no difference" beforehand, as in the reference."""


@dataclass(frozen=True, eq=False)
class RateTests:
    """One test a part, [S] each."""

    rows: Numbers
    events: Numbers
    other_rows: Numbers
    other_events: Numbers
    effective_rows: Numbers
    """`rows` divided by the design effect."""
    p_values: Numbers
    """One-sided: that so many events or more come together in the part by chance."""

    @property
    def rates(self) -> Numbers:
        """Share of the part's rows with the event."""
        return self.events / np.maximum(self.rows, 1)

    @property
    def other_rates(self) -> Numbers:
        """Share of the other rows with it."""
        return self.other_events / np.maximum(self.other_rows, 1)


def more_often(
    events: NDArray[np.bool_], members: csr_array, groups: Integers, *, correlation: float | None = None
) -> RateTests:
    """Is the event more frequent in each part than in the rows outside it?

    For ungrouped rows the p-value is Fisher's exact one, one-sided. Effective counts are rounded so that it
    rather grows.

    Args:
        events: [N] whether it happened.
        members: [N, S] of 0 and 1: which rows are of which part.
        groups: [N] integers >= 0.
        correlation: Of the event within groups; None: estimated on these rows.

    Raises:
        ShapeError: Not one event and one group for each row.

    References: Fisher 1935; Rao and Scott 1992, Biometrics 48:577, for counts in clusters. Departure: one
        correlation is estimated over all rows, as a small part cannot tell its own.
    """
    num_rows = members.shape[0]
    if events.shape != (num_rows,) or groups.shape != (num_rows,):
        raise ShapeError(
            f"events and groups must be [{num_rows}] as members are {members.shape}; got {events.shape} and "
            f"{groups.shape}; pass one of each for every row."
        )
    if correlation is None:
        correlation = intra_group_correlation(events.astype(np.float64), groups)
    members = members.astype(np.float64)
    rows = _flat(members.sum(axis=0))
    found = _flat(events.astype(np.float64) @ members)
    within, outside = _group_squares(members, groups)
    effect = 1 + correlation * np.maximum(within / np.maximum(rows, 1) - 1, 0)
    other_rows = num_rows - rows
    other_effect = 1 + correlation * np.maximum(outside / np.maximum(other_rows, 1) - 1, 0)
    other_found = float(events.sum()) - found
    return RateTests(
        rows=rows,
        events=found,
        other_rows=other_rows,
        other_events=other_found,
        effective_rows=rows / effect,
        p_values=_exact(found / effect, rows / effect, other_found / other_effect, other_rows / other_effect),
    )


def intra_group_correlation(values: Numbers, groups: Integers) -> float:
    """How alike rows of one group are, 0 to 1: 0 where every group has one row.

    Reference: the estimator of the one-way analysis of variance, Donner 1986, International Statistical
        Review 54, eq. 2.1; negative estimates count as 0.
    """
    codes = np.unique(groups, return_inverse=True)[1]
    sizes = np.bincount(codes).astype(np.float64)
    num_rows, num_groups = len(codes), len(sizes)
    if num_groups in (0, 1, num_rows):
        return 0.0
    sums = np.bincount(codes, weights=values)
    between = float((sums**2 / sizes).sum() - values.sum() ** 2 / num_rows)
    within = float((values**2).sum() - (sums**2 / sizes).sum()) / (num_rows - num_groups)
    between /= num_groups - 1
    size = (num_rows - float((sizes**2).sum()) / num_rows) / (num_groups - 1)
    whole = between + (size - 1) * within
    return min(1.0, max(0.0, (between - within) / whole)) if whole > 0 else 0.0


def shrunk(differences: Numbers, errors: Numbers) -> Numbers:
    """Differences as one should expect to find them again: most towards zero where they say least.

    The largest of many measured differences is larger than the true one. The distribution of the true ones is
    estimated from all of them, as a point at zero and normal distributions around zero of growing width; what
    is returned is the mean of the true difference given the measured one.

    Args:
        differences: [S] from the mean.
        errors: [S] their standard errors, > 0.

    Returns:
        [S] between zero and the difference.

    Reference: Stephens 2017, "False discovery rates: a new deal", Biostatistics 18:275, section 2, with
        normal components, its grid and its weight of 10 for the point at zero.
    """
    if not len(differences):
        return differences
    largest = 2 * np.sqrt(max(float((differences**2 - errors**2).max()), float((errors**2).min()) / 100))
    widths = [0.0]
    width = float(errors.min()) / 10
    while width < largest * _SCALES:
        widths.append(width)
        width *= _SCALES
    variances = np.array(widths) ** 2
    likelihoods = norm.pdf(differences[:, None], scale=np.sqrt(variances + errors[:, None] ** 2))  # [S, K]
    likelihoods /= np.maximum(likelihoods.max(axis=1, keepdims=True), 1e-300)
    weights = np.full(len(widths), 1 / len(widths))
    prior = np.zeros(len(widths))
    prior[0] = _NULL_WEIGHT - 1
    for _ in range(_STEPS):
        shares = likelihoods * weights
        shares /= shares.sum(axis=1, keepdims=True)
        weights = shares.sum(axis=0) + prior
        weights /= weights.sum()
    kept = (shares * (variances / (variances + errors[:, None] ** 2))).sum(axis=1)
    return np.asarray(differences * kept)


def _group_squares(members: csr_array, groups: Integers) -> tuple[Numbers, Numbers]:
    """Sum over groups of their squared rows inside each part and outside it, [S] each."""
    present, codes = np.unique(groups, return_inverse=True)
    num_rows = len(codes)
    by_group = csr_array((np.ones(num_rows), (codes, np.arange(num_rows))), shape=(len(present), num_rows))
    inside = csr_array(by_group @ members)  # [G, S]
    sizes = np.bincount(codes, minlength=len(present)).astype(np.float64)
    squares = _flat(inside.power(2).sum(axis=0))
    return squares, float((sizes**2).sum()) - 2 * _flat(sizes @ inside) + squares


def _flat(values: Any) -> Numbers:
    return np.asarray(values, np.float64).ravel()


def _exact(events: Numbers, rows: Numbers, other_events: Numbers, other_rows: Numbers) -> Numbers:
    """P(as many events or more in the part), given how many there are in all."""
    tiny = 1e-9  # so that whole numbers stay what they are
    rows = np.ceil(rows - tiny)
    events = np.minimum(np.floor(events + tiny), rows)
    other_rows = np.floor(other_rows + tiny)
    other_events = np.minimum(np.ceil(other_events - tiny), other_rows)
    found = hypergeom.sf(events - 1, rows + other_rows, events + other_events, rows)
    return np.asarray(np.clip(np.nan_to_num(found, nan=1.0), 0.0, 1.0))
