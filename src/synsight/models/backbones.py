"""Image backbones by the name of their architecture: timm's, and the image towers of open_clip's models.

A backbone maps [B, 3, S, S] to features [B, D]; nothing wraps it, so timm's own tools apply.
"""

from collections.abc import Mapping
from typing import Any

import timm
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import nn

from synsight.errors import ModelError, near_names
from synsight.models.clip_tower import OPEN_CLIP, build_tower, native_size, resize_tower, tower_settings
from synsight.models.timm_backbone import Stem, build_timm, fill_timm, has_small_stem

RANDOM = "random:"
"""Prefix of a model name that asks for an untrained backbone."""


def build_backbone(
    name: str,
    *,
    image_size: int,
    pretrained: bool = False,
    stem: Stem | None = None,
    arguments: Mapping[str, Any] | None = None,
) -> nn.Module:
    """A timm model without its classifier, or the image tower of an open_clip model.

    Args:
        name: timm's name of it, or "open-clip:NAME"; "random:NAME" is NAME without its weights.
        image_size: Side of its input, pixels.
        pretrained: Load timm's weights, over the network unless they are cached.
        stem: None: `default_stem`.
        arguments: Further arguments of timm's architecture, by the names that a config.json of the hub uses.

    Returns:
        A module from [B, 3, S, S] to [B, D]; D is `embedding_dim` of it.

    Raises:
        ModelError: Unknown name, a stem the architecture does not have, a size it does not take, or weights
            that could not be had.
        MissingDependency: The name is open_clip's, which is not installed.
    """
    pretrained = pretrained and not name.startswith(RANDOM)
    name, arguments = name.removeprefix(RANDOM), arguments or {}
    check_name(name)
    stem = stem or default_stem(name, image_size=image_size, pretrained=pretrained)
    if not name.startswith(OPEN_CLIP):
        return build_timm(name, image_size=image_size, stem=stem, pretrained=pretrained, arguments=arguments)
    if pretrained:
        raise ModelError(f"{name}: names no weights; write {name}/WEIGHTS, a tag or a safetensors file.")
    if stem != "standard" or arguments:
        raise ModelError(f"{name}: open_clip's towers have the standard stem and no arguments of their own.")
    return build_tower(name, image_size=image_size)


def resize_backbone(
    backbone: nn.Module,
    name: str,
    *,
    image_size: int,
    stem: Stem = "standard",
    arguments: Mapping[str, Any] | None = None,
) -> nn.Module:
    """The same weights in the same architecture for images of another size.

    Position embeddings and their kin are interpolated as timm and open_clip do it.

    Args:
        backbone: As `build_backbone` made it, trained; not to be used afterwards.
        name: As in `build_backbone`.
        image_size: Side of the input from now on, pixels.
        stem: As it was made with.
        arguments: As in `build_backbone`.

    Raises:
        ModelError: The weights do not fit the architecture at this size.
    """
    name, arguments = name.removeprefix(RANDOM), arguments or {}
    if name.startswith(OPEN_CLIP):
        return resize_tower(backbone, name, image_size=image_size)
    resized = build_backbone(name, image_size=image_size, stem=stem, arguments=arguments)
    if tensor_shapes(resized) != tensor_shapes(backbone):
        state = backbone.state_dict()
        return fill_timm(state, name, image_size=image_size, stem=stem, arguments=arguments)
    resized.load_state_dict(backbone.state_dict())
    return resized


def tensor_shapes(module: nn.Module, *, prefix: str = "") -> dict[str, tuple[int, ...]]:
    """Name of each tensor in a module's state -> its shape."""
    return {f"{prefix}{name}": tuple(value.shape) for name, value in module.state_dict().items()}


def check_name(name: str) -> None:
    """Raise a ModelError, with the near names, unless timm (or, for "open-clip:NAME", open_clip) has an
    architecture of this name.

    Nothing that would fetch weights passes: no "hf-hub:", no "local-dir:", no "open-clip:NAME/WEIGHTS".
    """
    if name.startswith(OPEN_CLIP):
        tower_settings(name)
    elif not timm.is_model(name.split(".")[0]):
        raise ModelError(
            f"expected a timm model name, found {name!r}; {near_names(name, timm.list_models(), most=3)}"
        )


def default_stem(name: str, *, image_size: int, pretrained: bool = False) -> Stem:
    """The stem for a size: `cifar` up to 32 px, `small` up to 64, else (or with timm weights) `standard`."""
    if pretrained or image_size > 64 or not has_small_stem(name.removeprefix(RANDOM)):
        return "standard"
    return "cifar" if image_size <= 32 else "small"


def default_size(name: str) -> int:
    """Side in pixels of the images that an architecture, or timm's weights of this name, were made for."""
    name = name.removeprefix(RANDOM)
    if name.startswith(OPEN_CLIP):
        return native_size(name)
    config = timm.get_pretrained_cfg(name)
    return 224 if config is None else int(config.input_size[-1])


def embedding_dim(backbone: nn.Module) -> int:
    """D of a backbone's features."""
    # MobileNets and their kin have a last layer after the pooling; the others know num_features alone.
    size: Any = getattr(backbone, "head_hidden_size", None) or backbone.num_features
    return int(size)


def pixel_statistics(name: str, *, pretrained: bool) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation a channel for the normalisation: those of timm's weights, else ImageNet's."""
    config = timm.get_pretrained_cfg(name.removeprefix(RANDOM)) if pretrained else None
    if config is None:
        return IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
    return tuple(config.mean), tuple(config.std)
