"""A trained detector or segmenter on disk: a MODEL folder of its encoder, and what stands on it.

RUN/model/      as any MODEL: the encoder as it was trained, at the size of the images; every verb reads it
                dense.safetensors       the weights of what stands on it
                dense.json              which kind, its settings, its classes
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from synsight import files
from synsight.data.trained_rows import trained_rows
from synsight.errors import ConfigError, DataError, ModelError, UsageError
from synsight.finetuning.dense_config import DenseConfig
from synsight.finetuning.dense_data import AnnotatedImages
from synsight.finetuning.dense_task import DenseQuestion, encoder_and_side
from synsight.finetuning.feature_pyramid import EncoderMaps
from synsight.models import Model
from synsight.models.weights import load_weights, save_weights
from synsight.training import override, to_plain

if TYPE_CHECKING:
    from synsight.finetuning.dense_kind import Built

FORMAT = 1
ABOUT, WEIGHTS = "dense.json", "dense.safetensors"


@dataclass(frozen=True)
class Kept:
    """What a reader of the weights must know."""

    kind: str
    config: Any
    """The kind's settings."""
    classes: tuple[str, ...]
    masks: bool
    train_images: int
    last_loss: float


@dataclass(frozen=True)
class KeptWeights:
    """Where the weights are that stand on an encoder."""

    path: Path

    def into(self, network: nn.Module, maps: EncoderMaps) -> None:
        """Put them into a network whose encoder has its own already.

        Raises:
            ModelError: They are others than the network's.
        """
        expected = {name: tuple(value.shape) for name, value in on_encoder(network, maps).items()}
        network.load_state_dict(load_weights(self.path, expected=expected), strict=False)


def on_encoder(network: nn.Module, maps: EncoderMaps) -> Mapping[str, Tensor]:
    """The weights of a network without those of the encoder inside it."""
    (prefix,) = (name for name, module in network.named_modules() if module is maps.encoder)
    return {name: value for name, value in network.state_dict().items() if not name.startswith(f"{prefix}.")}


def is_kept(source: str | Path, kind: str) -> bool:
    """Whether a folder holds a trained network of a kind."""
    path = Path(source) / ABOUT
    return path.is_file() and _read(path).get("kind") == kind


def weights_digest(folder: Path) -> str:
    """Hex SHA-256 of what stands on the encoder of a trained network."""
    return files.sha256_of(folder / WEIGHTS)


def keep(folder: Path, kept: Kept, question: DenseQuestion, built: "Built", images: AnnotatedImages) -> Path:
    """Write the folder, unless it is there; `dense.json` comes last, so where it stands the rest is whole."""
    if (folder / ABOUT).is_file():
        return folder
    _encoder_alone(kept, question, built, images).save_pretrained(folder)
    save_weights(folder / WEIGHTS, on_encoder(built.network, built.maps))
    about = {
        "format": FORMAT,
        "kind": kept.kind,
        "settings": to_plain(kept.config),
        "classes": list(kept.classes),
        "masks": kept.masks,
        "train_images": kept.train_images,
        "last_loss": kept.last_loss,
    }
    files.write_json(folder / ABOUT, about)
    return folder


def read_kept(folder: Path, kind: str, settings: type[DenseConfig]) -> tuple[Kept, KeptWeights]:
    """What `keep` wrote.

    Raises:
        ModelError: There is no such file, or one of another kind or version.
    """
    path = folder / ABOUT
    if not path.is_file():
        raise ModelError(
            f"{folder}: expected a trained network for {kind}, found no {ABOUT}; name the folder "
            "OUT/runs/.../model of an evaluation."
        )
    found = _read(path)
    if found.get("kind") != kind or found.get("format") != FORMAT:
        raise ModelError(
            f"{path}: expected a network for {kind} in format {FORMAT}, found {found.get('kind')!r} in "
            f"format {found.get('format')!r}; name another folder, or update synsight."
        )
    try:
        classes = found["classes"]
        if not isinstance(classes, list) or not all(isinstance(one, str) for one in classes):
            raise TypeError("classes must be a list of strings")
        config = override(settings(), found["settings"])
        kept = Kept(
            kind, config, tuple(classes), bool(found["masks"]), int(found["train_images"]), found["last_loss"]
        )
    except (KeyError, TypeError, ValueError, ConfigError, UsageError) as error:
        raise ModelError(f"{path}: is not whole ({error}); copy the folder again.") from None
    return kept, KeptWeights(folder / WEIGHTS)


def _encoder_alone(kept: Kept, question: DenseQuestion, built: "Built", images: AnnotatedImages) -> Model:
    """A model of the trained encoder; heads and texts that belonged to it as it was are left behind."""
    base = question.model
    encoder, side = encoder_and_side(base, kept.config.image_size)
    trunk: Any = getattr(encoder, "trunk", encoder)
    trunk.load_state_dict({name: value.cpu() for name, value in built.maps.encoder.state_dict().items()})
    catalog = images.catalog
    config = replace(
        base.config,
        image_size=side,
        method=question.task,
        head=None,
        classes=0,
        head_layers=(),
        words=0,
        projection_dim=0,
        text={},
        trained_on={"catalog": catalog.name, "version": question.version, "rows": len(images.train)},
    )
    rows = trained_rows(catalog, images.train.positions).with_earlier(base.trained_rows)
    return Model(encoder, config, trained_rows=rows, name=question.name)


def _read(path: Path) -> Mapping[str, Any]:
    try:
        found = files.read_json(path)
    except (DataError, ValueError, RecursionError) as error:
        raise ModelError(f"{path}: cannot be read ({error}); copy the folder again.") from None
    return found if isinstance(found, dict) else {}
