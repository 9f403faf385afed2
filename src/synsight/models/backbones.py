"""Image backbones from timm, with stems for small images.

A backbone maps [B, 3, S, S] to features [B, D]; nothing wraps it, so timm's own tools apply.
"""

from typing import Any, Literal

import timm
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import nn

from synsight.errors import ModelError, near_names

Stem = Literal["standard", "small", "cifar"]
"""How a backbone takes in the pixels.

`standard`: as timm has it, for 224 px. ResNets: `small` has a 3x3 first convolution in place of 7x7 and
shrinks as much, `cifar` is one of stride 1 without max-pool (SimCLR, appendix B.9). ViTs: patches of 8 and 4.

`small` keeps the max-pool on purpose: without it every layer sees four times the pixels, and a step takes
four times as long.
"""

RANDOM = "random:"
"""Prefix of a model name that asks for an untrained backbone."""

_PATCH = {"small": 8, "cifar": 4}
_RESNETS = ("resnet",)
_VITS = ("vision_transformer",)


def build_backbone(
    name: str, *, image_size: int, pretrained: bool = False, stem: Stem | None = None
) -> nn.Module:
    """A timm model without its classifier.

    Args:
        name: timm's name of it; "random:NAME" is NAME without its weights.
        image_size: Side of its input, pixels.
        pretrained: Load timm's weights, over the network unless they are cached.
        stem: None: `default_stem`.

    Returns:
        A module from [B, 3, S, S] to [B, D]; D is `embedding_dim` of it.

    Raises:
        ModelError: Unknown name, a stem the architecture does not have, a size it does not take, or weights
            that could not be had.
    """
    pretrained = pretrained and not name.startswith(RANDOM)
    name = name.removeprefix(RANDOM)
    check_name(name)
    stem = stem or default_stem(name, image_size=image_size, pretrained=pretrained)
    if pretrained and stem != "standard":
        raise ModelError(f"{name}: its weights are for the standard stem; got stem {stem!r}.")
    options = _options(name, image_size, stem)
    backbone = _create(name, pretrained=pretrained, **options)
    if stem != "standard" and _is_in(name, _RESNETS):
        _fit_resnet_stem(backbone, stem)
    return backbone


def check_name(name: str) -> None:
    """Raise a ModelError, with the near names, unless timm has an architecture of this name."""
    if not timm.is_model(name.split(".")[0]):
        raise ModelError(
            f"expected a timm model name, found {name!r}; {near_names(name, timm.list_models(), most=3)}"
        )


def default_stem(name: str, *, image_size: int, pretrained: bool = False) -> Stem:
    """The stem for a size: `cifar` up to 32 px, `small` up to 64, else (or with timm weights) `standard`."""
    if pretrained or image_size > 64 or not _is_in(name, _RESNETS + _VITS):
        return "standard"
    return "cifar" if image_size <= 32 else "small"


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


def _options(name: str, image_size: int, stem: Stem) -> dict[str, Any]:
    options: dict[str, Any] = {}
    config = timm.get_pretrained_cfg(name)
    if config is not None and config.fixed_input_size:
        options["img_size"] = image_size
    if stem != "standard":
        if _is_in(name, _VITS):
            options["patch_size"] = _PATCH[stem]
        elif not _is_in(name, _RESNETS):
            raise ModelError(f"{name}: only ResNets and ViTs have a stem {stem!r}; use stem 'standard'.")
    return options


def _create(name: str, *, pretrained: bool, **options: Any) -> nn.Module:
    try:
        backbone: nn.Module = timm.create_model(name, pretrained=pretrained, num_classes=0, **options)
    except Exception as error:  # timm and the hub raise a dozen unrelated kinds
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        if pretrained:
            raise ModelError(
                f"{name}: its pretrained weights could not be had ({reason}); connect to the network, or use "
                f"'{RANDOM}{name}' for the untrained architecture."
            ) from error
        raise ModelError(f"{name}: timm could not build it for this image size ({reason}).") from error
    return backbone


def _fit_resnet_stem(backbone: Any, stem: Stem) -> None:
    stride = 2 if stem == "small" else 1
    first = backbone.conv1
    if isinstance(first, nn.Sequential):  # the deep stem is 3x3 already
        convolution: Any = first[0]
        convolution.stride = (stride, stride)
    else:
        backbone.conv1 = nn.Conv2d(3, first.out_channels, 3, stride=stride, padding=1, bias=False)
        nn.init.kaiming_normal_(backbone.conv1.weight, mode="fan_out", nonlinearity="relu")
    if stem == "cifar":
        backbone.maxpool = nn.Identity()


def _is_in(name: str, modules: tuple[str, ...]) -> bool:
    return bool(timm.models.is_model_in_modules(name.removeprefix(RANDOM).split(".")[0], modules))
