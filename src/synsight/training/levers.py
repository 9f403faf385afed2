"""Levers for limited compute: what may be left out of a step, and when it is left out no more.

Each can be used with every method. Token dropping needs a ViT; a smaller picture at first works for any
encoder whose weights do not depend on the size.
"""

from dataclasses import dataclass
from typing import Any

from timm.layers.format import Format
from timm.layers.patch_dropout import PatchDropout
from torch import nn

from synsight.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class LeversConfig:
    """What makes a step cheaper."""

    token_keep: float = 1.0
    """Share of a ViT's patch tokens that a training step sees, drawn afresh for each image (FLIP, Li et al.
    2022, https://arxiv.org/abs/2212.00794). 1: all."""
    small_size: int | None = None
    """Side in pixels of the pictures of the first steps (RECLIP, Li et al. 2023,
    https://arxiv.org/abs/2304.06028); None: the run's size throughout."""
    small_share: float = 0.7
    """Share of the steps that see the small pictures."""
    full_share: float = 0.1
    """Share of the steps, at the end, that see all tokens."""
    micro_batch: int | None = None
    """Images of one process that are in memory at once; the batch is represented in parts of this size and
    compared whole, so the loss is that of the whole batch (GradCache). None: the batch at once."""
    activation_checkpointing: bool = False
    """Recompute activations in the backward pass in place of keeping them: less memory, about a third more
    time."""
    compile: bool = False
    """torch.compile the encoder. Pays on GPUs and for long runs; the first step takes minutes."""

    def __post_init__(self) -> None:
        _check(0 < self.token_keep <= 1, "levers.token_keep must lie in (0, 1]", self.token_keep)
        _check(0 <= self.full_share <= 1, "levers.full_share must lie in [0, 1]", self.full_share)
        _check(0 <= self.small_share <= 1, "levers.small_share must lie in [0, 1]", self.small_share)
        for name in ("small_size", "micro_batch"):
            value = getattr(self, name)
            _check(value is None or value > 0, f"levers.{name} must be at least 1 or none", value)


def size_at(step: int, *, total_steps: int, image_size: int, levers: LeversConfig) -> int:
    """Side in pixels of the pictures of the step after `step` steps."""
    if levers.small_size is None or step >= round(levers.small_share * total_steps):
        return image_size
    return levers.small_size


def phases(*, total_steps: int, levers: LeversConfig) -> list[int]:
    """The steps at which a run begins to cost something else, 0 first."""
    starts = {0}
    if levers.small_size is not None:
        starts.add(round(levers.small_share * total_steps))
    if levers.token_keep < 1:
        starts.add(total_steps - round(levers.full_share * total_steps))
    return sorted(start for start in starts if start < total_steps)


def work_per_image(*, image_size: int, levers: LeversConfig) -> float:
    """What an image costs on average, as a share of a whole one at full size: by pixels and tokens."""
    small = 1.0 if levers.small_size is None else (levers.small_size / image_size) ** 2
    size = levers.small_share * small + 1 - levers.small_share
    return size * (levers.token_keep * (1 - levers.full_share) + levers.full_share)


def apply_levers(encoder: nn.Module, levers: LeversConfig, *, sizes: frozenset[int], name: str) -> None:
    """Make an encoder ready for its levers.

    Args:
        encoder: The backbone.
        levers: What is wanted.
        sizes: Sides in pixels of all pictures it will see.
        name: What the user calls the encoder.

    Raises:
        ConfigError: The architecture has no tokens to drop, knows no checkpointing, or takes one size alone.
    """
    model: Any = encoder
    if len(sizes) > 1:
        _accept_sizes(model, sizes, name=name)
    if levers.token_keep < 1 and not hasattr(model, "patch_drop"):
        raise ConfigError(
            f"levers.token_keep: {name} has no patch tokens to drop; use a ViT such as "
            "vit_tiny_patch16_224, or leave it at 1."
        )
    if levers.activation_checkpointing:
        if not hasattr(model, "set_grad_checkpointing"):
            raise ConfigError(f"levers.activation_checkpointing: {name} does not offer it; leave it off.")
        model.set_grad_checkpointing(True)
    if levers.compile:
        model.compile()  # in place, so that the names of the weights stay


def drop_tokens(encoder: nn.Module, *, step: int, total_steps: int, levers: LeversConfig) -> None:
    """Set how many tokens the step after `step` steps sees."""
    if levers.token_keep == 1:
        return
    model: Any = encoder
    whole = step >= total_steps - round(levers.full_share * total_steps)
    share = 0.0 if whole else 1 - levers.token_keep
    if isinstance(model.patch_drop, PatchDropout):
        model.patch_drop.prob = share
    elif share:
        model.patch_drop = PatchDropout(share, num_prefix_tokens=model.num_prefix_tokens)


def _accept_sizes(model: Any, sizes: frozenset[int], *, name: str) -> None:
    """Let a ViT interpolate its position table for whatever size comes in; other encoders must be able to."""
    embed = getattr(model, "patch_embed", None)
    if embed is None or not hasattr(embed, "patch_size"):
        return
    patch = embed.patch_size[0]
    wrong = sorted(size for size in sizes if size % patch)
    if wrong or not hasattr(model, "dynamic_img_size"):
        can = f"takes sizes that are multiples of {patch}" if wrong else "takes one size alone"
        raise ConfigError(f"{name} {can}; got {', '.join(map(str, wrong or sorted(sizes)))} px.")
    model.dynamic_img_size = True
    embed.strict_img_size, embed.flatten, embed.output_fmt = False, False, Format.NHWC


def _check(well: bool, rule: str, value: object) -> None:
    if not well:
        raise ConfigError(f"{rule}; got {value!r}.")
