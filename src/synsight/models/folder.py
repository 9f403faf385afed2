"""A model folder, read back."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from synsight.data.trained_rows import TrainedRows
from synsight.errors import ModelError
from synsight.language.vocabulary import Vocabulary
from synsight.manifest import check_manifest, has_manifest
from synsight.models.backbones import RANDOM, build_backbone, check_name, embedding_dim, tensor_shapes
from synsight.models.config import ModelConfig, read_config
from synsight.models.feature_head import FeatureHead, head_width
from synsight.models.folder_writing import CONFIG, TEXT, TRAINED_ON, VOCABULARY, WEIGHTS
from synsight.models.saved import Model
from synsight.models.several import build_several
from synsight.models.text_side import TextSide, rebuild_text_side
from synsight.models.weights import digest_of, load_weights


def load_folder(folder: Path) -> Model:
    """The model that `save_pretrained` wrote; a manifest in the folder must name every byte of it.

    Raises:
        ModelError: The folder's files are not whole, not of one model, or not safe to read.
        MissingDependency: It needs a package that is not installed.
    """
    if has_manifest(folder):
        check_manifest(folder)
    config, beside = read_config(folder / CONFIG)
    with torch.device("meta"):
        skeletons = _parts(config)
    if embedding_dim(skeletons["encoder"]) != config.embedding_dim:
        raise ModelError(
            f"{folder / CONFIG}: embedding_dim is {config.embedding_dim}, but {config.encoder} has "
            f"{embedding_dim(skeletons['encoder'])}; copy the model folder again."
        )
    if head_width(skeletons.get("head"), config.embedding_dim) != config.classes:
        raise ModelError(
            f"{folder / CONFIG}: speaks of {config.classes} classes, but its head gives another number of "
            "scores; copy the model folder again."
        )
    expected = {
        key: shape
        for name, part in skeletons.items()
        for key, shape in tensor_shapes(part, prefix=f"{name}.").items()
    }
    weights = load_weights(
        folder / WEIGHTS, expected=expected, ignore=lambda name: bool(config.text) and name.startswith(TEXT)
    )
    with torch.random.fork_rng(devices=[]):
        parts = _parts(config)
    for name, part in parts.items():
        part.load_state_dict(
            {
                key.removeprefix(f"{name}."): value
                for key, value in weights.items()
                if key.startswith(f"{name}.")
            }
        )
    model = Model(
        parts["encoder"].eval(),
        config,
        head=parts.get("head"),
        word_head=parts.get("word_head"),
        projection=parts.get("projection"),
        vocabulary=Vocabulary.load(folder / VOCABULARY) if config.head == "words" or config.words else None,
        label_names=beside.label_names,
        text=partial(_load_text, folder, config, beside.text_digest) if config.text else None,
        trained_rows=_trained_rows(folder, config),
        name=folder.name,
    )
    _check_digest(folder, found=model.digest, expected=beside.digest)
    return model


def _parts(config: ModelConfig) -> dict[str, Any]:
    """What has weights, by the names under which they are saved."""
    dim, parts = config.embedding_dim, dict[str, Any]()
    if config.parts:
        parts["encoder"] = build_several(config.parts)
    else:
        # Never a "hf-hub:" or "local-dir:" from a foreign file, nor weights by an open_clip tag: they would
        # be fetched, and some of them unpickled.
        check_name(config.encoder.removeprefix(RANDOM))
        parts["encoder"] = build_backbone(
            config.encoder, image_size=config.image_size, stem=config.stem, arguments=config.arguments
        )
    if config.head_layers:
        parts["head"] = FeatureHead.from_spec(config.head_layers)
    elif config.head is not None:
        parts["head"] = nn.Linear(dim, config.classes)
    if config.words:
        parts["word_head"] = nn.Linear(dim, config.words)
    if config.projection_dim:
        parts["projection"] = nn.Linear(dim, config.projection_dim, bias=False)
    return parts


def _trained_rows(folder: Path, config: ModelConfig) -> Callable[[], TrainedRows] | None:
    """Reads what the model was trained on; None where a folder of an older synsight says nothing of it.

    The file is checked at once and not kept in memory: most who load a model never ask.
    """
    expected = config.trained_on.get("images")
    if expected is None:
        return None
    _read_trained_rows(folder, str(expected))
    return partial(_read_trained_rows, folder, str(expected))


def _read_trained_rows(folder: Path, expected: str) -> TrainedRows:
    found = TrainedRows.load(folder / TRAINED_ON)
    if found.digest != expected:
        raise ModelError(
            f"{folder / TRAINED_ON}: lists other images than config.json says (digest {found.digest}, "
            f"expected {expected}); copy the folder again."
        )
    return found


def _load_text(folder: Path, config: ModelConfig, digest: str) -> TextSide:
    """The text half, which need not be looked at to embed images."""
    side = rebuild_text_side(config.text)
    weights = load_weights(
        folder / WEIGHTS,
        expected=tensor_shapes(side, prefix=TEXT),
        ignore=lambda name: not name.startswith(TEXT),
    )
    _check_digest(folder, found=digest_of(weights, settings=dict(config.text)), expected=digest)
    side.load_state_dict({key.removeprefix(TEXT): value for key, value in weights.items()})
    return side.eval()


def _check_digest(folder: Path, *, found: str, expected: object) -> None:
    if found != expected:
        raise ModelError(
            f"{folder}: the weights are not those that were saved (digest {found}, expected {expected}); "
            "the files were damaged or changed, so copy the folder again."
        )
