"""Train, val and test: given names normalised, missing ones drawn by a hash, cut by time or class by class.

The hash depends on the group (lot, patient, camera, concept) where there is one, so that no group straddles
two splits, and on nothing else: the same image is in the same split in every ingest. A cut by time depends on
all rows. A stratified cut is that of the hash, moved in each class until the class has its shares: only rows
whose hash lies near a cut may change their split between two ingests, and classes of few groups.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray

NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "eval": "val",
    "test": "test",
    "testing": "test",
    "学習": "train",
    "訓練": "train",
    "検証": "val",
    "テスト": "test",
}
"""Usual name -> ours."""

ORDER = ("train", "val", "test")
"""Places in it stand for splits in arrays."""
TRAIN_SHARE, VAL_SHARE = 0.7, 0.1


def normalised_split(name: str) -> str:
    """Our name of a split: `train`, `val` or `test`; an unknown name stays, in lower case."""
    plain = name.strip().lower()
    return NAMES.get(plain, plain)


def is_split_name(name: str) -> bool:
    """Whether a folder of this name is a split and not a class."""
    return name.strip().lower() in NAMES


def hash_number(key: str) -> int:
    """The 64-bit number of a group or id that decides its split."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big")


def drawn_split(key: str) -> str:
    """The split of a group or id: 70% train, 10% val, 20% test of all keys."""
    share = hash_number(key) / 2**64
    if share < TRAIN_SHARE:
        return "train"
    return "val" if share < TRAIN_SHARE + VAL_SHARE else "test"


def cut_by_time(times: NDArray[np.float64], keys: NDArray[np.uint64]) -> NDArray[np.int8]:
    """The oldest 70% of the rows train, the newest 20% are the test, as near as whole moments allow.

    A group goes with its newest row, so that no training row is newer than the newest row of any group that
    is asked about; with its oldest, training rows could lie in the test's future. Rows of one moment stay
    together. Shares are those of the rows whose moment is known; a group without any trains.

    Args:
        times: [N], any unit; NaN: not known.
        keys: [N], equal for rows of one group.

    Returns:
        [N] places in `ORDER`. All rows train where fewer than two moments are known.
    """
    unit = np.unique(keys, return_inverse=True)[1]
    newest = np.full(len(keys), -np.inf)
    np.fmax.at(newest, unit, times)
    moment = newest[unit]
    known = np.isfinite(moment)
    codes = np.zeros(len(keys), np.int8)
    _, which, counts = np.unique(moment[known], return_inverse=True, return_counts=True)
    if len(counts) > 1:
        codes[known] = _in_order(counts)[which]
    return codes


def cut_by_class(classes: NDArray[np.uint64], keys: NDArray[np.uint64]) -> NDArray[np.int8]:
    """70% of the rows of each class train, 20% are the test, as near as whole groups allow.

    Groups are ordered by their key within a class; a group of several classes counts for its most frequent.
    A class of two groups has one in train and one in test, of three or more one in each split at least.

    Args:
        classes: [N], equal for rows of one class.
        keys: [N] hashes of the groups (`hash_number`).

    Returns:
        [N] places in `ORDER`.
    """
    unit = np.unique(keys, return_inverse=True)[1]
    names, number = np.unique(classes, return_inverse=True)
    pairs, counts = np.unique(unit * len(names) + number, return_counts=True)
    units, kinds = np.divmod(pairs, len(names))
    most_frequent_first = np.lexsort((kinds, -counts, units))
    first = most_frequent_first[np.unique(units[most_frequent_first], return_index=True)[1]]
    kind_of_unit, sizes = kinds[first], np.bincount(unit)
    codes = np.empty(len(sizes), np.int8)
    order = np.argsort(kind_of_unit, kind="stable")  # units are in the order of their keys already
    for members in np.split(order, np.flatnonzero(np.diff(kind_of_unit[order])) + 1):
        codes[members] = _in_shares(sizes[members])
    return codes[unit]


def _by_middles(sizes: NDArray[np.int64]) -> NDArray[np.int8]:
    """The split of blocks in their order: that in which the middle of the block lies."""
    middles = (np.cumsum(sizes) - sizes / 2) / sizes.sum()
    codes: NDArray[np.int8] = (middles >= TRAIN_SHARE).astype(np.int8) + (middles >= TRAIN_SHARE + VAL_SHARE)
    return codes


def _in_order(sizes: NDArray[np.int64]) -> NDArray[np.int8]:
    """As `_by_middles`; the first block trains, the last is the test, and of three or more one is for val."""
    codes = _by_middles(sizes)
    codes[0], codes[-1] = 0, 2
    if len(codes) > 2 and not (codes == 1).any():
        middles = (np.cumsum(sizes) - sizes / 2) / sizes.sum()
        val = 1 + int(np.argmin(np.abs(middles[1:-1] - TRAIN_SHARE - VAL_SHARE / 2)))
        codes[:val], codes[val], codes[val + 1 :] = 0, 1, 2
    return codes


def _in_shares(sizes: NDArray[np.int64]) -> NDArray[np.int8]:
    """As `_by_middles`; then an empty split gets the smallest block that another can spare."""
    codes = _by_middles(sizes)
    needed = (0, 2, 1)[: len(sizes)]
    for wanted in needed:
        if not (codes == wanted).any():
            spare = (np.bincount(codes, minlength=3)[codes] > 1) | ~np.isin(codes, needed)
            codes[np.where(spare, sizes, np.iinfo(np.int64).max).argmin()] = wanted
    return codes
