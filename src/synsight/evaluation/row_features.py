"""Features of other rows than those with the label."""

import numpy as np
from numpy.typing import NDArray

from synsight.evaluation.given_features import read_row_features
from synsight.evaluation.judged import Subject
from synsight.models import catalog_features, embed


def row_features(
    subject: Subject, positions: NDArray[np.int64], ids: NDArray[np.object_], *, where: str
) -> NDArray[np.float32]:
    """Features [N, D] of a catalog's rows.

    Of a model: where the condition holds for most rows, the features of all are computed once and kept in the
    catalog; else, unless they are kept already, only those that the condition asks for. Of a file of
    features: those that it has under the rows' ids.

    Args:
        subject: Its model or file, and its catalog.
        positions: [N] of rows for which the condition holds.
        ids: [N] of the same rows.
        where: SQL condition.

    Raises:
        DataError: An image that cannot be decoded, or a file that has not all of the rows.
    """
    model, catalog = subject.model, subject.catalog
    if model is None:
        return read_row_features(subject.source, catalog, ids)
    if 2 * catalog.count_rows(where) >= catalog.count_rows():
        embed(model, catalog, progress=subject.progress)
    found, features = catalog_features(model, catalog, where=where, progress=subject.progress)
    return features[np.searchsorted(found, positions)]
