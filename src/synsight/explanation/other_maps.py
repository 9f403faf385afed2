"""Maps that need no gradient: attention rollout, and occlusion.

Letters: S side of the input in pixels, D dimensions, h and w cells.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from synsight.errors import ModelError
from synsight.explanation.places import grid_of

Score = Callable[[Tensor], Tensor]
"""Features [B, D] -> the score of one word or class, [B], with gradient."""

CELLS = 7
"""Of an occlusion map, a side: 36 passes of the encoder."""
_WINDOWS_AT_ONCE = 12


def attention_rollout(encoder: Any, views: Tensor) -> NDArray[np.float64]:
    """How much of each place flows into the class token: products of the attention of all layers, averaged
    over heads, each mixed in halves with the token itself. It is the same for every score.

    Args:
        encoder: A ViT with a class token.
        views: [1, 3, S, S].

    Raises:
        ModelError: It is no such ViT.

    Reference: Abnar and Zuidema 2020, section 3, https://arxiv.org/abs/2005.00928
    """
    attentions = [block.attn for block in getattr(encoder, "blocks", []) if hasattr(block, "attn")]
    prefix = getattr(encoder, "num_prefix_tokens", 0)
    if not attentions or not prefix or not all(hasattr(one, "attn_drop") for one in attentions):
        raise ModelError(
            "attention rollout needs a timm ViT with a class token, found another architecture; use grad-cam."
        )
    seen: list[Tensor] = []
    with ExitStack() as undo, torch.no_grad():
        for one in attentions:
            undo.callback(setattr, one, "fused_attn", one.fused_attn)
            one.fused_attn = False  # the fused kernel shows no attention
            handle = one.attn_drop.register_forward_hook(lambda _m, _i, output: seen.append(output))
            undo.callback(handle.remove)
        encoder(views)
    flow = torch.eye(seen[0].shape[-1], dtype=torch.float64, device=views.device)
    for attention in seen:
        mixed = attention[0].double().mean(0) + torch.eye(len(flow), dtype=torch.float64, device=views.device)
        flow = (mixed / mixed.sum(-1, keepdim=True)) @ flow
    grid = grid_of(encoder, len(flow) - prefix)
    shares: NDArray[np.float64] = flow[0, prefix:].reshape(grid).cpu().numpy()
    return shares


def occlusion(
    encoder: nn.Module, views: Tensor, scores: Sequence[Score], *, cells: int = CELLS
) -> list[NDArray[np.float64]]:
    """By how much each score falls when a window is greyed, averaged over the windows that cover a place.

    As captum's `Occlusion`, but all scores are read from the same passes of the encoder.

    Args:
        encoder: [B, 3, S, S] -> [B, D].
        views: [1, 3, S, S], normalised, so that 0 is the average colour.
        scores: Of the features.
        cells: Cells a side; a window is two of them wide and high.

    Returns:
        [cells, cells] for each score.

    Reference: Zeiler and Fergus 2014, section 4.2, https://arxiv.org/abs/1311.2901
    """
    cells = max(2, min(cells, *views.shape[-2:]))
    down, across = (np.linspace(0, side, cells + 1).round().astype(int) for side in views.shape[-2:])
    corners = [(row, column) for row in range(cells - 1) for column in range(cells - 1)]
    features = []
    with torch.no_grad():
        whole = encoder(views).float()
        for start in range(0, len(corners), _WINDOWS_AT_ONCE):
            some = corners[start : start + _WINDOWS_AT_ONCE]
            greyed = views.repeat(len(some), 1, 1, 1)
            for one, (row, column) in zip(greyed, some, strict=True):
                one[:, down[row] : down[row + 2], across[column] : across[column + 2]] = 0
            features.append(encoder(greyed).float())
        rows = torch.cat(features)
        falls = [(score(whole) - score(rows)).double().cpu().numpy() for score in scores]
    times = np.zeros((cells, cells))
    for row, column in corners:
        times[row : row + 2, column : column + 2] += 1
    found = []
    for each in falls:
        total = np.zeros((cells, cells))
        for (row, column), fall in zip(corners, each, strict=True):
            total[row : row + 2, column : column + 2] += fall
        found.append(total / times)
    return found
