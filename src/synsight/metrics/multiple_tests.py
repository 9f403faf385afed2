"""Many comparisons at once: how likely is it that any of the differences found is none?"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from synsight.errors import ShapeError


def holm(p_values: Sequence[float]) -> NDArray[np.float64]:
    """p-values such that calling those below 5% differences is wrong, in any of them, in at most 5% of cases.

    The smallest of m is multiplied by m, the next by m - 1, and so on; none becomes smaller than the one
    before it, none larger than 1. It holds whatever the comparisons have in common.

    Args:
        p_values: [m] in 0 to 1.

    Returns:
        [m] in the same order.

    Raises:
        ShapeError: A p-value outside 0 to 1.

    Reference: Holm 1979, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of
        Statistics 6.
    """
    found = np.asarray(p_values, dtype=np.float64)
    if found.ndim != 1 or not ((found >= 0) & (found <= 1)).all():
        raise ShapeError(
            f"p-values must be [m] in 0 to 1; got {p_values!r}; pass them as they were computed."
        )
    order = np.argsort(found, kind="stable")
    raised = np.maximum.accumulate(found[order] * np.arange(len(found), 0, -1))
    corrected = np.empty_like(found)
    corrected[order] = np.minimum(raised, 1)
    return corrected
