"""Train, val and test: given names normalised, missing ones drawn by a hash.

The hash depends on the group (lot, patient, camera, concept) where there is one, so that no group straddles
two splits, and on nothing else: the same image is in the same split in every ingest.
"""

import hashlib

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

TRAIN_SHARE, VAL_SHARE = 0.7, 0.1


def normalised_split(name: str) -> str:
    """Our name of a split: `train`, `val` or `test`; an unknown name stays, in lower case."""
    plain = name.strip().lower()
    return NAMES.get(plain, plain)


def is_split_name(name: str) -> bool:
    """Whether a folder of this name is a split and not a class."""
    return name.strip().lower() in NAMES


def drawn_split(key: str) -> str:
    """The split of a group or id: 70% train, 10% val, 20% test of all keys."""
    number = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") / 2**64
    if number < TRAIN_SHARE:
        return "train"
    return "val" if number < TRAIN_SHARE + VAL_SHARE else "test"
