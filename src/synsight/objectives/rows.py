"""What the contrastive objectives share: unit rows, the gather across processes, checks of shapes."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from synsight.errors import ConfigError, ShapeError

Gather = Callable[[Tensor], Tensor]
"""Rows of this process [B, D] -> rows of all processes [W * B, D], in rank order and with gradient."""


def unit_rows(z: Tensor) -> Tensor:
    """Rows of length one, [B, D], in float32 at least."""
    return F.normalize(at_least_float32(z), dim=1)


def at_least_float32(z: Tensor) -> Tensor:
    """The same numbers; half precision is widened."""
    return z.float() if z.dtype in (torch.float16, torch.bfloat16) else z


def own_columns(batch: int, rank: int, like: Tensor) -> Tensor:
    """Where this process's rows stand among the rows of all processes, [B] int64."""
    return torch.arange(batch, device=like.device) + rank * batch


def check_pairs(first: Tensor, second: Tensor, loss: str) -> None:
    """Raise ShapeError unless both are [B, D] of one shape."""
    if first.ndim != 2 or first.shape != second.shape:
        raise ShapeError(
            f"{loss} expects two views of one shape [B, D]; got {list(first.shape)} and {list(second.shape)}."
        )


def check_temperature(temperature: float, name: str = "temperature") -> None:
    """Raise ConfigError unless it is positive."""
    if not temperature > 0:
        raise ConfigError(f"{name} must be > 0; got {temperature!r}.")


def check_scalar(value: Tensor, name: str) -> None:
    """Raise ShapeError unless the tensor is one number."""
    if value.numel() != 1:
        raise ShapeError(f"{name} must be one number; got a tensor of shape {list(value.shape)}.")


def checked_pairs(pairs: tuple[Tensor, Tensor], batch: int, images: int, rank: int) -> tuple[Tensor, Tensor]:
    """Pairs to ignore, (rows [P], columns [P]) int64, without those of an image with itself.

    Raises:
        ShapeError: Not two vectors of one length, or a row outside 0..B-1, or a column outside 0..N-1.
    """
    rows, columns = pairs
    if rows.ndim != 1 or rows.shape != columns.shape:
        raise ShapeError(
            f"pairs to ignore are two vectors [P]; got {list(rows.shape)} and {list(columns.shape)}."
        )
    for name, index, size in (("row", rows, batch), ("column", columns, images)):
        if len(index) and not 0 <= int(index.min()) <= int(index.max()) < size:
            raise ShapeError(
                f"pairs to ignore need every {name} in 0..{size - 1}; got {int(index.min())} to "
                f"{int(index.max())}."
            )
    others = columns != rows + rank * batch
    return rows[others], columns[others]
