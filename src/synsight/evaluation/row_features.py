"""Features of other rows than those with the label."""

import numpy as np
from numpy.typing import NDArray

from synsight.evaluation.judged import Subject
from synsight.models import catalog_features, embed


def row_features(subject: Subject, positions: NDArray[np.int64], *, where: str) -> NDArray[np.float32]:
    """Features [N, D] of a catalog's rows.

    Where the condition holds for most rows, the features of all are computed once and kept in the catalog;
    else, unless they are kept already, only those that the condition asks for.

    Args:
        subject: Its model and catalog.
        positions: [N] of rows for which the condition holds.
        where: SQL condition.

    Raises:
        UsageError: Only features are known.
        DataError: An image that cannot be decoded.
    """
    model, catalog = subject.network, subject.catalog
    if 2 * catalog.count_rows(where) >= catalog.count_rows():
        embed(model, catalog, progress=subject.progress)
    found, features = catalog_features(model, catalog, where=where, progress=subject.progress)
    return features[np.searchsorted(found, positions)]
