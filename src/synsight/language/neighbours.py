"""The nearest rows of every row by cosine: exact, or through lists with the recall measured."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from synsight.errors import ConfigError, ShapeError, UsageError, near_names
from synsight.language.lists import Lists
from synsight.language.points import QUERIES, Best, Memory, Points, compare

Index = Literal["auto", "exact", "lists"]
INDICES = ("auto", "exact", "lists")

EXACT_ROWS = 50_000
"""Most rows that `auto` searches exactly: some 20 s of a core at 384 dimensions."""
RECALL = 0.98
"""Share of the true neighbours that lists have to find."""
SPREAD = 2**-15
"""Cosines that differ by less are ties: half of what vectors of float16 can tell apart."""


@dataclass(frozen=True)
class Neighbours:
    """What a search found, for N rows and K neighbours."""

    indices: NDArray[np.int64]
    """[N, K], nearest first; -1: none."""
    similarities: NDArray[np.float32]
    """Cosines, [N, K]; 0 where there is none."""
    recall: float
    """Share of the true neighbours that are among those found: 1 for an exact search, else measured on 1,000
    rows searched exactly."""
    index: str
    """`exact` or `lists`."""
    lists: int = 0
    probes: float = 0.0
    """Lists that a row was compared with, of `lists`, on average over the 1,000."""


def nearest(
    embeddings: NDArray[Any],
    *,
    k: int,
    exclude: Sequence[NDArray[np.int64]] = (),
    floor: float | None = None,
    index: Index = "auto",
    recall: float = RECALL,
    spread: float = SPREAD,
    seed: int = 0,
    advance: Callable[[int], None] = lambda rows: None,
) -> Neighbours:
    """The k nearest other rows of each row, by cosine.

    Memory: 12 K + 300 bytes a row beside the embeddings and up to 300 MB; never rows x rows. Similarities are
    computed in float32; in bfloat16 a tenth of the nearest would be others.

    Args:
        embeddings: [N, E] float16 or float32, of any length; a row of zeros has no neighbours and is none.
        k: Neighbours of a row; fewer where there are no more.
        exclude: Arrays of ids, [N]; rows that share one (>= 0) are no neighbours of each other.
        floor: Least similarity of a neighbour; None: any.
        index: `exact`: all pairs. `lists`: k-means lists, as many looked through for each row as `recall`
            needs; all pairs where that would be most of them. `auto`: exact up to 50,000 rows, then lists.
        recall: Share of the true neighbours that lists have to find on the sample, in (0, 1].
        spread: Cosines that differ by less are drawn among by chance, so that of many rows with one caption
            each is somebody's neighbour; 0: the first found stays.
        seed: Of the samples and draws.
        advance: Told about rows that are done.

    Raises:
        ConfigError: k, `recall` or `spread` is out of its range.
        ShapeError: The arrays do not fit each other.
        UsageError: An unknown index.
    """
    _check(embeddings, k=k, exclude=exclude, index=index, recall=recall, spread=spread)
    points = Points(embeddings, exclude=exclude, spread=spread, seed=seed)
    # No cosine is as low as -2; -inf is a pair that may not be.
    best = Best(len(embeddings), k, floor=-2.0 if floor is None else floor - 2 * spread - 1e-6)
    wants_lists = index == "lists" or (index == "auto" and len(points.alive) > EXACT_ROWS)
    if wants_lists and len(points.alive):
        lists = Lists(points, seed=seed)
        plan = lists.plan(best, recall=recall)
        if 2 * plan.mean_probes <= len(lists.members):
            lists.search(best, plan, advance=advance)
            found = _in_order(points, best, floor)
            return Neighbours(*found, plan.recall, "lists", len(lists.members), plan.mean_probes)
    _search_all(points, best, advance)
    return Neighbours(*_in_order(points, best, floor), 1.0, "exact")


def _search_all(points: Points, best: Best, advance: Callable[[int], None]) -> None:
    memory = Memory(points)
    for start in range(0, len(points.alive), QUERIES):
        rows = points.alive[start : start + QUERIES]
        compare(points, best, rows, points.alive, memory=memory)
        advance(len(rows))


def _in_order(
    points: Points, best: Best, floor: float | None, *, block: int = 65_536
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Indices and cosines, nearest first, without the tie breaks and what is below the floor."""
    for start in range(0, len(best.indices), block):
        rows = np.arange(start, min(start + block, len(best.indices)))
        indices, scores = best.indices[rows], best.scores[rows]
        cosines = np.clip(scores - points.tie_breaks(rows, indices), -1, 1)
        cosines[indices < 0] = -2
        if floor is not None:
            indices[cosines < floor] = -1
        order = np.argsort(np.where(indices < 0, np.inf, -cosines), axis=1, kind="stable")
        indices, cosines = (np.take_along_axis(one, order, axis=1) for one in (indices, cosines))
        best.indices[rows], best.scores[rows] = indices, np.where(indices < 0, 0, cosines)
    return best.indices, best.scores


def _check(
    embeddings: NDArray[Any],
    *,
    k: int,
    exclude: Sequence[NDArray[np.int64]],
    index: str,
    recall: float,
    spread: float,
) -> None:
    if embeddings.ndim != 2 or any(ids.shape != (len(embeddings),) for ids in exclude):
        raise ShapeError(
            f"expected embeddings [N, E] and ids [N]; got {list(embeddings.shape)} and "
            f"{[list(ids.shape) for ids in exclude]}."
        )
    if index not in INDICES:
        raise UsageError(f"there is no index {index!r}; {near_names(index, INDICES)}")
    if k < 1:
        raise ConfigError(f"neighbours must be >= 1; got {k!r}.")
    if not 0 < recall <= 1:
        raise ConfigError(f"recall must lie in (0, 1]; got {recall!r}.")
    if not 0 <= spread < 0.01:
        raise ConfigError(f"spread must lie in [0, 0.01); got {spread!r}.")
