"""From words to classes: counting them, and mapping rows onto a vocabulary."""

from collections import Counter
from collections.abc import Callable
from functools import cache

import numpy as np
import pyarrow as pa

from synsight.language.matches import unique_in_rows
from synsight.language.vocabulary import Vocabulary
from synsight.language.wordnet import NounTable

MAX_UNMATCHED = 100_000
"""Unmatched words counted at a time; when there are more, those met once less often are forgotten."""

Expand = Callable[[int], tuple[int, ...]]
"""A synset's offset -> offsets to label its rows with."""


@cache
def with_ancestors(offset: int) -> tuple[int, ...]:
    """A synset and all that it is a kind of."""
    return (offset, *sorted(NounTable.load().ancestors(offset)))


class Tally:
    """Counts over the results of the word stage; its size does not depend on the number of rows.

    Attributes:
        train_rows: Rows that count.
        words: A word's number -> train rows that have it.
        unmatched: Words of all rows that matched nothing; the rarest are forgotten when there are too many.
    """

    def __init__(self) -> None:
        self.train_rows = 0
        self.words: Counter[int] = Counter()
        self.unmatched: Counter[str] = Counter()

    def add(self, batch: pa.RecordBatch, expand: Expand | None) -> None:
        """Count a batch of the columns `numbers`, `unmatched` and `is_train`."""
        is_train = batch.column("is_train").to_numpy(zero_copy_only=False)
        self.train_rows += int(is_train.sum())
        rows, numbers = row_values(batch.column("numbers"), expand)
        found, counts = np.unique(numbers[is_train[rows]], return_counts=True)
        self.words.update(dict(zip(found.tolist(), counts.tolist(), strict=True)))
        self.unmatched.update(batch.column("unmatched").flatten().to_pylist())
        while len(self.unmatched) > MAX_UNMATCHED:
            rarest = min(self.unmatched.values())
            self.unmatched = Counter({word: n for word, n in self.unmatched.items() if n > rarest})


def class_lists(
    batch: pa.RecordBatch,
    vocabulary: Vocabulary,
    expand: Expand | None,
    schema: pa.Schema,
    coverage: Counter[str],
) -> pa.RecordBatch:
    """A batch's words as lists of classes, the only column of `schema`; `coverage` counts on the way."""
    numbers = np.array(vocabulary.numbers, np.int64)
    order = np.argsort(numbers)
    rows, values = row_values(batch.column("numbers"), expand)
    places = np.minimum(np.searchsorted(numbers, values, sorter=order), len(numbers) - 1)
    classes = order[places]
    is_class = numbers[classes] == values
    found, bounds = unique_in_rows(rows[is_class], classes[is_class], batch.num_rows)
    coverage["rows"] += batch.num_rows
    coverage["rows_with_word"] += int((np.diff(bounds) > 0).sum())
    coverage["words"] += len(found)
    return pa.record_batch([pa.ListArray.from_arrays(pa.array(bounds), pa.array(found))], schema=schema)


def row_values(column: pa.ListArray, expand: Expand | None) -> tuple[np.ndarray, np.ndarray]:
    """A list column as (row, value) pairs, each once; values expanded."""
    lengths = column.value_lengths().to_numpy(zero_copy_only=False)
    rows = np.repeat(np.arange(len(column), dtype=np.int64), lengths)
    values = column.flatten().to_numpy().astype(np.int64)
    if expand is None:
        return rows, values
    expanded = [expand(value) for value in values.tolist()]
    rows = np.repeat(rows, [len(one) for one in expanded])
    flat = np.array([offset for one in expanded for offset in one], np.int64)
    found, bounds = unique_in_rows(rows, flat, len(column))
    return np.repeat(np.arange(len(column), dtype=np.int64), np.diff(bounds)), found.astype(np.int64)
