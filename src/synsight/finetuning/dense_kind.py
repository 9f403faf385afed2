"""One way from an encoder to an answer about boxes or pixels: build, train, keep, judge.

What is trained, how it learns and how it is judged is a `DenseKind`'s own; there are two, `Detection` and
`Segmentation`.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from synsight.data.written_reports import note_report
from synsight.evaluation.judged import LabelFreeTask, Subject
from synsight.evaluation.scoring import Scored
from synsight.finetuning.coco_files import COCO_FILES
from synsight.finetuning.dense_config import DenseConfig
from synsight.finetuning.dense_data import AnnotatedImages, Picture, shown
from synsight.finetuning.dense_run import DenseNetwork, default_device, seeded, train_dense
from synsight.finetuning.dense_saved import Kept, is_kept, keep, read_kept, weights_digest
from synsight.finetuning.dense_task import (
    FROZEN,
    DenseQuestion,
    batches_of_test,
    config_for,
    pixels_of,
    question_about,
    read_images,
    records,
    training_batches,
    write_answer,
)
from synsight.finetuning.feature_pyramid import EncoderMaps
from synsight.metrics import Interval
from synsight.models import Model, load
from synsight.models.preparing import Images
from synsight.records import Result
from synsight.training import override

C = TypeVar("C", bound=DenseConfig)


@dataclass(frozen=True, eq=False)
class Built:
    """A network and the maps of the encoder inside it."""

    network: Any
    maps: EncoderMaps


@dataclass(frozen=True, eq=False)
class Judgement:
    """What a network was found to be worth."""

    values: Mapping[str, tuple[Interval, float]]
    """Metric -> its value with its interval, and its baseline."""
    details: Mapping[str, Any]
    write_coco: Callable[[Path], None] | None = None
    """Writes the answers into a folder of their own, as COCO's tools read them; None: there is no such form.
    """


class DenseKind(ABC, Generic[C]):
    """What stands on an encoder, how it learns, and how it is judged.

    Attributes:
        name: Of the task; with `_frozen` behind where the encoder stays as it is.
        builds: What it makes of an encoder; names the seed of its first weights.
        settings: Class of its settings.
    """

    name: str
    builds: str
    settings: type[C]

    @abstractmethod
    def check(self, images: AnnotatedImages) -> None:
        """Raise what would be raised after the training."""

    def check_batch(self, rows: int) -> None:
        """Raise what so few images in a batch do not allow."""

    @abstractmethod
    def reads_masks(self, images: AnnotatedImages, config: C) -> bool:
        """Whether masks are taught and judged."""

    @abstractmethod
    def build(self, model: Model, config: C, *, num_classes: int, masks: bool) -> Built:
        """A network around a copy of a model's encoder, for C classes without the background."""

    @abstractmethod
    def loss(
        self, network: Any, pictures: Sequence[Picture], turned: Sequence[bool], pixels: Tensor, config: C
    ) -> Tensor:
        """The loss of a batch; pixels are the pictures' own, normalised, on the network's device."""

    @abstractmethod
    def judge(
        self,
        built: Built,
        images: AnnotatedImages,
        batches: Iterable[tuple[list[Picture], Tensor]],
        places: Sequence[int],
        *,
        masks: bool,
    ) -> Judgement:
        """Judge the test images; class c of the network is class places[c] of the images."""

    def task(self, *, frozen: bool) -> LabelFreeTask:
        """The task of `evaluate`."""

        def ask(subject: Subject) -> Scored:
            config = config_for(subject, self.settings, prefix=self.name, frozen=frozen)
            return answer(self, DenseQuestion.of(subject, self.name + FROZEN * frozen), config)

        return ask

    def asked_from_python(
        self,
        model: str | Path,
        *,
        data: str | Path,
        out: str | Path,
        name: str | None,
        seed: int,
        overrides: Mapping[str, object],
    ) -> list[Result]:
        """Train and judge outside of an evaluation, and write the evaluation's folder."""
        config = override(self.settings(seed=seed), overrides)
        task = self.name + FROZEN * config.frozen
        question = question_about(model, task=task, data=data, out=out, name=name, seed=seed)
        scored = answer(self, question, config)
        write_answer(question, scored, config)
        return scored.results


def answer(kind: DenseKind[C], question: DenseQuestion, config: C) -> Scored:
    """Train, or go on with, what the question asks for, and judge it; or judge what is trained already.

    A folder that an earlier run of the same kind kept is judged as it is, with its own settings: on the test
    images of the catalog, of which no training image is needed. Its classes are found by their names.
    """
    if is_kept(question.source, kind.name):
        return _judged_again(kind, question)
    images, data = read_images(question)
    kind.check(images)
    kind.check_batch(min(config.batch_size, len(images.train)))
    masks, device = kind.reads_masks(images, config), default_device()
    with seeded(config.seed, kind.builds):
        built = kind.build(question.model, config, num_classes=len(images.classes), masks=masks)
    built.network.to(device)
    batches = training_batches(images, config, masks=masks)

    def loss_of(step: int) -> Tensor:
        pictures, turned = batches.at(step)
        pixels = pixels_of(pictures, question.model).to(device)
        return kind.loss(built.network, pictures, turned, pixels, config)

    run = question.run_folder(config, data=data)
    trained = train_dense(
        DenseNetwork(built.network, built.maps, question.pretrained),
        loss_of,
        config=config,
        out=run,
        title=f"{question.task} {question.name}",
    )
    kept = Kept(kind.name, config, images.classes, masks, len(images.train), trained.loss)
    with seeded(config.seed, kind.builds):  # what is built anew draws weights, and is given others
        folder = keep(run / "model", kept, question, built, images)
    coco = question.coco_folder(config, data=data, weights=weights_digest(folder))
    scored = _judged(kind, question, kept, built, images, coco)
    told = {"trained_model": folder.relative_to(question.out).as_posix()}
    return _retold(scored, told, seconds=trained.seconds)


@dataclass(frozen=True, eq=False)
class Loaded:
    """A trained network, ready to be asked."""

    kept: Kept
    built: Built
    model: Model
    """Its encoder, and how images are fed to it."""


def load_network(kind: DenseKind[C], folder: Path) -> Loaded:
    """What `keep` wrote, on the default device.

    Raises:
        ModelError: The folder's files are not whole, or not of this kind.
    """
    kept, state = read_kept(folder, kind.name, kind.settings)
    model = load(folder)
    with seeded(kept.config.seed, kind.builds):
        built = kind.build(model, kept.config, num_classes=len(kept.classes), masks=kept.masks)
    state.into(built.network, built.maps)
    network: nn.Module = built.network
    network.to(default_device()).eval()
    return Loaded(kept, built, model)


def _judged_again(kind: DenseKind[C], question: DenseQuestion) -> Scored:
    folder = Path(question.source)
    loaded = load_network(kind, folder)
    kept, built = loaded.kept, loaded.built
    images, data = read_images(question, need_training=False)
    others = [name for name in kept.classes if name not in images.classes]
    images = replace(images, classes=(*images.classes, *others))
    kind.check(images)
    coco = question.coco_folder(kept.config, data=data, weights=weights_digest(folder))
    scored = _judged(kind, question, kept, built, images, coco)
    return _retold(scored, {"trained_model": question.source})


def _judged(
    kind: DenseKind[C],
    question: DenseQuestion,
    kept: Kept,
    built: Built,
    images: AnnotatedImages,
    coco: Path,
) -> Scored:
    began = time.perf_counter()
    masks = kept.masks and images.has_masks
    device = next(built.network.parameters()).device
    batches = batches_of_test(images, kept.config, question.model, masks=masks, device=device)
    places = [images.classes.index(name) for name in kept.classes]
    with torch.inference_mode():
        judgement = kind.judge(built, images, batches, places, masks=masks)
    scored = records(question, kept, images, judgement, seconds=time.perf_counter() - began)
    if judgement.write_coco is None:
        return scored
    note_report(question.catalog, coco, verb=question.task, names=COCO_FILES)
    judgement.write_coco(coco)
    return _retold(scored, {"coco_files": coco.relative_to(question.out).as_posix()})


def _retold(scored: Scored, told: Mapping[str, Any], *, seconds: float = 0.0) -> Scored:
    results = [
        replace(one, details={**one.details, **told}, seconds=round(one.seconds + seconds, 4))
        for one in scored.results
    ]
    return Scored(results, scored.predictions)


class TrainedNetwork:
    """A network that an evaluation trained, to be asked again.

    Attributes:
        classes: C names.
        config: How it was trained.
    """

    def __init__(self, kind: "DenseKind[Any]", folder: str | Path) -> None:
        found = load_network(kind, Path(folder))
        self.classes, self.config = found.kept.classes, found.kept.config
        self._model, self._network = found.model, found.built.network

    def _shown(self, images: Images) -> Iterator[tuple[Tensor, Picture]]:
        """Each image as the network sees it, [1, 3, S, S] where the network is."""
        device = next(self._network.parameters()).device
        for picture in shown(images, self.config.image_size):
            yield pixels_of([picture], self._model).to(device), picture
