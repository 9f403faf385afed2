"""Mask R-CNN around an encoder: heads, losses and boxes are torchvision's; encoder and pyramid are ours."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN, MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.rpn import RPNHead
from torchvision.ops import MultiScaleRoIAlign

from synsight.errors import ConfigError
from synsight.finetuning.dense_config import DenseConfig
from synsight.finetuning.feature_pyramid import Backbone, EncoderMaps

BOX_CELLS, MASK_CELLS = 7, 14
"""Sides of what region pooling gives to the box head and to the mask head."""


@dataclass(frozen=True, kw_only=True)
class DetectionConfig(DenseConfig):
    """Mask R-CNN, small enough for a CPU.

    As published (He et al. 2017; Li et al. 2022): image_size=1024, channels=256, head_width=1024,
    mask_layers=4, anchor_strides=8, proposals=1000, regions=512, and steps by the ten thousand on GPUs.
    """

    masks: bool = True
    """Learn and judge masks, where the data has some; else boxes alone (Faster R-CNN)."""
    channels: int = 64
    """Of the pyramid and of the mask head."""
    head_width: int = 256
    """Of the two layers between a region and its box."""
    mask_layers: int = 2
    """Convolutions of the mask head."""
    anchor_strides: float = 4.0
    """Side of a level's anchors, in strides of its map."""
    proposals: int = 200
    """That the proposal network hands on for an image."""
    regions: int = 32
    """Of an image that the heads learn from in a step."""
    least_score: float = 0.05
    """Below it nothing is a detection."""
    detections: int = 100
    """Most of an image, as COCO counts them."""

    def __post_init__(self) -> None:
        super().__post_init__()
        smallest = min(self.channels, self.head_width, self.mask_layers, self.proposals, self.regions)
        if smallest < 1 or self.detections < 1 or not self.anchor_strides > 0:
            raise ConfigError(
                "channels, head_width, mask_layers, proposals, regions, detections and anchor_strides must "
                f"be > 0; got {self}."
            )


class Prepared(nn.Module):
    """In place of torchvision's own resizing: the images come letterboxed and normalised.

    What is found stays in pixels of the letterboxed image, masks as small squares within their boxes, so that
    whoever knows the original can place them there.
    """

    def forward(
        self, images: list[Tensor], targets: list[dict[str, Tensor]] | None = None
    ) -> tuple[ImageList, list[dict[str, Tensor]] | None]:
        """B images [3, S, S] as one batch."""
        pixels = torch.stack(list(images))
        height, width = pixels.shape[-2:]
        return ImageList(pixels, [(int(height), int(width))] * len(images)), targets

    def postprocess(
        self, result: list[dict[str, Tensor]], image_shapes: Any, original_image_sizes: Any
    ) -> list[dict[str, Tensor]]:
        """The detections as they are."""
        return result


def build_detector(
    maps: EncoderMaps, *, num_classes: int, config: DetectionConfig, masks: bool
) -> FasterRCNN | MaskRCNN:
    """A detector of C classes around an encoder.

    In training mode it takes images [3, S, S] and targets (`boxes` [N, 4], `labels` [N] from 1 to C, `masks`
    [N, S, S]) and gives its losses; in evaluation mode the detections.

    Args:
        maps: The encoder.
        num_classes: C, without the background.
        config: Its sizes.
        masks: Mask R-CNN; else Faster R-CNN.

    Reference: He et al. 2017, https://arxiv.org/abs/1703.06870; pyramids as `Backbone` says. Departures: the
    sizes of `DetectionConfig`; regions are spread over the levels by `anchor_strides`; heads without norms.
    """
    backbone = Backbone(maps, channels=config.channels, frozen=config.frozen)
    strides = [*backbone.strides, 2 * backbone.strides[-1]]
    anchors = AnchorGenerator(
        sizes=tuple((int(stride * config.anchor_strides),) for stride in strides),
        aspect_ratios=((0.5, 1.0, 2.0),) * len(strides),
    )
    # torchvision's 224 px at level 4 belong to anchors of 8 strides.
    scale = max(1, round(224 * config.anchor_strides / 8))

    def pooling(cells: int) -> MultiScaleRoIAlign:
        return MultiScaleRoIAlign(backbone.names, cells, 2, canonical_scale=scale)

    wide = config.channels
    parts: dict[str, Any] = {
        "min_size": config.image_size,
        "max_size": config.image_size,
        "rpn_anchor_generator": anchors,
        "rpn_head": RPNHead(wide, anchors.num_anchors_per_location()[0]),
        "rpn_pre_nms_top_n_train": config.proposals,
        "rpn_pre_nms_top_n_test": config.proposals,
        "rpn_post_nms_top_n_train": config.proposals,
        "rpn_post_nms_top_n_test": config.proposals,
        "box_roi_pool": pooling(BOX_CELLS),
        "box_head": TwoMLPHead(wide * BOX_CELLS**2, config.head_width),
        "box_predictor": FastRCNNPredictor(config.head_width, num_classes + 1),
        "box_batch_size_per_image": config.regions,
        "box_score_thresh": config.least_score,
        "box_detections_per_img": config.detections,
    }
    if masks:
        parts["mask_roi_pool"] = pooling(MASK_CELLS)
        parts["mask_head"] = MaskRCNNHeads(wide, (wide,) * config.mask_layers, 1)
        parts["mask_predictor"] = MaskRCNNPredictor(wide, wide, num_classes + 1)
    detector: FasterRCNN | MaskRCNN = (MaskRCNN if masks else FasterRCNN)(backbone, **parts)
    detector.transform = Prepared()
    return detector
