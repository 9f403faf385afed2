"""A linear probe's answers to rows it has not seen: by cross-fitting on its own rows, and to others."""

import numpy as np
from numpy.typing import NDArray

from synsight.metrics.arrays import Floats, Integers
from synsight.metrics.linear_probe import fit_few_labels, fit_linear_probe

FOLDS = 5


def crossed_probabilities(
    features: Floats,
    labels: Integers,
    groups: Integers,
    others: Floats,
    *,
    num_classes: int,
    folds: int = FOLDS,
    seed: int = 0,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Class probabilities of the labelled rows and of others, [N, C] and [M, C].

    No row is answered by a probe that saw its group: rows of each fold by a probe of the other folds, others
    by the probe of all labelled rows. All have the C that the whole fit chose.

    Args:
        features: [N, D]
        labels: [N] classes, -1 where there is none: such rows are answered and not learnt from.
        groups: [N] integers.
        others: [M, D]
        num_classes: C
        folds: Parts that are left out in turn.
        seed: Of the parts.

    Raises:
        ShapeError: Fewer than two classes have a row.
    """
    known = labels >= 0
    whole = fit_few_labels(features[known], labels[known], groups[known], num_classes=num_classes)
    codes = np.unique(groups, return_inverse=True)[1]
    fold_of = (np.random.default_rng(seed).permutation(int(codes.max()) + 1) % folds)[codes]
    found = whole.probabilities(features)
    for fold in range(folds):
        train, held_out = known & (fold_of != fold), fold_of == fold
        asked = held_out & known
        if not asked.any() or len(np.unique(labels[train])) < 2:
            continue
        probe = fit_linear_probe(
            features[train],
            labels[train],
            features[asked],
            labels[asked],
            num_classes=num_classes,
            grid=(whole.c,),
        )
        found[held_out] = probe.probabilities(features[held_out])
    return found, whole.probabilities(others)
