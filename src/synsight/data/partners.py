"""Whose image stands in for the second view: one of the images whose captions are nearest."""

import numpy as np
from numpy.typing import NDArray

from synsight.data.catalog import Catalog
from synsight.errors import DataError
from synsight.seeding import generator

COLUMN = "neighbours"


class Partners:
    """The neighbours of the rows that are trained on, as catalog positions.

    Memory: 8 bytes for each row and neighbour.

    Args:
        catalog: Its column `neighbours` holds stable row ids, nearest first.
        positions: Rows that are trained on, [N], ascending; only these are partners.
        count: K, nearest neighbours that may be drawn.

    Raises:
        DataError: The catalog has no neighbours, or none of them is trained on.

    Attributes:
        table: [N, K] catalog positions, nearest first; -1: none.
    """

    def __init__(self, catalog: Catalog, positions: NDArray[np.int64], *, count: int) -> None:
        if COLUMN not in catalog.columns:
            raise DataError(
                f"{catalog.path}: expected a column {COLUMN!r}, found {', '.join(catalog.columns)}; run "
                "`synsight words CATALOG --embed-captions minilm --neighbours 8` first."
            )
        self.table = np.full((len(positions), count), -1, np.int64)
        block = 65_536
        for start in range(0, len(positions), block):
            self.table[start : start + block] = _nearest(catalog, positions[start : start + block], count)
        self.table[~np.isin(self.table, positions)] = -1
        if (self.table < 0).all():
            raise DataError(
                f"{catalog.path}: none of the {len(positions)} training rows has a neighbour among them; "
                "find neighbours again with a lower --similarity-floor."
            )

    def draw(
        self, rows: NDArray[np.int64], positions: NDArray[np.int64], *, seed: int, epoch: int
    ) -> NDArray[np.int64]:
        """A partner for each of some rows, drawn afresh each epoch; a row without neighbours is its own.

        Args:
            rows: Rows of `table`, [B].
            positions: The same rows' catalog positions, [B].
            seed: Of the run.
            epoch: Passes made.

        Returns:
            Catalog positions, [B].
        """
        known = self.table[rows]  # [B, K]
        counts = (known >= 0).sum(axis=1)
        drawn = positions.copy()
        for place in np.flatnonzero(counts):
            choices = known[place][known[place] >= 0]
            # One generator a row: the partner depends on (seed, epoch, row), not on who else is there.
            random = generator(seed, "partner", epoch, int(positions[place]))
            drawn[place] = choices[random.integers(len(choices))]
        return drawn


def _nearest(catalog: Catalog, positions: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    lists = catalog.take(positions, [COLUMN])[COLUMN].to_pylist()
    ids = np.full((len(lists), count), -1, np.int64)
    for row, found in enumerate(lists):
        nearest = (found or ())[:count]
        ids[row, : len(nearest)] = nearest
    flat = ids.reshape(-1)
    known = flat >= 0
    flat[known] = catalog.positions_of_row_ids(flat[known])
    return ids
