"""Looking for pieces of deleted images in every file of a folder: the proof of a purge."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

SAMPLE_BYTES = 60
SAMPLES_PER_IMAGE = 8
LEAST_DISTINCT = 16
_WORD = 8
_BLOCK = 1 << 24
_TABLE_BITS = 22


def byte_samples(data: bytes) -> list[bytes]:
    """Up to 8 pieces of up to 60 bytes, evenly spread over an image's bytes, its end included.

    The first eighth is left out, since headers are alike in many images; so are pieces of few distinct
    bytes (white areas of uncompressed formats), which are found everywhere.
    """
    last = max(len(data) - SAMPLE_BYTES, 0)
    starts = sorted({last - last * number // SAMPLES_PER_IMAGE for number in range(SAMPLES_PER_IMAGE)})
    samples = [data[start : start + SAMPLE_BYTES] for start in starts]
    return [sample for sample in samples if len(set(sample)) >= LEAST_DISTINCT]


class ByteSearch:
    """Finds many byte strings in much data at once, at any offset.

    Of 15 bytes or more in a row, 8 lie on a multiple of 8. So data are looked at as 8-byte words only,
    each word is looked up among the words that the wanted strings have at their first 8 offsets, and
    what agrees is compared whole.

    Args:
        wanted: Byte strings of 16 bytes and more.
    """

    def __init__(self, wanted: Sequence[bytes]) -> None:
        self._wanted = list(wanted)
        self._longest = max((len(one) for one in wanted), default=0)
        entries = [
            (int.from_bytes(one[offset : offset + _WORD], "little"), index, offset)
            for index, one in enumerate(self._wanted)
            for offset in range(_WORD)
        ]
        entries.sort()
        self._words = np.array([word for word, _, _ in entries], dtype=np.uint64)
        self._origins = [(index, offset) for _, index, offset in entries]
        self._table = np.zeros(1 << _TABLE_BITS, dtype=bool)  # says no to most words, at one look each
        self._table[_slots(self._words)] = True

    def found_in(self, data: bytes) -> set[int]:
        """Indices of the wanted strings that occur in `data`."""
        words = np.frombuffer(data, dtype="<u8", count=len(data) // _WORD)
        maybe = np.flatnonzero(self._table[_slots(words)])
        firsts = np.searchsorted(self._words, words[maybe], side="left")
        lasts = np.searchsorted(self._words, words[maybe], side="right")
        found: set[int] = set()
        for at in np.flatnonzero(lasts > firsts):
            for index, offset in self._origins[firsts[at] : lasts[at]]:
                start = int(maybe[at]) * _WORD - offset
                one = self._wanted[index]
                if index not in found and start >= 0 and data[start : start + len(one)] == one:
                    found.add(index)
        return found

    def found_in_file(self, path: Path) -> set[int]:
        """Indices of the wanted strings that occur in a file; memory does not grow with the file."""
        found: set[int] = set()
        keep = -(-max(self._longest - 1, 0) // _WORD) * _WORD
        with path.open("rb") as file:
            tail = b""
            while block := file.read(_BLOCK):
                data = tail + block
                found |= self.found_in(data)
                tail = data[-keep:] if keep else b""  # what straddles two blocks is whole in (tail + block)
        return found


def files_below(folder: Path) -> Iterator[Path]:
    """Every file in a folder, in a fixed order."""
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def search_folder(search: ByteSearch, folder: Path) -> tuple[dict[int, Path], int]:
    """Look through all files below a folder.

    Returns:
        Index of each wanted string found -> one file that holds it; and the bytes looked at.
    """
    found: dict[int, Path] = {}
    size = 0
    for path in files_below(folder):
        size += path.stat().st_size
        for index in search.found_in_file(path):
            found.setdefault(index, path)
    return found, size


def found_in_values(search: ByteSearch, values: Iterable[bytes | None]) -> set[int]:
    """Indices of the wanted strings that occur in any of the values."""
    found: set[int] = set()
    for value in values:
        if value:
            found |= search.found_in(value)
    return found


def _slots(words: np.ndarray[tuple[int], np.dtype[np.uint64]]) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    mixed: np.ndarray[tuple[int], np.dtype[np.uint64]] = (words * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(
        64 - _TABLE_BITS
    )
    return mixed
