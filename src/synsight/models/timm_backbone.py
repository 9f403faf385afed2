"""timm's architectures without their classifiers, with stems for small images."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Literal

import timm
import torch
from torch import Tensor, nn

from synsight.errors import ModelError
from synsight.models.arguments import check_arguments

Stem = Literal["standard", "small", "cifar"]
"""How a backbone takes in the pixels.

`standard`: as timm has it, for 224 px. ResNets: `small` has a 3x3 first convolution in place of 7x7 and
shrinks as much, `cifar` is one of stride 1 without max-pool (SimCLR, appendix B.9). ViTs: patches of 8 and 4.

`small` keeps the max-pool on purpose: without it every layer sees four times the pixels, and a step takes
four times as long.
"""

_PATCH = {"small": 8, "cifar": 4}
_RESNETS = ("resnet",)
_VITS = ("vision_transformer",)


def build_timm(
    name: str, *, image_size: int, stem: Stem, pretrained: bool, arguments: Mapping[str, Any]
) -> nn.Module:
    """A module of timm's from [B, 3, S, S] to [B, D]; `backbones.build_backbone` says the rest."""
    if pretrained and stem != "standard":
        raise ModelError(f"{name}: its weights are for the standard stem; got stem {stem!r}.")
    backbone = _create(name, pretrained=pretrained, **_options(name, image_size, stem, arguments))
    if stem != "standard" and _is_in(name, _RESNETS):
        _fit_resnet_stem(backbone, stem)
    return backbone


def fill_timm(
    state: Mapping[str, Tensor], name: str, *, image_size: int, stem: Stem, arguments: Mapping[str, Any]
) -> nn.Module:
    """As `build_timm`, with weights made for another image size, interpolated as timm does it.

    Raises:
        ModelError: Some weights are missing, or do not fit for another reason than the size.
    """
    known = timm.get_pretrained_cfg(name)
    settings = {} if known is None else asdict(known)
    # By these settings timm takes the weights in hand, all of them, and looks for no file.
    settings |= dict.fromkeys(("url", "file", "hf_hub_id", "hf_hub_filename", "source", "custom_load"))
    settings |= {"state_dict": dict(state), "num_classes": 0, "label_offset": 0}
    options = _options(name, image_size, stem, arguments)
    try:
        backbone: Any = timm.create_model(
            name, pretrained=True, pretrained_cfg=settings, num_classes=0, **options
        )
    except Exception as error:  # timm raises a dozen unrelated kinds
        raise does_not_fit(name, image_size, error) from None
    backbone.pretrained_cfg["state_dict"] = None  # else each copy of the module holds the weights twice
    return backbone  # type: ignore[no-any-return]


def head_tensors(name: str, *, image_size: int, arguments: Mapping[str, Any]) -> set[str]:
    """Names of the tensors that the model with a classifier has, and its backbone has not."""
    options = _options(name, image_size, "standard", arguments)
    with torch.device("meta"):
        backbone = _create(name, pretrained=False, **options)
        whole = _create(name, pretrained=False, num_classes=2, **options)
    return set(whole.state_dict()) - set(backbone.state_dict())


def has_small_stem(name: str) -> bool:
    """Whether an architecture has stems besides `standard`."""
    return _is_in(name, _RESNETS + _VITS)


def does_not_fit(name: str, image_size: int, error: Exception) -> ModelError:
    """The error for weights that an architecture does not take at this size."""
    reason = " ".join(str(error).split())[:200]
    return ModelError(f"{name}: the weights do not fit it at {image_size} px ({reason}); use their own size.")


def _options(name: str, image_size: int, stem: Stem, arguments: Mapping[str, Any]) -> dict[str, Any]:
    check_arguments(name, arguments)
    options = dict(arguments)
    config = timm.get_pretrained_cfg(name)
    if config is not None and config.fixed_input_size:
        options["img_size"] = image_size
    if stem != "standard":
        if _is_in(name, _VITS):
            options["patch_size"] = _PATCH[stem]
        elif not _is_in(name, _RESNETS):
            raise ModelError(f"{name}: only ResNets and ViTs have a stem {stem!r}; use stem 'standard'.")
    return options


def _create(name: str, *, pretrained: bool, num_classes: int = 0, **options: Any) -> nn.Module:
    try:
        backbone: nn.Module = timm.create_model(
            name, pretrained=pretrained, num_classes=num_classes, **options
        )
    except Exception as error:  # timm and the hub raise a dozen unrelated kinds
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        if pretrained:
            raise ModelError(
                f"{name}: its pretrained weights could not be had ({reason}); connect to the network, or use "
                f"'random:{name}' for the untrained architecture."
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
    return bool(timm.models.is_model_in_modules(name.split(".")[0], modules))
