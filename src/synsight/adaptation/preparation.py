"""Bringing blocks of embeddings to one scale before a few labels meet them, as layers that go into the head.

N rows, D dimensions over all blocks, M blocks.
"""

from collections.abc import Sequence
from copy import deepcopy
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from synsight.errors import ConfigError, near_names
from synsight.models.head_layers import Blocks, Layer, Normalise, Sequence_, Standardise

Preparation = Literal["none", "unit", "standardise", "centred-unit"]
"""`unit`: rows of length 1. `standardise`: columns of mean 0 and deviation 1 over the training rows.
`centred-unit`: less the training rows' mean, then rows of length 1 (Wang et al. 2019, SimpleShot, CL2N
without its first division by the length, https://arxiv.org/abs/1911.04623)."""
_PART = 4096
"""Rows that go through layers at once."""


def block_widths(dimension: int, blocks: Sequence[int] | None) -> list[int]:
    """Columns of each block; one block where none are named.

    Raises:
        ConfigError: The widths do not add up to the dimension.
    """
    if blocks is None:
        return [dimension]
    widths = [int(width) for width in blocks]
    if not widths or min(widths) < 1 or sum(widths) != dimension:
        raise ConfigError(
            f"blocks must be positive widths that sum to the {dimension} columns of the features; got "
            f"{widths}; pass the widths in the order in which the embeddings stand side by side."
        )
    return widths


def preparation_layers(
    features: NDArray[np.float32],
    *,
    widths: Sequence[int],
    kinds: Preparation | Sequence[Preparation],
    weights: NDArray[np.floating] | None = None,
) -> list[Layer]:
    """Layers that prepare rows as these training rows are prepared; none where there is nothing to do.

    Args:
        features: [N, D], finite.
        widths: [M] columns of each block.
        kinds: One for all blocks, or one a block.
        weights: [N] how much each row counts in means and deviations; all alike where left out.

    Raises:
        ConfigError: An unknown kind, or not one a block.
    """
    each = [kinds] * len(widths) if isinstance(kinds, str) else list(kinds)
    if len(each) != len(widths):
        raise ConfigError(
            f"prepare must be one name, or one a block; got {len(each)} for {len(widths)} blocks."
        )
    ends = np.cumsum(widths)
    made = [
        _of_block(features[:, end - width : end], kind, weights)
        for width, end, kind in zip(widths, ends, each, strict=True)
    ]
    if len(made) == 1:
        return made[0]
    if not any(made):
        return []
    return [Blocks(widths, *(Sequence_(*layers) for layers in made))]


def _of_block(
    features: NDArray[np.float32], kind: Preparation, weights: NDArray[np.floating] | None
) -> list[Layer]:
    if kind not in get_args(Preparation):
        raise ConfigError(f"prepare={kind!r} is not known; {near_names(str(kind), get_args(Preparation))}.")
    if kind == "none":
        return []
    if kind == "unit":
        return [Normalise()]
    shares = np.full(len(features), 1 / len(features)) if weights is None else weights / weights.sum()
    mean = shares @ features.astype(np.float64)
    if kind == "centred-unit":
        return [Standardise.of(torch.from_numpy(mean), torch.ones(len(mean))), Normalise()]
    deviation = np.sqrt(shares @ (features - mean) ** 2)
    # Rounding leaves a constant column a deviation of about 1e-7 of its size, which must not become 1.
    varies = deviation > 1e-6 * np.maximum(np.abs(mean), np.finfo(np.float32).tiny)
    scale = np.where(varies, 1 / np.where(varies, deviation, 1), 1)
    return [Standardise.of(torch.from_numpy(mean), torch.from_numpy(scale))]


def apply_layers(layers: Sequence[Layer], features: NDArray[np.floating]) -> NDArray[np.float64]:
    """What the layers make of rows [N, D].

    Double precision, so that a row's result does not depend on the rows beside it.
    """
    if not layers:
        return features.astype(np.float64)
    double = deepcopy(Sequence_(*layers)).double()
    with torch.inference_mode():
        found = [
            double(torch.from_numpy(features[start : start + _PART].astype(np.float64))).numpy()
            for start in range(0, max(1, len(features)), _PART)
        ]
    return np.concatenate(found)
