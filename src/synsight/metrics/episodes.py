"""Few-shot episodes: how well do the means of a few rows name others?

E episodes, W ways (classes), S shots (rows of each that are learnt from), Q queries (rows asked about).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synsight.errors import ConfigError
from synsight.metrics.arrays import Floats, Integers, check_features

_MOST_CELLS = 4_000_000
"""Numbers held at once; bounds the memory at some 100 MB."""


@dataclass(frozen=True)
class Episodes:
    """What few-shot episodes found."""

    acc1: float
    """Mean over the episodes."""
    standard_error: float
    """Of that mean over the drawing of episodes; the rows they are drawn from stay the same."""
    ways: int
    shots: int
    queries: int
    """Rows of each class that were asked about."""


def few_shot_episodes(
    features: Floats,
    labels: Integers,
    *,
    ways: int = 5,
    shots: int = 5,
    queries: int = 6,
    episodes: int = 600,
    rng: np.random.Generator,
    tally: "Tally | None" = None,
) -> Episodes | None:
    """Accuracy of the nearest class mean in W-way S-shot episodes.

    An episode draws W classes, and of each S rows to learn from and Q others to ask about. Where the classes
    are too small, fewer rows are asked about, down to one; where fewer than W classes have S + 1 rows, all of
    these classes take part, and where there are not two, there is no episode.

    Args:
        features: [N, D]; need not be normalised.
        labels: [N] integers >= 0.
        ways: W >= 2, most classes of an episode.
        shots: S >= 1.
        queries: Q >= 1, most rows of a class that are asked about.
        episodes: E >= 2.
        rng: Draws the episodes; the same state draws the same ones.
        tally: Keeps count of the N rows that were asked about; None: nobody wants to know.

    Returns:
        The accuracy with the ways, shots and queries that were possible, or None.

    Raises:
        ShapeError: Features and labels do not fit each other.
        DataError: A feature is NaN or infinite.
        ConfigError: A count out of range.

    Reference: El Banani et al. 2023, section 4 (5-way 5-shot), https://arxiv.org/abs/2302.12248; the
        classifier is the CL2N nearest centroid of Wang et al. 2019, https://arxiv.org/abs/1911.04623.
    """
    check_features(features, labels, num_classes=int(labels.max(initial=0)) + 1)
    if ways < 2 or shots < 1 or queries < 1 or episodes < 2:
        raise ConfigError(
            f"episodes need ways >= 2, shots >= 1, queries >= 1 and two episodes or more; got {ways}, "
            f"{shots}, {queries} and {episodes}."
        )
    counts = np.bincount(labels)
    ways = min(ways, int((counts > shots).sum()))
    if ways < 2:
        return None
    queries = min(queries, int(np.sort(counts)[-ways]) - shots)
    rows = _rows_by_class(labels, np.flatnonzero(counts >= shots + queries))
    part = max(1, _MOST_CELLS // (ways * max(rows.shape[1], (shots + queries) * features.shape[1])))
    found = []
    for start in range(0, episodes, part):
        drawn = _draw(rows, min(part, episodes - start), ways=ways, each=shots + queries, rng=rng)
        chosen = np.asarray(features[drawn], dtype=np.float32)  # [E, W, S + Q, D]
        hits = nearest_mean_hits(chosen[:, :, :shots], chosen[:, :, shots:])
        if tally is not None:
            tally.add(drawn[:, :, shots:], hits)
        found.append(hits.mean(axis=(1, 2)))
    accuracies = np.concatenate(found)
    error = accuracies.std(ddof=1) / np.sqrt(episodes)
    return Episodes(float(accuracies.mean()), float(error), ways=ways, shots=shots, queries=queries)


@dataclass(eq=False)
class Tally:
    """How often each of N rows was asked about, and named rightly."""

    asked: NDArray[np.int64]
    """[N]"""
    right: NDArray[np.int64]
    """[N]"""

    @classmethod
    def of(cls, rows: int) -> "Tally":
        """Of rows that nobody has asked about yet."""
        return cls(np.zeros(rows, np.int64), np.zeros(rows, np.int64))

    def add(self, rows: NDArray[np.int64], hits: NDArray[np.bool_]) -> None:
        """Count rows with their hits, arrays of one shape."""
        self.asked += np.bincount(rows.ravel(), minlength=len(self.asked))
        self.right += np.bincount(rows[hits], minlength=len(self.right))


def nearest_mean_accuracy(support: Floats, queries: Floats) -> NDArray[np.float64]:
    """Share of each episode's queries that lie nearest to the mean of their own class, [E].

    Args:
        support: [E, W, S, D].
        queries: [E, W, Q, D].
    """
    shares: NDArray[np.float64] = nearest_mean_hits(support, queries).mean(axis=(1, 2))
    return shares


def nearest_mean_hits(support: Floats, queries: Floats) -> NDArray[np.bool_]:
    """Whether each query lies nearest to the mean of its own class, [E, W, Q].

    All rows are centred on the mean of the episode's support and brought to length one; a class is the mean
    of its support rows then, and distances are Euclidean.

    Args:
        support: [E, W, S, D].
        queries: [E, W, Q, D].
    """
    centre = support.mean(axis=(1, 2), keepdims=True)
    means = _unit(support - centre).mean(axis=2)  # [E, W, D]
    asked = _unit(queries - centre).reshape(len(queries), -1, queries.shape[3])  # [E, W * Q, D]
    # |q - m|^2 without |q|^2, which is the same for every class.
    distances = (means**2).sum(axis=2)[:, None] - 2 * asked @ means.transpose(0, 2, 1)  # [E, W * Q, W]
    own = np.repeat(np.arange(support.shape[1]), queries.shape[2])
    hits: NDArray[np.bool_] = (distances.argmin(axis=2) == own).reshape(queries.shape[:3])
    return hits


def _unit(rows: Floats) -> Floats:
    lengths = np.linalg.norm(rows, axis=-1, keepdims=True)
    unit: Floats = rows / np.maximum(lengths, np.finfo(np.float32).tiny)
    return unit


def _rows_by_class(labels: Integers, classes: NDArray[np.int64]) -> NDArray[np.int64]:
    """The rows of each class, filled up with -1 to the longest, [classes, most rows]."""
    members = [np.flatnonzero(labels == one) for one in classes]
    table = np.full((len(members), max(map(len, members))), -1, dtype=np.int64)
    for place, member in enumerate(members):
        table[place, : len(member)] = member
    return table


def _draw(
    rows: NDArray[np.int64], episodes: int, *, ways: int, each: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Different rows of different classes, in random order, [E, W, each]."""
    classes = rng.random((episodes, len(rows))).argsort(axis=1)[:, :ways]
    members = rows[classes]  # [E, W, most rows]
    keys = np.where(members < 0, np.inf, rng.random(members.shape))
    first = keys.argpartition(each - 1, axis=2)[:, :, :each]
    # The partition's own order is not random; that of the keys is.
    order = np.take_along_axis(keys, first, axis=2).argsort(axis=2)
    return np.take_along_axis(members, np.take_along_axis(first, order, axis=2), axis=2)
