"""Neighbours among many rows: k-means lists, each row compared with the lists that are nearest to it.

A sample of rows is searched exactly first. It tells how many lists have to be looked through to find the
wanted share of true neighbours, so nothing is tried twice, and the share can be stated.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from synsight.language.points import CANDIDATES, Best, Memory, Points, Rows, compare
from synsight.seeding import generator

SAMPLE = 1000
"""Rows that are searched exactly, to measure recall."""
ITERATIONS, ROWS_PER_LIST = 4, 40
"""Of k-means, on a sample of so many rows for each list."""
QUERIES_AT_ONCE = 65_536


@dataclass(frozen=True)
class Probing:
    """How a search through lists goes."""

    lists: int
    probes: int
    """Lists looked through for each row."""
    recall: float
    """Share of the sample's true neighbours that lie in them."""


class Lists:
    """The rows of a search, each in the list of the direction it is nearest to.

    Args:
        points: The rows.
        seed: Of the samples.

    Attributes:
        centres: Directions, [L, W].
        members: The rows of each list, ascending.
    """

    def __init__(self, points: Points, *, seed: int) -> None:
        self._points, self._seed = points, seed
        self._memory = Memory(points)
        self.centres = self._directions(round(2 * np.sqrt(len(points.alive))))
        self._owners = self._nearest(points.alive, 1)[:, 0]
        self.members = self._by_list(points.alive, self._owners)

    def probing(self, best: Best, *, recall: float) -> Probing:
        """How many lists to look through for a share of the true neighbours.

        Args:
            best: Made like it, a sample is searched exactly.
            recall: The share.
        """
        alive = self._points.alive
        draw = generator(self._seed, "neighbours", "sample")
        sample = np.sort(draw.choice(alive, min(SAMPLE, len(alive)), replace=False))
        exact = best.like(len(sample))
        compare(self._points, exact, sample, alive, memory=self._memory, places=np.arange(len(sample)))
        order = self._nearest(sample, len(self.centres))  # [S, L]
        ranks = np.argsort(order, axis=1)
        found = exact.indices >= 0
        owners = self._owners[np.searchsorted(alive, exact.indices)]
        needed = np.sort(np.take_along_axis(ranks, owners, axis=1)[found]) + 1
        if not len(needed):
            return Probing(len(self.centres), 1, 1.0)
        probes = int(needed[int(np.ceil(recall * len(needed))) - 1])
        return Probing(len(self.centres), probes, float((needed <= probes).mean()))

    def search(self, best: Best, probes: int, *, advance: Callable[[int], None]) -> None:
        """Offer each row the members of the lists nearest to it.

        Args:
            best: Empty; is filled.
            probes: Lists for each row.
            advance: Told about rows that are done.
        """
        for asked in _blocks(self._points.alive, QUERIES_AT_ONCE):
            probed = self._nearest(asked, probes)
            queries = self._by_list(np.repeat(asked, probes), probed.reshape(-1))
            for rows, members in zip(queries, self.members, strict=True):
                if len(rows) and len(members):
                    compare(self._points, best, rows, members, memory=self._memory)
            advance(len(asked))

    def _directions(self, count: int) -> NDArray[np.float32]:
        """Spherical k-means on a sample, from rows drawn at random."""
        alive = self._points.alive
        draw = generator(self._seed, "neighbours", "lists")
        sample = draw.choice(alive, min(count * ROWS_PER_LIST, len(alive)), replace=False)
        read = self._memory.queries.read
        centres = np.concatenate([read(rows).copy() for rows in _blocks(sample[:count])])
        for _ in range(ITERATIONS):
            sums = np.zeros_like(centres)
            for rows in _blocks(sample):
                vectors = read(rows)
                nearest = (vectors @ centres.T).argmax(axis=1)
                order = np.argsort(nearest, kind="stable")
                found, starts = np.unique(nearest[order], return_index=True)
                sums[found] += np.add.reduceat(vectors[order], starts, axis=0)
            lengths = np.linalg.norm(sums, axis=1, keepdims=True)
            # A direction that no row is nearest to stays as it is.
            centres = np.where(lengths > 0, sums / np.where(lengths > 0, lengths, 1), centres)
        return centres

    def _nearest(self, rows: Rows, count: int) -> NDArray[np.int64]:
        """The lists [N, count] whose directions are nearest to some rows, the nearest first."""
        nearest = np.empty((len(rows), count), np.int64)
        for start in range(0, len(rows), CANDIDATES):
            block = rows[start : start + CANDIDATES]
            scores = torch.from_numpy(self._memory.queries.read(block) @ self.centres.T)
            nearest[start : start + CANDIDATES] = scores.topk(count, dim=1).indices.numpy()
        return nearest

    def _by_list(self, rows: Rows, lists: NDArray[np.int64]) -> list[Rows]:
        """The rows of each list, in the order given."""
        order = np.argsort(lists, kind="stable")
        bounds = np.searchsorted(lists[order], np.arange(1, len(self.centres)))
        return np.split(rows[order], bounds)


def _blocks(rows: Rows, size: int = CANDIDATES) -> Iterator[Rows]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]
