"""How much a row counts by the size of its class, where classes are of unequal size."""

from typing import Literal

import torch
from torch import Tensor

from synsight.errors import ConfigError

ClassWeights = Literal["none", "sqrt", "inverse", "effective"]
"""`none`: every row alike. `inverse`: every class alike. `sqrt`: half way between, by the root of the class's
size. `effective`: by its effective number of rows, which grows ever more slowly."""

BETA = 0.999


def class_weights(counts: Tensor, kind: ClassWeights, *, beta: float = BETA) -> Tensor:
    """The weight of a row of each class, [C], so that the mean over all rows is 1.

    `effective` divides by the effective number of rows E_n = (1 - beta^n) / (1 - beta), which is n for a few
    rows and 1 / (1 - beta) for many.

    Args:
        counts: [C] rows of each class, 1 or more.
        kind: The rule.
        beta: Of `effective`, in [0, 1).

    Raises:
        ConfigError: A class without a row, or beta outside its range.

    Reference: Cui et al. 2019, eq. 2 and 6, https://arxiv.org/abs/1901.05555; they make the weights of the
    classes sum to their number, where here those of the rows do, so that the loss keeps its size.
    """
    if not 0 <= beta < 1 or not bool((counts > 0).all()):
        raise ConfigError(
            f"class weights need a row of each class and beta in [0, 1); got {int(counts.min())} rows in the "
            f"smallest and beta {beta!r}."
        )
    rows = counts.double()
    sizes = {
        "none": torch.ones_like(rows),
        "sqrt": rows.sqrt(),
        "inverse": rows,
        "effective": (1 - beta**rows) / (1 - beta),
    }[kind]
    weights = 1 / sizes
    return (weights * rows.sum() / (weights * rows).sum()).float()
