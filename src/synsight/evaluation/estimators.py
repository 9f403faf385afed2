"""The usual ways of learning a label from frozen features, in one call shape.

Another estimator is any function of this shape; it is handed to `ask` in a mapping from task name to
function.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synsight.errors import DataError
from synsight.metrics import fit_few_labels, fit_linear_probe, neighbour_count, weighted_knn
from synsight.metrics.arrays import Floats, Integers

TEMPERATURE = 0.1


@dataclass(frozen=True, eq=False)
class Problem:
    """All that an estimator may see. D dimensions, C classes."""

    train_features: Floats
    """[N, D]"""
    train_labels: Integers
    """[N] in 0 to C - 1"""
    train_groups: Integers
    """[N] rows with one number are near-duplicates"""
    val_features: Floats
    """[V, D]; no rows when labels are few, since a large validation split would be hidden labels"""
    val_labels: Integers
    test_features: Floats
    """[M, D]"""
    num_classes: int


@dataclass(frozen=True, eq=False)
class Answer:
    """What an estimator says about the test rows."""

    probabilities: NDArray[np.float32]
    """[M, C]"""
    settings: Mapping[str, Any]
    """What was fixed or chosen, as a reader needs it to repeat the answer."""


Estimator = Callable[[Problem], Answer]


def knn(problem: Problem) -> Answer:
    """Weighted k-NN; k = min(20, twice the rows of the smallest class)."""
    k = neighbour_count(problem.train_labels)
    probabilities = weighted_knn(
        problem.train_features,
        problem.train_labels,
        problem.test_features,
        num_classes=problem.num_classes,
        k=k,
        temperature=TEMPERATURE,
    )
    return Answer(probabilities, {"k": k, "temperature": TEMPERATURE})


def linear(problem: Problem) -> Answer:
    """Logistic regression; C chosen on the validation rows.

    Raises:
        DataError: There is no validation row.
    """
    if not len(problem.val_labels):
        raise DataError(
            "the linear probe chooses its regularisation on val rows, and the val split has no labelled "
            "row; ingest with a split column, or leave the task 'linear' out."
        )
    probe = fit_linear_probe(
        problem.train_features,
        problem.train_labels,
        problem.val_features,
        problem.val_labels,
        num_classes=problem.num_classes,
    )
    chosen = {"C": probe.c, "chosen_on": "val", "converged": probe.converged}
    return Answer(probe.probabilities(problem.test_features), chosen)


def few_labels(problem: Problem) -> Answer:
    """Logistic regression; C chosen by cross-validation inside the few labelled rows."""
    probe = fit_few_labels(
        problem.train_features,
        problem.train_labels,
        problem.train_groups,
        num_classes=problem.num_classes,
    )
    chosen = {"C": probe.c, "chosen_on": "cross-validation", "converged": probe.converged}
    return Answer(probe.probabilities(problem.test_features), chosen)


ESTIMATORS: Mapping[str, Estimator] = {"knn": knn, "linear": linear, "fewshot": few_labels}
