"""Rows of which another split knows too much: the same image, nearly the same, or another of their group."""

from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synsight.curation.audit.duplicate_pairs import DuplicatePairs
from synsight.curation.audit.image_checks import finding_table
from synsight.data.catalog import Catalog

Places = NDArray[np.int64]
Leak = tuple[int, int, float, str]
"""(row, its partner in an earlier split, score, what the partner is)."""

SPLIT_ORDER = ("train", "val", "test")
"""A row leaks into the later split, where images are said to be unseen; other splits come last, by name."""
GROUP_SCORE = 0.5
"""How strong it is that a group is parted: below any near duplicate."""


def find_leaks(catalog: Catalog, pairs: DuplicatePairs) -> pa.Table:
    """Findings `leak`: rows of a later split whose image or group an earlier split has, in order of rows.

    The score is 1 for the same bytes, 1 minus the difference of the pixels for nearly the same image, and
    `GROUP_SCORE` for a group; a row has its strongest.

    Args:
        catalog: `split` and `group` are read; without `split` nothing leaks.
        pairs: Images that come twice.
    """
    if "split" not in catalog.columns:
        return finding_table(np.empty(0, np.int64), "leak", np.empty(0), [])
    table = catalog.table(["split", *(["group"] if "group" in catalog.columns else [])])
    names, ranks = _ranked(table.column("split"))
    found: list[Leak] = []
    if "group" in table.column_names:
        codes = _codes(table.column("group"))
        found += [
            (row, partner, GROUP_SCORE, "another of its group") for row, partner in _parted(codes, ranks)
        ]
    found += _of_images(pairs, ranks)
    strongest: dict[int, Leak] = {}
    for leak in found:
        if leak[0] not in strongest or leak[2] > strongest[leak[0]][2]:
            strongest[leak[0]] = leak
    return _table(catalog, strongest, names, ranks)


def _of_images(pairs: DuplicatePairs, ranks: NDArray[np.int64]) -> Iterator[Leak]:
    """Leaks of equal and of nearly equal images; what holds of an image holds of its copies."""
    original = np.arange(len(ranks))
    original[pairs.second[pairs.exact]] = pairs.first[pairs.exact]
    for row, partner in _parted(original, ranks):
        yield row, partner, 1.0, "the same image"
    copies: dict[int, list[int]] = {}
    for one, other in zip(pairs.first[pairs.exact].tolist(), pairs.second[pairs.exact].tolist(), strict=True):
        copies.setdefault(one, [one]).append(other)
    near = ~pairs.exact
    sides = zip(pairs.first[near], pairs.second[near], 1 - pairs.difference[near], strict=True)
    for one, other, score in sides:
        left, right = (
            sorted(
                (row for row in copies.get(int(side), [int(side)]) if ranks[row] >= 0), key=ranks.__getitem__
            )
            for side in (one, other)
        )
        for rows, partners in ((left, right), (right, left)):
            for row in rows:
                if partners and ranks[row] > ranks[partners[0]]:
                    yield row, partners[0], float(score), "nearly the same image"


def _ranked(splits: pa.ChunkedArray) -> tuple[list[str], NDArray[np.int64]]:
    """Names of the splits in their order, and each row's place among them; -1: it is in none."""
    encoded = splits.combine_chunks().dictionary_encode()
    found: list[str] = encoded.dictionary.to_pylist()
    names = sorted(found, key=lambda name: (SPLIT_ORDER.index(name) if name in SPLIT_ORDER else 9, name))
    places = np.array([names.index(name) for name in found] or [0])
    codes = _codes(splits)
    return names, np.where(codes < 0, -1, places[codes])


def _codes(values: pa.ChunkedArray) -> NDArray[np.int64]:
    """A number for each distinct value; -1 for null."""
    indices = values.combine_chunks().dictionary_encode().indices.fill_null(-1)
    return np.asarray(indices.to_numpy(zero_copy_only=False), np.int64)


def _parted(codes: NDArray[np.int64], ranks: NDArray[np.int64]) -> list[tuple[int, int]]:
    """(row, first row with its code in the earliest split that has the code) for the rows in later splits."""
    rows = np.flatnonzero((codes >= 0) & (ranks >= 0))
    rows = rows[np.lexsort((rows, ranks[rows], codes[rows]))]
    _, starts, which = np.unique(codes[rows], return_index=True, return_inverse=True)
    earliest = rows[starts[which]]
    later = ranks[rows] > ranks[earliest]
    return list(zip(rows[later].tolist(), earliest[later].tolist(), strict=True))


def _table(
    catalog: Catalog, leaks: Mapping[int, Leak], names: list[str], ranks: NDArray[np.int64]
) -> pa.Table:
    rows = sorted(leaks)
    partners = [leaks[row][1] for row in rows]
    ids = catalog.take(partners, ["id"])["id"].to_pylist() if rows else []
    reasons = [
        f"{leaks[row][3]} is in {names[ranks[partner]]!r}: {identity!r}"
        for row, partner, identity in zip(rows, partners, ids, strict=True)
    ]
    scores = np.array([leaks[row][2] for row in rows])
    return finding_table(np.array(rows, np.int64), "leak", scores, reasons)
