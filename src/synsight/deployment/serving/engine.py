"""What runs the encoder: ONNX Runtime, or torch where an architecture cannot be written as ONNX.

Letters: N images, S side in pixels, D dimensions of the features.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from synsight import files
from synsight.deployment.exported import ExportedModel, Preparation, open_session
from synsight.deployment.onnx_graphs import FEATURES, PIXELS, write_encoder
from synsight.errors import ModelError
from synsight.models.saved import Model
from synsight.models.weights import digest_of

TOLERANCE = 1e-3
"""Largest difference of features between torch and ONNX Runtime, as a share of the largest feature."""

Outputs = Mapping[str, NDArray[np.float32]]
"""`features` [N, D]; of an exported model also its probabilities."""


class Engine(Protocol):
    """An encoder with its preparation; called from one thread."""

    name: str
    """How it runs, for logs."""
    digest: str
    """Stands for the encoder's weights and the preparation."""
    dimensions: int
    """D."""
    preparation: Preparation

    def run(self, pixels: NDArray[np.uint8]) -> Outputs:
        """Prepared pixels [N, 3, S, S] -> outputs by name."""
        ...


class TorchEngine:
    """The encoder as torch runs it."""

    name = "torch"

    def __init__(self, model: Model) -> None:
        self._model = model
        self.digest, self.preparation = encoder_digest(model), preparation_of(model)
        self.dimensions = model.config.embedding_dim

    def run(self, pixels: NDArray[np.uint8]) -> Outputs:
        """See `Engine.run`."""
        return {FEATURES: self._model.features(torch.from_numpy(pixels)).cpu().numpy()}


class OnnxEngine:
    """The encoder as ONNX Runtime runs it.

    Args:
        model: Whose encoder the file holds.
        path: What `write_encoder` wrote.
        threads: Of one call; None: as many as there are cores.

    Raises:
        ModelError: Its features are not the model's.
        MissingDependency: onnxruntime is not installed.
    """

    name = "onnx"

    def __init__(self, model: Model, path: Path, *, threads: int | None = None) -> None:
        self.digest, self.preparation = encoder_digest(model), preparation_of(model)
        self.dimensions = model.config.embedding_dim
        self._session: Any = open_session(path, threads=threads)
        _check(self, model)

    def run(self, pixels: NDArray[np.uint8]) -> Outputs:
        """See `Engine.run`."""
        (features,) = self._session.run([FEATURES], {PIXELS: pixels})
        return {FEATURES: features}


class ExportedEngine:
    """What `export --format onnx` wrote: encoder and head in one."""

    name = "exported"

    def __init__(self, model: ExportedModel, *, digest: str) -> None:
        self._model, self.digest, self.preparation = model, digest, model.preparation
        size = model.preparation.image_size
        self.dimensions = self.run(np.zeros((1, 3, size, size), np.uint8))[FEATURES].shape[1]

    def run(self, pixels: NDArray[np.uint8]) -> Outputs:
        """See `Engine.run`."""
        return self._model.run(pixels)


def onnx_file(model: Model, folder: Path) -> Path:
    """The encoder of a model as an ONNX file in a folder; written unless it is there.

    Raises:
        ModelError: torch cannot write this architecture as ONNX.
        MissingDependency: onnx or onnxscript is not installed.
    """
    path = folder / f"encoder-{encoder_digest(model)}.onnx"
    if not path.exists():
        try:
            with files.replacing(path) as temporary:
                write_encoder(model, temporary)
        except ModelError as error:
            raise ModelError(f"{error} To serve it as it is: --engine torch.") from error
    return path


def encoder_digest(model: Model) -> str:
    """12 hex digits that stand for the encoder and the preparation, whatever the head."""
    config = model.config
    settings = [
        *(config.encoder, config.stem, config.image_size, list(config.mean), list(config.std)),
        *(config.crop_fraction, config.interpolation, config.resize),
        json.loads(json.dumps([dict(config.arguments), [dict(part) for part in config.parts]], default=str)),
    ]
    return digest_of(model.encoder.state_dict(), settings=settings)


def preparation_of(model: Model) -> Preparation:
    """How the model's images become its input."""
    config = model.config
    return Preparation(
        image_size=config.image_size,
        crop_fraction=config.crop_fraction,
        interpolation=config.interpolation,
        resize=config.resize,
    )


def _check(engine: OnnxEngine, model: Model) -> None:
    """Two images of noise through both."""
    size = engine.preparation.image_size
    noise = np.random.default_rng(0).integers(0, 256, (2, 3, size, size), dtype=np.uint8)
    expected = model.features(torch.from_numpy(noise)).cpu().numpy()
    difference = float(np.abs(engine.run(noise)[FEATURES] - expected).max())
    if not difference <= TOLERANCE * max(float(np.abs(expected).max()), 1e-6):
        raise ModelError(
            f"{model.name}: expected the features of torch from ONNX Runtime, found a difference of "
            f"{difference:.2g}; serve it with --engine torch, and report it."
        )
