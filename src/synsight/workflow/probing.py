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
    other_groups: Integers,
    *,
    num_classes: int,
    folds: int = FOLDS,
    seed: int = 0,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Class probabilities of the labelled rows and of others, [N, C] and [M, C].

    The groups of both are dealt to folds, and rows of a fold are answered by a probe of the labelled rows of
    the other folds. So no row is answered by a probe that saw its group, and both sides by equally good
    ones: where they are of one kind their answers are of one kind, too. All probes have the C that
    cross-validation on all labelled rows chose.

    Args:
        features: [N, D]
        labels: [N] classes, -1 where there is none: such rows are answered and not learnt from.
        groups: [N] integers.
        others: [M, D]
        other_groups: [M] the same numbers for the same groups.
        num_classes: C
        folds: Parts that are left out in turn.
        seed: Of the parts.

    Raises:
        ShapeError: Fewer than two classes have a row.
    """
    known = labels >= 0
    whole = fit_few_labels(features[known], labels[known], groups[known], num_classes=num_classes)
    codes = np.unique(np.concatenate([groups, other_groups]), return_inverse=True)[1]
    fold_of = (np.random.default_rng(seed).permutation(int(codes.max()) + 1) % folds)[codes]
    rows = np.concatenate([features, others])
    found = whole.probabilities(rows)
    for fold in range(folds):
        train, held_out = known & (fold_of[: len(features)] != fold), fold_of == fold
        if not held_out.any() or len(np.unique(labels[train])) < 2:
            continue
        learnt = features[train], labels[train]
        probe = fit_linear_probe(*learnt, *learnt, num_classes=num_classes, grid=(whole.c,))
        found[held_out] = probe.probabilities(rows[held_out])
    return found[: len(features)], found[len(features) :]
