"""Views: what augmentation makes of one image.

Pixels stay uint8 until the batch is on its device. Each random number comes from a generator handed in,
never from global state, so a view depends on (seed, epoch, row) alone, in whatever process or thread it is
made. The reference operations here are torchvision's, but for a faster blur; the fast ones, which differ
from them by less than a level of 255 on average, are in `fast_views`.
"""

from typing import Literal

import numpy as np
import torch
from PIL.Image import Image, fromarray
from scipy.ndimage import correlate1d
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F

from synsight.data.fast_decode import UndecodedJpeg, decode_pixels
from synsight.data.fast_views import fast_view, fitting_shrink, is_fast_installed, shrunk
from synsight.data.image_bytes import format_of
from synsight.data.images import ImageLimits, Pixels, decode_image
from synsight.data.view_draws import Drawn, ViewsConfig, blur_kernel, decode_size, draw

__all__ = [
    "CATLIP_VIEWS",
    "SIMCLR_VIEWS",
    "Pixels",
    "ViewsConfig",
    "decode_size",
    "draw_views",
    "normalise",
    "path_of",
    "plain_view",
    "reference_view",
]

SIMCLR_VIEWS = ViewsConfig(kind="simclr", count=2)
"""Appendix A of the SimCLR paper, https://arxiv.org/abs/2002.05709."""

CATLIP_VIEWS = ViewsConfig(kind="catlip")
"""CatLIP's random resized crop and flip, without its learned brightness, contrast and noise
(RangeAugment), https://arxiv.org/abs/2404.15653."""

ADJUST = {
    "brightness": F.adjust_brightness,
    "contrast": F.adjust_contrast,
    "saturation": F.adjust_saturation,
    "hue": F.adjust_hue,
}


def path_of(config: ViewsConfig) -> Literal["fast", "reference"]:
    """By which operations views are computed here; only the same ones repeat a run's views."""
    return "fast" if config.path == "auto" and is_fast_installed() else "reference"


def draw_views(
    image: bytes | Pixels | Image,
    config: ViewsConfig,
    *,
    image_size: int,
    rng: np.random.Generator,
    largest_size: int | None = None,
    limits: ImageLimits | None = None,
) -> list[Pixels]:
    """All views of one image, from one decode.

    On the fast path an image given as bytes is decoded no larger than its views need, so that they can differ
    by some levels from those of the same image given decoded. Whoever keeps some images decoded and others
    not hands over the pixels of all, or views depend on what is kept.

    Args:
        image: The bytes of a file, or the decoded image in RGB: [H, W, 3] uint8, or Pillow's.
        config: What may happen to it.
        image_size: Side S of the views, pixels.
        rng: Source of all their chance; advanced by the call.
        largest_size: Of bytes: the largest side that any view of this image is ever asked for; None: S.
        limits: Of bytes: what the image may cost.

    Returns:
        `config.count` views, [S, S, 3] uint8, then `config.local_count` smaller ones.

    Raises:
        ImageError: The bytes are no image that is accepted, as of `images.decode_image`.
    """
    shrink_to = decode_size(config, image_size=largest_size or image_size)
    if config.kind == "plain":
        decoded = _pillow(decode_pixels(image, limits=limits) if isinstance(image, bytes) else image)
        return [plain_view(decoded, image_size=image_size, crop_fraction=config.crop_fraction)] * config.count
    if path_of(config) == "reference":
        if isinstance(image, bytes):
            image = decode_image(image, limits=limits, shrink_to=shrink_to)
        return _reference_views(_pillow(image), config, image_size=image_size, rng=rng)
    if not isinstance(image, bytes):
        return _fast_views(np.asarray(image), config, image_size=image_size, rng=rng)
    if format_of(image) != "jpeg":
        return _fast_views(decode_pixels(image, limits=limits), config, image_size=image_size, rng=rng)
    jpeg = UndecodedJpeg(image, limits=limits, shrink_to=shrink_to)
    return _fast_jpeg_views(jpeg, config, image_size=image_size, rng=rng)


def reference_view(image: Image, drawn: Drawn, *, bicubic: bool) -> Pixels:
    """One view, [S, S, 3] uint8, by torchvision's operations.

    Args:
        image: The decoded image, RGB.
        drawn: What to do to it.
        bicubic: The filter of the resizing; else bilinear. Both average over what they shrink.
    """
    image = F.resized_crop(
        image,
        drawn.top,
        drawn.left,
        drawn.height,
        drawn.width,
        [drawn.size, drawn.size],
        interpolation=InterpolationMode.BICUBIC if bicubic else InterpolationMode.BILINEAR,
        antialias=True,
    )
    if drawn.flip:
        image = F.horizontal_flip(image)
    for change, amount in drawn.jitter:
        image = ADJUST[change](image, amount)
    if drawn.grey:
        image = F.rgb_to_grayscale(image, num_output_channels=3)
    return np.asarray(image) if drawn.sigma is None else _blur(np.asarray(image), sigma=drawn.sigma)


def plain_view(
    image: Image,
    *,
    image_size: int,
    crop_fraction: float = 1.0,
    interpolation: str = "bicubic",
    squash: bool = False,
) -> Pixels:
    """The evaluation's view: shorter side (with `squash`, both sides) to `image_size / crop_fraction`, then
    the centre, [S, S, 3] uint8.
    """
    side = round(image_size / crop_fraction)
    resized = F.resize(
        image,
        [side, side] if squash else [side],
        interpolation=InterpolationMode(interpolation),
        antialias=True,
    )
    return np.asarray(F.center_crop(resized, [image_size, image_size]))


def normalise(pixels: Tensor, *, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """uint8 [B, 3, H, W] -> float32 of mean 0 and deviation 1 for images like those `mean`, `std` were taken
    from.

    The memory format is kept.
    """
    shape = (1, 3, 1, 1)
    scale = torch.tensor([1 / (255 * s) for s in std], device=pixels.device).view(shape)
    shift = torch.tensor([-m / s for m, s in zip(mean, std, strict=True)], device=pixels.device).view(shape)
    return torch.addcmul(shift, pixels.float(), scale)


def _reference_views(
    image: Image, config: ViewsConfig, *, image_size: int, rng: np.random.Generator
) -> list[Pixels]:
    drawn = draw(config, width=image.width, height=image.height, image_size=image_size, rng=rng)
    return [reference_view(image, one, bicubic=config.kind == "simclr") for one in drawn]


def _fast_views(
    pixels: Pixels, config: ViewsConfig, *, image_size: int, rng: np.random.Generator
) -> list[Pixels]:
    height, width = pixels.shape[:2]
    drawn = draw(config, width=width, height=height, image_size=image_size, rng=rng)
    return [fast_view(pixels, one, bicubic=config.kind == "simclr") for one in drawn]


def _fast_jpeg_views(
    jpeg: UndecodedJpeg, config: ViewsConfig, *, image_size: int, rng: np.random.Generator
) -> list[Pixels]:
    """As `_fast_views`, decoded as small and as far down as the crops ask for."""
    drawn = draw(config, width=jpeg.width, height=jpeg.height, image_size=image_size, rng=rng)
    shrink = fitting_shrink(drawn, most=jpeg.most_shrink)
    drawn = [shrunk(one, shrink) for one in drawn]
    pixels = jpeg.pixels(shrink=shrink, rows=max(one.top + one.height for one in drawn))
    return [fast_view(pixels, one, bicubic=config.kind == "simclr") for one in drawn]


def _pillow(image: Pixels | Image) -> Image:
    return fromarray(image) if isinstance(image, np.ndarray) else image


def _blur(pixels: Pixels, *, sigma: float) -> Pixels:
    """Gaussian blur as torchvision has it, but one axis after the other: five times faster.

    One pixel in 20,000 is rounded to the neighbouring value.
    """
    radius = blur_kernel(len(pixels)) // 2
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    weights /= weights.sum()
    rows = correlate1d(pixels, weights, axis=0, mode="mirror", output=np.float32)
    blurred: Pixels = np.rint(correlate1d(rows, weights, axis=1, mode="mirror")).astype(np.uint8)
    return blurred
