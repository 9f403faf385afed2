"""How well each image and its caption agree, judged by predictors that never saw the pair.

Two ridge regressions on random Fourier features learn from the catalog itself: caption vectors from image
vectors, and image vectors from caption vectors. Each row is judged by regressions on the other folds. What
comes out are two sides whose inner products say how well any image goes with any caption of the same fold;
the two towers of a CLIP-like model are such sides, too. `pair_scores` then asks how much better an image goes
with its own caption than with captions of others, so that no absolute threshold is needed.

Letters: M captions of others for each image, R rows of reference, F folds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synsight.seeding import derive_seed, generator

Floats = NDArray[np.float32]

FOLDS = 5
"""Each predictor learns from four fifths, as is usual in cross-fitting."""
WIDTH = 1000
"""Random Fourier features: 500 lose about 0.01 AUC, more cost time by their square."""
BANDWIDTH = 0.7
"""Of the Gaussian kernel, in root mean square distances."""
RIDGE = 1.5
"""In mean eigenvalues of the covariance; a half or three change AUC by less than 0.01."""
TRAINING_ROWS = 50_000
"""Most rows that regressions learn from; the others are only judged."""
REFERENCES = 512
"""Rows of a fold that say what is usual for an image and for a caption."""
OTHERS = 8
"""M, captions of others that each image is scored with."""
CHUNK = 2048
LEAST_ROWS = 200
"""Fewer pairs teach a judge nothing and leave no share to estimate."""


@dataclass(frozen=True)
class Sides:
    """Two sides whose inner products are scores, [N, D] each; comparable within a fold alone."""

    images: Floats
    captions: Floats


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


def fold_of_rows(groups: Sequence[object], *, folds: int = FOLDS, seed: int = 0) -> NDArray[np.int64]:
    """A fold for every row, [N]; rows of one group share theirs, and it depends on nothing but the group."""
    known = {group: derive_seed(seed, "fold", group) % folds for group in set(groups)}
    return np.array([known[group] for group in groups], np.int64)


def cross_fitted_sides(images: Floats, captions: Floats, folds: NDArray[np.int64], *, seed: int = 0) -> Sides:
    """Sides whose rows were predicted by regressions on the other folds.

    The score of a pair is <predicted caption, caption> + <image, predicted image>. Predictions keep their
    length: one that knows nothing is short.

    Args:
        images: Image vectors, [N, D].
        captions: Caption vectors, [N, E].
        folds: Of each row, [N].
        seed: Of the random features and of the training rows.

    Reference: Rahimi and Recht 2007, "Random features for large-scale kernel machines"; Chernozhukov et al.
    2018 for cross-fitting, https://arxiv.org/abs/1608.00060
    """
    chosen = _training_rows(len(folds), seed)
    said = _predicted(images, captions, folds, chosen, seed=derive_seed(seed, "images"))
    shown = _predicted(captions, images, folds, chosen, seed=derive_seed(seed, "captions"))
    # Divided by their root mean square length, both predictions weigh the same.
    return Sides(
        images=np.hstack([said / _root_mean_square(said), _unit(images, folds)]),
        captions=np.hstack([_unit(captions, folds), shown / _root_mean_square(shown)]),
    )


def pair_scores(
    sides: Sides, folds: NDArray[np.int64], *, same: NDArray[np.int64], seed: int = 0
) -> PairScores:
    """Scores of own captions and of others, both judged against what is usual for this image and caption.

    An inner product is first standardised over the images that a caption could have had (so that a caption
    which suits everything gains nothing), then over the captions that an image could have had. Others come
    from the same fold and have another caption.

    Args:
        sides: [N, D] each.
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
        images, captions = sides.images[references], sides.captions[references]
        names = same[references]
        pairs = images @ captions.T
        usual, ranges = _Usual.of(pairs, names[:, None] != names, axis=0), _range(pairs, axis=0)
        for start in range(0, len(members), CHUNK):
            part = members[start : start + CHUNK]
            is_other = same[part][:, None] != names
            partners = images @ sides.captions[part].T
            mine = _Usual.of(partners, is_other.T, axis=0)
            table = usual.apart(sides.images[part] @ captions.T)
            row = _Usual.of(table, is_other, axis=1)
            product = np.einsum("nd,nd->n", sides.images[part], sides.captions[part], dtype=np.float64)
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


def _training_rows(rows: int, seed: int) -> NDArray[np.bool_]:
    chosen = np.zeros(rows, np.bool_)
    chosen[generator(seed, "training rows").permutation(rows)[:TRAINING_ROWS]] = True
    return chosen


def _predicted(
    inputs: Floats, targets: Floats, folds: NDArray[np.int64], chosen: NDArray[np.bool_], *, seed: int
) -> Floats:
    """Targets of each row as regressions on the chosen rows of the other folds predict them, minus their
    mean.
    """
    lift = _FourierFeatures(inputs, seed=seed)
    names = np.unique(folds)
    sums = {fold: _Sums.of(lift, inputs, targets, np.flatnonzero((folds == fold) & chosen)) for fold in names}
    predicted = np.zeros(targets.shape, np.float32)
    for fold in names:
        others = [sums[one] for one in names if one != fold]
        weight, mean = _Sums.ridge(others)
        members = np.flatnonzero(folds == fold)
        for start in range(0, len(members), CHUNK):
            part = members[start : start + CHUNK]
            predicted[part] = (lift(inputs[part]) - mean) @ weight
        # Of inputs alone: what all rows of a fold share tells no pair apart.
        predicted[members] -= predicted[members].mean(axis=0)
    return predicted


class _FourierFeatures:
    def __init__(self, inputs: Floats, *, seed: int) -> None:
        drawing = generator(seed, "fourier")
        spread = np.sqrt(2 * inputs.var(axis=0, dtype=np.float64).sum())
        directions = drawing.standard_normal((inputs.shape[1], WIDTH)) / max(BANDWIDTH * spread, 1e-12)
        self._directions = directions.astype(np.float32)
        self._phases = drawing.uniform(0, 2 * np.pi, WIDTH).astype(np.float32)

    def __call__(self, inputs: Floats) -> Floats:
        lifted: Floats = np.cos(inputs @ self._directions + self._phases) * np.float32(np.sqrt(2 / WIDTH))
        return lifted


@dataclass(frozen=True)
class _Sums:
    """What a ridge regression needs to know of some rows."""

    rows: int
    inputs: NDArray[np.float64]
    targets: NDArray[np.float64]
    squares: NDArray[np.float64]
    products: NDArray[np.float64]

    @staticmethod
    def of(lift: _FourierFeatures, inputs: Floats, targets: Floats, rows: NDArray[np.int64]) -> "_Sums":
        width = targets.shape[1]
        sums = [np.zeros(WIDTH), np.zeros(width), np.zeros((WIDTH, WIDTH)), np.zeros((WIDTH, width))]
        for start in range(0, len(rows), CHUNK):
            part = rows[start : start + CHUNK]
            lifted, wanted = lift(inputs[part]), targets[part].astype(np.float32)
            found = lifted.sum(axis=0), wanted.sum(axis=0), lifted.T @ lifted, lifted.T @ wanted
            for total, one in zip(sums, found, strict=True):
                total += one
        return _Sums(len(rows), *sums)

    @staticmethod
    def ridge(parts: Sequence["_Sums"]) -> tuple[Floats, Floats]:
        """The weight [WIDTH, E] and the mean of the inputs [WIDTH]."""
        rows = max(sum(one.rows for one in parts), 1)
        mean = sum((one.inputs for one in parts), np.zeros(WIDTH)) / rows
        targets = sum((one.targets for one in parts), np.zeros_like(parts[0].targets)) / rows
        covariance = sum((one.squares for one in parts), np.zeros((WIDTH, WIDTH))) / rows
        covariance -= np.outer(mean, mean)
        products = sum((one.products for one in parts), np.zeros_like(parts[0].products)) / rows
        products -= np.outer(mean, targets)
        covariance[np.diag_indices(WIDTH)] += RIDGE * max(float(np.trace(covariance)) / WIDTH, 1e-12)
        weight = np.linalg.solve(covariance.astype(np.float32), products.astype(np.float32))
        return weight.astype(np.float32), mean.astype(np.float32)


def _unit(vectors: Floats, folds: NDArray[np.int64]) -> Floats:
    """Rows of length 1 around the mean of their fold."""
    unit = np.zeros(vectors.shape, np.float32)
    for fold in np.unique(folds):
        members = np.flatnonzero(folds == fold)
        centred = vectors[members].astype(np.float32)
        centred -= centred.mean(axis=0)
        unit[members] = centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)
    return unit


def _root_mean_square(vectors: Floats) -> float:
    return max(float(np.sqrt((vectors**2).sum(axis=1).mean())), 1e-12)
