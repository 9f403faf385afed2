"""Does `repair` describe some groups otherwise than others? Words that it adds and loses, by column.

Both captions are read for synsets; what the repaired one has more was added, what the cleaned one alone has
was lost. For each word and each value of a column the rate among its rows is tested against the rate among
the others, with the false-discovery rate over all of them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from synsight.data.catalog import Catalog
from synsight.deployment.named_rows import read_named_rows
from synsight.deployment.slice_parts import Parts, column_parts
from synsight.deployment.slice_search import corrected
from synsight.language.label_space import label_space
from synsight.metrics import Scores, score_interval
from synsight.metrics.rate_tests import more_often
from synsight.metrics.small_samples import EffectiveRows, wilson
from synsight.reports.slice_records import CaptionChange

CLEAN, REPAIRED = "caption_clean", "caption_repaired"
MOST_WORDS = 200
"""In each direction: those that change most often."""
FEWEST_CHANGES = 10
"""Rows that a word must change in; with fewer nothing can be told of groups."""
MOST_GROUPS = 50
"""Values of a column that are compared."""
SHOWN_OVERALL = 10
"""Words of all rows that are told of, in each direction."""
RESAMPLES = 1000

Change = Literal["added", "lost"]


@dataclass(frozen=True, eq=False)
class _Changes:
    """Which rows each word was added to, or lost from."""

    change: Change
    words: list[int]
    """Numbers of synsets, most changes first."""
    rows: list[NDArray[np.int64]]


def caption_changes(
    catalog: Catalog,
    *,
    columns: Sequence[str],
    min_rows: int = 20,
    false_discovery_rate: float = 0.05,
) -> tuple[list[CaptionChange], int]:
    """Words that `repair` added or lost, in all rows and by the values of columns.

    Args:
        catalog: That `repair` has worked on; another one has no changes.
        columns: Whose values are compared, with at most 50 values each.
        min_rows: Fewest rows of a value, and of the rest.
        false_discovery_rate: Of the differences called found.

    Returns:
        Those found first, most certain first, then the most frequent changes of all rows; and how many
        differences were tested.
    """
    if not {CLEAN, REPAIRED} <= set(catalog.columns) or catalog.count_rows() == 0:
        return [], 0
    groups = _groups(catalog)
    changes = _changes(catalog)
    parts = [
        part
        for name in columns
        if len(part := column_parts(catalog, catalog.positions(), name, min_rows=min_rows, is_chosen=False))
        and len(part) <= MOST_GROUPS
    ]
    differences = [
        one for change in changes for part in parts for one in _compared(change, part, groups, min_rows)
    ]
    q_values = corrected(np.array([p_value for _, p_value in differences]))
    space = label_space("synset")
    names = _names(space.names_of, changes)
    found = [
        _difference(one, float(q_value), false_discovery_rate, names)
        for (one, _), q_value in zip(differences, q_values, strict=True)
    ]
    found = sorted((one for one in found if one.found), key=lambda one: (one.q_value or 0, -one.rate))
    overall = [one for change in changes for one in _overall(change, groups, names)]
    return [*found, *overall], len(differences)


@dataclass(frozen=True, eq=False)
class _Difference:
    change: Change
    word: int
    column: str
    value: str
    rows: int
    effective_rows: float
    rate: float
    other_rate: float


def _groups(catalog: Catalog) -> NDArray[np.int64]:
    return read_named_rows(catalog, catalog.positions()).group_codes


def _changes(catalog: Catalog) -> list[_Changes]:
    """Pairs (row, word) of both captions, as one number each, compared."""
    router = label_space("synset").matcher()
    before: list[NDArray[np.int64]] = []
    after: list[NDArray[np.int64]] = []
    start = 0
    for batch in catalog.scan([CLEAN, REPAIRED], batch_size=8192):
        for name, found in ((CLEAN, before), (REPAIRED, after)):
            texts = [[text] if text else [] for text in batch.column(name).to_pylist()]
            matches = router.read(texts).matches
            owners = start + np.repeat(np.arange(len(matches)), np.diff(matches.bounds))
            found.append((owners.astype(np.int64) << 32) | matches.numbers.astype(np.int64))
        start += batch.num_rows
    one, other = (np.concatenate(found) for found in (before, after))
    return [_by_word("added", np.setdiff1d(other, one)), _by_word("lost", np.setdiff1d(one, other))]


def _by_word(change: Change, pairs: NDArray[np.int64]) -> _Changes:
    rows, words = pairs >> 32, pairs & 0xFFFFFFFF
    present, counts = np.unique(words, return_counts=True)
    chosen = np.argsort(-counts, kind="stable")[:MOST_WORDS]
    kept = [int(present[one]) for one in chosen if counts[one] >= FEWEST_CHANGES]
    return _Changes(change, kept, [rows[words == word] for word in kept])


def _compared(
    changes: _Changes, parts: Parts, groups: NDArray[np.int64], min_rows: int
) -> list[tuple[_Difference, float]]:
    num_rows = len(groups)
    found = []
    for word, rows in zip(changes.words, changes.rows, strict=True):
        events = np.zeros(num_rows, bool)
        events[rows] = True
        tests = more_often(events, parts.members, groups)
        for number, part in enumerate(parts.names):
            if tests.other_rows[number] < min_rows:
                continue
            one = _Difference(
                changes.change,
                word,
                part.column,
                part.value,
                int(tests.rows[number]),
                float(tests.effective_rows[number]),
                float(tests.rates[number]),
                float(tests.other_rates[number]),
            )
            found.append((one, float(tests.p_values[number])))
    return found


def _names(names_of: Callable[[list[int]], list[str]], changes: Sequence[_Changes]) -> dict[int, str]:
    words = sorted({word for one in changes for word in one.words})
    return dict(zip(words, names_of(words), strict=True))


def _difference(
    one: _Difference, q_value: float, false_discovery_rate: float, names: dict[int, str]
) -> CaptionChange:
    low, high = wilson(EffectiveRows(one.effective_rows, one.rate))
    return CaptionChange(
        word=names[one.word],
        change=one.change,
        column=one.column,
        value=one.value,
        rows=one.rows,
        rate=one.rate,
        ci_low=low,
        ci_high=high,
        other_rate=one.other_rate,
        q_value=q_value,
        found=q_value <= false_discovery_rate,
    )


def _overall(changes: _Changes, groups: NDArray[np.int64], names: dict[int, str]) -> list[CaptionChange]:
    found = []
    for word, rows in list(zip(changes.words, changes.rows, strict=True))[:SHOWN_OVERALL]:
        events = np.zeros(len(groups), bool)
        events[rows] = True
        low, high = _ends(events, groups)
        found.append(
            CaptionChange(
                word=names[word],
                change=changes.change,
                column="",
                value="",
                rows=len(groups),
                rate=len(rows) / len(groups),
                ci_low=low,
                ci_high=high,
                other_rate=None,
                q_value=None,
                found=False,
            )
        )
    return found


def _ends(events: NDArray[np.bool_], groups: NDArray[np.int64]) -> tuple[float, float]:
    found = score_interval([Scores(events, np.zeros(len(events), np.int64), groups)], resamples=RESAMPLES)
    return found.low, found.high
