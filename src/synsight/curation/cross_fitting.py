"""Predictors that never saw the pair they judge: images and captions of a catalog, learnt from one another.

Two ridge regressions on random Fourier features learn from the catalog itself: caption vectors from image
vectors, and image vectors from caption vectors. Each row is judged by regressions on the other folds.

Beside the vectors that are given, memory does not grow with the rows: what is predicted of a row is computed
when it is asked for.

Letters: N rows, D numbers of an image, E of a caption, F folds.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from synsight.curation.agreement import Sides
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
CHUNK = 2048


def fold_of_rows(groups: Sequence[object], *, folds: int = FOLDS, seed: int = 0) -> NDArray[np.int64]:
    """A fold for every row, [N]; rows of one group share theirs, and it depends on nothing but the group."""
    known = {group: derive_seed(seed, "fold", group) % folds for group in set(groups)}
    return np.array([known[group] for group in groups], np.int64)


def cross_fitted_sides(
    images: Floats, captions: Floats, folds: NDArray[np.int64], *, seed: int = 0
) -> "CrossFittedSides":
    """Sides whose rows are predicted by regressions on the other folds.

    The score of a pair is <predicted caption, caption> + <image, predicted image>. Predictions keep their
    length: one that knows nothing is short.

    Args:
        images: Image vectors, [N, D]; kept, not copied.
        captions: Caption vectors, [N, E]; kept, not copied.
        folds: Of each row, [N].
        seed: Of the random features and of the training rows.

    Reference: Rahimi and Recht 2007, "Random features for large-scale kernel machines"; Chernozhukov et al.
    2018 for cross-fitting, https://arxiv.org/abs/1608.00060
    """
    chosen = _training_rows(len(folds), seed)
    return CrossFittedSides(
        said=Predictor.fitted(images, captions, folds, chosen, seed=derive_seed(seed, "images")),
        shown=Predictor.fitted(captions, images, folds, chosen, seed=derive_seed(seed, "captions")),
    )


@dataclass(frozen=True, eq=False)
class CrossFittedSides:
    """Both sides of N rows, D + E numbers each, computed for the rows that are asked for."""

    said: "Predictor"
    """Captions of images."""
    shown: "Predictor"
    """Images of captions."""

    def of(self, rows: NDArray[np.int64]) -> Sides:
        """See `RowSides`."""
        # Divided by their root mean square length, both predictions weigh the same.
        return Sides(
            images=np.hstack([self.said.predicted(rows) / self.said.length, self.shown.unit_targets(rows)]),
            captions=np.hstack(
                [self.said.unit_targets(rows), self.shown.predicted(rows) / self.shown.length]
            ),
        )

    def whole(self) -> Sides:
        """The sides of all rows."""
        return self.of(np.arange(len(self.said.folds)))


@dataclass(frozen=True, eq=False)
class Predictor:
    """Targets of N rows as regressions on the chosen rows of the other folds predict them from inputs."""

    inputs: Floats
    targets: Floats
    folds: NDArray[np.int64]
    lift: "FourierFeatures"
    regressions: Mapping[int, tuple[Floats, Floats]]
    """Fold -> weight [WIDTH, E] and mean of the lifted inputs [WIDTH], both of the other folds."""

    @staticmethod
    def fitted(
        inputs: Floats, targets: Floats, folds: NDArray[np.int64], chosen: NDArray[np.bool_], *, seed: int
    ) -> "Predictor":
        """Learn from the chosen rows."""
        lift = FourierFeatures(inputs, seed=seed)
        names = [int(fold) for fold in np.unique(folds)]
        sums = {
            fold: RidgeSums.of(lift, inputs, targets, np.flatnonzero((folds == fold) & chosen))
            for fold in names
        }
        regressions = {fold: RidgeSums.ridge([sums[one] for one in names if one != fold]) for fold in names}
        return Predictor(inputs, targets, folds, lift, regressions)

    def predicted(self, rows: NDArray[np.int64]) -> Floats:
        """Of some rows, minus the mean of their fold: what all rows of a fold share tells no pair apart."""
        found = np.zeros((len(rows), self.targets.shape[1]), np.float32)
        for fold, places in self._by_fold(rows):
            found[places] = self._raw(fold, rows[places]) - self._usual[fold][0]
        return found

    def unit_targets(self, rows: NDArray[np.int64]) -> Floats:
        """The targets of some rows as they are, of length 1 around the mean of their fold."""
        unit = np.zeros((len(rows), self.targets.shape[1]), np.float32)
        for fold, places in self._by_fold(rows):
            centred = self.targets[rows[places]].astype(np.float32) - self._usual[fold][1]
            unit[places] = centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)
        return unit

    @cached_property
    def length(self) -> float:
        """Root mean square length of all predictions."""
        squares = sum(one[2] for one in self._usual.values())
        return max(float(np.sqrt(squares / max(len(self.folds), 1))), 1e-12)

    @cached_property
    def _usual(self) -> Mapping[int, tuple[Floats, Floats, float]]:
        """Fold -> means of predictions and of targets, [E] each, and the sum of squared predictions around
        their mean.
        """
        found = {}
        width = self.targets.shape[1]
        for fold in self.regressions:
            members = np.flatnonzero(self.folds == fold)
            predicted, wanted, squares = np.zeros(width), np.zeros(width), 0.0
            for part in _chunks(members):
                raw = self._raw(fold, part).astype(np.float64)
                predicted += raw.sum(axis=0)
                squares += float(np.einsum("ne,ne->", raw, raw))
                wanted += self.targets[part].sum(axis=0, dtype=np.float64)
            mean = predicted / len(members)
            around = max(squares - len(members) * float(mean @ mean), 0.0)
            found[fold] = (mean.astype(np.float32), (wanted / len(members)).astype(np.float32), around)
        return found

    def _raw(self, fold: int, rows: NDArray[np.int64]) -> Floats:
        weight, mean = self.regressions[fold]
        return np.asarray((self.lift(self.inputs[rows]) - mean) @ weight, np.float32)

    def _by_fold(self, rows: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.int64]]]:
        """Folds, and where their rows are among those given; a chunk at a time."""
        folds = self.folds[rows]
        for fold in np.unique(folds):
            for places in _chunks(np.flatnonzero(folds == fold)):
                yield int(fold), places


def _variance(vectors: Floats) -> float:
    """Of all columns together; NumPy's makes a copy of all rows in float64."""
    mean = vectors.mean(axis=0, dtype=np.float64)
    parts = (vectors[rows] - mean for rows in _chunks(np.arange(len(vectors))))
    return sum(float(np.einsum("nd,nd->", part, part)) for part in parts) / len(vectors)


def _chunks(rows: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    for start in range(0, len(rows), CHUNK):
        yield rows[start : start + CHUNK]


def _training_rows(rows: int, seed: int) -> NDArray[np.bool_]:
    chosen = np.zeros(rows, np.bool_)
    chosen[generator(seed, "training rows").permutation(rows)[:TRAINING_ROWS]] = True
    return chosen


class FourierFeatures:
    """Random features of a Gaussian kernel, [N, D] -> [N, WIDTH]."""

    def __init__(self, inputs: Floats, *, seed: int) -> None:
        drawing = generator(seed, "fourier")
        spread = np.sqrt(2 * _variance(inputs))
        directions = drawing.standard_normal((inputs.shape[1], WIDTH)) / max(BANDWIDTH * spread, 1e-12)
        self._directions = directions.astype(np.float32)
        self._phases = drawing.uniform(0, 2 * np.pi, WIDTH).astype(np.float32)

    def __call__(self, inputs: Floats) -> Floats:
        lifted: Floats = np.cos(inputs @ self._directions + self._phases) * np.float32(np.sqrt(2 / WIDTH))
        return lifted


@dataclass(frozen=True)
class RidgeSums:
    """What a ridge regression needs to know of some rows."""

    rows: int
    inputs: NDArray[np.float64]
    targets: NDArray[np.float64]
    squares: NDArray[np.float64]
    products: NDArray[np.float64]

    @staticmethod
    def of(lift: FourierFeatures, inputs: Floats, targets: Floats, rows: NDArray[np.int64]) -> "RidgeSums":
        width = targets.shape[1]
        sums = [np.zeros(WIDTH), np.zeros(width), np.zeros((WIDTH, WIDTH)), np.zeros((WIDTH, width))]
        for start in range(0, len(rows), CHUNK):
            part = rows[start : start + CHUNK]
            lifted, wanted = lift(inputs[part]), targets[part].astype(np.float32)
            found = lifted.sum(axis=0), wanted.sum(axis=0), lifted.T @ lifted, lifted.T @ wanted
            for total, one in zip(sums, found, strict=True):
                total += one
        return RidgeSums(len(rows), *sums)

    @staticmethod
    def ridge(parts: Sequence["RidgeSums"]) -> tuple[Floats, Floats]:
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
