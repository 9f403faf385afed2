"""Bringing labelled rows of one domain to where unlabelled rows of another lie (CORAL), where the two differ.

N source rows, M target rows, D dimensions.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from synsight.errors import ConfigError, ShapeError, near_names
from synsight.metrics.arrays import Floats, check_finite
from synsight.seeding import generator

AlignmentKind = Literal["none", "mean", "coral"]
"""`mean`: the means of the columns are matched. `coral`: the covariance too."""
LEVEL = 0.01
"""A shift that chance alone would show as often as this is none."""
_RIDGE = 1e-3
"""Of the pooled mean variance, so that a column that does not vary has an inverse."""
_MOST_ROWS = 500
"""Of each domain that are compared."""
_PERMUTATIONS = 199


@dataclass(frozen=True, eq=False)
class Alignment:
    """What was done to source rows."""

    features: NDArray[np.float32]
    """[N, D]"""
    applied: bool
    """Whether they were moved."""
    p_value: float
    """Of the question whether the two domains have one distribution."""


def align(
    source: Floats,
    target: Floats,
    *,
    kind: AlignmentKind = "coral",
    level: float = LEVEL,
    seed: int = 0,
) -> Alignment:
    """Move source rows to the statistics of the target, if the domains differ by more than chance.

    A classifier that learns from the moved rows is used on target rows as they are. Where no shift shows, the
    rows come back untouched, since an alignment to chance differences can only cost. A shift of the shares of
    classes is a shift too, and one that this must not be used for: the means would be matched over different
    mixtures.

    Args:
        source: [N, D] labelled rows.
        target: [M, D] rows of the target domain.
        kind: What is matched.
        level: Of the test; 1 aligns always.
        seed: Of the test's permutations.

    Raises:
        ConfigError: An unknown kind.
        ShapeError: The domains differ in dimension, or one has no row.
        DataError: A feature is NaN or infinite.
    """
    if kind not in get_args(AlignmentKind):
        raise ConfigError(
            f"alignment={kind!r} is not known; {near_names(str(kind), get_args(AlignmentKind))}."
        )
    _check(source, target)
    rows = np.asarray(source, np.float32)
    if kind == "none" or min(len(source), len(target)) < 2:
        return Alignment(rows, False, float("nan"))
    p_value = shift_p_value(source, target, seed=seed)
    if p_value > level:
        return Alignment(rows, False, p_value)
    moved = coral(source, target) if kind == "coral" else _to_mean(source, target)
    return Alignment(moved, True, p_value)


def coral(source: Floats, target: Floats) -> NDArray[np.float32]:
    """Source rows with the mean and the covariance of the target: (x - m_s) S^-1/2 T^1/2 + m_t.

    Covariances of few rows are mostly chance. Both are therefore drawn towards their pooled covariance, by
    the share of their squared distance that chance alone would bring: the less is known of a difference, the
    nearer the map is to a mere shift of the mean, and with equal covariances it is exactly that.

    Args:
        source: [N, D]
        target: [M, D]

    Raises:
        ShapeError: The domains differ in dimension, or one has no row.
        DataError: A feature is NaN or infinite.

    References: Sun, Feng and Saenko 2016 (CORAL), algorithm 1, https://arxiv.org/abs/1511.05547. Departures:
        they add the identity to both covariances instead and standardise both domains before, which matches
        the means. The intensity is that of Ledoit and Wolf 2004 (lemma 3.3), Journal of Multivariate Analysis
        88, for a difference of covariances that is drawn towards zero.
    """
    _check(source, target)
    first, second = np.asarray(source, np.float64), np.asarray(target, np.float64)
    means = first.mean(axis=0), second.mean(axis=0)
    centred = first - means[0], second - means[1]
    covariances = [rows.T @ rows / max(1, len(rows) - 1) for rows in centred]
    counts = len(first), len(second)
    pooled = (counts[0] * covariances[0] + counts[1] * covariances[1]) / sum(counts)
    apart = float(((covariances[0] - covariances[1]) ** 2).sum())
    chance = sum(_sampling_variance(*one) for one in zip(centred, covariances, strict=True))
    intensity = min(1.0, chance / apart) if apart > 0 else 1.0
    variance = float(np.trace(pooled)) / len(pooled)
    ridge = _RIDGE * (variance if variance > 0 else 1.0) * np.eye(len(pooled))
    before, after = ((1 - intensity) * one + intensity * pooled + ridge for one in covariances)
    moved: NDArray[np.float64] = centred[0] @ _power(before, -0.5) @ _power(after, 0.5) + means[1]
    return moved.astype(np.float32)


def shift_p_value(source: Floats, target: Floats, *, seed: int = 0) -> float:
    """How often rows of one distribution would look as different as these: a permutation test.

    The statistic is the squared maximum mean discrepancy (MMD, biased) with a Gaussian kernel whose width is
    the median distance; at most 500 rows of each domain are compared.

    Returns:
        0.005 to 1.

    Reference: Gretton et al. 2012, "A kernel two-sample test", JMLR 13.
    """
    rng = generator("domain shift", seed)
    both = [
        np.asarray(rows, np.float64)[np.sort(rng.permutation(len(rows))[:_MOST_ROWS])]
        for rows in (source, target)
    ]
    rows = np.concatenate(both)
    lengths = (rows**2).sum(axis=1)
    distances = np.maximum(lengths[:, None] + lengths - 2 * rows @ rows.T, 0)
    median = float(np.median(distances[np.triu_indices(len(rows), 1)]))
    kernel = np.exp(-distances / max(median, np.finfo(np.float64).tiny))
    signs = np.repeat([1 / len(both[0]), -1 / len(both[1])], [len(both[0]), len(both[1])])
    drawn = np.stack([signs, *(rng.permutation(signs) for _ in range(_PERMUTATIONS))])
    found = ((drawn @ kernel) * drawn).sum(axis=1)
    # Rows that are all the same give equal statistics up to rounding; they count as no difference.
    return float((found >= found[0] - 1e-12).mean())


def _to_mean(source: Floats, target: Floats) -> NDArray[np.float32]:
    moved = source - source.mean(axis=0, dtype=np.float64) + target.mean(axis=0, dtype=np.float64)
    return np.asarray(moved, np.float32)


def _sampling_variance(centred: NDArray[np.float64], covariance: NDArray[np.float64]) -> float:
    """Summed variance of the entries of a covariance [D, D] of rows [N, D]."""
    freedom = max(1, len(centred) - 1)  # the mean was taken off, and the covariance holds chance itself
    fourth = ((centred**2).sum(axis=1) ** 2).sum() * len(centred) / freedom**2
    return float(max(0.0, fourth - (covariance**2).sum()) / freedom)


def _power(covariance: NDArray[np.float64], exponent: float) -> NDArray[np.float64]:
    values, axes = np.linalg.eigh(covariance)
    found: NDArray[np.float64] = (axes * np.maximum(values, np.finfo(np.float64).tiny) ** exponent) @ axes.T
    return found


def _check(source: Floats, target: Floats) -> None:
    check_finite(source)
    check_finite(target)
    if source.shape[1] != target.shape[1] or not len(source) or not len(target):
        raise ShapeError(
            f"expected rows of two domains with the same columns; got {source.shape} and {target.shape}; "
            "embed both with the same model."
        )
