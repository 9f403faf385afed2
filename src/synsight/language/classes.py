"""From words to classes: counting them, and mapping rows onto a vocabulary."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import pyarrow as pa

from synsight.language.matches import unique_in_rows
from synsight.language.routing import NO_LANGUAGE
from synsight.language.similarity import steps_up
from synsight.language.terms import Terms
from synsight.language.vocabulary import WORD_PREFIX, Vocabulary
from synsight.language.wordnet import NounTable

MAX_UNMATCHED = 100_000
"""Unmatched words counted at a time; when there are more, those met once less often are forgotten."""
_MOST_STEPS = 63
_STEP_BITS, _VALUE_BITS = 6, 32

Expand = Callable[[int], Mapping[int, int]]
"""A word's number -> numbers to label its rows with -> steps up to each."""
Ints = np.ndarray


class Above(dict[int, Mapping[int, int]]):
    """A synset or concept of a term -> itself and all that it is a kind of -> steps up; made when asked."""

    def __init__(self, terms: Terms | None = None) -> None:
        super().__init__()
        self._terms = terms

    def __missing__(self, number: int) -> Mapping[int, int]:
        if self._terms is not None:
            self[number] = found = self._terms.steps_up(number)
        else:
            self[number] = found = steps_up(number, table=NounTable.load())
        return found


class WordCounter(Counter[str]):
    """Counts of words, of a bounded number of them.

    Attributes:
        forgotten: By how much a count may be too low, at most (lossy counting).

    Reference: Manku and Motwani 2002, Approximate frequency counts over data streams, VLDB.
    """

    forgotten = 0

    def add(self, words: Iterable[str]) -> None:
        """Count words; the rarest are forgotten when there are too many."""
        self.update(words)
        while len(self) > MAX_UNMATCHED:
            rarest = min(self.values())
            self.forgotten += rarest
            for word in [word for word, count in self.items() if count <= rarest]:
                del self[word]


class Tally:
    """Counts over the results of the word stage; its size does not depend on the number of rows.

    Attributes:
        train_rows: Rows that count.
        words: A word's number -> train rows that have it.
        nouns: Unknown words that may become classes, in train rows.
        unmatched: Words of all rows that matched nothing.
        languages: Rows of each language.
    """

    def __init__(self) -> None:
        self.train_rows = 0
        self.words: Counter[int] = Counter()
        self.nouns = WordCounter()
        self.unmatched = WordCounter()
        self.languages: Counter[str] = Counter()

    def add(self, batch: pa.RecordBatch, expand: Expand | None) -> None:
        """Count a batch of the word stage's columns."""
        is_train = _is_train(batch)
        self.train_rows += int(is_train.sum())
        rows, numbers, _ = row_values(batch.column("numbers"), expand)
        found, counts = np.unique(numbers[is_train[rows]], return_counts=True)
        self.words.update(dict(zip(found.tolist(), counts.tolist(), strict=True)))
        self.unmatched.add(batch.column("unmatched").flatten().to_pylist())
        rows, nouns = _nouns(batch)
        self.nouns.add(word for row, word in zip(rows.tolist(), nouns, strict=True) if is_train[row])
        self.languages.update(language_counts(batch))


class ClassMap:
    """From numbers and unknown words to classes.

    Args:
        vocabulary: The classes.
        number_of: A key -> the word's number.
    """

    def __init__(self, vocabulary: Vocabulary, number_of: Callable[[str], int]) -> None:
        self.words: dict[str, int] = {}
        pairs: list[tuple[int, int]] = []
        for one, keys in enumerate(vocabulary.all_keys):
            for key in keys:
                if key.startswith(WORD_PREFIX):
                    self.words[key.removeprefix(WORD_PREFIX)] = one
                else:
                    pairs.append((number_of(key), one))
        self._numbers, self._classes = np.array(sorted(pairs), np.int64).reshape(-1, 2).T

    def __call__(self, batch: pa.RecordBatch, expand: Expand | None) -> tuple[Ints, Ints, Ints]:
        """The classes of a batch's rows, int32, unique and ascending in each; the bounds of the rows, int32
        [N + 1]; the steps from a word up to each class.
        """
        rows, values, steps = row_values(batch.column("numbers"), expand)
        rows, classes, steps = self._known(rows, values, steps)
        if self.words:
            places, nouns = _nouns(batch)
            named = np.array([self.words.get(word, -1) for word in nouns], np.int64)
            rows = np.concatenate((rows, places[named >= 0]))
            classes = np.concatenate((classes, named[named >= 0]))
            steps = np.concatenate((steps, np.zeros((named >= 0).sum(), np.int64)))
        return nearest_in_rows(rows, classes, steps, batch.num_rows)

    def _known(self, rows: Ints, values: Ints, steps: Ints) -> tuple[Ints, Ints, Ints]:
        if not len(self._numbers):
            return rows[:0], values[:0], steps[:0]
        places = np.minimum(np.searchsorted(self._numbers, values), len(self._numbers) - 1)
        known = self._numbers[places] == values
        return rows[known], self._classes[places[known]], steps[known]


def count_classes(
    batches: Iterable[pa.RecordBatch], to_classes: ClassMap, expand: Expand | None, num_classes: int
) -> list[int]:
    """Train rows that have each class."""
    counts = np.zeros(num_classes, np.int64)
    for batch in batches:
        classes, bounds, _ = to_classes(batch, expand)
        rows = np.repeat(np.arange(batch.num_rows), np.diff(bounds))
        counts += np.bincount(classes[_is_train(batch)[rows]], minlength=num_classes)
    found: list[int] = counts.tolist()
    return found


def row_values(column: pa.ListArray, expand: Expand | None) -> tuple[Ints, Ints, Ints]:
    """A list column as (row, value, steps up), each value once a row; values expanded."""
    lengths = column.value_lengths().to_numpy(zero_copy_only=False)
    rows = np.repeat(np.arange(len(column), dtype=np.int64), lengths)
    values = column.flatten().to_numpy().astype(np.int64)
    if expand is None:
        return rows, values, np.zeros_like(values)
    expanded = [expand(value) for value in values.tolist()]
    rows = np.repeat(rows, [len(one) for one in expanded])
    flat = np.array([number for one in expanded for number in one], np.int64)
    steps = np.array([edges for one in expanded for edges in one.values()], np.int64)
    found, bounds, steps = nearest_in_rows(rows, flat, steps, len(column))
    rows = np.repeat(np.arange(len(column), dtype=np.int64), np.diff(bounds))
    return rows, found.astype(np.int64), steps


def nearest_in_rows(rows: Ints, values: Ints, steps: Ints, num_rows: int) -> tuple[Ints, Ints, Ints]:
    """Values gathered by row, each once a row and ascending, with the fewest steps of each.

    Args:
        rows: Row of each value, [P] int64, below 2^25.
        values: [P] int64, from 0 to 2^32 - 1.
        steps: [P] int64; more than 63 count as 63.
        num_rows: N.

    Returns:
        The values, int32; the bounds of the rows in them, int32 [N + 1]; their steps.
    """
    if not steps.any():
        found, bounds = unique_in_rows(rows, values, num_rows)
        return found, bounds, np.zeros(len(found), np.int64)
    keys = (rows << _VALUE_BITS | values) << _STEP_BITS | np.minimum(steps, _MOST_STEPS)
    keys = np.unique(keys)
    pairs = keys >> _STEP_BITS
    first = np.concatenate(([True], pairs[1:] != pairs[:-1]))  # the steps ascend within a pair
    found, bounds = unique_in_rows(pairs[first] >> _VALUE_BITS, pairs[first] & 0xFFFFFFFF, num_rows)
    return found, bounds, keys[first] & _MOST_STEPS


def language_counts(batch: pa.RecordBatch, among: Ints | None = None) -> Counter[str]:
    """Rows of each language, or of those that `among` [N] bool chooses."""
    column = batch.column("language")
    if among is not None:
        column = column.filter(pa.array(among))
    return Counter({one["values"] or NO_LANGUAGE: one["counts"] for one in column.value_counts().to_pylist()})


def _is_train(batch: pa.RecordBatch) -> Ints:
    flags: Ints = batch.column("is_train").to_numpy(zero_copy_only=False)
    return flags


def _nouns(batch: pa.RecordBatch) -> tuple[Ints, Sequence[str]]:
    """The rows and words of the column `nouns`, each word once a row."""
    column = batch.column("nouns")
    if not len(column.flatten()):
        return np.empty(0, np.int64), []
    pairs = [(row, word) for row, words in enumerate(column.to_pylist()) for word in dict.fromkeys(words)]
    return np.array([row for row, _ in pairs], np.int64), [word for _, word in pairs]
