"""What a model folder's config.json says, checked when it is made and when it is read."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, get_args

from synsight import files
from synsight.errors import ConfigError, DataError, ModelError
from synsight.models.timm_backbone import Stem

FORMAT = 3
"""Of config.json; raised when an older synsight could misread a newer folder. Older ones are read, too."""
NEW_IN = {
    2: {"arguments", "interpolation", "resize", "projection_dim", "text", "text_digest"},
    3: {"label_scores", "head_layers", "words", "parts"},
}
"""What config.json says since a format."""
LEAST_CROP = 0.1
"""Of `crop_fraction`: less would blow an image up before most of it is cut away."""

Interpolation = Literal["bicubic", "bilinear"]
Resize = Literal["shortest", "squash"]
"""Whether an image keeps its proportions and loses its ends, or is made square whole."""


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """How to build a model, feed it, and read it."""

    encoder: str
    """Name of the architecture: timm's, or "open-clip:NAME" for the image tower of an open_clip model."""
    image_size: int
    """Side of its input, pixels."""
    embedding_dim: int
    """D of its features."""
    mean: tuple[float, ...]
    """Of the normalisation, one number a channel for pixels in 0..1."""
    std: tuple[float, ...]
    stem: Stem = "standard"
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """Further arguments of timm's architecture."""
    crop_fraction: float = 1.0
    """Share of the resized image's side that the centre crop keeps."""
    interpolation: Interpolation = "bicubic"
    """How pixels are interpolated when an image is resized."""
    resize: Resize = "shortest"
    method: str = "untrained"
    """The recipe's method (`simclr`, `catlip`, ...), `untrained`, or whose weights they are: `timm`,
    `open-clip`, `hf-hub`, `local-dir`."""
    head: Literal["words", "labels"] | None = None
    """What the scores of `predict` stand for; None: no head."""
    classes: int = 0
    """C of the head; 0: no head."""
    label_scores: Literal["softmax", "sigmoid"] = "softmax"
    """Whether one label is right, or several may be."""
    head_layers: Sequence[Mapping[str, Any]] = ()
    """What builds a `FeatureHead`; none: the head is one linear layer."""
    words: int = 0
    """V of the head of words that is kept beside a head of labels; 0: there is none."""
    parts: Sequence[Mapping[str, Any]] = ()
    """What builds each encoder of an architecture "several"; their features stand side by side."""
    projection_dim: int = 0
    """P of the linear map from features to the space that images share with texts; 0: there is no map."""
    text: Mapping[str, Any] = field(default_factory=dict)
    """What builds the text tower that is saved beside the encoder; empty: there is none."""
    trained_on: Mapping[str, Any] = field(default_factory=dict)
    """Catalog name, version, fingerprint, rows, ...: JSON values."""
    package_version: str = field(default_factory=lambda: version("synsight"))

    def __post_init__(self) -> None:
        problem = _problem_of(self)
        if problem is not None:
            raise ConfigError(f"model config: {problem}.")


@dataclass(frozen=True, kw_only=True)
class Beside:
    """What config.json says besides the config."""

    digest: str
    """`Model.digest` that the weights must have."""
    text_digest: str = ""
    """The same for the weights of the text tower."""
    label_names: list[str] | None = None
    """If the head is one of labels."""


def write_config(path: Path, config: ModelConfig, beside: Beside) -> None:
    """Write config.json."""
    files.write_json(path, asdict(config) | {"format": FORMAT} | asdict(beside))


def read_config(path: Path) -> tuple[ModelConfig, Beside]:
    """The config, and what stands beside it.

    Raises:
        ModelError: The file is missing, no JSON, or holds other keys or values than `write_config` writes.
    """
    try:
        found = files.read_json(path)
    except (DataError, ValueError, RecursionError) as error:
        raise ModelError(
            f"{path}: expected the config of a model folder, found none that can be read ({error})"
        ) from None
    written_as = found.get("format") if isinstance(found, dict) else None
    if isinstance(found, dict) and "format" in found and written_as not in range(1, FORMAT + 1):
        raise ModelError(f"{path}: was written by another version of synsight; update synsight to read it.")
    beside = {one.name for one in fields(Beside)}
    known = {one.name for one in fields(ModelConfig)} | beside | {"format"}
    if isinstance(written_as, int):
        known -= {name for since, new in NEW_IN.items() if since > written_as for name in new}
    if not isinstance(found, dict) or set(found) != known:
        keys = sorted(known ^ set(found)) if isinstance(found, dict) else []
        raise ModelError(
            f"{path}: expected the config of a synsight model, found something else"
            f"{f' (missing or unknown: {keys[0]!r})' if keys else ''}; give a folder that `pretrain` wrote."
        )
    del found["format"]
    extra = {key: found.pop(key) for key in beside & set(found)}
    names = extra["label_names"]
    try:
        for name in {"mean", "std", "head_layers", "parts"} & set(found):
            found[name] = tuple(found[name])
        config = ModelConfig(**found)
    except (TypeError, ConfigError) as error:
        raise ModelError(f"{path}: {error} Copy the model folder again.") from None
    is_names = isinstance(names, list) and all(isinstance(one, str) for one in names)
    if config.head == "labels" and (not is_names or len(names) != config.classes):
        raise ModelError(
            f"{path}: expected {config.classes} label_names, found others; copy the model folder again."
        )
    return config, Beside(**extra | {"label_names": names if is_names else None})


def _problem_of(config: Any) -> str | None:
    for name in ("image_size", "embedding_dim", "classes", "projection_dim", "words"):
        if not isinstance(getattr(config, name), int) or isinstance(getattr(config, name), bool):
            return f"{name} must be an integer; got {getattr(config, name)!r}"
    if not 1 <= config.image_size <= 4096:
        return f"image_size must be in 1..4096; got {config.image_size}"
    if config.embedding_dim < 1 or min(config.classes, config.projection_dim, config.words) < 0:
        return (
            "embedding_dim must be >= 1, classes, projection_dim and words >= 0; got "
            f"{config.embedding_dim}, {config.classes}, {config.projection_dim} and {config.words}"
        )
    for name in ("encoder", "method", "package_version"):
        if not isinstance(getattr(config, name), str):
            return f"{name} must be a string; got {getattr(config, name)!r}"
    for name in ("mean", "std"):
        if not _three_numbers(getattr(config, name)) or (name == "std" and min(config.std) <= 0):
            return f"{name} must be three numbers, std > 0; got {getattr(config, name)!r}"
    if not isinstance(config.crop_fraction, int | float) or not LEAST_CROP <= config.crop_fraction <= 1:
        return f"crop_fraction must be in [{LEAST_CROP}, 1]; got {config.crop_fraction!r}"
    for name, kind in (("stem", Stem), ("interpolation", Interpolation), ("resize", Resize)):
        if getattr(config, name) not in get_args(kind):
            return f"{name} must be one of {', '.join(get_args(kind))}; got {getattr(config, name)!r}"
    if config.head not in ("words", "labels", None) or (config.head is None) != (config.classes == 0):
        return (
            "head must be 'words' or 'labels' with classes, or null without; "
            f"got {config.head!r} and {config.classes}"
        )
    if config.label_scores not in ("softmax", "sigmoid"):
        return f"label_scores must be softmax or sigmoid; got {config.label_scores!r}"
    for name in ("head_layers", "parts"):
        if not isinstance(getattr(config, name), list | tuple):
            return f"{name} must be a list; got {getattr(config, name)!r}"
    if config.head != "labels" and (config.head_layers or (config.words and config.head is not None)):
        return f"head_layers and words stand beside a head of labels; the head is {config.head!r}"
    for name in ("arguments", "text", "trained_on"):
        if not isinstance(getattr(config, name), Mapping):
            return f"{name} must be an object; got {getattr(config, name)!r}"
    return None


def _three_numbers(value: Any) -> bool:
    return (
        isinstance(value, tuple)
        and len(value) == 3
        and all(isinstance(one, int | float) and math.isfinite(one) for one in value)
    )
