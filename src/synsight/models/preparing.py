"""From images in any form to the pixels that an encoder is shown."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from synsight.data.images import decode_image
from synsight.data.views import Pixels, plain_view
from synsight.errors import ShapeError
from synsight.models.config import ModelConfig

Images = Sequence[Image.Image] | Sequence[bytes] | NDArray[np.uint8]
"""PIL images, encoded images as bytes, or uint8 [N, H, W, 3]."""


def prepared(images: Images, config: ModelConfig) -> Tensor:
    """Decoded, resized and cropped as in evaluation: uint8 [N, 3, S, S] in channels-last order.

    Args:
        images: N images.
        config: Whose size, crop and interpolation.

    Raises:
        ImageError: Bytes that are no image.
        ShapeError: An array that is not uint8 [N, H, W, 3].
    """
    if isinstance(images, np.ndarray) and (
        images.ndim != 4 or images.shape[3] != 3 or images.dtype != np.uint8
    ):
        raise ShapeError(f"expected images as uint8 [N, H, W, 3]; got {images.dtype} {list(images.shape)}.")
    if not len(images):
        return torch.empty(0, 3, config.image_size, config.image_size, dtype=torch.uint8)
    return torch.from_numpy(np.stack([_pixels(one, config) for one in images])).permute(0, 3, 1, 2)


def _pixels(image: Image.Image | bytes | Pixels, config: ModelConfig) -> Pixels:
    if isinstance(image, bytes):
        image = decode_image(image)
    elif isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    return plain_view(
        image if image.mode == "RGB" else image.convert("RGB"),
        image_size=config.image_size,
        crop_fraction=config.crop_fraction,
        interpolation=config.interpolation,
        squash=config.resize == "squash",
    )
