"""Where an encoder has places: the cells of its last layers, as tokens of a ViT or as a picture of features.

Letters: D dimensions, h and w cells.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from synsight.errors import ModelError


def layout_of(encoder: Any, places: Tensor) -> Callable[[Tensor], Tensor] | None:
    """How products in the shape of `places` become cells [h, w]; None: they have no places."""
    if places.ndim == 4:
        last = places.shape[1] != encoder.num_features and places.shape[3] == encoder.num_features
        return lambda products: products[0].sum(-1 if last else 0)
    if places.ndim != 3:
        return None
    prefix = getattr(encoder, "num_prefix_tokens", 0)
    grid = grid_of(encoder, places.shape[1] - prefix)
    return lambda products: products[0, prefix:].sum(-1).reshape(grid)


def as_cells(encoder: Any, tensor: Tensor) -> Tensor:
    """[1, ...] -> [D, h, w]."""
    if tensor.ndim == 4:
        return tensor[0]
    if tensor.shape[0] != 1:  # open_clip's older towers put the tokens first
        tensor = tensor.transpose(0, 1)
    prefix = getattr(encoder, "num_prefix_tokens", 1)
    grid = grid_of(encoder, tensor.shape[1] - prefix)
    return tensor[0, prefix:].T.reshape(-1, *grid)


def grid_of(encoder: Any, tokens: int) -> tuple[int, int]:
    """Rows and columns of the patches of a ViT.

    Raises:
        ModelError: They are no square.
    """
    grid = getattr(getattr(encoder, "patch_embed", None), "grid_size", None) or getattr(
        encoder, "grid_size", None
    )
    if grid is not None and grid[0] * grid[1] == tokens:
        return int(grid[0]), int(grid[1])
    side = round(tokens**0.5)
    if side * side != tokens:
        raise ModelError(f"expected tokens of a square image, found {tokens}; use occlusion.")
    return side, side


def token_layer(encoder: Any) -> nn.Module | None:
    """The normalised tokens that enter the last attention of a ViT of timm's or open_clip's."""
    blocks = getattr(encoder, "blocks", None)
    if blocks is not None and hasattr(encoder, "num_prefix_tokens") and hasattr(blocks[-1], "norm1"):
        layer: nn.Module = blocks[-1].norm1
        return layer
    towers = getattr(getattr(encoder, "transformer", None), "resblocks", None)
    return None if towers is None else towers[-1].ln_1


def last_convolution(encoder: nn.Module, views: Tensor) -> nn.Module | None:
    """The last module whose output is [1, D, h, w] with more than one place."""
    found: list[nn.Module] = []

    def note(module: nn.Module, _inputs: Any, output: Any) -> None:
        if isinstance(output, Tensor) and output.ndim == 4 and min(output.shape[2:]) > 1:
            found.append(module)

    handles = [module.register_forward_hook(note) for module in encoder.modules() if module is not encoder]
    try:
        with torch.no_grad():
            encoder(views)
    finally:
        for handle in handles:
            handle.remove()
    return found[-1] if found else None
