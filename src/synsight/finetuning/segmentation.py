"""Segmentation: does an encoder tell the class of each pixel, once DeepLabv3's head is trained on top of it?

The last weights are judged, on the test images at their own size; the validation split is not read.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from synsight.data.instances import IGNORED, class_map
from synsight.errors import DataError
from synsight.finetuning.dense_data import AnnotatedImages, Picture, segmentation_target
from synsight.finetuning.dense_kind import Built, DenseKind, Judgement, TrainedNetwork
from synsight.finetuning.dense_run import autocast
from synsight.finetuning.dense_task import need_masks
from synsight.finetuning.image_intervals import image_interval
from synsight.finetuning.segmenters import SegmentationConfig, Segmenter, dilated_maps
from synsight.metrics import Interval
from synsight.metrics.arrays import Integers
from synsight.metrics.segmentation import class_iou, mean_iou, pixel_accuracy, pixel_counts
from synsight.models import Model
from synsight.models.preparing import Images
from synsight.records import Result

BACKGROUND_NAME = "background"
RESAMPLES = 1000
"""Of an interval."""


class Segmentation(DenseKind[SegmentationConfig]):
    """DeepLabv3's head, judged by the mean intersection over union."""

    name, builds, settings = "segmentation", "segmenter", SegmentationConfig

    def check(self, images: AnnotatedImages) -> None:
        """Needs masks."""
        need_masks(images)

    def check_batch(self, rows: int) -> None:
        """Needs two images."""
        if rows < 2:
            raise DataError(
                "segmentation needs two training images in a batch or more, since its head normalises over "
                f"them; got {rows}; annotate more images, or take a larger batch_size."
            )

    def reads_masks(self, images: AnnotatedImages, config: SegmentationConfig) -> bool:
        """Always."""
        return True

    def build(self, model: Model, config: SegmentationConfig, *, num_classes: int, masks: bool) -> Built:
        """The segmenter takes normalised images; its class 0 is the background."""
        maps = dilated_maps(model, config)
        return Built(Segmenter(maps, num_classes=num_classes + 1, config=config), maps)

    def loss(
        self,
        network: Any,
        pictures: Sequence[Picture],
        turned: Sequence[bool],
        pixels: Tensor,
        config: SegmentationConfig,
    ) -> Tensor:
        """Cross entropy of a pixel in nats, mean over the pixels that are asked about."""
        targets = torch.stack(
            [segmentation_target(one, mirrored=turn) for one, turn in zip(pictures, turned, strict=True)]
        ).to(pixels.device)
        with autocast(config, pixels.device):
            scores = network(pixels)
        total = F.cross_entropy(scores.float(), targets, ignore_index=IGNORED, reduction="sum")
        return total / (targets != IGNORED).sum().clamp(min=1)

    def judge(
        self,
        built: Built,
        images: AnnotatedImages,
        batches: Iterable[tuple[list[Picture], Tensor]],
        places: Sequence[int],
        *,
        masks: bool,
    ) -> Judgement:
        """The baseline is that of calling every pixel background."""
        names, counts = [BACKGROUND_NAME, *images.classes], []
        numbers = np.array([0, *(place + 1 for place in places)])
        for pictures, pixels in batches:
            scores = built.network(pixels).float().cpu()
            for picture, one in zip(pictures, scores, strict=True):
                truth = class_map(picture.instances, height=picture.original[0], width=picture.original[1])
                named = numbers[named_pixels(one, picture)]
                counts.append(pixel_counts(named, truth, num_classes=len(names)))
        table = np.stack(counts)  # [N, 3, C]
        known = {
            name: round(float(value), 4)
            for name, value in zip(names, class_iou(table.sum(axis=0)), strict=True)
            if np.isfinite(value)
        }
        details = {"stride": built.maps.strides[-1], "class_iou": known}
        return Judgement(segmentation_scores(table, images.test.group_codes), details)


SEGMENTATION = Segmentation()


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
    return SEGMENTATION.asked_from_python(
        model, data=data, out=out, name=name, seed=seed, overrides=overrides
    )


class TrainedSegmenter(TrainedNetwork):
    """A segmenter that an evaluation trained; pixels of class c are c + 1, the background is 0.

    Args:
        folder: `OUT/runs/.../model`, which the records call `details["trained_model"]`.

    Raises:
        ModelError: The folder's files are not whole, or of no segmenter.
    """

    def __init__(self, folder: str | Path) -> None:
        super().__init__(SEGMENTATION, folder)

    def segment(self, images: Images) -> list[NDArray[np.int64]]:
        """The likeliest class of each pixel of each image, [H, W].

        Raises:
            ImageError: Bytes that are no image.
        """
        with torch.inference_mode():
            return [
                named_pixels(self._network(pixels)[0].float().cpu(), picture)
                for pixels, picture in self._shown(images)
            ]


def load_segmenter(folder: str | Path) -> TrainedSegmenter:
    """The segmenter that the task `segmentation` trained; errors as of `TrainedSegmenter`."""
    return TrainedSegmenter(folder)


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
