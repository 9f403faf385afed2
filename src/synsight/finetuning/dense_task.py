"""What detection and segmentation share: whose encoder is judged on which images, and the records."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn

from synsight.data.catalog import Catalog
from synsight.data.instances import COLUMNS
from synsight.data.plan import Plan
from synsight.errors import DataError, ModelError
from synsight.evaluation.judged import Subject
from synsight.evaluation.scoring import PREDICTIONS, Scored
from synsight.evaluation.storage import check_out, write_evaluation
from synsight.finetuning.dense_config import DenseConfig
from synsight.finetuning.dense_data import (
    AnnotatedImages,
    Picture,
    TrainingBatches,
    as_batch,
    read_annotated,
)
from synsight.finetuning.feature_pyramid import fitting_side
from synsight.models import Model, build_backbone, load
from synsight.models.backbones import resize_backbone
from synsight.records import Result, config_hash
from synsight.training import override, to_plain

if TYPE_CHECKING:
    from synsight.finetuning.dense_kind import Judgement
    from synsight.finetuning.dense_saved import Kept

C = TypeVar("C", bound=DenseConfig)

FROZEN = "_frozen"
"""Ending of a task's name that says: the encoder stayed as it was."""


@dataclass(frozen=True, eq=False, kw_only=True)
class DenseQuestion:
    """One model and the images it is judged on; no label is needed, and none is read."""

    task: str
    name: str
    """Of the model in the records."""
    model: Model
    catalog: Catalog
    version: int
    """Of the catalog, as the records say it."""
    out: Path
    """The evaluation's folder."""
    source: str = ""
    """As the model was named: perhaps the folder of a detector that is trained already."""

    @staticmethod
    def of(subject: Subject, task: str) -> "DenseQuestion":
        """The question of a task in an evaluation."""
        return DenseQuestion(
            task=task,
            name=subject.name,
            model=subject.network,
            catalog=subject.catalog,
            version=subject.version,
            out=subject.out,
            source=subject.source,
        )

    @property
    def pretrained(self) -> bool:
        """Whether the encoder comes with weights."""
        return self.model.config.method != "untrained"

    def run_folder(self, config: DenseConfig, *, data: object) -> Path:
        """The run's own folder: another encoder, other settings or other annotations have another one."""
        asked = config_hash({"task": self.task, "data": data, **to_plain(config)})
        return self.out / "runs" / f"{self.task}_{self.model.digest}_{asked[:12]}"

    def coco_folder(self, config: DenseConfig, *, data: object, weights: str) -> Path:
        """Where the answers of a network with these weights stand for COCO's tools: asked again they stand
        where they stood, and those of another one, or about other annotations, beside them.
        """
        told = {"data": data, "weights": weights, **to_plain(config)}
        return self.out / "coco" / f"{self.task}_{self.model.digest}_{config_hash(told)[:12]}"


def config_for(subject: Subject, kind: type[C], *, prefix: str, frozen: bool) -> C:
    """The settings of a task: its defaults, the options, and what `overrides` says below the prefix, as
    `{"detection.channels": 256}`.

    Raises:
        UsageError: An unknown setting; names the near ones.
    """
    options = subject.options
    steps = {} if options.training.steps is None else {"steps": options.training.steps}
    own = {
        path.removeprefix(f"{prefix}."): value
        for path, value in options.training.overrides.items()
        if path.startswith(f"{prefix}.")
    }
    return override(kind(seed=options.seed, frozen=frozen), {**steps, **own})


def question_about(
    model: str | Path, *, task: str, data: str | Path, out: str | Path, name: str | None, seed: int
) -> DenseQuestion:
    """The question of a call from Python; arguments as of `detect`."""
    catalog = Catalog.open(data)
    check_out(Path(out), catalog.path)
    loaded = load(model, seed=seed)
    shown = name or loaded.name
    return DenseQuestion(
        task=task,
        name=shown,
        model=loaded,
        catalog=catalog,
        version=catalog.version,
        out=Path(out),
        source=str(model),
    )


def write_answer(question: DenseQuestion, scored: Scored, config: DenseConfig) -> None:
    """Write the evaluation's folder of one question."""
    settings = {
        "catalog": str(question.catalog.path),
        "catalog_version": question.version,
        "models": [{"name": question.name, "source": question.source}],
        "tasks": [question.task],
        "seed": config.seed,
        "settings": to_plain(config),
    }
    write_evaluation(
        question.out, scored.results, scored.predictions, settings=settings, catalog=question.catalog
    )


def read_images(question: DenseQuestion, *, need_training: bool = True) -> tuple[AnnotatedImages, str]:
    """The annotated images, and the fingerprint of their annotations."""
    catalog = question.catalog
    images = read_annotated(catalog, need_training=need_training)
    columns = [name for name in ("split", *COLUMNS) if name in catalog.columns]
    return images, catalog.fingerprint(columns)


def training_batches(images: AnnotatedImages, config: DenseConfig, *, masks: bool) -> TrainingBatches:
    """The batches of a run, no larger than the training images are many."""
    size = min(config.batch_size, len(images.train))
    plan = Plan(rows=len(images.train), batch_size=size, seed=config.seed)
    return TrainingBatches(images, plan, config.image_size, masks, config.flip)


def encoder_at(model: Model, image_size: int, *, arguments: Mapping[str, Any] | None = None) -> nn.Module:
    """A copy of a model's encoder for images of another size, its position embeddings interpolated.

    Args:
        model: Stays as it is.
        image_size: S, pixels.
        arguments: Further ones of timm's architecture that change no weight, as `output_stride`.

    Raises:
        ModelError: The architecture does not take the arguments.
    """
    config, encoder = model.config, copy.deepcopy(model.encoder).cpu()
    if arguments:
        plain: nn.Module = encoder_at(model, image_size)
        changed = build_backbone(
            config.encoder,
            image_size=fitting_side(encoder, image_size),
            stem=config.stem,
            arguments={**config.arguments, **arguments},
        )
        try:
            changed.load_state_dict(plain.state_dict())
        except RuntimeError as error:
            raise ModelError(f"{model.name}: its weights do not fit with {dict(arguments)}.") from error
        return changed
    return encoder_and_side(model, image_size)[0]


def encoder_and_side(model: Model, image_size: int) -> tuple[nn.Module, int]:
    """The same without further arguments, and the side that it is made for, pixels."""
    config, encoder = model.config, copy.deepcopy(model.encoder).cpu()
    side = fitting_side(encoder, image_size)
    if side == config.image_size:
        return encoder, side
    try:
        resized = resize_backbone(
            encoder, config.encoder, image_size=side, stem=config.stem, arguments=config.arguments
        )
    except ModelError:
        # What is for one size may lie behind the maps (the pooling of CLIP's ResNets); `EncoderMaps` tries.
        return copy.deepcopy(model.encoder).cpu(), config.image_size
    return resized, side


def batches_of_test(
    images: AnnotatedImages, config: DenseConfig, model: Model, *, masks: bool, device: torch.device
) -> Iterator[tuple[list[Picture], Tensor]]:
    """The test images in order, a batch at a time: (pictures, normalised images [B, 3, S, S])."""
    positions = images.test.positions
    for start in range(0, len(positions), config.batch_size):
        part = positions[start : start + config.batch_size]
        pictures = list(images.pictures(part, size=config.image_size, masks=masks, count=True))
        yield pictures, pixels_of(pictures, model).to(device)


def pixels_of(pictures: Sequence[Picture], model: Model) -> Tensor:
    """Pictures as the model's images are normalised."""
    return as_batch(pictures, mean=model.config.mean, std=model.config.std)


def records(
    question: DenseQuestion, kept: "Kept", images: AnnotatedImages, judgement: "Judgement", *, seconds: float
) -> Scored:
    """The records of an answer.

    Args:
        question: Whose.
        kept: How it was trained.
        images: On which test images it was judged.
        judgement: What it is worth.
        seconds: Of the prediction.
    """
    config: DenseConfig = kept.config
    plain = to_plain(config)
    told = {
        "encoder": question.model.config.encoder,
        "pretrained": question.pretrained,
        **{key: value for key, value in plain.items() if key not in ("seed", "checkpoint_minutes")},
        "batch_size": min(config.batch_size, kept.train_images),
        "train_images": kept.train_images,
        "classes": list(images.classes),
        "last_loss": round(kept.last_loss, 4),
        "refused": dict(images.refused),
        **judgement.details,
    }
    results = [
        Result(
            model=question.name,
            dataset=question.catalog.name,
            task=question.task,
            metric=metric,
            value=interval.value,
            ci_low=interval.low,
            ci_high=interval.high,
            seed=config.seed,
            n_test=len(images.test),
            baseline=baseline,
            catalog_version=question.version,
            config_hash=config_hash({"task": question.task, **plain}),
            seconds=round(seconds, 4),
            details={**told, "interval": interval.method},
        )
        for metric, (interval, baseline) in judgement.values.items()
    ]
    return Scored(results, PREDICTIONS.empty_table())


def need_masks(images: AnnotatedImages) -> None:
    """Raise a DataError where there is nothing but boxes."""
    if not images.has_masks:
        raise DataError(
            f"{images.catalog.path}: segmentation needs masks, and there is no column 'box_masks'; ingest a "
            "COCO file whose annotations have a `segmentation`."
        )
