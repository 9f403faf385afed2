"""How many dimensions do the features use? Two effective ranks that need no label."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from synsight.errors import ConfigError, ShapeError
from synsight.metrics.arrays import Floats, check_finite

EPSILON = 1e-7
"""Added to every share, as RankMe's paper does for float32, so that a share of zero has a logarithm."""


def rank_me(features: Floats) -> float:
    """Effective rank of features: exp(entropy of their normalised singular values), from 1 to min(N, D).

        p_k = sigma_k / sum_j sigma_j + 1e-7,    RankMe = exp(-sum_k p_k ln p_k)

    The features are not centred, as in the paper; a common offset therefore lowers the value.

    Args:
        features: [N, D], N >= 1; the value cannot exceed N, so compare values of the same N.

    Raises:
        DataError: A feature is NaN or infinite.

    Reference: Garrido et al. 2023 (RankMe), section 3, https://arxiv.org/abs/2210.02885, there of the
        projections of training images; Roy and Vetterli 2007 without the 1e-7.
    """
    check_finite(features)
    return _exp_entropy(np.sqrt(_gram_eigenvalues(np.asarray(features, dtype=np.float64))))


def lidar(features: Floats, *, delta: float = 1e-4) -> float:
    """Rank of what tells images apart, measured against what augmentation changes (LDA rank).

        S_b = 1 / (N - 1) sum_i (mu_i - mu)(mu_i - mu)^T        over the images
        S_w = 1 / (N (Q - 1)) sum_iq (e_iq - mu_i)(e_iq - mu_i)^T + delta I     over their views
        p_k = lambda_k / sum_j lambda_j + 1e-7,    LiDAR = exp(-sum_k p_k ln p_k)

    with the eigenvalues lambda of S_w^(-1/2) S_b S_w^(-1/2). They are found from the Cholesky factor L of
    S_w, since L^(-1) S_b L^(-T) has the same; that is faster than a matrix root.

    Args:
        features: [N, Q, D], Q >= 2 views of each of N >= 2 images; the value cannot exceed min(N - 1, D), so
            compare values of the same N and Q. (The paper takes N = 1,000 and Q = 50; with few views S_w has
            directions without any variance, where `delta` alone decides.)
        delta: Added to each variance within images; has the unit of squared features.

    Raises:
        ShapeError: Fewer than two images or views.
        DataError: A feature is NaN or infinite.

    Reference: Thilak et al. 2023 (LiDAR), https://arxiv.org/abs/2312.04000
    """
    if features.ndim != 3 or min(features.shape[:2]) < 2:
        raise ShapeError(
            f"LiDAR needs features [images, views, dimension] of two images and two views or more; got "
            f"{features.shape}; draw more views."
        )
    if not delta > 0:
        raise ConfigError(f"delta must be > 0; got {delta!r}.")
    images, views, dimension = features.shape
    check_finite(features.reshape(-1, dimension))
    values = np.asarray(features, dtype=np.float64)
    means = values.mean(axis=1)
    within = (values - means[:, None]).reshape(-1, dimension)
    within_covariance = within.T @ within / (images * (views - 1))
    within_covariance[np.diag_indices(dimension)] += delta
    between = (means - means.mean(axis=0)) / np.sqrt(images - 1)
    whitened = solve_triangular(np.linalg.cholesky(within_covariance), between.T, lower=True)
    eigenvalues = _gram_eigenvalues(whitened)
    return _exp_entropy(np.pad(eigenvalues, (0, dimension - len(eigenvalues))))  # the others are zero


def _gram_eigenvalues(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Squared singular values. Of the smaller Gram matrix, ten times faster than an SVD; what float64 loses
    (values below 1e-8 of the largest) has no weight in an entropy.
    """
    gram = rows @ rows.T if rows.shape[0] <= rows.shape[1] else rows.T @ rows
    eigenvalues: NDArray[np.float64] = np.linalg.eigvalsh(gram).clip(min=0)
    return eigenvalues


def _exp_entropy(values: NDArray[np.floating[Any]]) -> float:
    total = values.sum()
    if not total > 0:  # all features are zero: a point
        return 1.0
    shares = values / total + EPSILON
    return float(np.exp(-(shares * np.log(shares)).sum()))
