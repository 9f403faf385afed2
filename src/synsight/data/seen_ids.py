"""Which ids have been seen: 8 bytes an id, whatever their length."""

import hashlib
from collections.abc import Sequence
from mmap import mmap

import numpy as np
from numpy.typing import NDArray


class SeenIds:
    """A growing set of 64-bit hashes of ids, kept as a few sorted arrays.

    Two ids among 100 million share a hash with a chance of 3 in 10,000; the later one is then taken for a
    copy of the former.
    """

    def __init__(self) -> None:
        self._runs: list[NDArray[np.uint64]] = []
        self._last_copy: dict[str, int] = {}

    def contains(self, hashes: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Which of the hashes are in the set."""
        found = np.zeros(len(hashes), dtype=np.bool_)
        for run in self._runs:
            places = np.minimum(np.searchsorted(run, hashes), len(run) - 1)
            found |= run[places] == hashes
        return found

    def add(self, hashes: NDArray[np.uint64]) -> None:
        """Put hashes into the set."""
        if not len(hashes):
            return
        self._runs.append(np.unique(hashes))
        while len(self._runs) > 1 and len(self._runs[-2]) <= 2 * len(self._runs[-1]):
            last = self._runs.pop()
            self._runs[-1] = _merged(self._runs[-1], last)

    def admit(self, ids: Sequence[str]) -> NDArray[np.bool_]:
        """Add ids; True for each that was there before, in the set or earlier among `ids`."""
        hashes = hashes_of(ids)
        is_copy = np.ones(len(ids), dtype=np.bool_)
        is_copy[np.unique(hashes, return_index=True)[1]] = False
        is_copy |= self.contains(hashes)
        self.add(hashes[~is_copy])
        return is_copy

    def make_distinct(self, ids: Sequence[str]) -> list[str]:
        """The ids with a number behind every copy: `a`, `a-2`, `a-3`; all of them are added.

        The last number of each id that has copies is remembered: some 100 bytes for such an id.
        """
        distinct = list(ids)
        copies = np.flatnonzero(self.admit(ids)).tolist()
        for place in copies:
            key = ids[place]
            number = self._last_copy.get(key, 0) or self._highest_copy(key)
            self._last_copy[key] = number + 1
            distinct[place] = f"{key}-{number + 1}"
        self.add(hashes_of([distinct[place] for place in copies]))
        return distinct

    def _highest_copy(self, key: str) -> int:
        """The highest number that an earlier run gave, by doubling and halving; 1 when there is none."""

        def taken(number: int) -> bool:
            return bool(self.contains(hashes_of([f"{key}-{number}"]))[0])

        low, high = 1, 2
        while taken(high):
            low, high = high, high * 2
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if taken(middle) else (low, middle)
        return low


def _merged(one: NDArray[np.uint64], other: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Both, sorted; in pages of their own, which go back to the system when the next merge frees them, where
    an allocator would keep the holes.
    """
    rows = len(one) + len(other)
    merged = np.frombuffer(mmap(-1, 8 * rows), np.uint64)
    np.concatenate([one, other], out=merged)
    merged.sort()
    return merged


def hashes_of(ids: Sequence[str]) -> NDArray[np.uint64]:
    """64-bit hashes of ids, [N]."""
    digests = b"".join(
        hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest() for key in ids
    )
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)
