"""Models in the layout that timm uses on the hub: config.json beside model.safetensors.

The config is a stranger's, so it may choose among timm's architectures and shape one, and nothing else;
weights are read from safetensors alone, after their header has been compared with the architecture.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import timm
import torch
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD

from synsight import files
from synsight.errors import DataError, ModelError
from synsight.models.backbones import build_backbone, check_name, resize_backbone, tensor_shapes
from synsight.models.hub import CONVERT, HF_HUB, NOT_READ, hub_file
from synsight.models.starting import StartingEncoder, check_features, timm_preparation
from synsight.models.timm_backbone import head_tensors
from synsight.models.weights import load_weights

LOCAL_DIR = "local-dir:"
"""Prefix of a model name that means a folder in timm's layout."""
CONFIG, WEIGHTS = "config.json", "model.safetensors"

_DECIDED_HERE = ("img_size", "num_classes", "in_chans", "global_pool")
"""Arguments that are decided here: by the image size asked for, by there being no classifier, ..."""


@dataclass(frozen=True)
class Layout:
    """What a config.json of timm's says."""

    architecture: str
    arguments: Mapping[str, Any]
    image_size: int
    """That the weights were made for."""
    settings: Mapping[str, Any]
    """timm's pretrained_cfg."""


def from_hub(name: str, *, image_size: int | None = None) -> StartingEncoder:
    """The encoder of "hf-hub:OWNER/NAME" or "hf-hub:OWNER/NAME@REVISION".

    Raises:
        ModelError: It cannot be had, or is not a timm model in safetensors.
    """
    repository, _, revision = name.removeprefix(HF_HUB).partition("@")
    config, weights = (
        hub_file(name, repository, [file], revision=revision or None) for file in (CONFIG, WEIGHTS)
    )
    return _start(name, config, weights, image_size=image_size, origin="hf-hub")


def from_folder(name: str, *, image_size: int | None = None) -> StartingEncoder:
    """The encoder of "local-dir:PATH".

    Raises:
        ModelError: There is no such folder, or it is not a timm model in safetensors.
    """
    folder = Path(name.removeprefix(LOCAL_DIR)).expanduser()
    if not (folder / WEIGHTS).is_file():
        others = sorted(one.name for one in folder.glob("*") if one.suffix in NOT_READ)
        raise ModelError(
            f"{folder}: expected a folder with {CONFIG} and {WEIGHTS}, found "
            + (
                f"{others[0]} in place of the weights; {CONVERT}."
                if others
                else "no weights; check the path."
            )
        )
    return _start(name, folder / CONFIG, folder / WEIGHTS, image_size=image_size, origin="local-dir")


def read_layout(path: Path) -> Layout:
    """Read timm's config.json, in its present form or the one before.

    Raises:
        ModelError: It is missing, or not that of a timm model.
    """
    try:
        found = files.read_json(path)
    except (DataError, ValueError, RecursionError, OSError) as error:
        raise ModelError(f"{path}: expected timm's config of a model, found none ({error})") from None
    architecture = found.get("architecture") if isinstance(found, dict) else None
    settings = found.get("pretrained_cfg", found) if isinstance(found, dict) else None
    arguments = (found.get("model_args") or {}) if isinstance(found, dict) else {}
    if not isinstance(architecture, str) or not isinstance(settings, dict) or not isinstance(arguments, dict):
        ours = isinstance(found, dict) and "encoder" in found
        hint = "it is synsight's own, so give the folder by itself" if ours else "use a model made with timm"
        raise ModelError(f"{path}: expected timm's config with an 'architecture', found another; {hint}.")
    check_name(architecture)
    known = timm.get_pretrained_cfg(architecture)
    settings = ({} if known is None else asdict(known)) | {k: v for k, v in settings.items() if v is not None}
    pooling = arguments.get("global_pool", settings.get("global_pool"))
    kept = {key: value for key, value in arguments.items() if key not in _DECIDED_HERE}
    return Layout(
        architecture=architecture,
        # "" asks for the tokens as they are; a row of features an image needs the architecture's own pooling.
        arguments=kept | ({"global_pool": pooling} if pooling else {}),
        image_size=_image_size(path, arguments, settings),
        settings={"mean": IMAGENET_DEFAULT_MEAN, "std": IMAGENET_DEFAULT_STD} | settings,
    )


def _start(name: str, config: Path, weights: Path, *, image_size: int | None, origin: str) -> StartingEncoder:
    layout = read_layout(config)
    size = image_size or layout.image_size
    architecture, arguments = layout.architecture, layout.arguments
    with torch.device("meta"):
        skeleton = build_backbone(
            architecture, image_size=layout.image_size, stem="standard", arguments=arguments
        )
    heads = head_tensors(architecture, image_size=layout.image_size, arguments=arguments)
    state = load_weights(
        weights,
        expected=tensor_shapes(skeleton),
        ignore=lambda tensor: tensor in heads,
        advice=f"the file is no {architecture} as its {CONFIG} describes it",
    )
    module = build_backbone(architecture, image_size=layout.image_size, stem="standard", arguments=arguments)
    module.load_state_dict(state)
    if size != layout.image_size:
        module = resize_backbone(module, architecture, image_size=size, arguments=arguments)
    check_features(name, module, image_size=size)
    return StartingEncoder(
        module=module,
        architecture=architecture,
        image_size=size,
        stem="standard",
        arguments=arguments,
        preparation=timm_preparation(layout.settings, image_size=size),
        origin=origin,
    )


def _image_size(path: Path, arguments: Mapping[str, Any], settings: Mapping[str, Any]) -> int:
    size = arguments.get("img_size") or settings.get("input_size") or 224
    sides = list(size)[-2:] if isinstance(size, list | tuple) else [size]
    side: Any = sides[0] if sides and sides[0] == sides[-1] else None
    if type(side) is not int or not 1 <= side <= 4096:
        raise ModelError(
            f"{path}: expected square images of 1 to 4096 px, found {size!r:.60}; use another model."
        )
    return side
