"""Which kernel computes attention in a training step on the processor."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

FLASH_PAYS_FROM = 128
"""Patch tokens; between 121, where the plain kernel is faster, and 196, where it is slower."""


def attention_kernel(
    encoder: nn.Module, *, side: int, device: torch.device, precision: str
) -> AbstractContextManager[None]:
    """The kernel for forward and backward of a step, as a context around both.

    PyTorch's fused kernel keeps memory flat in the tokens, but its backward in bfloat16 on a processor has
    costs that short sequences do not repay: there the products are taken one by one, in float32
    (`benchmarks/attention.py`). GPUs and float32 keep PyTorch's choice.

    Args:
        encoder: What sees the images; one without patches has none, and its captions are short.
        side: Of the images, in pixels.
        device: Where the step runs.
        precision: `bf16` or `fp32`.
    """
    is_slow = device.type == "cpu" and precision == "bf16"
    if is_slow and _patches(encoder, side) < FLASH_PAYS_FROM:
        return sdpa_kernel(SDPBackend.MATH)
    return nullcontext()


def _patches(encoder: nn.Module, side: int) -> int:
    patch: Any = getattr(getattr(encoder, "patch_embed", None), "patch_size", None)
    if patch is None:
        return 0
    height, width = (patch, patch) if isinstance(patch, int) else patch
    return (side // height) * (side // width)
