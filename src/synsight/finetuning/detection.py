"""Detection: does an encoder find what is in an image, and where, once a detector is trained on top of it?

Mask R-CNN is trained on the training images and judged on the test images by COCO's average precision. The
last weights are judged; the validation split is not read.
"""

from collections.abc import Iterable, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torchvision.models.detection.roi_heads import paste_masks_in_image

from synsight.finetuning.coco_scores import CocoScores, Detections, import_coco_eval
from synsight.finetuning.dense_data import AnnotatedImages, Picture, detection_target
from synsight.finetuning.dense_kind import Built, DenseKind, Judgement, TrainedNetwork
from synsight.finetuning.dense_run import autocast
from synsight.finetuning.dense_task import encoder_at
from synsight.finetuning.detectors import DetectionConfig, build_detector
from synsight.finetuning.feature_pyramid import EncoderMaps
from synsight.metrics import Interval
from synsight.models import Model
from synsight.models.preparing import Images
from synsight.records import Result


class Detection(DenseKind[DetectionConfig]):
    """Mask R-CNN, or Faster R-CNN where there are no masks, judged by COCO's average precision."""

    name, builds, settings = "detection", "detector", DetectionConfig

    def check(self, images: AnnotatedImages) -> None:
        """Needs faster-coco-eval."""
        import_coco_eval()

    def reads_masks(self, images: AnnotatedImages, config: DetectionConfig) -> bool:
        """Where they are wanted and known."""
        return config.masks and images.has_masks

    def build(self, model: Model, config: DetectionConfig, *, num_classes: int, masks: bool) -> Built:
        """The detector in training mode takes images and targets; see `build_detector`."""
        maps = EncoderMaps(
            encoder_at(model, config.image_size), image_size=config.image_size, name=model.name
        )
        return Built(build_detector(maps, num_classes=num_classes, config=config, masks=masks), maps)

    def loss(
        self,
        network: Any,
        pictures: Sequence[Picture],
        turned: Sequence[bool],
        pixels: Tensor,
        config: DetectionConfig,
    ) -> Tensor:
        """The sum of the detector's losses, as torchvision's reference takes it."""
        targets = [detection_target(one, mirrored=turn) for one, turn in zip(pictures, turned, strict=True)]
        on_device = [{name: value.to(pixels.device) for name, value in target.items()} for target in targets]
        with autocast(config, pixels.device):
            losses: dict[str, Tensor] = network(list(pixels), on_device)
        return torch.stack([loss.float() for loss in losses.values()]).sum()

    def judge(
        self,
        built: Built,
        images: AnnotatedImages,
        batches: Iterable[tuple[list[Picture], Tensor]],
        places: Sequence[int],
        *,
        masks: bool,
    ) -> Judgement:
        """The baseline is 0: one who guesses boxes finds next to nothing."""
        scores = CocoScores(len(images.classes))
        for pictures, pixels in batches:
            for picture, one in zip(pictures, built.network(list(pixels)), strict=True):
                found = placed(one, picture)
                labels = np.asarray(places, np.int64)[found.labels]
                kept = Detections(found.boxes, labels, found.scores, found.masks if masks else None)
                scores.add(picture.instances, kept, size=picture.original)
        values: dict[str, tuple[Interval, float]] = {}
        kinds: tuple[Literal["box", "mask"], ...] = ("box", "mask") if masks else ("box",)
        for kind in kinds:
            found_by = scores.average_precision(kind, images.test.group_codes)
            values |= {f"{kind}_{metric.lower()}": (interval, 0.0) for metric, interval in found_by.items()}
        pyramid = "simple (ViTDet)" if built.network.backbone.is_simple else "FPN"
        details = {"pyramid": pyramid, "masks": masks, "faster_coco_eval": version("faster-coco-eval")}
        write = partial(scores.write, classes=images.classes, names=images.test.ids.tolist())
        return Judgement(values, details, write)


DETECTION = Detection()


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
    return DETECTION.asked_from_python(model, data=data, out=out, name=name, seed=seed, overrides=overrides)


class Detector(TrainedNetwork):
    """A detector that an evaluation trained.

    Args:
        folder: `OUT/runs/.../model`, which the records call `details["trained_model"]`.

    Raises:
        ModelError: The folder's files are not whole, or of no detector.
    """

    def __init__(self, folder: str | Path) -> None:
        super().__init__(DETECTION, folder)

    def detect(self, images: Images) -> list[Detections]:
        """What is in each image, likeliest first: boxes and masks in its own pixels, labels as places in
        `classes`.

        Raises:
            ImageError: Bytes that are no image.
        """
        with torch.inference_mode():
            return [
                placed(self._network(list(pixels))[0], picture) for pixels, picture in self._shown(images)
            ]


def load_detector(folder: str | Path) -> Detector:
    """The detector that the task `detection` trained; errors as of `Detector`."""
    return Detector(folder)


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
