"""From a name to a model, or to an encoder that training begins with.

    MODEL                     a folder that `pretrain` or `save_pretrained` wrote
    NAME                      timm's model NAME, with timm's weights (training: without)
    pretrained:NAME           timm's model NAME with timm's weights, for training, too
    random:NAME               without weights; NAME is timm's or "open-clip:NAME"
    open-clip:NAME/WEIGHTS    image tower of open_clip's model NAME; WEIGHTS is a tag or a safetensors file
    hf-hub:OWNER/NAME         timm's layout on the Hugging Face hub
    local-dir:PATH            timm's layout on the disk

Only names that ask for it reach for the network, and what they bring is cached.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import timm
import torch

from synsight.errors import ModelError, near_names
from synsight.models.backbones import (
    RANDOM,
    build_backbone,
    default_size,
    default_stem,
    pixel_statistics,
    resize_backbone,
)
from synsight.models.clip_tower import OPEN_CLIP, import_open_clip, tower_settings
from synsight.models.clip_weights import from_open_clip
from synsight.models.folder import load_folder
from synsight.models.hub import CONVERT, HF_HUB, NOT_READ
from synsight.models.saved import Model
from synsight.models.starting import StartingEncoder, timm_preparation
from synsight.models.timm_layout import LOCAL_DIR, from_folder, from_hub
from synsight.seeding import derive_seed

PRETRAINED = "pretrained:"
"""Prefix of timm's names that asks for timm's weights where a bare name means the architecture."""


def load(name: str | Path, *, image_size: int | None = None, seed: int = 0) -> Model:
    """Load a model.

    Args:
        name: As above; a bare name of timm's comes with timm's weights.
        image_size: Side of the input in pixels; None: the folder's, or the one the weights were made for.
            A folder keeps its own.
        seed: Of untrained weights.

    Raises:
        ModelError: There is no such model, or its files are not whole or not safe to read.
        MissingDependency: It needs a package that is not installed.
    """
    text = str(name)
    if Path(name).is_dir():
        model = load_folder(Path(name))
        if image_size not in (None, model.config.image_size):
            raise ModelError(
                f"{name}: is a model for {model.config.image_size} px; leave out image_size {image_size}."
            )
        return model
    if isinstance(name, Path) or not _is_name(text):
        raise _no_folder(text)
    if text.startswith(OPEN_CLIP) and "/" not in text:
        raise _without_weights(text)
    bare = not text.startswith((RANDOM, PRETRAINED, *SOURCES))
    # The weights depend on the seed alone, and torch's global random state is left as it was.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "backbone", text.removeprefix(RANDOM)))
        start = build_start(PRETRAINED + text if bare else text, image_size=image_size)
    start.module.eval()
    return Model(start.module, start.config(), text=start.text, name=_shown(text))


def check_start(name: str | Path) -> None:
    """Raise a ModelError unless `build_start` knows what the name asks for; nothing is read or built."""
    text = str(name)
    if Path(name).is_dir():
        return
    if isinstance(name, Path) or not _is_name(text):
        raise _no_folder(text)
    if any(text.startswith(prefix) and (prefix != OPEN_CLIP or "/" in text) for prefix in SOURCES):
        return
    architecture = text.removeprefix(RANDOM).removeprefix(PRETRAINED)
    if not architecture.startswith(OPEN_CLIP) and not timm.is_model(architecture.split(".")[0]):
        raise _unknown(text, architecture)


def build_start(name: str | Path, *, image_size: int | None = None) -> StartingEncoder:
    """The encoder that training begins with.

    Args:
        name: As above; a bare name of timm's, or "open-clip:NAME", is the architecture without weights,
            which are then drawn from torch's random state.
        image_size: Side of the input from now on, in pixels; None: that of the weights or the architecture.
            Weights for another size are interpolated where they depend on it.

    Raises:
        ModelError: As `load`.
        MissingDependency: As `load`.
    """
    text = str(name)
    check_start(name)
    if Path(name).is_dir():
        return _from_model(load_folder(Path(name)), image_size)
    for prefix, read in SOURCES.items():
        if text.startswith(prefix) and (prefix != OPEN_CLIP or "/" in text):
            return read(text, image_size=image_size)
    architecture = text.removeprefix(RANDOM).removeprefix(PRETRAINED)
    pretrained = text.startswith(PRETRAINED)
    size = image_size or default_size(architecture)
    stem = default_stem(architecture, image_size=size, pretrained=pretrained)
    timms = timm.get_pretrained_cfg(architecture) if pretrained else None
    mean, std = pixel_statistics(architecture, pretrained=False)
    plain = {"mean": mean, "std": std}
    return StartingEncoder(
        module=build_backbone(architecture, image_size=size, stem=stem, pretrained=pretrained),
        architecture=architecture,
        image_size=size,
        stem=stem,
        preparation=plain if timms is None else timm_preparation(vars(timms), image_size=size),
        origin="timm" if pretrained else "untrained",
    )


SOURCES: Mapping[str, Callable[..., StartingEncoder]] = {
    OPEN_CLIP: from_open_clip,
    HF_HUB: from_hub,
    LOCAL_DIR: from_folder,
}
"""Prefixes of names that say where weights are."""


def _from_model(model: Model, image_size: int | None) -> StartingEncoder:
    config = model.config
    size = image_size or config.image_size
    module = model.encoder
    if size != config.image_size:
        module = resize_backbone(
            module, config.encoder, image_size=size, stem=config.stem, arguments=config.arguments
        )
    return StartingEncoder(
        module=module,
        architecture=config.encoder,
        image_size=size,
        stem=config.stem,
        arguments=config.arguments,
        preparation={
            name: getattr(config, name)
            for name in ("mean", "std", "crop_fraction", "interpolation", "resize")
        },
        origin=config.method,
        trained_rows=model.trained_rows,
    )


def _is_name(text: str) -> bool:
    if text.startswith((RANDOM, PRETRAINED, *SOURCES)):
        return True
    is_timms = timm.is_model(text.split(".")[0])
    return is_timms or not ("/" in text or text.startswith((".", "~")) or Path(text).exists())


def _no_folder(text: str) -> ModelError:
    path = Path(text)
    if path.is_file() and path.suffix in NOT_READ:
        return ModelError(
            f"{text}: expected a model folder, found {path.suffix} weights; {CONVERT}, and {_FILES}."
        )
    if path.is_file() and path.suffix == ".safetensors":
        return ModelError(f"{text}: expected a model folder, found weights without a config; {_FILES}.")
    found = "a file" if path.exists() else "nothing"
    return ModelError(f"{text}: expected a model folder, found {found}; check the path.")


_FILES = f"use {OPEN_CLIP}NAME/FILE.safetensors, or {LOCAL_DIR}PATH for a folder in timm's layout"


def _without_weights(text: str) -> ModelError:
    name = text.removeprefix(OPEN_CLIP)
    tower_settings(text)
    tags = import_open_clip(text).list_pretrained_tags_by_model(name)
    known = f", such as the tag {tags[0]!r}," if tags else ""
    return ModelError(f"{text}: names no weights; write {text}/WEIGHTS{known} or {RANDOM}{text}.")


def _unknown(text: str, architecture: str) -> ModelError:
    return ModelError(
        f"expected a model folder, a timm name or '{RANDOM}NAME', found "
        f"{text.removeprefix(PRETRAINED)!r}; {near_names(architecture, timm.list_models())}"
    )


def _shown(text: str) -> str:
    """A name for tables and files, without the folders of this machine."""
    prefix, _, rest = text.partition(":")
    if prefix + ":" == LOCAL_DIR:
        return f"{LOCAL_DIR}{Path(rest).resolve().name}"
    if prefix + ":" == OPEN_CLIP and rest.endswith(".safetensors"):
        return f"{OPEN_CLIP}{rest.partition('/')[0]}/{Path(rest).name}"
    return text
