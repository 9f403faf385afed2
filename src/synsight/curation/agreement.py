"""How well each image and its caption agree.

Two sides, whose inner products say how well any image goes with any caption of the same fold, come from
regressions (`cross_fitting`) or from the two towers of a CLIP-like model. `pair_scores` asks how much better
an image goes with its own caption than with captions of others, so that no absolute threshold is needed.

Letters: M captions of others for each image, R rows of reference.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from synsight.seeding import generator

Floats = NDArray[np.float32]

REFERENCES = 512
"""Rows of a fold that say what is usual for an image and for a caption."""
OTHERS = 8
"""M, captions of others that each image is scored with."""
CHUNK = 2048
LEAST_ROWS = 200
"""Fewer pairs teach a judge nothing and leave no share to estimate."""


class RowSides(Protocol):
    """Two sides of N rows, of which some can be had at a time."""

    def of(self, rows: NDArray[np.int64]) -> "Sides":
        """The sides of some rows, in their order."""


@dataclass(frozen=True)
class Sides:
    """Two sides whose inner products are scores, [N, D] each; comparable within a fold alone."""

    images: Floats
    captions: Floats

    def of(self, rows: NDArray[np.int64]) -> "Sides":
        """See `RowSides`."""
        return Sides(self.images[rows], self.captions[rows])


@dataclass(frozen=True)
class PairScores:
    """Of N images, each with its own caption and with M captions of other rows.

    A score counts standard deviations: 0 is what other captions have on average, larger is better.
    """

    own: NDArray[np.float64]
    """[N]"""
    others: NDArray[np.float64]
    """[N, M]; NaN where the other row has the same caption."""
    own_spread: NDArray[np.float64]
    """[N]: logarithm of how much image and caption tell partners apart at all: their interquartile ranges,
    which one partner that fits well, as the right one, does not move."""
    other_spread: NDArray[np.float64]
    """[N, M]: the same of the pairs in `others`."""


def pair_scores(
    sides: RowSides, folds: NDArray[np.int64], *, same: NDArray[np.int64], seed: int = 0
) -> PairScores:
    """Scores of own captions and of others, both judged against what is usual for this image and caption.

    An inner product is first standardised over the images that a caption could have had (so that a caption
    which suits everything gains nothing), then over the captions that an image could have had. Others come
    from the same fold and have another caption.

    Args:
        sides: Of N rows; a chunk of them is held at a time.
        folds: Of each row, [N].
        same: [N]: rows with an equal number have the same caption.
        seed: Of the choice of references and others.
    """
    rows = len(folds)
    own, own_spread = np.zeros(rows), np.zeros(rows)
    others, other_spread = np.full((rows, OTHERS), np.nan), np.zeros((rows, OTHERS))
    for fold in np.unique(folds):
        members = np.flatnonzero(folds == fold)
        drawing = generator(seed, "references", fold)
        references = drawing.permutation(members)[:REFERENCES]
        usual_sides = sides.of(references)
        images, captions = usual_sides.images, usual_sides.captions
        names = same[references]
        pairs = images @ captions.T
        usual, ranges = _Usual.of(pairs, names[:, None] != names, axis=0), _range(pairs, axis=0)
        for start in range(0, len(members), CHUNK):
            part = members[start : start + CHUNK]
            here = sides.of(part)
            is_other = same[part][:, None] != names
            partners = images @ here.captions.T
            mine = _Usual.of(partners, is_other.T, axis=0)
            table = usual.apart(here.images @ captions.T)
            row = _Usual.of(table, is_other, axis=1)
            product = np.einsum("nd,nd->n", here.images, here.captions, dtype=np.float64)
            own[part] = row.apart(mine.apart(product))
            telling = _range(table, axis=1)
            own_spread[part] = np.log(telling * _range(partners, axis=0))
            columns = drawing.integers(len(references), size=(len(part), OTHERS))
            found = row.apart(np.take_along_axis(table, columns, axis=1), rows=True)
            others[part] = np.where(np.take_along_axis(is_other, columns, axis=1), found, np.nan)
            other_spread[part] = np.log(telling[:, None] * ranges[columns])
    return PairScores(own, others, own_spread, other_spread)


@dataclass(frozen=True)
class _Usual:
    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]

    @staticmethod
    def of(table: NDArray[np.floating], counted: NDArray[np.bool_], *, axis: int) -> "_Usual":
        """Of the cells that count; where none does, 0 and almost 0."""
        cells = np.maximum(counted.sum(axis=axis), 1)
        mean = np.where(counted, table, 0).sum(axis=axis, dtype=np.float64) / cells
        apart = np.where(counted, table - np.expand_dims(mean, axis), 0)
        return _Usual(mean, np.maximum(np.sqrt((apart**2).sum(axis=axis) / cells), 1e-12))

    def apart(self, values: NDArray[np.floating], *, rows: bool = False) -> NDArray[np.float64]:
        mean, deviation = (one[:, None] if rows else one for one in (self.mean, self.deviation))
        return np.asarray((values - mean) / deviation, np.float64)


def _range(table: NDArray[np.floating], *, axis: int) -> NDArray[np.float64]:
    low, high = np.quantile(table, [0.25, 0.75], axis=axis)
    return np.asarray(np.maximum(high - low, 1e-12), np.float64)
