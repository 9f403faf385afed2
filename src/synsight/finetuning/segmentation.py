"""Segmentation: does an encoder tell the class of each pixel, once DeepLabv3's head is trained on top of it?

The last weights are judged, on the test images at their own size; the validation split is not read.
"""

import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from synsight.data.instances import IGNORED, class_map
from synsight.errors import DataError
from synsight.evaluation.judged import Subject
from synsight.evaluation.scoring import Scored
from synsight.finetuning.dense_data import Picture, TrainingBatches, segmentation_target
from synsight.finetuning.dense_run import DenseNetwork, autocast, default_device, seeded, train_dense
from synsight.finetuning.dense_task import (
    FROZEN,
    DenseQuestion,
    batches_of_test,
    config_for,
    need_masks,
    pixels_of,
    question_about,
    read_images,
    records,
    training_batches,
    write_answer,
)
from synsight.finetuning.image_intervals import image_interval
from synsight.finetuning.segmenters import SegmentationConfig, Segmenter, dilated_maps
from synsight.metrics import Interval
from synsight.metrics.arrays import Integers
from synsight.metrics.segmentation import class_iou, mean_iou, pixel_accuracy, pixel_counts
from synsight.records import Result
from synsight.training import override

TASK = "segmentation"
BACKGROUND_NAME = "background"
RESAMPLES = 1000
"""Of an interval."""


def segmentation(subject: Subject) -> Scored:
    """The task `segmentation`: the encoder is trained along with the head; see `segment`."""
    return _asked(subject, TASK, frozen=False)


def segmentation_frozen(subject: Subject) -> Scored:
    """The task `segmentation_frozen`: the encoder stays as it is."""
    return _asked(subject, TASK + FROZEN, frozen=True)


def segment(
    model: str | Path,
    *,
    data: str | Path,
    out: str | Path,
    name: str | None = None,
    seed: int = 0,
    **overrides: object,
) -> list[Result]:
    """Train DeepLabv3's head on a model's encoder, judge it on the test images, and write the records.

    The classes of pixels are the categories of the objects, and the background. Pixels of crowds, and those
    on which objects of different categories lie, are not asked about.

    Args:
        model: Any MODEL name.
        data: A catalog with masks, as the ingest of a COCO file or `sample scenes` leaves it.
        out: The evaluation's folder; runs stand in `out/runs`, and go on or are not repeated.
        name: What the model is called in the records; None: its own name.
        seed: Of heads, order and untrained weights.
        overrides: Fields of `SegmentationConfig`, as `frozen=True` or `steps=1000`.

    Returns:
        Records `mean_iou` and `pixel_accuracy`. Their baseline is that of calling every pixel background.

    Raises:
        UsageError: An unknown setting.
        DataError: The catalog has no masks, or one training image only.
        ModelError: The encoder gives no maps.
        TrainingError: The training cannot go on.
        Interrupted: Stopped from outside; the same call goes on.
    """
    config = override(SegmentationConfig(seed=seed), overrides)
    task = TASK + FROZEN * config.frozen
    question = question_about(model, task=task, data=data, out=out, name=name, seed=seed)
    scored = answer_segmentation(question, config)
    write_answer(question, scored, config, str(model))
    return scored.results


def answer_segmentation(question: DenseQuestion, config: SegmentationConfig) -> Scored:
    """Train and judge; errors as of `segment`."""
    images, data = read_images(question)
    need_masks(images)
    batches = training_batches(images, config, masks=True)
    if batches.plan.batch_size < 2:
        raise DataError(
            "segmentation needs two training images in a batch or more, since its head normalises over them; "
            f"got {len(images.train)} images and batch_size {config.batch_size}."
        )
    device, num_classes = default_device(), len(images.classes) + 1
    with seeded(config.seed, "segmenter"):
        maps = dilated_maps(question.model, config)
        segmenter = Segmenter(maps, num_classes=num_classes, config=config)
    segmenter.to(device)
    trained = train_dense(
        DenseNetwork(segmenter, maps, question.pretrained),
        lambda step: _loss(segmenter, batches, step, question, config, device),
        config=config,
        out=question.run_folder(config, data=data),
        title=f"{question.task} {question.name}",
    )
    began, counts = time.perf_counter(), []
    for pictures, pixels in batches_of_test(images, config, question.model, masks=True, device=device):
        with torch.inference_mode():
            scores = segmenter(pixels).float().cpu()
        for picture, one in zip(pictures, scores, strict=True):
            truth = class_map(picture.instances, height=picture.original[0], width=picture.original[1])
            counts.append(pixel_counts(named_pixels(one, picture), truth, num_classes=num_classes))
    table = np.stack(counts)  # [N, 3, C]
    iou = class_iou(table.sum(axis=0))
    names = [BACKGROUND_NAME, *images.classes]
    return records(
        question,
        config,
        images,
        segmentation_scores(table, images.test.group_codes),
        trained=trained,
        seconds=time.perf_counter() - began,
        details={
            "stride": maps.strides[-1],
            "class_iou": {
                name: round(float(value), 4)
                for name, value in zip(names, iou, strict=True)
                if np.isfinite(value)
            },
        },
    )


def named_pixels(scores: Tensor, picture: Picture) -> NDArray[np.int64]:
    """The likeliest class of each pixel of the original image, [H, W]; scores [C, S, S] are of the square."""
    height, width = picture.filled
    resized = F.interpolate(
        scores[None, :, :height, :width], size=picture.original, mode="bilinear", align_corners=False
    )
    named: NDArray[np.int64] = resized[0].argmax(dim=0).numpy()
    return named


def segmentation_scores(counts: NDArray[np.int64], groups: Integers) -> dict[str, tuple[Interval, float]]:
    """`mean_iou` and `pixel_accuracy` with their intervals (BCa, whole groups of images drawn again), and the
    baselines of one who calls every pixel background.

    Args:
        counts: [N, 3, C] `metrics.segmentation.pixel_counts` of each image.
        groups: [N] one integer an image.
    """
    size, num_classes = len(counts), counts.shape[2]
    measures = {"mean_iou": mean_iou, "pixel_accuracy": pixel_accuracy}

    def measure(times: NDArray[np.int64]) -> NDArray[np.float64]:
        tables = (times.astype(np.float64) @ counts.reshape(size, -1)).reshape(-1, 3, num_classes)
        return np.stack([one(tables) for one in measures.values()], axis=1)

    whole = counts.sum(axis=0)
    lazy = np.zeros_like(whole)
    lazy[0, 0], lazy[1, 0], lazy[2] = whole[2, 0], whole[2].sum(), whole[2]
    found = image_interval(measure, groups, resamples=RESAMPLES, skew=True)
    return {
        metric: (interval, float(measures[metric](lazy)))
        for metric, interval in zip(measures, found, strict=True)
    }


def _asked(subject: Subject, task: str, *, frozen: bool) -> Scored:
    config = config_for(subject, SegmentationConfig, prefix=TASK, frozen=frozen)
    return answer_segmentation(DenseQuestion.of(subject, task), config)


def _loss(
    segmenter: Segmenter,
    batches: TrainingBatches,
    step: int,
    question: DenseQuestion,
    config: SegmentationConfig,
    device: torch.device,
) -> Tensor:
    """Cross entropy of a pixel in nats, mean over the pixels that are asked about."""
    pictures, turned = batches.at(step)
    targets = torch.stack(
        [segmentation_target(one, mirrored=turn) for one, turn in zip(pictures, turned, strict=True)]
    ).to(device)
    with autocast(config, device):
        scores = segmenter(pixels_of(pictures, question.model).to(device))
    total = F.cross_entropy(scores.float(), targets, ignore_index=IGNORED, reduction="sum")
    return total / (targets != IGNORED).sum().clamp(min=1)
