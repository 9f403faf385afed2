"""Neighbours among many rows: k-means lists, each row compared with the lists that are nearest to it.

How many lists a row needs differs: one in the middle of a dense cluster needs few. A sample of rows is
searched exactly first. On it a regression learns how many lists it takes, from what is known after the first
four; then so much is added that the wanted share of the sample's true neighbours is found. So nothing is
tried twice, and the share can be stated.

Reference: Li et al. 2020, Improving approximate nearest neighbor search through learned adaptive early
termination, https://doi.org/10.1145/3318464.3380600; here a linear regression of the logarithm.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synsight.language.points import CANDIDATES, Best, Kept, Memory, Points, Reader, Rows, compare
from synsight.seeding import generator

SAMPLE = 1000
"""Rows that are searched exactly, to learn from and to measure recall."""
ITERATIONS, ROWS_PER_LIST = 3, 30
"""Of k-means, on a sample of so many rows for each list; more of either found no more."""
FIRST = 4
"""Lists that each row is compared with before it is known how many it needs."""
SEEN = (1, 4, 32)
"""Of the lists in order, those whose cosine to the row tells how many it needs."""
QUERIES_AT_ONCE = 65_536

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Plan:
    """How many lists to look through for a row."""

    weights: Floats
    """Of the logarithm, for `_features`."""
    most: int
    recall: float
    """Share of the sample's true neighbours that lie in them."""
    mean_probes: float
    """Lists for a row of the sample, on average."""

    def probes(self, features: Floats) -> NDArray[np.int64]:
        """Lists for each row, [N]."""
        wanted = np.exp(np.minimum(features @ self.weights, np.log(self.most) + 1))
        probes: NDArray[np.int64] = np.clip(wanted, min(FIRST, self.most), self.most).astype(np.int64)
        return probes


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
        self._owners = self._nearest(points.alive, 1)[0][:, 0]
        self.members = self._by_list(points.alive, self._owners)

    def plan(self, best: Best, *, recall: float) -> Plan:
        """How many lists to look through for a share of the true neighbours.

        Args:
            best: Made like it, a sample is searched exactly.
            recall: The share.
        """
        alive, count = self._points.alive, len(self.centres)
        draw = generator(self._seed, "neighbours", "sample")
        sample = np.sort(draw.choice(alive, min(SAMPLE, len(alive)), replace=False))
        places = np.arange(len(sample))
        exact, first = best.like(len(sample)), best.like(len(sample))
        compare(self._points, exact, sample, alive, memory=self._memory, places=places)
        order, cosines = self._nearest(sample, count)
        self._look_through(first, sample, order[:, :FIRST], places=places)
        features = _features(first.scores, cosines)
        ranks = np.argsort(order, axis=1) + 1
        found = exact.indices >= 0
        owners = self._owners[np.searchsorted(alive, exact.indices)]
        needed = np.take_along_axis(ranks, owners, axis=1)
        rows = found.any(axis=1)
        if not rows.any():
            return Plan(np.zeros(features.shape[1]), min(FIRST, count), 1.0, min(FIRST, count))
        logarithms = np.log(needed)
        means = (logarithms * found).sum(axis=1)[rows] / found.sum(axis=1)[rows]
        weights = np.linalg.lstsq(features[rows], means, rcond=None)[0]
        short = np.sort((logarithms - (features @ weights)[:, None])[found])
        weights[0] += short[int(np.ceil(recall * len(short))) - 1] + 1e-9
        probes = Plan(weights, count, 0.0, 0.0).probes(features)
        share = float((needed <= probes[:, None])[found].mean())
        return Plan(weights, int(probes.max()), share, float(probes.mean()))

    def search(self, best: Best, plan: Plan, *, advance: Callable[[int], None]) -> None:
        """Offer each row the members of the lists nearest to it.

        Args:
            best: Empty; is filled.
            plan: Says how many lists.
            advance: Told about rows that are done.
        """
        for asked in _blocks(self._points.alive, QUERIES_AT_ONCE):
            reader = Kept(self._memory.queries, asked)
            order, cosines = self._nearest(asked, max(plan.most, min(SEEN[-1], len(self.centres))))
            self._look_through(best, asked, order[:, :FIRST], reader=reader)
            probes = plan.probes(_features(best.scores[asked], cosines))
            rest = np.where(np.arange(order.shape[1]) < probes[:, None], order, -1)[:, FIRST:]
            self._look_through(best, asked, rest, reader=reader)
            advance(len(asked))

    def _look_through(
        self,
        best: Best,
        rows: Rows,
        lists: NDArray[np.int32],
        *,
        reader: Reader | None = None,
        places: Rows | None = None,
    ) -> None:
        """Offer rows [N] the members of their lists [N, P]; -1: none."""
        turns, _ = np.nonzero(lists >= 0)
        for turn, members in zip(self._by_list(turns, lists[lists >= 0]), self.members, strict=True):
            if len(turn) and len(members):
                compare(
                    self._points,
                    best,
                    rows[turn],
                    members,
                    memory=self._memory,
                    reader=reader,
                    places=None if places is None else places[turn],
                )

    def _directions(self, count: int) -> NDArray[np.float32]:
        """Spherical k-means on a sample, from rows drawn at random."""
        alive = self._points.alive
        draw = generator(self._seed, "neighbours", "lists")
        sample = draw.choice(alive, min(count * ROWS_PER_LIST, len(alive)), replace=False)
        read = self._memory.queries.read
        centres = np.concatenate([read(rows).copy() for rows in _blocks(sample[:count], CANDIDATES)])
        for _ in range(ITERATIONS):
            sums = np.zeros_like(centres)
            for rows in _blocks(sample, CANDIDATES):
                vectors = read(rows)
                nearest = (vectors @ centres.T).argmax(axis=1)
                order = np.argsort(nearest, kind="stable")
                found, starts = np.unique(nearest[order], return_index=True)
                sums[found] += np.add.reduceat(vectors[order], starts, axis=0)
            lengths = np.linalg.norm(sums, axis=1, keepdims=True)
            # A direction that no row is nearest to stays as it is.
            centres = np.where(lengths > 0, sums / np.where(lengths > 0, lengths, 1), centres)
        return centres

    def _nearest(self, rows: Rows, count: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """The lists that are nearest to some rows, the nearest first, and their cosines, both [N, count]."""
        import torch  # here, as in `points`

        lists, cosines = np.empty((len(rows), count), np.int32), np.empty((len(rows), count), np.float32)
        for start in range(0, len(rows), CANDIDATES):
            block = slice(start, start + CANDIDATES)
            scores = torch.from_numpy(self._memory.queries.read(rows[block]) @ self.centres.T)
            values, places = scores.max(1, keepdim=True) if count == 1 else scores.topk(count, dim=1)
            lists[block], cosines[block] = places.numpy(), values.numpy()
        return lists, cosines

    def _by_list(self, rows: Rows, lists: NDArray[np.int32]) -> list[Rows]:
        """The rows of each list, in the order given."""
        order = np.argsort(lists, kind="stable")
        bounds = np.searchsorted(lists[order], np.arange(1, len(self.centres)))
        return np.split(rows[order], bounds)


def _features(scores: NDArray[np.float32], cosines: NDArray[np.float32]) -> Floats:
    """What is known of rows after the first lists: 1, the k-th best score, cosines to some lists."""
    worst = np.maximum(scores.min(axis=1), 0)
    seen = [cosines[:, min(rank, cosines.shape[1]) - 1] for rank in SEEN]
    features: Floats = np.stack([np.ones_like(worst), worst, *seen], axis=1).astype(np.float64)
    return features


def _blocks(rows: Rows, size: int) -> Iterator[Rows]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]
