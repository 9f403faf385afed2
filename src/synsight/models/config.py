"""What a model folder's config.json says, checked when it is made and when it is read."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, get_args

from synsight import files
from synsight.errors import ConfigError, DataError, ModelError
from synsight.models.backbones import Stem

FORMAT = 1
"""Of config.json; raised when an older synsight could misread a newer folder."""


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """How to build a model, feed it, and read it."""

    encoder: str
    """timm's name of the architecture."""
    image_size: int
    """Side of its input, pixels."""
    embedding_dim: int
    """D of its features."""
    mean: tuple[float, ...]
    """Of the normalisation, one number a channel for pixels in 0..1."""
    std: tuple[float, ...]
    stem: Stem = "standard"
    crop_fraction: float = 1.0
    """Share of the resized image's side that the centre crop keeps."""
    method: str = "untrained"
    """`simclr`, `catlip`, `supervised`, `timm` (weights of timm), `untrained`."""
    head: Literal["words", "labels"] | None = None
    """What the scores of `predict` stand for; None: no head."""
    classes: int = 0
    """C of the head; 0: no head."""
    trained_on: Mapping[str, Any] = field(default_factory=dict)
    """Catalog name, version, fingerprint, rows, ...: JSON values."""
    package_version: str = field(default_factory=lambda: version("synsight"))

    def __post_init__(self) -> None:
        problem = _problem_of(self)
        if problem is not None:
            raise ConfigError(f"model config: {problem}.")


def write_config(path: Path, config: ModelConfig, *, digest: str, label_names: list[str] | None) -> None:
    """Write config.json."""
    extra = {"format": FORMAT, "digest": digest, "label_names": label_names}
    files.write_json(path, asdict(config) | extra)


def read_config(path: Path) -> tuple[ModelConfig, str, list[str] | None]:
    """The config, the digest the weights must have, and the names of the labels, if it has a head of labels.

    Raises:
        ModelError: The file is missing, no JSON, or holds other keys or values than `write_config` writes.
    """
    try:
        found = files.read_json(path)
    except (DataError, ValueError, RecursionError) as error:
        raise ModelError(
            f"{path}: expected the config of a model folder, found none that can be read ({error})"
        ) from None
    known = {one.name for one in fields(ModelConfig)}
    if not isinstance(found, dict) or set(found) != known | {"format", "digest", "label_names"}:
        keys = (
            sorted(known ^ (set(found) - {"format", "digest", "label_names"}))
            if isinstance(found, dict)
            else []
        )
        raise ModelError(
            f"{path}: expected the config of a synsight model, found something else"
            f"{f' (missing or unknown: {keys[0]!r})' if keys else ''}; give a folder that `pretrain` wrote."
        )
    if found.pop("format") != FORMAT:
        raise ModelError(f"{path}: was written by another version of synsight; update synsight to read it.")
    digest, names = found.pop("digest"), found.pop("label_names")
    try:
        for name in ("mean", "std"):
            found[name] = tuple(found[name])
        config = ModelConfig(**found)
    except (TypeError, ConfigError) as error:
        raise ModelError(f"{path}: {error} Copy the model folder again.") from None
    is_names = isinstance(names, list) and all(isinstance(one, str) for one in names)
    if config.head == "labels" and (not is_names or len(names) != config.classes):
        raise ModelError(
            f"{path}: expected {config.classes} label_names, found others; copy the model folder again."
        )
    return config, str(digest), names if is_names else None


def _problem_of(config: Any) -> str | None:
    for name in ("image_size", "embedding_dim", "classes"):
        if not isinstance(getattr(config, name), int) or isinstance(getattr(config, name), bool):
            return f"{name} must be an integer; got {getattr(config, name)!r}"
    if not 1 <= config.image_size <= 4096:
        return f"image_size must be in 1..4096; got {config.image_size}"
    if config.embedding_dim < 1 or config.classes < 0:
        return f"embedding_dim must be >= 1 and classes >= 0; got {config.embedding_dim} and {config.classes}"
    for name in ("encoder", "method", "package_version"):
        if not isinstance(getattr(config, name), str):
            return f"{name} must be a string; got {getattr(config, name)!r}"
    for name in ("mean", "std"):
        if not _three_numbers(getattr(config, name)) or (name == "std" and min(config.std) <= 0):
            return f"{name} must be three numbers, std > 0; got {getattr(config, name)!r}"
    if not isinstance(config.crop_fraction, int | float) or not 0 < config.crop_fraction <= 1:
        return f"crop_fraction must be in (0, 1]; got {config.crop_fraction!r}"
    if config.stem not in get_args(Stem):
        return f"stem must be one of {', '.join(get_args(Stem))}; got {config.stem!r}"
    if config.head not in ("words", "labels", None) or (config.head is None) != (config.classes == 0):
        return (
            "head must be 'words' or 'labels' with classes, or null without; "
            f"got {config.head!r} and {config.classes}"
        )
    if not isinstance(config.trained_on, Mapping):
        return f"trained_on must be an object; got {config.trained_on!r}"
    return None


def _three_numbers(value: Any) -> bool:
    return (
        isinstance(value, tuple)
        and len(value) == 3
        and all(isinstance(one, int | float) and math.isfinite(one) for one in value)
    )
