"""What a search for neighbours works on: unit vectors in blocks, who may not be paired, the best so far.

Nothing here is as large as rows x rows. Blocks are written into memory that is used again: fresh memory for
each would cost more than the arithmetic.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from synsight.seeding import generator

QUERIES, CANDIDATES = 1024, 8192
"""Rows of a block on either side; its scores take 32 MB."""
TIE_DIMENSIONS = 8

Rows = NDArray[np.int64]


class Points:
    """Rows as unit vectors, a block at a time.

    Beside its own numbers a vector has eight that break ties: they change a similarity by at most `spread`,
    differently for each pair, so that of equally near rows each is somebody's nearest. Otherwise a thousand
    rows with one caption would all point to the same few rows with the next one.

    Args:
        embeddings: [N, E] floats of any length; a zero row has no neighbours.
        exclude: Arrays of ids, [N]; rows that share one (>= 0) are no neighbours.
        spread: Most that a similarity is changed by.
        seed: Of the tie breaks.
    """

    def __init__(
        self, embeddings: NDArray[Any], *, exclude: Sequence[Rows] = (), spread: float, seed: int
    ) -> None:
        self._embeddings = embeddings
        self.dimensions = embeddings.shape[1]
        self.width = self.dimensions + (TIE_DIMENSIONS if spread else 0)
        self._scale = _inverse_lengths(embeddings)
        self.alive: Rows = np.flatnonzero(self._scale).astype(np.int64)
        """Rows that are not zero, ascending."""
        self._exclude = [(_numbers(ids), np.asarray(ids) < 0) for ids in exclude]
        ties = generator(seed, "neighbours", "ties").standard_normal(
            (len(embeddings), self.width - self.dimensions), dtype=np.float32
        )
        lengths = np.linalg.norm(ties, axis=1, keepdims=True)
        self._ties = ties * np.sqrt(np.float32(spread)) / np.where(lengths > 0, lengths, 1)

    def block(self) -> "Block":
        """A reader of vectors."""
        return Block(self._embeddings, self._scale, self._ties)

    def forbid(self, scores: NDArray[np.float32], queries: Rows, candidates: Rows) -> None:
        """Set the scores [Q, M] of pairs that may not be neighbours to -inf."""
        if queries.min() <= candidates.max() and candidates.min() <= queries.max():
            _forbid_equal(scores, queries, candidates)
        for numbers, is_none in self._exclude:
            theirs = numbers[candidates]
            theirs[is_none[candidates]] = -1  # equal to no query's
            _forbid_equal(scores, numbers[queries], theirs)

    def tie_breaks(self, rows: Rows, others: Rows) -> NDArray[np.float32]:
        """What the tie breaks add to the similarities of rows [Q] to others [Q, K]."""
        if self.width == self.dimensions:
            return np.zeros(others.shape, np.float32)
        added: NDArray[np.float32] = np.einsum("qt,qkt->qk", self._ties[rows], self._ties[others])
        return added


class Reader(Protocol):
    """Gives the vectors of rows."""

    def read(self, rows: Rows) -> NDArray[np.float32]:
        """The vectors of at most `CANDIDATES` rows, [M, W]; valid until the next call."""


class Block:
    """Reads vectors from the embeddings, into memory that is used again."""

    def __init__(
        self, embeddings: NDArray[Any], scale: NDArray[np.float32], ties: NDArray[np.float32]
    ) -> None:
        self._embeddings, self._scale, self._ties = embeddings, scale, ties
        self._raw = np.empty((CANDIDATES, embeddings.shape[1]), embeddings.dtype)
        self._vectors = np.empty((CANDIDATES, embeddings.shape[1] + ties.shape[1]), np.float32)

    def read(self, rows: Rows) -> NDArray[np.float32]:
        """See `Reader`."""
        import torch  # here, so that processes that look for words do without its half a gigabyte

        raw, vectors = self._raw[: len(rows)], self._vectors[: len(rows)]
        np.take(self._embeddings, rows, axis=0, out=raw, mode="clip")
        dimensions = raw.shape[1]
        # torch widens float16 eight times as fast as NumPy.
        torch.from_numpy(vectors)[:, :dimensions].copy_(torch.from_numpy(raw))
        vectors[:, :dimensions] *= self._scale[rows, None]
        vectors[:, dimensions:] = self._ties[rows]
        return vectors


class Kept:
    """Some vectors ready at hand, for rows that are read again and again.

    Args:
        source: Where they come from.
        rows: Ascending.
    """

    def __init__(self, source: Reader, rows: Rows) -> None:
        self._rows = rows
        blocks = (rows[start : start + CANDIDATES] for start in range(0, len(rows), CANDIDATES))
        self._vectors = np.concatenate([source.read(block).copy() for block in blocks])
        self._block = np.empty((CANDIDATES, self._vectors.shape[1]), np.float32)

    def read(self, rows: Rows) -> NDArray[np.float32]:
        """See `Reader`."""
        block = self._block[: len(rows)]
        return np.take(self._vectors, np.searchsorted(self._rows, rows), axis=0, out=block, mode="clip")


class Best:
    """The k best candidates of each row so far.

    Args:
        rows: N.
        k: K.
        floor: Scores that are not above it do not count.
    """

    def __init__(self, rows: int, k: int, *, floor: float) -> None:
        self._floor = floor
        self.indices: NDArray[np.int64] = np.full((rows, k), -1, np.int64)
        self.scores: NDArray[np.float32] = np.full((rows, k), floor, np.float32)
        self._worst = np.full(rows, floor, np.float32)

    def like(self, rows: int) -> "Best":
        """An empty one for so many rows."""
        return Best(rows, self.scores.shape[1], floor=self._floor)

    def offer(self, rows: Rows, candidates: Rows, scores: NDArray[np.float32]) -> None:
        """Take the scores [Q, M] of new candidates [M] for some rows [Q]."""
        better = np.flatnonzero(scores.max(axis=1) > self._worst[rows])
        if not len(better):
            return
        rows, k = rows[better], self.scores.shape[1]
        values, places = _top(scores[better], k)
        values = np.concatenate([self.scores[rows], values], axis=1)
        indices = np.concatenate([self.indices[rows], candidates[places]], axis=1)
        kept, places = _top(values, k)
        self.scores[rows], self.indices[rows] = kept, np.take_along_axis(indices, places, 1)
        self._worst[rows] = kept.min(axis=1)


def compare(
    points: Points,
    best: Best,
    queries: Rows,
    candidates: Rows,
    *,
    memory: "Memory",
    reader: Reader | None = None,
    places: Rows | None = None,
) -> None:
    """Offer all candidates to all queries; no two calls may offer a query the same candidate.

    Args:
        points: The vectors.
        best: Is improved.
        queries: Rows, [Q].
        candidates: Rows, [M].
        memory: To work in.
        reader: Gives the queries' vectors; None: read from the points.
        places: Rows of `best` that stand for the queries; None: the queries themselves.
    """
    places = queries if places is None else places
    for start in range(0, len(queries), QUERIES):
        asked = queries[start : start + QUERIES]
        ours = (reader or memory.queries).read(asked)
        for first in range(0, len(candidates), CANDIDATES):
            others = candidates[first : first + CANDIDATES]
            theirs = memory.candidates.read(others)
            scores = memory.scores[: len(asked) * len(others)].reshape(len(asked), len(others))
            np.matmul(ours, theirs.T, out=scores)
            points.forbid(scores, asked, others)
            best.offer(places[start : start + QUERIES], others, scores)


class Memory:
    """What `compare` works in."""

    def __init__(self, points: Points) -> None:
        self.queries, self.candidates = points.block(), points.block()
        self.scores = np.empty(QUERIES * CANDIDATES, np.float32)


def _top(scores: NDArray[np.float32], k: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    import torch

    values, places = torch.from_numpy(scores).topk(min(k, scores.shape[1]), dim=1, sorted=False)
    return values.numpy(), places.numpy()


def _forbid_equal(scores: NDArray[np.float32], ours: NDArray[Any], theirs: NDArray[Any]) -> None:
    is_same = ours[:, None] == theirs[None, :]
    if is_same.any():
        np.copyto(scores, -np.inf, where=is_same)


def _numbers(ids: Rows) -> NDArray[np.int32]:
    """Ids as small numbers, which are compared twice as fast."""
    return np.unique(ids, return_inverse=True)[1].astype(np.int32)


def _inverse_lengths(embeddings: NDArray[Any], block: int = 65_536) -> NDArray[np.float32]:
    scale = np.zeros(len(embeddings), np.float32)
    for start in range(0, len(embeddings), block):
        lengths = np.linalg.norm(embeddings[start : start + block].astype(np.float32), axis=1)
        np.divide(1, lengths, out=scale[start : start + block], where=lengths > 0)
    return scale
