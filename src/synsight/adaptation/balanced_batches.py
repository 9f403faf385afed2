"""Which rows stand in which batch: all rows in a new order, or every class alike. N rows, C classes."""

import numpy as np
from numpy.typing import NDArray

from synsight.errors import ConfigError

_LEAST_OF_A_CLASS = 2
"""Rows of a class in a balanced batch, else it would bring no pair of one class."""


def shuffled_batches(rows: int, *, size: int, rng: np.random.Generator) -> list[NDArray[np.int64]]:
    """Every row once, in a new order; the last batch is what is left."""
    _check_size(size)
    order = rng.permutation(rows)
    return [order[start : start + size] for start in range(0, rows, size)]


def balanced_batches(
    truth: NDArray[np.bool_], *, size: int, rng: np.random.Generator
) -> list[NDArray[np.int64]]:
    """As many batches as `shuffled_batches`, each with the same number of rows of every class, give or take
    one.

    A class' rows are dealt out in a new order until all were seen, then in another order; a small class
    therefore comes back more often. Where a batch is too small for two rows of every class, it holds two rows
    each of some classes, drawn anew. Of several labels a row, a row is dealt out for one of its labels at a
    time; rows without any label count as a class of their own.

    Args:
        truth: [N, C] which classes a row has.
        size: Most rows of a batch, 2 or more.
        rng: Draws the order.

    Returns:
        Places of rows; one row may stand in a batch for two of its labels, but once only.
    """
    _check_size(size)
    without = ~truth.any(axis=1)
    columns = [np.flatnonzero(column) for column in truth.T] + [np.flatnonzero(without)]
    decks = [_Deck(rows, rng) for rows in columns if len(rows)]
    at_once = min(len(decks), max(1, size // _LEAST_OF_A_CLASS))
    size = min(size, len(truth))
    batches = []
    for _ in range(-(-len(truth) // size)):
        chosen = rng.permutation(len(decks))[:at_once]
        each, rest = divmod(size, at_once)
        dealt = [decks[one].deal(each + (place < rest)) for place, one in enumerate(chosen)]
        batches.append(np.unique(np.concatenate(dealt)))
    return batches


class _Deck:
    """Rows of one class, dealt out in turn."""

    def __init__(self, rows: NDArray[np.int64], rng: np.random.Generator) -> None:
        self.rows, self.rng = rows, rng
        self.left = rng.permutation(rows)

    def deal(self, count: int) -> NDArray[np.int64]:
        """Rows, each once; fewer where the class has no more."""
        count = min(count, len(self.rows))
        if len(self.left) < count:
            again = self.rng.permutation(self.rows)
            self.left = np.concatenate([self.left, again[~np.isin(again, self.left)]])
        dealt, self.left = self.left[:count], self.left[count:]
        return dealt


def _check_size(size: int) -> None:
    if size < 2:
        raise ConfigError(f"batch_size must be >= 2, since pairs are compared; got {size!r}.")
