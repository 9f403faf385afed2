"""Have the features collapsed to a point?"""

import numpy as np

from synsight.metrics.arrays import Floats, check_finite, unit_rows


def unit_feature_spread(features: Floats) -> float:
    """Spread of the features' directions: 0 when all are the same, 1 when they fill the sphere evenly.

    The standard deviation over rows of each dimension of the unit vectors, averaged over dimensions and
    multiplied by the square root of D, so that the value means the same at every width.

    Args:
        features: [N, D], N >= 1.

    Raises:
        DataError: A feature is NaN or infinite.

    Reference: Chen and He 2021 (SimSiam), section 4.1, https://arxiv.org/abs/2011.10566
    """
    check_finite(features)
    spread = unit_rows(features).std(axis=0, dtype=np.float64)
    return float(spread.mean() * np.sqrt(features.shape[1]))
