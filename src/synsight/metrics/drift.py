"""Have two samples of features the same distribution? Distances, a classifier, and how new each row is.

All tests are permutation tests over one set of exchanges, so that they can be combined. Sums over pairs of
rows are taken once: the statistic of each exchange is then one product of matrices.

n rows of the first sample, m of the second, N = n + m, D dimension, P exchanges.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.covariance import ledoit_wolf_shrinkage

from synsight.errors import ShapeError
from synsight.metrics.arrays import Floats, Integers, check_finite
from synsight.metrics.exchanges import Exchanges, p_values

TILE = 512
"""Rows whose distances to all others are held at once."""
FOLDS = 5
NEIGHBOURS = 5
_MEDIAN_ROWS = 1000
"""Rows that the median distance is taken of."""


@dataclass(frozen=True, eq=False)
class DriftTest:
    """A statistic of two samples, and what it would be under each exchange."""

    drawn: NDArray[np.float64]
    """[1 + P]; the first is the value."""

    @property
    def value(self) -> float:
        """Of the samples as they are."""
        return float(self.drawn[0])

    @property
    def p_value(self) -> float:
        """For "both samples have one distribution"."""
        return float(p_values(self.drawn)[0])


@dataclass(frozen=True, eq=False)
class DistanceTests:
    """Two tests of the same distances between rows."""

    mmd: DriftTest
    """Squared maximum mean discrepancy, without bias: about 0 for one distribution; at most 2."""
    energy: DriftTest
    """Energy distance, >= 0 up to chance, in units of the standardised features."""


@dataclass(frozen=True, eq=False)
class ClassifierTest:
    """How well a linear classifier tells the samples apart."""

    auc: DriftTest
    """Share of pairs, one row of each sample, that it puts in order; 0.5 is chance."""
    scores: NDArray[np.float64]
    """[N] of each row by a classifier that has not seen its group; large: like the second sample."""


def standardised(first: Floats, second: Floats) -> NDArray[np.float32]:
    """Both samples on top of each other, [N, D], with mean 0 and deviation 1 in each dimension.

    The mean and deviation are those of both together, so that they are the same under every exchange.

    Raises:
        ShapeError: Features of different dimension.
        DataError: A feature is NaN or infinite.
    """
    check_finite(first)
    check_finite(second)
    if first.shape[1] != second.shape[1]:
        raise ShapeError(
            f"both samples must have one dimension; got {first.shape} and {second.shape}; embed both with "
            "the same model."
        )
    both = np.concatenate([first, second]).astype(np.float64)
    both -= both.mean(axis=0)
    spread = both.std(axis=0)
    rows: NDArray[np.float32] = (both / np.where(spread > 1e-12, spread, 1)).astype(np.float32)
    return rows


def distance_tests(rows: Floats, exchanges: Exchanges) -> DistanceTests:
    """MMD with a Gaussian kernel, and energy distance.

    The kernel is exp(-|x - y|^2 / s), s the median of |x - y|^2 between the rows of both samples. Both are
    sums over pairs within the first sample, within the second, and between them.

    Args:
        rows: Standardised features of both samples, [N, D].
        exchanges: Of these rows.

    References: Gretton et al. 2012, "A kernel two-sample test", eq. 3 and section 8 (median), JMLR 13;
        Székely and Rizzo 2013, "Energy statistics", eq. 5.
    """
    rows = np.asarray(rows, np.float32)
    scale = _median_squared(rows)
    first = exchanges.in_first.astype(np.float32)  # [1 + P, N]
    # For each kernel: sum over pairs in the first sample, over first x all, and over all x all.
    kernel_sums, length_sums = np.zeros((2, len(first))), np.zeros((2, len(first)))
    totals = np.zeros(2)
    for start in range(0, len(rows), TILE):
        part = slice(start, start + TILE)
        squared = _squared_distances(rows[part], rows)
        for number, (values, sums) in enumerate(
            ((np.exp(-squared / scale), kernel_sums), (np.sqrt(squared), length_sums))
        ):
            with_first = first @ values.T  # [1 + P, tile]
            sums[0] += np.einsum("pt,pt->p", with_first, first[:, part], dtype=np.float64)
            sums[1] += first[:, part].astype(np.float64) @ values.sum(axis=1, dtype=np.float64)
            totals[number] += values.sum(dtype=np.float64)
    n = first.sum(axis=1, dtype=np.float64)
    m = len(rows) - n
    mmd = _contrast(kernel_sums, float(totals[0]), n, m, diagonal=1.0)
    return DistanceTests(
        DriftTest(mmd), DriftTest(-_contrast(length_sums, float(totals[1]), n, m, diagonal=None))
    )


def _contrast(
    sums: NDArray[np.float64],
    total: float,
    n: NDArray[np.float64],
    m: NDArray[np.float64],
    *,
    diagonal: float | None,
) -> NDArray[np.float64]:
    """Mean over pairs within the first + within the second - twice between, [1 + P].

    `diagonal`: what a row makes with itself, which is then left out of the means; None: it counts.
    """
    within_first, first_and_all = sums
    between = first_and_all - within_first
    within_second = total - 2 * first_and_all + within_first
    if diagonal is None:
        found: NDArray[np.float64] = within_first / n**2 + within_second / m**2 - 2 * between / (n * m)
        return found
    first_mean = (within_first - diagonal * n) / np.maximum(n * (n - 1), 1)
    second_mean = (within_second - diagonal * m) / np.maximum(m * (m - 1), 1)
    return np.asarray(first_mean + second_mean - 2 * between / (n * m))


def _squared_distances(some: NDArray[np.float32], rows: NDArray[np.float32]) -> NDArray[np.float32]:
    squared: NDArray[np.float32] = (
        np.square(some).sum(axis=1)[:, None] + np.square(rows).sum(axis=1)[None] - 2 * some @ rows.T
    )
    return np.maximum(squared, 0, out=squared)


def _median_squared(rows: NDArray[np.float32]) -> float:
    some = rows[np.unique(np.linspace(0, len(rows) - 1, _MEDIAN_ROWS).astype(np.int64))]
    squared = _squared_distances(some, some)
    pairs = squared[np.triu_indices(len(some), k=1)]
    return max(float(np.median(pairs)) if len(pairs) else 1.0, 1e-6)


def domain_classifier(
    rows: Floats, exchanges: Exchanges, *, folds: int = FOLDS, seed: int = 0
) -> ClassifierTest:
    """A linear discriminant, fitted anew for every exchange, judged on groups it has not seen.

    Its covariance is that of all rows of the training folds, shrunk as Ledoit and Wolf say; both know nothing
    of who is in which sample, so one factorisation a fold serves all exchanges. Pairs are compared within a
    fold.

    Args:
        rows: Standardised features of both samples, [N, D].
        exchanges: Of these rows.
        folds: Parts that are left out in turn; groups stay whole.
        seed: Of the folds.

    References: Lopez-Paz and Oquab 2017, "Revisiting classifier two-sample tests",
        https://arxiv.org/abs/1610.06545 (there a neural network and its accuracy, with a normal p-value; here
        the AUC of a classifier that can be fitted a thousand times); Ledoit and Wolf 2004, "A
        well-conditioned estimator for large-dimensional covariance matrices".
    """
    rows = np.asarray(rows, np.float64)
    num_groups = int(exchanges.groups.max()) + 1
    fold_of_group = np.random.default_rng(seed).permutation(num_groups) % min(folds, max(num_groups, 2))
    fold_of = fold_of_group[exchanges.groups]
    second = ~exchanges.in_first.T  # [N, 1 + P]
    pairs, wins = np.zeros(second.shape[1]), np.zeros(second.shape[1])
    scores = np.zeros(len(rows))
    for fold in range(int(fold_of_group.max()) + 1):
        out = fold_of == fold
        if out.all() or not out.any():
            continue
        found = _discriminant_scores(rows[~out], second[~out], rows[out])
        scores[out] = _as_quantiles(found[:, 0])
        won, all_pairs = _pairs_in_order(found, second[out])
        wins, pairs = wins + won, pairs + all_pairs
    auc = np.where(pairs > 0, wins / np.maximum(pairs, 1), 0.5)
    return ClassifierTest(DriftTest(auc), scores)


def _discriminant_scores(
    train: NDArray[np.float64], in_second: NDArray[np.bool_], held_out: NDArray[np.float64]
) -> NDArray[np.float64]:
    """[held out, 1 + P] along the direction that parts the training rows of each exchange."""
    mean = train.mean(axis=0)
    centred = train - mean
    covariance = centred.T @ centred / len(centred)
    share = float(ledoit_wolf_shrinkage(centred, assume_centered=True)) if len(train) > 1 else 1.0
    level = float(np.trace(covariance)) / len(covariance)
    covariance *= 1 - share
    covariance[np.diag_indices_from(covariance)] += share * level + 1e-9
    sides = in_second.astype(np.float64)
    directions = np.linalg.solve(covariance, centred.T @ (sides - sides.mean(axis=0)))  # [D, 1 + P]
    return np.asarray((held_out - mean) @ directions)


def _pairs_in_order(
    scores: NDArray[np.float64], in_second: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mann and Whitney's count of pairs that each column puts in order, ties as half, and of all pairs."""
    ranks = rankdata(scores, axis=0)
    second = in_second.sum(axis=0).astype(np.float64)
    won = np.where(in_second, ranks, 0).sum(axis=0) - second * (second + 1) / 2
    return won, second * (len(scores) - second)


def _as_quantiles(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Folds have classifiers of different scale; ranks within a fold can be compared."""
    return np.asarray((rankdata(scores) - 0.5) / len(scores))


def novelty(
    known: Floats,
    rows: Floats,
    *,
    known_groups: Integers,
    groups: Integers,
    neighbours: int = NEIGHBOURS,
) -> NDArray[np.float64]:
    """How far each row is from what is known: mean distance to its nearest known rows of other groups, [M].

    Args:
        known: [n, D]; features are standardised by their mean and deviation.
        rows: [M, D]
        known_groups: [n] integers.
        groups: [M] the same numbers for the same groups.
        neighbours: K; fewer where there are not so many.

    Raises:
        ShapeError: No known row.

    Reference: Sun et al. 2022, "Out-of-distribution detection with deep nearest neighbors",
        https://arxiv.org/abs/2204.06507 (there the K-th neighbour of features of unit length).
    """
    if len(known) == 0:
        raise ShapeError("novelty needs known rows; got none; check which rows were kept.")
    mean, spread = known.mean(axis=0), known.std(axis=0)
    scale = np.where(spread > 1e-6, spread, 1)
    base, asked = (((one - mean) / scale).astype(np.float32) for one in (known, rows))
    most = min(neighbours, len(base))
    found = np.empty(len(asked))
    for start in range(0, len(asked), TILE):
        part = slice(start, start + TILE)
        squared = _squared_distances(asked[part], base)
        squared[groups[part][:, None] == known_groups[None]] = np.inf
        nearest = np.sqrt(np.partition(squared, most - 1, axis=1)[:, :most])
        counts = np.isfinite(nearest).sum(axis=1)
        total = np.where(np.isfinite(nearest), nearest, 0).sum(axis=1)
        found[part] = np.where(counts > 0, total / np.maximum(counts, 1), np.nan)
    return found
