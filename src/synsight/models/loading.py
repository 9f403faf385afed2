"""From a name to a model: a folder, an untrained architecture, or timm's weights."""

from pathlib import Path

import timm
import torch
from torch import nn

from synsight.errors import ModelError, near_names
from synsight.language.vocabulary import Vocabulary
from synsight.models.backbones import (
    RANDOM,
    Stem,
    build_backbone,
    check_name,
    default_stem,
    embedding_dim,
    pixel_statistics,
)
from synsight.models.config import ModelConfig, read_config
from synsight.models.saved import Model
from synsight.models.weights import load_weights
from synsight.seeding import derive_seed


def load(name: str | Path, *, image_size: int | None = None, seed: int = 0) -> Model:
    """Load a model.

    Args:
        name: A folder that `pretrain` or `save_pretrained` wrote; "random:NAME", timm's architecture NAME
            untrained; or NAME, with timm's weights (from its cache or the network).
        image_size: Side of the input in pixels; None: the folder's, or the one timm's weights were made for.
            A folder keeps its own.
        seed: Of the untrained weights.

    Raises:
        ModelError: There is no such model, or its files are not whole or not safe to read.
    """
    text = str(name)
    if Path(name).is_dir():
        model = _load_folder(Path(name))
        if image_size not in (None, model.config.image_size):
            raise ModelError(
                f"{name}: is a model for {model.config.image_size} px; leave out image_size {image_size}."
            )
        return model
    if isinstance(name, Path) or "/" in text or text.startswith((".", "~")):
        raise ModelError(
            f"{text}: expected a model folder, found "
            f"{'a file' if Path(name).exists() else 'nothing'}; check the path."
        )
    return _from_timm(text, image_size, seed)


def _from_timm(name: str, image_size: int | None, seed: int) -> Model:
    architecture, pretrained = name.removeprefix(RANDOM), not name.startswith(RANDOM)
    if not timm.is_model(architecture.split(".")[0]):
        raise ModelError(
            f"expected a model folder, a timm name or '{RANDOM}NAME', found {name!r}; "
            f"{near_names(architecture, timm.list_models())}"
        )
    timms = timm.get_pretrained_cfg(architecture)
    size = image_size or (timms.input_size[-1] if timms is not None else 224)
    stem = default_stem(architecture, image_size=size, pretrained=pretrained)
    encoder = _build(architecture, size, stem=stem, pretrained=pretrained, seed=seed)
    mean, std = pixel_statistics(architecture, pretrained=pretrained)
    config = ModelConfig(
        encoder=architecture,
        image_size=size,
        embedding_dim=embedding_dim(encoder),
        mean=mean,
        std=std,
        stem=stem,
        method="timm" if pretrained else "untrained",
    )
    return Model(encoder, config, name=name)


def _load_folder(folder: Path) -> Model:
    config, digest, label_names = read_config(folder / "config.json")
    # Never a "hf-hub:" or "local-dir:" from a foreign file: timm would fetch and unpickle what they name.
    check_name(config.encoder.removeprefix(RANDOM))
    with torch.device("meta"):
        skeleton = build_backbone(config.encoder, image_size=config.image_size, stem=config.stem)
    expected = {f"encoder.{key}": tuple(value.shape) for key, value in skeleton.state_dict().items()}
    if embedding_dim(skeleton) != config.embedding_dim:
        raise ModelError(
            f"{folder / 'config.json'}: embedding_dim is {config.embedding_dim}, but {config.encoder} has "
            f"{embedding_dim(skeleton)}; copy the model folder again."
        )
    if config.head is not None:
        expected |= {"head.weight": (config.classes, config.embedding_dim), "head.bias": (config.classes,)}
    weights = load_weights(folder / "model.safetensors", expected=expected)
    encoder = _build(config.encoder, config.image_size, stem=config.stem)
    encoder.load_state_dict({key[8:]: value for key, value in weights.items() if key.startswith("encoder.")})
    head = None
    if config.head is not None:
        head = nn.Linear(config.embedding_dim, config.classes)
        head.load_state_dict({key[5:]: value for key, value in weights.items() if key.startswith("head.")})
    vocabulary = Vocabulary.load(folder / "vocabulary.parquet") if config.head == "words" else None
    model = Model(
        encoder, config, head=head, vocabulary=vocabulary, label_names=label_names, name=folder.name
    )
    if model.digest != digest:
        raise ModelError(
            f"{folder}: the weights are not those that were saved (digest {model.digest}, "
            f"expected {digest}); "
            "the files were damaged or changed, so copy the folder again."
        )
    return model


def _build(
    architecture: str, image_size: int, *, stem: Stem, pretrained: bool = False, seed: int = 0
) -> nn.Module:
    """The encoder with weights that depend on the seed alone; torch's global random state is left as it
    was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "backbone", architecture))
        return build_backbone(architecture, image_size=image_size, pretrained=pretrained, stem=stem).eval()
