"""What a rule finds in many captions at once."""

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
    unmatched: list[list[str]] = field(default_factory=list)

    def __getitem__(self, row: int) -> list[int]:
        found: list[int] = self.numbers[self.bounds[row] : self.bounds[row + 1]].tolist()
        return found

    def __len__(self) -> int:
        return len(self.bounds) - 1


def unique_in_rows(rows: np.ndarray, values: np.ndarray, num_rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Values gathered by row, each once a row and ascending.

    Args:
        rows: Row of each value, [P] int64.
        values: [P], from 0 to 2^32 - 1.
        num_rows: N.

    Returns:
        The values, int32, and the bounds of the rows in them, int32 [N + 1].
    """
    keys = np.unique((rows << 32) | values)
    counts = np.bincount(keys >> 32, minlength=num_rows)
    bounds = np.concatenate(([0], np.cumsum(counts)))
    return (keys & 0xFFFFFFFF).astype(np.int32), bounds.astype(np.int32)
