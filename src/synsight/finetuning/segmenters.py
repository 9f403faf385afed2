"""DeepLabv3 around an encoder: torchvision's head on the encoder's last map."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.segmentation.deeplabv3 import DeepLabHead

from synsight.errors import ConfigError, ModelError
from synsight.finetuning.dense_config import DenseConfig
from synsight.finetuning.dense_task import encoder_at
from synsight.finetuning.feature_pyramid import EncoderMaps
from synsight.models import Model


@dataclass(frozen=True, kw_only=True)
class SegmentationConfig(DenseConfig):
    """DeepLabv3 at a size for a CPU; as published: image_size=512 or more, and steps by the ten thousand."""

    output_stride: int = 16
    """Stride of the last map of an encoder that can be dilated (a ResNet): 8, 16, or 32 for as it is. A ViT
    keeps the stride of its patches."""
    atrous_rates: tuple[int, ...] = (6, 12, 18)
    """Dilations of the head's three convolutions; 12, 24, 36 belong to output_stride 8."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.output_stride not in (8, 16, 32) or not self.atrous_rates or min(self.atrous_rates) < 1:
            raise ConfigError(
                "output_stride must be 8, 16 or 32, and atrous_rates whole numbers > 0; got "
                f"{self.output_stride!r} and {self.atrous_rates!r}."
            )


class Segmenter(nn.Module):
    """An encoder with DeepLabv3's head.

    Args:
        maps: The encoder.
        num_classes: C, with the background.
        config: Sizes; whether the encoder is frozen.

    Reference: Chen et al. 2017, https://arxiv.org/abs/1706.05587; without the auxiliary head that torchvision
    adds to its own.
    """

    def __init__(self, maps: EncoderMaps, *, num_classes: int, config: SegmentationConfig) -> None:
        super().__init__()
        self.maps, self.frozen = maps, config.frozen
        self.head = DeepLabHead(maps.channels[-1], num_classes, config.atrous_rates)

    def forward(self, pixels: Tensor) -> Tensor:
        """Normalised images [B, 3, S, S] to scores [B, C, S, S]."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            last = self.maps(pixels)[-1]
        scores: Tensor = self.head(last)
        return F.interpolate(scores, size=pixels.shape[-2:], mode="bilinear", align_corners=False)


def dilated_maps(model: Model, config: SegmentationConfig) -> EncoderMaps:
    """The maps of a copy of a model's encoder, its last stages dilated where the architecture allows it.

    Raises:
        ModelError: The encoder gives no maps at this size.
    """
    size = config.image_size
    plain = EncoderMaps(encoder_at(model, size), image_size=size, name=model.name)
    if plain.strides[-1] <= config.output_stride or len(plain.strides) == 1:
        return plain
    try:
        changed = encoder_at(model, size, arguments={"output_stride": config.output_stride})
        return EncoderMaps(changed, image_size=size, name=model.name)
    except ModelError:  # an architecture that knows no dilation
        return plain
