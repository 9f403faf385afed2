"""All pairs of 64-bit hashes within a Hamming radius, exactly, without comparing each with each.

Multi-index hashing: cut a hash into parts; two hashes within the radius differ by at most radius / parts
bits in one of them. So for each part, only hashes are compared whose part is equal up to so few flipped bits;
these stand together in a table sorted by the part. Reference: Norouzi, Punjani, Fleet 2012, "Fast search in
Hamming space with multi-index hashing", arXiv 1307.2982, section 3.
"""

from collections.abc import Iterator
from itertools import combinations, pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from synsight.data.perceptual_hash import hamming
from synsight.errors import ConfigError

HASH_BITS = 64
PAIRS_AT_ONCE = 1 << 20
"""Pairs that are compared together: 24 MB."""

Places = NDArray[np.int64]


class Pairs(NamedTuple):
    """Some pairs: places in the array of hashes, first < second, and the bits they differ in."""

    first: Places
    second: Places
    bits: NDArray[np.uint8]


def pairs_within(hashes: NDArray[np.uint64], *, radius: int) -> Iterator[Pairs]:
    """Every pair of distinct hashes that differ in at most `radius` bits, each once, in blocks.

    Besides the pairs it needs 24 bytes a hash.

    Args:
        hashes: All different, [N]; equal ones are for the caller to collapse, as k of them make k² pairs.
        radius: 0 to 64.

    Raises:
        ConfigError: A radius outside that range.
    """
    if not 0 <= radius <= HASH_BITS:
        raise ConfigError(f"radius must be 0 to {HASH_BITS} bits; got {radius!r}.")
    parts = _parts(len(hashes), radius)
    for number, (shift, width) in enumerate(parts):
        values = _part(hashes, shift, width)
        order = np.argsort(values, kind="stable")
        ordered = values[order]
        for flipped in range(radius // len(parts) + 1):
            for bits in combinations(range(width), flipped):
                mask = np.uint64(sum(1 << bit for bit in bits))
                for first, second in _meeting(ordered, order, mask):
                    yield from _new_pairs(hashes, first, second, radius, parts[:number], len(parts))


def _parts(count: int, radius: int) -> list[tuple[int, int]]:
    """(shift, width) of each part; so many parts that the number of comparisons is least.

    With m parts of w bits, of which t may be flipped, each hash is compared with count / 2^w others for
    each of m * sum(C(w, i), i <= t) looks; a look costs about as much as ten comparisons.
    """

    def cost(parts: int) -> float:
        width, flips = HASH_BITS // parts, radius // parts
        looks, ways = 0, 1
        for flipped in range(min(flips, width) + 1):
            looks += ways
            ways = ways * (width - flipped) // (flipped + 1)
        return parts * looks * (10 + count / 2.0**width)

    number = min(range(1, HASH_BITS // 4 + 1), key=cost)
    ends = [HASH_BITS * part // number for part in range(number + 1)]
    return [(start, end - start) for start, end in pairwise(ends)]


def _part(hashes: NDArray[np.uint64], shift: int, width: int) -> NDArray[np.uint64]:
    kept = (hashes >> np.uint64(shift)) & np.uint64((1 << width) - 1)
    return np.asarray(kept, np.uint64)


def _meeting(ordered: NDArray[np.uint64], order: Places, mask: np.uint64) -> Iterator[tuple[Places, Places]]:
    """Pairs of places whose parts differ by exactly the mask, in blocks; each once."""
    wanted = ordered ^ mask
    starts = np.searchsorted(ordered, wanted, side="left")
    ends = np.searchsorted(ordered, wanted, side="right")
    if mask == 0:  # among equals: those behind
        starts = np.arange(1, len(ordered) + 1)
    else:
        ends = np.where(wanted > ordered, ends, starts)
    counts = np.maximum(ends - starts, 0)
    totals = np.cumsum(counts)
    begin = 0
    while begin < len(counts):
        before = totals[begin - 1] if begin else 0
        # At least one hash a block, so that a block may exceed the bound by that one's meetings.
        end = max(begin + 1, int(np.searchsorted(totals, before + PAIRS_AT_ONCE, side="right")))
        some = counts[begin:end]
        first = np.repeat(np.arange(begin, end), some)
        inside = np.arange(len(first)) - np.repeat(totals[begin:end] - some - before, some)
        second = starts[first] + inside
        if len(first):
            yield order[first], order[second]
        begin = end


def _new_pairs(
    hashes: NDArray[np.uint64],
    first: Places,
    second: Places,
    radius: int,
    former: list[tuple[int, int]],
    parts: int,
) -> Iterator[Pairs]:
    """Those within the radius that no former part has found."""
    bits = hamming(hashes[first], hashes[second])
    near = bits <= radius
    first, second, bits = first[near], second[near], bits[near]
    if not len(first):
        return
    different = hashes[first] ^ hashes[second]
    is_new = np.ones(len(first), bool)
    for shift, width in former:
        is_new &= np.bitwise_count(_part(different, shift, width)) > radius // parts
    first, second, bits = first[is_new], second[is_new], bits[is_new]
    if len(first):
        yield Pairs(np.minimum(first, second), np.maximum(first, second), bits)
