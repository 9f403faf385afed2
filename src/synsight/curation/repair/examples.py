"""Some of the changes, from all over a catalog and of every kind."""

from collections.abc import Sequence

import numpy as np

from synsight.curation.thumbnails import thumbnail
from synsight.data.catalog import POSITION, Catalog
from synsight.records import RepairExample
from synsight.reports.repair_page import kind_of

ROWS_AT_ONCE = 65_536


class Examples:
    """Gathers changes in the order of their rows; memory does not grow with them.

    Args:
        most: How many to keep.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._kinds: dict[str, _Kind] = {}
        self.seen = 0

    def add(self, change: RepairExample) -> None:
        """One more."""
        self._kinds.setdefault(kind_of(change), _Kind(2 * self._most)).add(self.seen, change)
        self.seen += 1

    def chosen(self) -> list[RepairExample]:
        """As many of each kind as there are, at most an equal part, and what rare kinds leave to the others;
        in the order of the rows.
        """
        found: list[tuple[int, RepairExample]] = []
        kinds = sorted(self._kinds.items(), key=lambda one: (len(one[1].kept), one[0]))
        for number, (_, kind) in enumerate(kinds):
            part = (self._most - len(found)) // (len(kinds) - number)
            found += _spread(kind.kept, part)
        return [change for _, change in sorted(found, key=lambda one: one[0])]


class _Kind:
    """Every first, then every second, every fourth, ... change of a kind, so that they stay few."""

    def __init__(self, most: int) -> None:
        self._most, self._step, self._count = most, 1, 0
        self.kept: list[tuple[int, RepairExample]] = []

    def add(self, place: int, change: RepairExample) -> None:
        if self._count % self._step == 0:
            self.kept.append((place, change))
            if len(self.kept) == self._most:
                self.kept, self._step = self.kept[::2], 2 * self._step
        self._count += 1


def pictures_of(catalog: Catalog, examples: Sequence[RepairExample]) -> dict[str, str]:
    """Id -> a small picture as a data URL; "" for one that cannot be decoded."""
    wanted = {one.id for one in examples}
    positions: dict[str, int] = {}
    for batch in catalog.scan(["id"], batch_size=ROWS_AT_ONCE, with_positions=True) if wanted else ():
        for name, position in zip(batch["id"].to_pylist(), batch[POSITION].to_pylist(), strict=True):
            if name in wanted:
                positions[name] = position
    if not positions:
        return {}
    images = catalog.take(np.array(list(positions.values()), np.int64), ["image"])["image"].to_pylist()
    return {name: thumbnail(data) for name, data in zip(positions, images, strict=True)}


def _spread(some: Sequence[tuple[int, RepairExample]], most: int) -> list[tuple[int, RepairExample]]:
    if len(some) <= most:
        return list(some)
    return [some[place] for place in np.linspace(0, len(some) - 1, most).astype(int)]
