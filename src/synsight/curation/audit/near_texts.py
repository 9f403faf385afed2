"""Captions that are nearly the same: MinHash and bands find candidates, exact overlap decides.

Shingles are the three-character pieces of a plain text, with how often each occurs; two texts are near when
their multisets overlap by `LEAST_OVERLAP` (Jaccard). A band joins eight minima; texts that share one of
eight bands are compared with the first of them (Broder 1997; Leskovec, Rajaraman and Ullman, Mining of
Massive Datasets, ch. 3). The chance to be compared is 1 - (1 - s^8)^8: 0.92 at an overlap of 0.85, 0.99 at
0.9.

Memory: 64 bytes a row while the bands are compared.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

import numpy as np

from synsight.seeding import generator

SHINGLE = 3
BANDS, ROWS_PER_BAND = 8, 8
LEAST_OVERLAP = 0.85
"""At 0.8, the usual value for documents, two-word captions of different things ("woman golfing", "man
golfing") are near."""
COMPARED_AT_ONCE = 4096

_MULTIPLIERS = generator("near-texts", "multipliers").integers(
    1, 2**64, 3 + BANDS * ROWS_PER_BAND, np.uint64
) | np.uint64(1)


def bands(texts: Sequence[str]) -> np.ndarray:
    """The bands of plain texts, uint64 [N, BANDS]; 0 for a text too short for a shingle.

    Args:
        texts: N texts, see `plain_text`.
    """
    found = np.zeros((len(texts), BANDS), np.uint64)
    codes, starts, rows = _shingles(texts)
    if not len(starts):
        return found
    for band in range(BANDS):
        joined = np.zeros(len(starts), np.uint64)
        for row in range(ROWS_PER_BAND):
            factor = _MULTIPLIERS[3 + band * ROWS_PER_BAND + row]
            minima = np.minimum.reduceat(_mixed(codes * factor), starts)
            joined = _mixed((joined ^ minima) * _MULTIPLIERS[0])
        found[rows, band] = joined | np.uint64(1)
    return found


def overlap(one: str, other: str) -> float:
    """Jaccard overlap of the shingles of two plain texts, 0 to 1."""
    ours, theirs = shingles(one), shingles(other)
    common = sum(min(count, theirs[piece]) for piece, count in ours.items() if piece in theirs)
    together = ours.total() + theirs.total() - common
    return common / together if together else 0.0


@lru_cache(maxsize=64)  # one text is compared with all of its bucket
def shingles(text: str) -> Counter[str]:
    """The three-character pieces of a text with a blank before and behind it, each with its number."""
    padded = f" {text} "
    return Counter([padded[start : start + SHINGLE] for start in range(len(padded) - SHINGLE + 1)])


def near_pairs(
    signatures: np.ndarray, texts_at: Callable[[np.ndarray], Sequence[str]]
) -> Iterator[tuple[int, int, float]]:
    """Pairs of rows whose texts are near: (first, other, overlap), each pair once.

    Args:
        signatures: Bands of N distinct texts, uint64 [N, BANDS].
        texts_at: The plain texts of some rows, in their order.
    """
    seen: set[tuple[int, int]] = set()
    for band in range(signatures.shape[1]):
        first, other = _same_bucket(signatures[:, band])
        for start in range(0, len(first), COMPARED_AT_ONCE):
            ones, others = first[start : start + COMPARED_AT_ONCE], other[start : start + COMPARED_AT_ONCE]
            pairs = [pair for pair in zip(ones.tolist(), others.tolist(), strict=True) if pair not in seen]
            if not pairs:
                continue
            rows = sorted({row for pair in pairs for row in pair})
            texts = dict(zip(rows, texts_at(np.array(rows, np.int64)), strict=True))
            for one, two in pairs:
                alike = overlap(texts[one], texts[two])
                if alike >= LEAST_OVERLAP:
                    seen.add((one, two))
                    yield one, two, alike


def _same_bucket(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each row that shares its key with an earlier one, beside the first that has it."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    is_first = np.ones(len(keys), bool)
    is_first[1:] = ordered[1:] != ordered[:-1]
    heads = order[np.maximum.accumulate(np.where(is_first, np.arange(len(keys)), 0))]
    wanted = ~is_first & (ordered != 0)
    return heads[wanted], order[wanted]


def _shingles(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Hashed shingles of all texts one after another, where each text's begin, and which texts have some."""
    padded = [f" {text} " for text in texts]
    lengths = np.fromiter(map(len, padded), np.int64, len(padded))
    marks = np.frombuffer("".join(padded).encode("utf-32-le", errors="replace"), np.uint32).astype(np.uint64)
    ends = np.cumsum(lengths)
    if len(marks) < SHINGLE:
        return np.zeros(0, np.uint64), np.zeros(0, np.int64), np.zeros(0, np.int64)
    codes = sum(
        (marks[step : len(marks) - SHINGLE + 1 + step] * _MULTIPLIERS[step] for step in range(SHINGLE)),
        start=np.zeros(len(marks) - SHINGLE + 1, np.uint64),
    )
    # A shingle must not reach into the next text.
    inside = np.ones(len(codes), bool)
    for step in range(1, SHINGLE):
        cut = ends[:-1] - step
        inside[cut[(cut >= 0) & (cut < len(codes))]] = False
    owner = np.repeat(np.arange(len(texts)), lengths)[: len(codes)][inside]
    rows, starts = np.unique(owner, return_index=True)
    return _mixed(_numbered(codes[inside], owner)), starts, rows


def _numbered(codes: np.ndarray, owner: np.ndarray) -> np.ndarray:
    """Codes that differ where a text has the same shingle again, so that minima see how often."""
    order = np.lexsort((codes, owner))
    codes_there, owners_there = codes[order], owner[order]
    is_new = np.ones(len(codes), bool)
    is_new[1:] = (codes_there[1:] != codes_there[:-1]) | (owners_there[1:] != owners_there[:-1])
    places = np.arange(len(codes))
    again = places - np.maximum.accumulate(np.where(is_new, places, 0))
    numbered = np.empty_like(codes)
    numbered[order] = codes_there + again.astype(np.uint64) * _MULTIPLIERS[0]
    return numbered


def _mixed(values: np.ndarray) -> np.ndarray:
    """Spread the bits of uint64 values (the finaliser of MurmurHash3)."""
    values = values ^ (values >> np.uint64(33))
    values = values * np.uint64(0xFF51AFD7ED558CCD)
    values = values ^ (values >> np.uint64(33))
    values = values * np.uint64(0xC4CEB9FE1A85EC53)
    mixed: np.ndarray = values ^ (values >> np.uint64(33))
    return mixed
