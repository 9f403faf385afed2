"""Where contrastive features lie on the sphere: views of an image together, images apart."""

import numpy as np

from synsight.errors import ConfigError, ShapeError
from synsight.metrics.arrays import Floats, check_finite, unit_rows

TILE = 1024
"""Rows whose similarities are held at once."""


def alignment(z0: Floats, z1: Floats, *, alpha: float = 2.0) -> float:
    """Mean distance between two views of an image, mean_i |z0_i - z1_i|^alpha; smaller is better.

    Args:
        z0: Features of one view, [N, D], N >= 1; brought to length one here.
        z1: Of the other view of the same images, [N, D].
        alpha: Power of the distance, > 0.

    Returns:
        0 (views fall together) to 2^alpha; about 2 at alpha = 2 for unrelated features.

    Raises:
        ShapeError: The views differ in shape, or there is no row.
        DataError: A feature is NaN or infinite.

    Reference: Wang and Isola 2020, section 4, https://arxiv.org/abs/2005.10242
    """
    if z0.shape != z1.shape or len(z0) == 0:
        raise ShapeError(
            f"two views must be features of the same images, at least one; got {z0.shape} and {z1.shape}; "
            "embed both views of every image."
        )
    if not alpha > 0:
        raise ConfigError(f"alpha must be > 0; got {alpha!r}.")
    check_finite(z0)
    check_finite(z1)
    distances = np.linalg.norm((unit_rows(z0) - unit_rows(z1)).astype(np.float64), axis=1)
    return float(np.mean(distances**alpha))


def uniformity(z: Floats, *, t: float = 2.0) -> float:
    """How evenly features lie on the sphere, ln mean_(i<j) exp(-t |z_i - z_j|^2); smaller is better.

    Exact over all pairs, by tiles, in memory of `TILE` x N.

    Args:
        z: Features of different images, [N, D], N >= 2; brought to length one here.
        t: Sharpness of the Gaussian potential, > 0.

    Returns:
        0 (all are one point) down to about -2 t (even, in many dimensions).

    Raises:
        ShapeError: Fewer than two rows.
        DataError: A feature is NaN or infinite.

    Reference: Wang and Isola 2020, section 4, https://arxiv.org/abs/2005.10242
    """
    check_finite(z)
    if len(z) < 2:
        raise ShapeError(f"uniformity needs pairs of rows; got features {z.shape}; embed more images.")
    if not t > 0:
        raise ConfigError(f"t must be > 0; got {t!r}.")
    unit, total = unit_rows(z), 0.0
    for start in range(0, len(unit), TILE):
        rows = unit[start : start + TILE]
        cosines = (rows @ unit[start:].T).astype(np.float64)  # [tile, N - start]
        potentials = np.exp(-2 * t * (1 - cosines))
        total += np.triu(potentials[:, : len(rows)], k=1).sum() + potentials[:, len(rows) :].sum()
    return float(np.log(total / (len(unit) * (len(unit) - 1) / 2)))
