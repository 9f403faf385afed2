"""What stands on many images: captions and sentences counted by their keys, not their texts.

A text that several images of one group share is right: the group is one concept or one series. So images of
other groups count. Where groups are large (lots, cameras: more than ten rows on average) rows count instead.

Memory: 16 bytes for each row, 8 for each passage and affix (up to about five a caption), and three times as
much while they are sorted.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

BOILERPLATE_SHARE = 0.005
"""A text on more than this share of the groups describes none of them."""
AFFIX_SHARE, LEAST_AFFIXES = 0.1, 20
"""The same for the first or last five words of a sentence, share and number. It takes far more of them:
people write "a group of people standing" and "in the garden at night" without copying."""
LEAST_TIMES = 10
"""Fewer images are no pattern, however small the catalog."""
TIMES_TYPICAL = 10
"""Where every caption stands on many images (class names) a template stands out from the typical one."""
ALWAYS_SHARE = 0.2
"""Above it a caption is boilerplate whatever the others do."""
LARGE_GROUP = 10

Keys = np.ndarray


@dataclass(frozen=True)
class Outline:
    """Keys of all rows, from the first pass.

    Attributes:
        texts: Key of each row's whole text, uint64 [N]; 0: there is none.
        owners: Key of what each row counts as: its group, or itself; uint64 [N].
        passages: Keys of long passages, uint64 [P]; their owners, uint64 [P].
        affixes: Keys of first and last words, uint64 [A]; their owners, uint64 [A].
    """

    texts: Keys
    owners: Keys
    passages: tuple[Keys, Keys]
    affixes: tuple[Keys, Keys]

    @property
    def num_owners(self) -> int:
        """Groups, or rows."""
        return len(np.unique(self.owners))


def outline(batches: Iterable[pa.RecordBatch]) -> Outline:
    """Gather the keys of the first pass.

    Args:
        batches: Columns `text`, `group` (0: of no group), `passages`, `affixes` (lists); row by row.
    """
    parts: dict[str, list[Keys]] = {name: [] for name in ("text", "group", "passages", "affixes")}
    counts: dict[str, list[Keys]] = {"passages": [], "affixes": []}
    for batch in batches:
        for name in ("text", "group"):
            parts[name].append(batch.column(name).to_numpy(zero_copy_only=False))
        for name, sizes in counts.items():
            column = batch.column(name)
            parts[name].append(column.flatten().to_numpy(zero_copy_only=False))
            sizes.append(column.value_lengths().to_numpy(zero_copy_only=False))
    flat = {name: _joined(arrays) for name, arrays in parts.items()}
    owners = owners_of(flat["group"])
    lists = {
        name: (flat[name], np.repeat(owners, np.concatenate(sizes) if sizes else 0))
        for name, sizes in counts.items()
    }
    return Outline(flat["text"], owners, lists["passages"], lists["affixes"])


def owners_of(groups: Keys) -> Keys:
    """What each row counts as: its group; itself where it has none, or where groups are large."""
    rows = np.arange(1, len(groups) + 1, dtype=np.uint64)
    named = groups[groups != 0]
    if not len(named) or len(named) / len(np.unique(named)) > LARGE_GROUP:
        return rows
    return np.where(groups == 0, rows, groups)


def times(keys: Keys, owners: Keys) -> Keys:
    """How many owners each row's key has: int64 [N]; 0 where there is no text.

    Args:
        keys: uint64 [N]; 0: no text.
        owners: uint64 [N].
    """
    distinct, counts = owners_per_key(keys, owners)
    if not len(distinct):
        return np.zeros(len(keys), np.int64)
    places = np.minimum(np.searchsorted(distinct, keys), len(distinct) - 1)
    return np.where(distinct[places] == keys, counts[places], 0)


def owners_per_key(keys: Keys, owners: Keys) -> tuple[Keys, Keys]:
    """The distinct keys but 0, ascending, and how many different owners each has, int64."""
    order = np.lexsort((owners, keys))
    keys, owners = keys[order], owners[order]
    is_new = np.ones(len(keys), bool)
    is_new[1:] = (keys[1:] != keys[:-1]) | (owners[1:] != owners[:-1])
    distinct, counts = np.unique(keys[is_new & (keys != 0)], return_counts=True)
    return distinct, counts.astype(np.int64)


def templates(found: Outline) -> frozenset[int]:
    """Keys of the texts, passages and affixes that stand on so many images that they describe none."""
    total = found.num_owners
    texts, counts = owners_per_key(found.texts, found.owners)
    typical = float(np.median(counts)) if len(counts) else 1.0
    least = max(LEAST_TIMES, BOILERPLATE_SHARE * total, TIMES_TYPICAL * typical)
    always = max(LEAST_TIMES, ALWAYS_SHARE * total)
    chosen = set(texts[(counts >= least) | (counts >= always)].tolist())
    from_affixes = max(least, LEAST_AFFIXES, AFFIX_SHARE * total)
    for (keys, owners), limit in ((found.passages, least), (found.affixes, from_affixes)):
        distinct, counts = owners_per_key(keys, owners)
        chosen |= set(distinct[counts >= limit].tolist())
    return frozenset(chosen)


def _joined(arrays: list[Keys]) -> Keys:
    return np.concatenate(arrays).astype(np.uint64) if arrays else np.zeros(0, np.uint64)
