"""What a rule finds in many captions at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Matches:
    """The words of N captions.

    Attributes:
        numbers: Synset offsets, or sub-word ids, of all captions one after another, int32; unique and
            ascending within a caption.
        bounds: Caption i has `numbers[bounds[i]:bounds[i + 1]]`; int32 [N + 1].
        unmatched: Words that the rule does not know, per caption.
    """

    numbers: np.ndarray
    bounds: np.ndarray
    unmatched: Sequence[Sequence[str]] = field(default_factory=list)

    def __getitem__(self, row: int) -> list[int]:
        found: list[int] = self.numbers[self.bounds[row] : self.bounds[row + 1]].tolist()
        return found

    def __len__(self) -> int:
        return len(self.bounds) - 1


def lists_of_rows(words: Mapping[int, Sequence[str]], num_rows: int) -> list[Sequence[str]]:
    """The words of each row, from those of the rows that have some.

    A list a row would be most of the work where few rows have words: it is Python's garbage collector that
    looks at each.
    """
    lists: list[Sequence[str]] = [()] * num_rows
    for row, found in words.items():
        lists[row] = found
    return lists


def unique_in_rows(rows: np.ndarray, values: np.ndarray, num_rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Values gathered by row, each once a row and ascending.

    Args:
        rows: Row of each value, [P] int64.
        values: [P], from 0 to 2^32 - 1.
        num_rows: N.

    Returns:
        The values, int32, and the bounds of the rows in them, int32 [N + 1].
    """
    keys = (rows << 32) | values
    keys.sort(kind="stable")  # the rows mostly ascend already, which this kind makes use of
    first = np.ones(len(keys), bool)
    np.not_equal(keys[1:], keys[:-1], out=first[1:])
    keys = keys[first]
    bounds = np.zeros(num_rows + 1, np.int32)
    np.cumsum(np.bincount(keys >> 32, minlength=num_rows), out=bounds[1:])
    return (keys & 0xFFFFFFFF).astype(np.int32), bounds
