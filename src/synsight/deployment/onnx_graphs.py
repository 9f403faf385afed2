"""A model as ONNX: from uint8 pixels to features, from features to scores, or both in one file.

The pixels' normalisation is part of the graph, so that whoever runs it hands over what an image decoder
gives. The number of images is free.

Letters: N images, S side in pixels, D dimensions of the features, C classes, V words.
"""

import copy
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from synsight.data.views import normalise
from synsight.errors import MissingDependency, ModelError
from synsight.models.saved import Model

OPSET = 20
"""ONNX Runtime reads it since 1.17."""
PIXELS, FEATURES, SCORES = "pixels", "features", "scores"
PROBABILITIES, WORD_PROBABILITIES = "probabilities", "word_probabilities"
ONE_FILE = 1_900_000_000
"""Bytes of weights above which they stand in a file of their own beside the graph: protobuf ends at 2 GB."""


class EncoderGraph(nn.Module):
    """uint8 [N, 3, S, S] -> features, float32 [N, D].

    Args:
        model: Whose encoder is copied to the processor, in evaluation mode.
    """

    outputs: tuple[str, ...] = (FEATURES,)

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.encoder = _copied(model.encoder)
        self.mean, self.std = model.config.mean, model.config.std

    def forward(self, pixels: Tensor) -> Tensor:
        """The features."""
        features: Tensor = self.encoder(normalise(pixels, mean=self.mean, std=self.std))
        return features.float()


class HeadGraph(nn.Module):
    """features [N, D] -> `outputs`: scores and probabilities [N, C] of the head, and [N, V] of words where
    the model has any (its head's, or those kept beside a head of labels).

    Raises:
        ModelError: The model has neither head nor words.
    """

    def __init__(self, model: Model) -> None:
        super().__init__()
        word_head = model.word_head
        if model.head is None and word_head is None:
            raise ModelError(
                f"{model.name}: has no head, so there are no scores to export; export the encoder, or a "
                "model trained on words or labels."
            )
        self.head = None if model.head is None else _copied(model.head)
        self.are_words = model.config.head == "words"
        self.sigmoid = self.are_words or model.config.label_scores == "sigmoid"
        self.word_head = None if word_head is None or self.are_words else _copied(word_head)
        names = () if self.head is None else (SCORES, PROBABILITIES)
        with_words = self.are_words or self.word_head is not None
        self.outputs: tuple[str, ...] = (*names, WORD_PROBABILITIES) if with_words else names

    def forward(self, features: Tensor) -> tuple[Tensor, ...]:
        """What `outputs` names, in its order."""
        found: list[Tensor] = []
        if self.head is not None:
            scores: Tensor = self.head(features)
            found += [scores, scores.sigmoid() if self.sigmoid else scores.softmax(dim=1)]
            if self.are_words:  # an output of its own, as ONNX knows no two names of one value
                found.append(scores.sigmoid())
        if self.word_head is not None:
            found.append(self.word_head(features).sigmoid())
        return tuple(found)


class WholeGraph(nn.Module):
    """uint8 [N, 3, S, S] -> features, and what `HeadGraph` makes of them; features alone without a head."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.encoder = EncoderGraph(model)
        headless = model.head is None and model.word_head is None
        self.head = None if headless else HeadGraph(model)
        self.outputs: tuple[str, ...] = (FEATURES, *(() if self.head is None else self.head.outputs))

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """What `outputs` names, in its order."""
        features = self.encoder(pixels)
        return (features,) if self.head is None else (features, *self.head(features))


def write_encoder(model: Model, path: str | Path) -> Path:
    """Write the encoder as ONNX: `pixels` uint8 [N, 3, S, S] -> `features` float32 [N, D].

    Raises:
        ModelError: torch cannot write this architecture as ONNX.
        MissingDependency: onnx or onnxscript is not installed.
    """
    return _write(EncoderGraph(model), pixels_like(model), PIXELS, path=Path(path), name=model.name)


def write_head(model: Model, path: str | Path) -> Path:
    """Write the head as ONNX: `features` float32 [N, D] -> `scores`, `probabilities` [N, C] and, where the
    model has words, `word_probabilities` [N, V].

    Raises:
        ModelError: The model has no head, or torch cannot write it as ONNX.
        MissingDependency: As `write_encoder`.
    """
    like = torch.zeros(2, model.config.embedding_dim)
    return _write(HeadGraph(model), like, FEATURES, path=Path(path), name=model.name)


def write_whole(model: Model, path: str | Path) -> Path:
    """Write all of it as one ONNX file: `pixels` -> `features` and all that `write_head` gives.

    Raises:
        ModelError, MissingDependency: As `write_encoder`.
    """
    return _write(WholeGraph(model), pixels_like(model), PIXELS, path=Path(path), name=model.name)


def pixels_like(model: Model) -> Tensor:
    """Two black images, uint8 [2, 3, S, S]: two, since torch takes a batch of one for a fixed number."""
    return torch.zeros(2, 3, model.config.image_size, model.config.image_size, dtype=torch.uint8)


def _write(graph: Any, example: Tensor, source: str, *, path: Path, name: str) -> Path:
    for package in ("onnx", "onnxscript"):
        _need(package)
    batch = torch.export.Dim("batch", min=1)
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program: Any = torch.onnx.export(
                graph.eval(),
                (example,),
                dynamo=True,
                opset_version=OPSET,
                input_names=[source],
                output_names=list(graph.outputs),
                dynamic_shapes=({0: batch},),
                verbose=False,
            )
    except Exception as error:  # torch and onnxscript raise dozens of unrelated kinds
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ModelError(
            f"{name}: torch cannot write it as ONNX ({reason}); export it as torch, or choose an "
            "architecture of docs/export.md's table."
        ) from error
    program.save(str(path), external_data=_weight_bytes(graph) > ONE_FILE)
    return path


def _need(package: str) -> None:
    from importlib.util import find_spec

    if find_spec(package) is None:
        raise MissingDependency(package, extra="export", purpose="writing ONNX")


def _weight_bytes(module: nn.Module) -> int:
    tensors: Sequence[Tensor] = [*module.parameters(), *module.buffers()]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _copied(module: nn.Module) -> nn.Module:
    """In evaluation mode, on the processor, in float32: nothing of the model itself is moved."""
    return copy.deepcopy(module).cpu().float().eval().requires_grad_(False)
