"""Maps that need no gradient: attention rollout, and occlusion by captum.

Letters: S side of the input in pixels, D dimensions, h and w cells.
"""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from synsight.errors import MissingDependency, ModelError
from synsight.explanation.places import grid_of

Score = Callable[[Tensor], Tensor]
"""Features [B, D] -> the score of one word or class, [B], with gradient."""


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


def occlusion(encoder: nn.Module, views: Tensor, score: Score, *, cells: int = 7) -> NDArray[np.float64]:
    """By how much the score falls when a window is greyed, averaged over the windows that cover a place.

    Args:
        encoder: [1, 3, S, S] -> [1, D].
        views: [1, 3, S, S].
        score: Of the features.
        cells: Cells a side; a window is two of them.

    Raises:
        MissingDependency: captum is not installed.

    Reference: Zeiler and Fergus 2014, section 4.2, https://arxiv.org/abs/1311.2901; captum's Occlusion.
    """
    try:
        from captum.attr import Occlusion
    except ImportError:
        raise MissingDependency("captum", extra="explain", purpose="an occlusion map") from None
    side = views.shape[-1]
    cell = max(1, side // cells)
    with torch.no_grad():
        found = Occlusion(lambda images: score(encoder(images).float())).attribute(
            views,
            sliding_window_shapes=(3, 2 * cell, 2 * cell),
            strides=(3, cell, cell),
            baselines=0,
            perturbations_per_eval=8,
        )
        means = F.adaptive_avg_pool2d(found.double().mean(1, keepdim=True), (side // cell, side // cell))
    falls: NDArray[np.float64] = means[0, 0].cpu().numpy()
    return falls
