"""All that answers requests: engine, heads, cases, explanations, feedback; opened once a worker."""

import multiprocessing
import os
import signal
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from synsight.data.catalog import Catalog
from synsight.data.images import ImageHeader, ImageLimits, decode_image, read_header
from synsight.deployment.exported import GRAPH, ExportedModel
from synsight.deployment.onnx_graphs import FEATURES
from synsight.deployment.serving.cases import Cases
from synsight.deployment.serving.engine import Engine, ExportedEngine, OnnxEngine, TorchEngine, onnx_file
from synsight.deployment.serving.feedback import FeedbackStore
from synsight.deployment.serving.heads import (
    Head,
    Heads,
    exported_heads,
    folder_beneath,
    head_of,
    named_models,
    share_encoder,
    word_head_of,
)
from synsight.deployment.serving.limits import Limits
from synsight.deployment.serving.metrics import Metrics
from synsight.deployment.serving.settings import ServeSettings
from synsight.errors import ConfigError, ImageError, ModelError
from synsight.files import read_json, sha256_of, write_json
from synsight.manifest import MANIFEST
from synsight.models.folder import load_folder
from synsight.models.saved import Model

PLACES = "places.json"
"""In the work folder: heads that a request to any worker put in place, name -> folder."""
DECODERS = min(4, os.cpu_count() or 1)
"""Threads that decode; an image of 50 megapixels takes up to half a gigabyte in one of them."""


@dataclass(frozen=True)
class Question:
    """A prepared image, and whose probabilities are asked for; None: of no head."""

    pixels: NDArray[np.uint8]
    """[3, S, S]."""
    head: Head | None


@dataclass(frozen=True)
class Found:
    """What the encoder and the head gave."""

    features: NDArray[np.float32]
    """[D]."""
    probabilities: NDArray[np.float32] | None
    """[C] of the question's head."""


class Service:
    """One worker's.

    Attributes:
        settings: What it was started with.
        metrics: What it counts.
        engine: The encoder.
        heads: What names its scores.
        cases: Of the reference; None: there is none.
        feedback: Where verdicts go; None: nowhere.
        decoders: Threads that decode images.
        explaining: The thread that explains.
    """

    def __init__(
        self,
        settings: ServeSettings,
        engine: Engine,
        heads: Heads,
        *,
        metrics: Metrics,
        work: Path,
        model: Model | None = None,
        reference: Catalog | None = None,
    ) -> None:
        self.settings, self.engine, self.heads, self.metrics = settings, engine, heads, metrics
        self._work = work
        self._places: dict[str, str] = {}
        self._model, self._reference = model, reference
        self.cases = None
        if reference is not None:
            found = Cases.of_engine(engine, reference) if model is None else Cases.of_model(model, reference)
            self.cases = found
        self.feedback = None
        if settings.feedback is not None:
            self.feedback = FeedbackStore(
                settings.feedback, done=lambda one: metrics.feedback.labels(one.verdict).inc()
            )
        self.decoders = ThreadPoolExecutor(DECODERS, "decoder")
        self.explaining = ThreadPoolExecutor(1, "explainer")
        self._explainers: dict[int, tuple[Head, Any]] = {}

    @property
    def explains(self) -> bool:
        """Whether there is a head or words to explain."""
        return (self.heads.get(None) or self.heads.words) is not None

    def opened(self, body: bytes) -> tuple[ImageHeader, Image.Image]:
        """The header and the decoded image of a body; the header is looked at first.

        Raises:
            ImageError: No image that is accepted.
        """
        limits = self.settings.limits
        header = read_header(body, _image_limits(limits))
        self._refuse_long(header, limits)
        return header, decode_image(body, limits=_image_limits(limits))

    def prepared(self, body: bytes) -> tuple[ImageHeader, NDArray[np.uint8]]:
        """The header and the encoder's input [3, S, S] of a body.

        Raises:
            ImageError: As `opened`.
        """
        header, image = self.opened(body)
        return header, self.engine.preparation.pixels([image])[0]

    def answers(self, questions: Sequence[Question]) -> list[Found]:
        """Answers of a batch; each head that is asked for is run once."""
        outputs = self.engine.run(np.stack([one.pixels for one in questions]))
        rows: dict[int, NDArray[np.float32]] = {}
        for one in questions:
            if one.head is not None and id(one.head) not in rows:
                rows[id(one.head)] = one.head.probabilities(outputs)
        return [
            Found(outputs[FEATURES][number], None if one.head is None else rows[id(one.head)][number])
            for number, one in enumerate(questions)
        ]

    def explain(self, body: bytes, head: Head, *, words: int, locale: str) -> dict[str, Any]:
        """The explanation of an image as plain values; from the one thread of `explaining`.

        Raises:
            ImageError: As `opened`.
        """
        _, image = self.opened(body)
        found: dict[str, Any] = (
            self._explainer(head).explain(image, words=words, heat=True, locale=locale).as_json()
        )
        return found

    def put_head(self, name: str, folder: str) -> Head:
        """Put a model of the folder of heads in place.

        Raises:
            ModelError: It is no model with a head on this encoder.
            UsageError: There is no such folder.
        """
        head = self._put(name, folder_beneath(self.settings.heads, folder))
        self._places[name] = folder
        if self.settings.workers > 1:
            self._tell_the_others()
        return head

    def read_heads_again(self) -> list[Head]:
        """Put the heads in place as their folders are now, and those that another worker was given.

        Raises:
            ModelError: A folder is no model with a head on this encoder; those before it are in place.
            UsageError: A folder of the folder of heads is gone.
        """
        if (self._work / PLACES).exists():
            self._places |= read_json(self._work / PLACES)
        placed = {name: folder_beneath(self.settings.heads, one) for name, one in self._places.items()}
        return [self._put(name, path) for name, path in {**self.settings.models, **placed}.items()]

    def close(self) -> None:
        """End the threads; verdicts that wait are written."""
        self.decoders.shutdown()
        self.explaining.shutdown()
        if self.feedback is not None:
            self.feedback.close()

    def _put(self, name: str, path: Path) -> Head:
        if self._model is None:
            raise ModelError("an exported model is served as it is; start the service anew for another.")
        head = self.heads.put(name, share_encoder(load_folder(path), self._model))
        self.metrics.swaps.inc()
        return head

    def _tell_the_others(self) -> None:
        """Through the process that watches the workers; it passes SIGHUP on."""
        parent = multiprocessing.parent_process()
        write_json(self._work / PLACES, self._places)
        if parent is not None and parent.pid == os.getppid():
            os.kill(parent.pid, signal.SIGHUP)

    def _explainer(self, head: Head) -> Any:
        kept = self._explainers.get(id(head))
        if kept is None or kept[0] is not head:
            living = {id(one) for one in (*self.heads, self.heads.words)}
            self._explainers = {key: one for key, one in self._explainers.items() if key in living}
            kept = head, self._new_explainer(head)
            self._explainers[id(head)] = kept
        return kept[1]

    def _new_explainer(self, head: Head) -> Any:
        if head.model is None:
            from synsight.deployment.serving.occluding import OcclusionExplainer

            return OcclusionExplainer(self.engine, head, words=self.heads.words, cases=self.cases)
        from synsight.explanation import Explainer

        return Explainer(head.model, reference=self._reference)

    def _refuse_long(self, header: ImageHeader, limits: Limits) -> None:
        """A strip of 1 x 40,000,000 pixels is small until its shorter side is resized."""
        way = self.engine.preparation
        side = round(way.image_size / way.crop_fraction)
        short, long = sorted((header.width, header.height))
        if way.resize == "shortest" and side * side * long > limits.pixels * max(short, 1):
            raise ImageError(
                "too_many_pixels",
                f"expected at most {limits.pixels:,} pixels when the image's shorter side is {side}, "
                f"found {header.width:,} x {header.height:,}; crop it first.",
            )


def open_service(settings: ServeSettings, *, work: Path, metrics: Metrics | None = None) -> Service:
    """Load what is served.

    Args:
        settings: What to serve.
        work: Folder for ONNX files, shared by workers.
        metrics: What it counts; None: new ones.

    Raises:
        ModelError: A model cannot be used, or two have different encoders.
        CatalogError: The reference or the feedback is no such catalog.
        ConfigError: An exported model together with what needs the whole model.
    """
    metrics = metrics or Metrics()
    first = next(iter(settings.models.values()))
    if (first / MANIFEST).is_file() and (first / GRAPH).is_file():
        return _open_exported(settings, metrics, work)
    models = named_models(settings.models)
    model = next(iter(models.values()))
    if settings.engine == "torch":
        engine: Engine = TorchEngine(model)
    else:
        path = onnx_file(model, work)
        engine = OnnxEngine(model, path, threads=settings.threads_each)
    with_heads = {name: one for name, one in models.items() if one.head is not None or len(models) > 1}
    heads = Heads(
        engine,
        [head_of(one, name=name, engine=engine) for name, one in with_heads.items()],
        words=word_head_of(model),
    )
    reference = None if settings.reference is None else Catalog.open(settings.reference)
    service = Service(settings, engine, heads, metrics=metrics, work=work, model=model, reference=reference)
    if (work / PLACES).exists():  # a worker that was started again
        service.read_heads_again()
    return service


def _open_exported(settings: ServeSettings, metrics: Metrics, work: Path) -> Service:
    name, folder = next(iter(settings.models.items()))
    if len(settings.models) > 1 or settings.heads is not None:
        raise ConfigError(
            f"{folder}: an exported model is served by itself, found other heads; leave them out, or "
            "serve the model folder it was made from."
        )
    exported = ExportedModel.open(folder, threads=settings.threads_each)
    digest = sha256_of(folder / MANIFEST)[:12]
    engine = ExportedEngine(exported, digest=digest)
    heads, words = exported_heads(exported, name=name, digest=digest)
    reference = None if settings.reference is None else Catalog.open(settings.reference)
    return Service(
        settings, engine, Heads(engine, heads, words=words), metrics=metrics, work=work, reference=reference
    )


def _image_limits(limits: Limits) -> ImageLimits:
    return ImageLimits(max_pixels=limits.pixels, max_bytes=limits.body_bytes)
