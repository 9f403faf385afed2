"""Which slices are worse than the rest: all single ones, then pairs by a beam; with honest multiplicity.

Single slices are all tested, and corrected for their number (Benjamini and Hochberg 1995, JRSS B 57:289;
slices overlap, which the simulation in the tests looks at). Pairs are too many for that: a beam looks for
them on one half of the groups, and the few that it proposes are tested and measured on the other half, which
had no part in choosing them. A pair counts only if it is worse than each of its halves without the other.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array
from scipy.stats import false_discovery_control

from synsight.metrics.arrays import Integers
from synsight.metrics.rate_tests import RateTests, intra_group_correlation, more_often, shrunk
from synsight.seeding import generator

BEAM = 20
"""Slices that pairs are begun with, and pairs that are tested in the end."""
PROMISING = 0.05
"""A pair whose p-value on the first half is above is not proposed."""


@dataclass(frozen=True, eq=False)
class Singles:
    """What was found of S slices, [S] each."""

    tests: RateTests
    """Of the misses."""
    q_values: NDArray[np.float64]
    shrunk: NDArray[np.float64]
    """Accuracy to expect when it is measured again."""
    expected: NDArray[np.float64]
    """Accuracy that the classes explain."""


@dataclass(frozen=True, eq=False)
class Pairs:
    """P pairs, as the half that did not choose them shows them."""

    parts: list[tuple[int, int]]
    tests: RateTests
    """Of the misses, against the better of the halves without the other, [P]."""
    q_values: NDArray[np.float64]
    in_half: NDArray[np.bool_]
    """[N] rows that they were measured on."""


def single_slices(hits: NDArray[np.bool_], labels: Integers, groups: Integers, members: csr_array) -> Singles:
    """Test each slice against the rows outside it.

    Args:
        hits: [N] whether the answer is right.
        labels: [N] numbers of the classes, 0 to C - 1.
        groups: [N] integers >= 0.
        members: [N, S] of 0 and 1; each slice has rows inside and outside.
    """
    tests = more_often(~hits, members, groups)
    whole = float(hits.mean())
    share = tests.rows / len(hits)
    spread = max(whole * (1 - whole), 1e-9)
    errors = np.sqrt(spread / tests.effective_rows * (1 - share))
    return Singles(
        tests=tests,
        q_values=corrected(tests.p_values),
        shrunk=np.clip(whole + shrunk(1 - tests.rates - whole, errors), 0, 1),
        expected=_explained_by_classes(hits, labels, members),
    )


def paired_slices(
    hits: NDArray[np.bool_],
    groups: Integers,
    members: csr_array,
    kinds: Integers,
    *,
    min_rows: int,
    beam: int = BEAM,
    seed: int = 0,
) -> Pairs:
    """Pairs of slices that are worse than both, found on one half of the groups and tested on the other.

    Args:
        hits: [N] whether the answer is right.
        groups: [N] integers >= 0.
        members: [N, S] of 0 and 1.
        kinds: [S] integers; two slices of one kind exclude each other and make no pair. -1: of no kind.
        min_rows: Fewest rows of a pair; half of them on each side.
        beam: How many slices are paired with all others, and how many pairs are tested.
        seed: Of the halves.
    """
    misses = ~hits
    correlation = intra_group_correlation(misses.astype(np.float64), groups)
    first = _half(groups, seed)
    proposed = _proposed(
        misses[first], members[first], groups[first], kinds, (min_rows + 1) // 2, beam, correlation
    )
    second = ~first
    there = csc_array(members[second])
    found: list[tuple[tuple[int, int], RateTests]] = []
    for pair in proposed:
        test = _pair_test(misses[second], there, groups[second], pair, correlation)
        if test is not None and test.rows[0] >= min_rows // 2:
            found.append((pair, test))
    tests = _stacked([test for _, test in found])
    return Pairs([pair for pair, _ in found], tests, corrected(tests.p_values), second)


def corrected(p_values: NDArray[np.float64]) -> NDArray[np.float64]:
    """p-values corrected by Benjamini and Hochberg's rule, in the same order."""
    if not len(p_values):
        return p_values
    return np.asarray(false_discovery_control(p_values, method="bh"))


def _half(groups: Integers, seed: int) -> NDArray[np.bool_]:
    """[N] rows of one half of the groups."""
    present, codes = np.unique(groups, return_inverse=True)
    chosen = generator(seed, "slice halves").permutation(len(present)) < len(present) / 2
    return np.asarray(chosen[codes], bool)


def _proposed(
    misses: NDArray[np.bool_],
    members: csr_array,
    groups: Integers,
    kinds: Integers,
    min_rows: int,
    beam: int,
    correlation: float,
) -> list[tuple[int, int]]:
    """The most promising pairs, best first."""
    best: dict[tuple[int, int], float] = {}
    counts = np.asarray(members.sum(axis=0)).ravel()
    singles = more_often(misses, members, groups, correlation=correlation).p_values
    for parent in np.argsort(singles, kind="stable")[:beam]:
        inside = np.flatnonzero(members[:, [parent]].toarray().ravel())
        within = csr_array(members[inside])
        shared = np.asarray(within.sum(axis=0)).ravel()
        others = np.flatnonzero(
            (shared >= min_rows)
            & (shared <= len(inside) - min_rows)
            & (counts - shared >= min_rows)
            & ((kinds != kinds[parent]) | (kinds < 0))
        )
        if not len(others):
            continue
        tests = more_often(
            misses[inside], csr_array(within[:, others]), groups[inside], correlation=correlation
        )
        for other, p_value in zip(others.tolist(), tests.p_values.tolist(), strict=True):
            if p_value <= PROMISING:
                best[min(int(parent), other), max(int(parent), other)] = p_value
    promising = sorted(best, key=lambda pair: (best[pair], pair))[: 5 * beam]
    columns = csc_array(members)
    tested = [(pair, _pair_test(misses, columns, groups, pair, correlation)) for pair in promising]
    kept = [(float(test.p_values[0]), pair) for pair, test in tested if test is not None]
    return [pair for p_value, pair in sorted(kept)[:beam] if p_value <= PROMISING]


def _pair_test(
    misses: NDArray[np.bool_],
    members: csc_array,
    groups: Integers,
    pair: tuple[int, int],
    correlation: float,
) -> RateTests | None:
    """The pair against each of its halves without the other; the test that says less."""
    one, other = (members[:, [part]].toarray().ravel() > 0 for part in pair)
    both = one & other
    tests = []
    for half in (one, other):
        if both[half].all() or not both.any():
            return None
        part = csr_array(both[half][:, None].astype(np.float64))
        tests.append(more_often(misses[half], part, groups[half], correlation=correlation))
    return max(tests, key=lambda test: float(test.p_values[0]))


def _stacked(tests: list[RateTests]) -> RateTests:
    names = ("rows", "events", "other_rows", "other_events", "effective_rows", "p_values")
    return RateTests(*(np.array([getattr(one, name)[0] for one in tests], np.float64) for name in names))


def _explained_by_classes(
    hits: NDArray[np.bool_], labels: Integers, members: csr_array
) -> NDArray[np.float64]:
    """Mean over a slice's rows of their class's accuracy outside the slice (in all, where there is none)."""
    num_rows, num_classes = len(hits), int(labels.max()) + 1
    shape = (num_classes, num_rows)
    classes = csr_array((np.ones(num_rows), (labels, np.arange(num_rows))), shape=shape)
    right = csr_array((hits.astype(np.float64), (labels, np.arange(num_rows))), shape=shape)
    rows_in, hits_in = ((one @ members).toarray() for one in (classes, right))  # [C, S]
    rows = np.bincount(labels, minlength=num_classes).astype(np.float64)[:, None]
    found = np.bincount(labels, weights=hits, minlength=num_classes)[:, None]
    outside = rows - rows_in
    shares = np.where(outside > 0, (found - hits_in) / np.maximum(outside, 1), found / np.maximum(rows, 1))
    total: NDArray[np.float64] = (shares * rows_in).sum(axis=0) / np.maximum(rows_in.sum(axis=0), 1)
    return total
