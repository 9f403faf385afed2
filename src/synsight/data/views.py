"""Views: what augmentation makes of one decoded image.

Pixels stay uint8 until the batch is on its device. Each random number comes from a generator handed in,
never from global state, so a view depends on (seed, epoch, row) alone, in whatever process or thread it is
made. The operations are torchvision's, but for a faster blur; the drawing of their parameters is ours.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL.Image import Image
from scipy.ndimage import correlate1d
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F

from synsight.errors import ConfigError

Pixels = NDArray[np.uint8]
"""One view, [S, S, 3] in RGB."""

ASPECT_RATIOS = (3 / 4, 4 / 3)
"""Least and greatest width / height of a random crop."""


@dataclass(frozen=True, kw_only=True)
class ViewsConfig:
    """How many views an image gets and how far they may stray from it."""

    kind: Literal["simclr", "catlip", "plain"] = "simclr"
    """`simclr`: crop (bicubic), flip, colour, grey, blur. `catlip`: crop (bilinear) and flip. `plain`:
    resize the shorter side and cut out the centre, as in evaluation."""

    count: int = 1
    """Views of one image."""

    min_area: float = 0.08
    """Least share of the image's area that a random crop shows; 1 is the most."""

    strength: float = 1.0
    """SimCLR's s: brightness, contrast and saturation vary by 0.8 s, hue by 0.2 s."""

    jitter_probability: float = 0.8
    grey_probability: float = 0.2
    blur_probability: float = 0.5
    """0 for the CIFAR setting of the paper."""

    flip_probability: float = 0.5
    crop_fraction: float = 1.0
    """Share of the resized image's side that the plain view's centre keeps."""

    def __post_init__(self) -> None:
        if self.kind not in ("simclr", "catlip", "plain"):
            raise ConfigError(f"kind of views must be simclr, catlip or plain; got {self.kind!r}.")
        if self.count < 1:
            raise ConfigError(f"count of views must be >= 1; got {self.count}.")
        for name in ("min_area", "crop_fraction"):
            if not 0 < getattr(self, name) <= 1:
                raise ConfigError(f"{name} must be in (0, 1]; got {getattr(self, name)!r}.")
        for name in ("jitter_probability", "grey_probability", "blur_probability", "flip_probability"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} must be in 0..1; got {getattr(self, name)!r}.")
        if not 0 <= self.strength <= 1.25:  # beyond, 0.8 s exceeds 1 and a colour could be inverted
            raise ConfigError(f"strength must be in 0..1.25; got {self.strength!r}.")


SIMCLR_VIEWS = ViewsConfig(kind="simclr", count=2)
"""Appendix A of the SimCLR paper, https://arxiv.org/abs/2002.05709."""

CATLIP_VIEWS = ViewsConfig(kind="catlip")
"""CatLIP's random resized crop and flip, without its learned brightness, contrast and noise
(RangeAugment), https://arxiv.org/abs/2404.15653."""


def draw_view(image: Image, config: ViewsConfig, *, image_size: int, rng: np.random.Generator) -> Pixels:
    """One view of a decoded RGB image.

    Args:
        image: The decoded image, RGB.
        config: What may happen to it.
        image_size: Side S of the view, pixels.
        rng: Source of all its chance; advanced by the call.

    Returns:
        [S, S, 3] uint8.
    """
    if config.kind == "plain":
        return plain_view(image, image_size=image_size, crop_fraction=config.crop_fraction)
    bicubic = config.kind == "simclr"
    top, left, height, width = draw_crop(image.width, image.height, min_area=config.min_area, rng=rng)
    image = F.resized_crop(
        image,
        top,
        left,
        height,
        width,
        [image_size, image_size],
        interpolation=InterpolationMode.BICUBIC if bicubic else InterpolationMode.BILINEAR,
        antialias=True,
    )
    if rng.random() < config.flip_probability:
        image = F.horizontal_flip(image)
    if config.kind == "catlip":
        return np.asarray(image)
    if rng.random() < config.jitter_probability:
        image = _jitter(image, config.strength, rng)
    if rng.random() < config.grey_probability:
        image = F.rgb_to_grayscale(image, num_output_channels=3)
    if rng.random() < config.blur_probability:
        return _blur(np.asarray(image), sigma=rng.uniform(0.1, 2.0))
    return np.asarray(image)


def plain_view(image: Image, *, image_size: int, crop_fraction: float = 1.0) -> Pixels:
    """The evaluation's view: shorter side to `image_size / crop_fraction` (bicubic), then the centre, [S, S,
    3] uint8.
    """
    side = round(image_size / crop_fraction)
    resized = F.resize(image, [side], interpolation=InterpolationMode.BICUBIC, antialias=True)
    return np.asarray(F.center_crop(resized, [image_size, image_size]))


def decode_size(config: ViewsConfig, *, image_size: int) -> int | None:
    """Shortest side, in pixels, to which a decoder may shrink an image without blurring any view of it.

    The smallest crop then still has as many pixels as the view. None: do not shrink. (Plain views never do,
    so that an image given as bytes and the same image given decoded have the same features.)
    """
    if config.kind == "plain":
        return None
    return math.ceil(image_size / math.sqrt(config.min_area * ASPECT_RATIOS[0]))


def draw_crop(
    width: int, height: int, *, min_area: float, rng: np.random.Generator
) -> tuple[int, int, int, int]:
    """Top, left, height and width of a random crop, by the rule of torchvision's RandomResizedCrop.

    Area uniform in [min_area, 1] of the image, aspect ratio log-uniform in 3/4..4/3; after ten misses the
    largest centre crop of an allowed ratio.
    """
    low, high = (math.log(ratio) for ratio in ASPECT_RATIOS)
    for _ in range(10):
        area = width * height * rng.uniform(min_area, 1.0)
        ratio = math.exp(rng.uniform(low, high))
        crop_width, crop_height = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < crop_width <= width and 0 < crop_height <= height:
            top = int(rng.integers(height - crop_height + 1))
            left = int(rng.integers(width - crop_width + 1))
            return top, left, crop_height, crop_width
    ratio = min(max(width / height, ASPECT_RATIOS[0]), ASPECT_RATIOS[1])
    crop_width = min(width, max(1, round(height * ratio)))
    crop_height = min(height, max(1, round(width / ratio)))
    return (height - crop_height) // 2, (width - crop_width) // 2, crop_height, crop_width


def blur_kernel(image_size: int) -> int:
    """Side of SimCLR's blur kernel: a tenth of the image's, made odd (7 at 64 px, 23 at 224)."""
    return image_size // 10 | 1


def normalise(pixels: Tensor, *, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """uint8 [B, 3, H, W] -> float32 of mean 0 and deviation 1 for images like those `mean`, `std` were taken
    from.

    The memory format is kept.
    """
    shape = (1, 3, 1, 1)
    scale = torch.tensor([1 / (255 * s) for s in std], device=pixels.device).view(shape)
    shift = torch.tensor([-m / s for m, s in zip(mean, std, strict=True)], device=pixels.device).view(shape)
    return torch.addcmul(shift, pixels.float(), scale)


def _jitter(image: Image, strength: float, rng: np.random.Generator) -> Image:
    spread = 0.8 * strength
    for change in rng.permutation(4):
        if change == 0:
            image = F.adjust_brightness(image, rng.uniform(1 - spread, 1 + spread))
        elif change == 1:
            image = F.adjust_contrast(image, rng.uniform(1 - spread, 1 + spread))
        elif change == 2:
            image = F.adjust_saturation(image, rng.uniform(1 - spread, 1 + spread))
        else:
            image = F.adjust_hue(image, rng.uniform(-0.2 * strength, 0.2 * strength))
    return image


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
