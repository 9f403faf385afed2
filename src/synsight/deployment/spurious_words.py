"""Words that go with a label in training and no longer do elsewhere: what a model may wrongly lean on.

A word that predicts the label is looked at again in two ways: within the values of a column that says where
images come from (as camera or site; the common odds ratio of Mantel and Haenszel), and in the rows that are
not trained on. If its odds ratio there is smaller for certain (false-discovery rate) and at most half as
large on the log scale, the word is called spurious. Whether the model follows it is told by its answers:
among rows of one true label, does it give the label more often where the word is?
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.special import ndtr

from synsight.data.catalog import Catalog
from synsight.deployment.named_rows import NamedRows, read_named_rows
from synsight.deployment.slice_parts import Parts, word_parts
from synsight.deployment.slice_rows import JudgedRows
from synsight.deployment.slice_search import corrected
from synsight.metrics.association import Association, change_of, mantel_haenszel
from synsight.metrics.rate_tests import more_often
from synsight.reports.slice_records import Odds, SpuriousWord

PLACES = ("domain", "site", "camera", "source", "device", "scanner", "hospital", "plant", "line")
"""Columns that usually say where an image comes from."""
MOST_PLACES = 50
"""Values of such a column; with more, each says too little."""
MOST_PAIRS = 300
"""Of a word and a label that are looked at again: those that training shows most clearly."""
SHARE_LEFT = 0.5
"""Of the log odds ratio that is left at most where a word is called spurious."""
FEWEST_ELSEWHERE = 5
"""Rows with the word that the other splits need."""


@dataclass(frozen=True, eq=False)
class _Looked:
    """A word and a label at one place."""

    word: int
    label: str
    place: str
    training: Association
    elsewhere: Association
    p_value: float


def spurious_words(
    catalog: Catalog,
    *,
    label: str,
    column: str,
    places: Sequence[str] | None = None,
    judged: JudgedRows | None = None,
    min_rows: int = 20,
    false_discovery_rate: float = 0.05,
) -> tuple[list[SpuriousWord], int]:
    """Look at every word that predicts a label in training, wherever it can be looked at again.

    Args:
        catalog: With a column of words; needs a column `split`, or one of the places.
        label: The column of labels.
        column: The column of words, as `words_synset`.
        places: Columns that say where images come from; None: those of `PLACES` that are there.
        judged: Rows with a model's answers; None: nobody knows whether a model follows the words.
        min_rows: Fewest training rows with the word.
        false_discovery_rate: Of the words that predict, and of those called spurious.

    Returns:
        Spurious ones first, then the most certain; and how many (word, label, place) were looked at.
    """
    has_split = "split" in catalog.columns
    training = _labelled(catalog, label, "split = 'train'" if has_split else None)
    if training is None:
        return [], 0
    parts = word_parts(catalog, training.positions, column)
    pairs = _predicting(training, parts, min_rows, false_discovery_rate)
    if not pairs:
        return [], 0
    strata = _strata(catalog, training, places)
    other = _labelled(catalog, label, "split != 'train'") if has_split else None
    other_parts = None if other is None else word_parts(catalog, other.positions, column)
    looked = [
        one
        for word, name in pairs
        for one in _look_again(training, parts, word, name, strata, other, other_parts)
    ]
    q_values = corrected(np.array([one.p_value for one in looked]))
    answers = None if judged is None else (judged, word_parts(catalog, judged.positions, column))
    found = [
        _record(one, parts, float(q_value), false_discovery_rate, answers)
        for one, q_value in zip(looked, q_values, strict=True)
    ]
    found.sort(key=lambda one: (not one.spurious, one.q_value, one.word, one.label, one.place))
    return found, len(looked)


def _labelled(catalog: Catalog, label: str, where: str | None) -> NamedRows | None:
    rows = read_named_rows(catalog, catalog.positions(where), label=label)
    return rows.take(rows.has_label) if rows.has_label.any() else None


def _predicting(
    rows: NamedRows, parts: Parts, min_rows: int, false_discovery_rate: float
) -> list[tuple[int, str]]:
    """Words that go with a label in training, beyond chance for all words and labels together."""
    names, p_values, words, labels = sorted(set(rows.labels.tolist())), [], [], []
    frequent = np.flatnonzero(np.asarray(parts.members.sum(axis=0)).ravel() >= min_rows)
    if not len(frequent):
        return []
    members = csr_array(parts.members[:, frequent])
    for name in names:
        is_label = np.asarray(rows.labels == name, bool)
        if min_rows <= is_label.sum() <= len(rows) - min_rows:
            p_values.append(more_often(is_label, members, rows.group_codes).p_values)
            words.append(frequent)
            labels += [name] * len(frequent)
    if not labels:
        return []
    together, word_of = np.concatenate(p_values), np.concatenate(words)
    clear = np.flatnonzero(corrected(together) <= false_discovery_rate)
    best = clear[np.argsort(together[clear], kind="stable")][:MOST_PAIRS]
    return [(int(word_of[one]), labels[one]) for one in best]


def _strata(catalog: Catalog, rows: NamedRows, places: Sequence[str] | None) -> dict[str, NDArray[np.int64]]:
    """Numbers of the values of each column of places, [N]; rows without a value are one stratum."""
    chosen = [name for name in (PLACES if places is None else places) if name in catalog.columns]
    found = {}
    for name in chosen:
        values = pc.cast(catalog.take(rows.positions, [name])[name].combine_chunks(), pa.string())
        codes = pc.fill_null(values, "").dictionary_encode()
        if 2 <= len(codes.dictionary) <= MOST_PLACES:
            found[name] = codes.indices.to_numpy().astype(np.int64)
    return found


def _look_again(
    training: NamedRows,
    parts: Parts,
    word: int,
    name: str,
    strata: dict[str, NDArray[np.int64]],
    other: NamedRows | None,
    other_parts: Parts | None,
) -> Iterator[_Looked]:
    has_word, is_label = _with(parts, word), np.asarray(training.labels == name, bool)
    first = mantel_haenszel(has_word, is_label, training.group_codes)
    for place, codes in strata.items():
        if not _both_within(is_label, codes):
            continue
        within = mantel_haenszel(has_word, is_label, training.group_codes, codes)
        change, error = change_of(first, within)
        yield _Looked(word, name, place, first, within, float(ndtr(-change / error)))
    if other is None or other_parts is None:
        return
    places = [number for number, one in enumerate(other_parts.names) if one == parts.names[word]]
    if not places:
        return
    word_there, label_there = _with(other_parts, places[0]), np.asarray(other.labels == name, bool)
    if word_there.sum() >= FEWEST_ELSEWHERE and 0 < label_there.sum() < len(other):
        there = mantel_haenszel(word_there, label_there, other.group_codes)
        change, error = first.log_odds - there.log_odds, float(np.hypot(first.error, there.error))
        yield _Looked(word, name, "split", first, there, float(ndtr(-change / error)))


def _with(parts: Parts, word: int) -> NDArray[np.bool_]:
    return np.asarray(parts.members[:, [word]].toarray().ravel() > 0, bool)


def _both_within(is_label: NDArray[np.bool_], strata: NDArray[np.int64]) -> bool:
    """Whether most rows lie where both the label and others are; else the column is another name of it."""
    rows, found = np.bincount(strata), np.bincount(strata, weights=is_label)
    return bool(rows[(found > 0) & (found < rows)].sum() >= len(is_label) / 2)


def _record(
    one: _Looked,
    parts: Parts,
    q_value: float,
    false_discovery_rate: float,
    answers: tuple[JudgedRows, Parts] | None,
) -> SpuriousWord:
    fades = one.elsewhere.log_odds <= SHARE_LEFT * one.training.log_odds
    return SpuriousWord(
        word=parts.names[one.word].value,
        label=one.label,
        place=one.place,
        rows=int(_with(parts, one.word).sum()),
        training=_odds(one.training),
        elsewhere=_odds(one.elsewhere),
        q_value=q_value,
        spurious=bool(fades and q_value <= false_discovery_rate),
        followed=None if answers is None else _followed(*answers, parts.names[one.word].value, one.label),
    )


def _followed(judged: JudgedRows, parts: Parts, word: str, label: str) -> Odds | None:
    places = [number for number, one in enumerate(parts.names) if one.value == word]
    answered = np.asarray(judged.predictions == label, bool)
    if not places or not 0 < answered.sum() < len(answered):
        return None
    true = np.unique(judged.labels.astype(str), return_inverse=True)[1]
    found = mantel_haenszel(_with(parts, places[0]), answered, judged.groups, true)
    return None if not np.isfinite(found.error) else _odds(found)


def _odds(found: Association) -> Odds:
    low, high = found.ends
    return Odds(
        ratio=found.odds_ratio,
        low=low if np.isfinite(found.error) else None,
        high=high if np.isfinite(high) else None,
    )
