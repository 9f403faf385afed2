"""Weights of open_clip's image towers: by the tag that open_clip gives them, or from a safetensors file."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch

from synsight import files
from synsight.errors import DataError, ModelError, near_names
from synsight.models.backbones import tensor_shapes
from synsight.models.clip_tower import (
    OPEN_CLIP,
    build_tower,
    import_open_clip,
    native_size,
    resize_tower,
    tower_settings,
)
from synsight.models.hub import CONVERT, hub_file
from synsight.models.starting import StartingEncoder, check_features
from synsight.models.text import build_text_tower
from synsight.models.text_side import TextSide
from synsight.models.weights import load_weights, read_shapes

CLIP_CONFIG = "open_clip_config.json"
"""Lies beside the weights in open_clip's repositories, and says how the images were prepared."""
CLIP_WEIGHTS = "open_clip_model.safetensors"
SCALE = "logit_scale"
"""The logarithm of what cosines are multiplied with; a file with the image tower alone has none."""
TOWER = "visual."
"""What the names of the image tower's tensors begin with."""


def from_open_clip(name: str, *, image_size: int | None = None) -> StartingEncoder:
    """The image tower of "open-clip:NAME/WEIGHTS"; its features are the embedding that `encode_image` gives.

    Args:
        name: NAME is open_clip's; WEIGHTS is one of its tags (over the network unless cached), or the path
            of a safetensors file with the weights of the whole model or of the image tower.
        image_size: Side of the input, pixels; None: the architecture's own.

    Raises:
        ModelError: No such architecture or weights, or they are not in safetensors.
        MissingDependency: open_clip is not installed.
    """
    architecture, _, weights = name.partition("/")
    tower_settings(architecture)  # raises if there is none
    path, settings = _find(name, architecture.removeprefix(OPEN_CLIP), weights)
    architecture = _with_activation(architecture, settings)
    native = native_size(architecture)
    with torch.device("meta"):
        skeleton = build_tower(architecture, image_size=native)
    state = load_weights(
        path,
        expected=tensor_shapes(skeleton, prefix=TOWER),
        ignore=lambda tensor: not tensor.startswith(TOWER),
        advice=f"the file holds no {architecture}",
    )
    module = build_tower(architecture, image_size=native)
    module.load_state_dict({key.removeprefix(TOWER): value for key, value in state.items()})
    size = image_size or native
    if size != native:
        module = resize_tower(module, architecture, image_size=size)
    check_features(name, module, image_size=size)
    return StartingEncoder(
        module=module,
        architecture=architecture,
        image_size=size,
        stem="standard",
        preparation=_preparation(settings),
        origin="open-clip",
        text=partial(_text_side, architecture, path) if SCALE in read_shapes(path) else None,
    )


def _text_side(architecture: str, path: Path) -> TextSide:
    """The text half of the same file."""
    tower = build_text_tower(f"{architecture}/{path}")
    shape = read_shapes(path)[SCALE]
    scale = load_weights(path, expected={SCALE: shape}, ignore=lambda tensor: tensor != SCALE)[SCALE]
    return TextSide(tower, logit_scale=float(scale.exp()))


def _find(name: str, architecture: str, weights: str) -> tuple[Path, Mapping[str, Any]]:
    """The file of the weights, and how their images were prepared, in open_clip's words."""
    open_clip = import_open_clip(name)
    tags = {tag: open_clip.get_pretrained_cfg(architecture, tag) for tag in _tags(open_clip, architecture)}
    settings = open_clip.get_pretrained_cfg(architecture, weights)
    if settings:
        return _fetched(name, settings), settings
    path = Path(weights).expanduser()
    if path.suffix == ".safetensors" and path.is_file():
        return path, _settings_beside(path) or _settings_of_all(tags)
    if path.is_file():
        raise ModelError(
            f"{path}: expected weights as safetensors, found {path.suffix or 'another file'}; {CONVERT}."
        )
    raise ModelError(
        f"{name}: expected a tag of open_clip's or the path of a safetensors file after {architecture}/, "
        f"found {weights!r}; {near_names(weights, tags) if tags else 'it has no tags: give a file'}"
    )


def _fetched(name: str, settings: Mapping[str, Any]) -> Path:
    # "owner/name/file.bin", or "owner/name/" for the file that all newer repositories have.
    repository, _, file = str(settings.get("hf_hub") or "").rpartition("/")
    if not repository:
        raise ModelError(f"{name}: is not on the hub; {CONVERT}, and give the file in place of the tag.")
    stem = Path(file).stem
    return hub_file(name, repository, [f"{stem}.safetensors", CLIP_WEIGHTS] if stem else [CLIP_WEIGHTS])


def _with_activation(architecture: str, settings: Mapping[str, Any]) -> str:
    """The twin of an architecture that has the activation which the weights were trained with.

    Departure: open_clip warns, and computes "ViT-B-32/openai" with the GELU that those weights never saw.
    """
    if settings.get("quick_gelu") and not tower_settings(architecture).get("quick_gelu"):
        return f"{architecture}-quickgelu"
    return architecture


def _tags(open_clip: Any, architecture: str) -> list[str]:
    tags: list[str] = open_clip.list_pretrained_tags_by_model(architecture)
    return tags


def _settings_beside(path: Path) -> Mapping[str, Any]:
    beside = path.with_name(CLIP_CONFIG)
    if not beside.is_file():
        return {}
    try:
        found = files.read_json(beside)
        settings: Mapping[str, Any] = dict(found["preprocess_cfg"])
    except (DataError, ValueError, RecursionError, TypeError, KeyError):
        raise ModelError(
            f"{beside}: expected open_clip's config with 'preprocess_cfg', found another; copy it again, or "
            "remove it to prepare images as the architecture's tags do."
        ) from None
    return settings


def _settings_of_all(tags: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    """What the tags of an architecture agree on; where they do not, open_clip's default holds.

    Departure: open_clip prepares images for any file as OpenAI did, which is wrong for each SigLIP.
    """
    every = list(tags.values())
    keys = ("mean", "std", "interpolation", "resize_mode")
    return {
        key: every[0].get(key)
        for key in keys
        if every and all(one.get(key) == every[0].get(key) for one in every)
    }


def _preparation(settings: Mapping[str, Any]) -> dict[str, Any]:
    from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD

    mean, std = settings.get("mean") or OPENAI_DATASET_MEAN, settings.get("std") or OPENAI_DATASET_STD
    return {
        "mean": tuple(mean) if isinstance(mean, list | tuple) else mean,
        "std": tuple(std) if isinstance(std, list | tuple) else std,
        "interpolation": settings.get("interpolation") or "bicubic",
        "resize": settings.get("resize_mode") or "shortest",
    }
