"""Pairs of images that are the same byte for byte, or nearly the same.

Candidates are images whose perceptual hashes differ in few bits (all of them are found, see `hash_search`); a
candidate counts only when its pixels agree too, or when they nearly agree and an encoder finds the two alike.
Memory: some 100 bytes a row, besides the pairs found.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from synsight.curation.hash_search import pairs_within
from synsight.data.catalog import Catalog
from synsight.data.likeness import DIFFERENCE, Likeness
from synsight.errors import ShapeError
from synsight.seeding import generator

Places = NDArray[np.int64]

RADIUS = 6
"""Bits of 64. Saved again as JPEG of quality 50, or at half the size, 99.5% of photographs, drawings and
icons stay within."""
DIFFERENCE_IF_ALIKE = 0.1
"""The same where an encoder finds the two alike."""
COSINE = 0.95
"""Least cosine of embeddings of images that are alike (SemDeDup's usual range, Abbas et al. 2023, arXiv
2303.09540); an encoder whose embeddings are all near each other must do better, see `_alike_from`."""
RANDOM_PAIRS = 20_000
MOST_OF_ONE_HASH = 32
"""Of images with one and the same hash, each is compared with so many others at most."""
PAIRS_AT_ONCE = 1 << 16


@dataclass(frozen=True)
class DuplicatePairs:
    """Images that come twice, as pairs of positions; the first of a pair stands earlier."""

    first: Places
    second: Places
    difference: NDArray[np.float32]
    """Of the pixels; 0 for equal bytes."""
    exact: NDArray[np.bool_]
    """Whether the bytes are equal."""

    def clusters(self, rows: int) -> NDArray[np.int64]:
        """A number for each of the catalog's rows, [N]: equal for those that pairs connect."""
        graph = coo_array((np.ones(len(self.first)), (self.first, self.second)), shape=(rows, rows))
        return np.asarray(connected_components(graph, directed=False)[1], np.int64)


def duplicate_pairs(
    catalog: Catalog,
    hashes: pa.Array | pa.ChunkedArray,
    *,
    embeddings: NDArray[np.float32] | None = None,
    radius: int = RADIUS,
) -> DuplicatePairs:
    """All pairs of images that come twice.

    Equal images are paired with the first of them, which alone stands in pairs with others.

    Args:
        catalog: With the column `image`.
        hashes: Of every row, uint64; null: not compared.
        embeddings: Of every row, [N, D], of any encoder of images; also confirm what pixels leave open.
        radius: Most bits in which the hashes may differ.

    Raises:
        ShapeError: There are not as many hashes or embeddings as rows.
    """
    rows = catalog.count_rows()
    for name, given in (("hashes", hashes), ("embeddings", embeddings)):
        if given is not None and len(given) != rows:
            raise ShapeError(f"expected {name} of all {rows} rows of {catalog.path}, found {len(given)}.")
    positions = np.flatnonzero(np.asarray(hashes.is_valid()))
    values = hashes.filter(hashes.is_valid()).to_numpy().astype(np.uint64, copy=False)
    likeness = Likeness(catalog)
    positions, values, repeats = _without_repeats(positions, values, likeness)
    limit = _alike_from(embeddings) if embeddings is not None else np.inf
    found = [repeats]
    for one, other in _candidates(positions, values, radius):
        difference = likeness.difference(one, other)
        near = difference <= DIFFERENCE
        if embeddings is not None:
            near |= (difference <= DIFFERENCE_IF_ALIKE) & (_cosines(embeddings, one, other) >= limit)
        one, other = np.minimum(one, other)[near], np.maximum(one, other)[near]
        found.append(DuplicatePairs(one, other, np.maximum(difference[near], 0), np.zeros(len(one), bool)))
    fields = ("first", "second", "difference", "exact")
    return DuplicatePairs(*(np.concatenate([getattr(part, name) for part in found]) for name in fields))


def _without_repeats(
    positions: Places, values: NDArray[np.uint64], likeness: Likeness
) -> tuple[Places, NDArray[np.uint64], DuplicatePairs]:
    """The first row of each distinct image, by bytes, with its hash; and the pairs of the others with it."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    shared = np.zeros(len(values), bool)
    same = ordered[1:] == ordered[:-1]
    shared[order[1:][same]] = shared[order[:-1][same]] = True
    some = positions[shared]
    _, first, which = np.unique(likeness.digests(some), return_index=True, return_inverse=True)
    original = some[first][which]
    is_repeat = original != some
    kept = ~np.isin(positions, some[is_repeat])
    nothing = np.zeros(int(is_repeat.sum()), np.float32)
    pairs = DuplicatePairs(original[is_repeat], some[is_repeat], nothing, nothing == 0)
    return positions[kept], values[kept], pairs


def _candidates(
    positions: Places, values: NDArray[np.uint64], radius: int
) -> Iterator[tuple[Places, Places]]:
    """Pairs of positions whose hashes lie within the radius, in blocks."""
    order = np.argsort(values, kind="stable")
    distinct, starts, counts = np.unique(values[order], return_index=True, return_counts=True)
    members = positions[order]
    some = np.minimum(counts, MOST_OF_ONE_HASH)
    shared = np.flatnonzero(counts > 1)
    for one, other in _products(starts[shared], some[shared], starts[shared], counts[shared]):
        before = one < other
        yield members[one[before]], members[other[before]]
    for block in pairs_within(distinct, radius=radius):
        sides = (starts[block.first], some[block.first], starts[block.second], some[block.second])
        for one, other in _products(*sides):
            yield members[one], members[other]


def _products(
    first: Places, first_counts: Places, second: Places, second_counts: Places
) -> Iterator[tuple[Places, Places]]:
    """Each of `first + 0 ... first_counts - 1` with each of the same of the second, in blocks."""
    sizes = first_counts * second_counts
    ends = np.cumsum(sizes)
    for begin in range(0, int(ends[-1]) if len(ends) else 0, PAIRS_AT_ONCE):
        places = np.arange(begin, min(begin + PAIRS_AT_ONCE, int(ends[-1])))
        which = np.searchsorted(ends, places, side="right")
        inside = places - (ends[which] - sizes[which])
        yield first[which] + inside // second_counts[which], second[which] + inside % second_counts[which]


def _alike_from(embeddings: NDArray[np.float32]) -> float:
    """Cosine from which on two images are alike: `COSINE`, or more than all but 1 in 1,000 random pairs."""
    one, other = generator(0, "random pairs").integers(0, len(embeddings), (2, RANDOM_PAIRS))
    different = one != other
    if not different.any():
        return COSINE
    return max(COSINE, float(np.quantile(_cosines(embeddings, one[different], other[different]), 0.999)))


def _cosines(embeddings: NDArray[np.float32], one: Places, other: Places) -> NDArray[np.float32]:
    left, right = (embeddings[rows].astype(np.float32) for rows in (one, other))
    lengths = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    cosines: NDArray[np.float32] = np.einsum("nd,nd->n", left, right) / np.maximum(lengths, 1e-12)
    return cosines
