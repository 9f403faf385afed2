"""An image encoder to begin with, and how the images it knows were prepared."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from synsight.data.trained_rows import TrainedRows
from synsight.errors import ConfigError, ModelError
from synsight.models.backbones import embedding_dim
from synsight.models.config import LEAST_CROP, ModelConfig
from synsight.models.text_side import TextSide
from synsight.models.timm_backbone import Stem


@dataclass(frozen=True, kw_only=True)
class StartingEncoder:
    """A backbone with weights from somewhere, or none yet."""

    module: nn.Module
    """[B, 3, S, S] -> [B, D]."""
    architecture: str
    """What `build_backbone` makes the same module of, without weights and without a network."""
    image_size: int
    """S, pixels."""
    stem: Stem
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """Further arguments of timm's architecture."""
    preparation: Mapping[str, Any]
    """`mean`, `std`, `crop_fraction`, `interpolation` and `resize`, as in `ModelConfig`."""
    origin: str
    """`untrained`, `timm`, `open-clip`, `hf-hub`, `local-dir`, or the method of a model folder."""
    text: Callable[[], TextSide] | None = None
    """Reads the text half that belongs to the weights."""
    trained_rows: TrainedRows | None = None
    """What the weights were made from; None: nobody knows, or there are none yet."""

    @property
    def pretrained(self) -> bool:
        """Whether the weights were trained."""
        return self.origin != "untrained"

    @property
    def mean(self) -> tuple[float, ...]:
        """Of the normalisation, one number a channel for pixels in 0..1."""
        mean: tuple[float, ...] = self.preparation["mean"]
        return mean

    @property
    def std(self) -> tuple[float, ...]:
        """As `mean`."""
        std: tuple[float, ...] = self.preparation["std"]
        return std

    def config(self, **more: Any) -> ModelConfig:
        """The config of a model with this encoder.

        Args:
            more: Fields of `ModelConfig` in place of what is known from here.

        Raises:
            ModelError: The images were prepared in a way that synsight does not have.
        """
        known = {
            "encoder": self.architecture,
            "image_size": self.image_size,
            "embedding_dim": embedding_dim(self.module),
            "stem": self.stem,
            "arguments": dict(self.arguments),
            "method": self.origin,
            **self.preparation,
        }
        try:
            return ModelConfig(**(known | more))
        except ConfigError as error:
            raise ModelError(f"{self.architecture}: cannot be used: {error}") from None


def timm_preparation(settings: Mapping[str, Any], *, image_size: int) -> dict[str, Any]:
    """How timm prepares images for evaluation, as fields of `ModelConfig`.

    Args:
        settings: `mean`, `std`, `crop_pct`, `crop_mode` and `interpolation` of timm's pretrained_cfg.
        image_size: Side of the input, pixels.
    """
    crop = settings.get("crop_pct") or 0.875
    mode = settings.get("crop_mode") or "center"
    return {
        "mean": _as_tuple(settings.get("mean")),
        "std": _as_tuple(settings.get("std")),
        # timm rounds the size before the crop down, `plain_view` to the nearest; so they are equal.
        "crop_fraction": image_size / math.floor(image_size / crop) if _is_share(crop) else crop,
        "interpolation": settings.get("interpolation") or "bicubic",
        "resize": {"center": "shortest"}.get(mode, mode),
    }


def check_features(name: str, module: nn.Module, *, image_size: int) -> None:
    """Raise a ModelError unless one image gives one row of features."""
    module.eval()
    try:
        with torch.inference_mode():
            features = module(torch.zeros(1, 3, image_size, image_size))
    except Exception as error:  # whatever a strange architecture raises
        reason = " ".join(str(error).split())[:200]
        raise ModelError(
            f"{name}: fails on an image of {image_size} px ({reason}); use its own size."
        ) from error
    shape = tuple(getattr(features, "shape", ()))
    if shape != (1, embedding_dim(module)):
        raise ModelError(
            f"{name}: expected one row of {embedding_dim(module)} features an image, found {list(shape)}; "
            "use a model that pools its features."
        )


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list | tuple) else value


def _is_share(value: Any) -> bool:
    return isinstance(value, int | float) and LEAST_CROP <= value <= 1
