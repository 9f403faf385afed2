"""Detection: does an encoder find what is in an image, and where, once a detector is trained on top of it?

Mask R-CNN is trained on the training images and judged on the test images by COCO's average precision. The
last weights are judged; the validation split is not read.
"""

import time
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torchvision.models.detection.roi_heads import paste_masks_in_image

from synsight.evaluation.judged import Subject
from synsight.evaluation.scoring import Scored
from synsight.finetuning.coco_scores import CocoScores, Detections, import_coco_eval
from synsight.finetuning.dense_data import AnnotatedImages, Picture, TrainingBatches, detection_target
from synsight.finetuning.dense_run import DenseNetwork, autocast, default_device, seeded, train_dense
from synsight.finetuning.dense_task import (
    FROZEN,
    DenseQuestion,
    batches_of_test,
    config_for,
    encoder_at,
    pixels_of,
    question_about,
    read_images,
    records,
    training_batches,
    write_answer,
)
from synsight.finetuning.detectors import DetectionConfig, build_detector
from synsight.finetuning.feature_pyramid import EncoderMaps
from synsight.metrics import Interval
from synsight.records import Result
from synsight.training import override

TASK = "detection"


def detection(subject: Subject) -> Scored:
    """The task `detection`: the encoder is trained along with the detector; see `detect`."""
    return _asked(subject, TASK, frozen=False)


def detection_frozen(subject: Subject) -> Scored:
    """The task `detection_frozen`: the encoder stays as it is."""
    return _asked(subject, TASK + FROZEN, frozen=True)


def detect(
    model: str | Path,
    *,
    data: str | Path,
    out: str | Path,
    name: str | None = None,
    seed: int = 0,
    **overrides: object,
) -> list[Result]:
    """Train Mask R-CNN around a model's encoder, judge it on the test images, and write the records.

    The run stands in `out/runs`; what is finished there is not trained again, what was stopped goes on.

    Args:
        model: Any MODEL name.
        data: A catalog with boxes, as the ingest of a COCO file or `sample scenes` leaves it.
        out: The evaluation's folder.
        name: What the model is called in the records; None: its own name.
        seed: Of heads, order and untrained weights.
        overrides: Fields of `DetectionConfig`, as `frozen=True` or `steps=1000`.

    Returns:
        Records `box_ap` and `box_ap50` (COCO's AP at IoU 0.5 to 0.95, and at 0.5), and `mask_ap` and
        `mask_ap50` where there are masks.

    Raises:
        UsageError: An unknown setting.
        DataError: The catalog has no boxes.
        ModelError: The encoder gives no maps.
        MissingDependency: faster-coco-eval is not installed.
        TrainingError: The training cannot go on.
        Interrupted: Stopped from outside; the same call goes on.
    """
    config = override(DetectionConfig(seed=seed), overrides)
    task = TASK + FROZEN * config.frozen
    question = question_about(model, task=task, data=data, out=out, name=name, seed=seed)
    scored = answer_detection(question, config)
    write_answer(question, scored, config, str(model))
    return scored.results


def answer_detection(question: DenseQuestion, config: DetectionConfig) -> Scored:
    """Train and judge; errors as of `detect`."""
    import_coco_eval()  # before the training, not after it
    images, data = read_images(question)
    masks = config.masks and images.has_masks
    device = default_device()
    with seeded(config.seed, "detector"):
        encoder = encoder_at(question.model, config.image_size)
        maps = EncoderMaps(encoder, image_size=config.image_size, name=question.name)
        detector = build_detector(maps, num_classes=len(images.classes), config=config, masks=masks)
    detector.to(device)
    batches = training_batches(images, config, masks=masks)
    trained = train_dense(
        DenseNetwork(detector, maps, question.pretrained),
        lambda step: _loss(detector, batches, step, question, config, device),
        config=config,
        out=question.run_folder(config, data=data),
        title=f"{question.task} {question.name}",
    )
    began = time.perf_counter()
    scores = CocoScores(len(images.classes))
    for pictures, pixels in batches_of_test(images, config, question.model, masks=masks, device=device):
        with torch.inference_mode():  # bf16 has half a pixel at 128
            found = detector(list(pixels))
        for picture, one in zip(pictures, found, strict=True):
            scores.add(picture.instances, placed(one, picture), size=picture.original)
    return records(
        question,
        config,
        images,
        _values(scores, images, masks=masks),
        trained=trained,
        seconds=time.perf_counter() - began,
        details={
            "pyramid": "simple (ViTDet)" if detector.backbone.is_simple else "FPN",
            "masks": masks,
            "faster_coco_eval": version("faster-coco-eval"),
        },
    )


def placed(found: dict[str, Tensor], picture: Picture) -> Detections:
    """What was found in the square, in pixels of the original image."""
    (height, width), (filled_height, filled_width) = picture.original, picture.filled
    boxes = found["boxes"].float().cpu() * torch.tensor([width / filled_width, height / filled_height] * 2)
    boxes = torch.minimum(boxes.clamp(min=0), torch.tensor([width, height] * 2))
    masks = None
    if "masks" in found:
        pasted = paste_masks_in_image(found["masks"].float().cpu(), boxes, (height, width))
        masks = (pasted[:, 0] > 0.5).numpy()
    return Detections(
        boxes.numpy(),
        found["labels"].cpu().numpy().astype(np.int64) - 1,
        found["scores"].float().cpu().numpy(),
        masks,
    )


def _asked(subject: Subject, task: str, *, frozen: bool) -> Scored:
    config = config_for(subject, DetectionConfig, prefix=TASK, frozen=frozen)
    return answer_detection(DenseQuestion.of(subject, task), config)


def _loss(
    detector: Any,
    batches: TrainingBatches,
    step: int,
    question: DenseQuestion,
    config: DetectionConfig,
    device: torch.device,
) -> Tensor:
    """The sum of the detector's losses, as torchvision's reference takes it."""
    pictures, turned = batches.at(step)
    targets = [detection_target(one, mirrored=turn) for one, turn in zip(pictures, turned, strict=True)]
    on_device = [{name: value.to(device) for name, value in target.items()} for target in targets]
    with autocast(config, device):
        losses: dict[str, Tensor] = detector(list(pixels_of(pictures, question.model).to(device)), on_device)
    return torch.stack([loss.float() for loss in losses.values()]).sum()


def _values(scores: CocoScores, images: AnnotatedImages, *, masks: bool) -> dict[str, tuple[Interval, float]]:
    """Metric -> value and baseline; one who guesses boxes finds next to nothing."""
    values: dict[str, tuple[Interval, float]] = {}
    kinds: tuple[Literal["box", "mask"], ...] = ("box", "mask") if masks else ("box",)
    for kind in kinds:
        found = scores.average_precision(kind, images.test.group_codes)
        values |= {f"{kind}_{metric.lower()}": (interval, 0.0) for metric, interval in found.items()}
    return values
