"""The corruptions of ImageNet-C, in five severities, as pure functions of pixels.

Parameters and formulas are those of Hendrycks and Dietterich 2019 (https://arxiv.org/abs/1903.12261; code:
https://github.com/hendrycks/robustness, ImageNet-C/imagenet_c/corruptions.py). They were set for pictures of
224 px. What is measured in pixels there (radius and deviation of `defocus_blur`, `gaussian_blur` and
`motion_blur`) grows with the picture's side; noise of single pixels and JPEG's blocks of 8 px stay as they
are; `zoom_blur`, `pixelate` and the changes of colour know no pixels.

Departures: results are rounded to the nearest level, not down; `defocus_blur` draws its disk by the area of
each pixel that it covers, which radii below a pixel need; `motion_blur` is ImageMagick's, its weights at
whole steps of a pixel; `zoom_blur` enlarges by Pillow's bilinear filter. Left out: `frost`, which needs
photographs; `snow` and `spatter`, weather that few cameras see; `glass_blur`, which swaps pixel by pixel and
takes a second a picture; `elastic_transform`, whose parameters do not grow with the severity.
"""

import io
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter
from scipy.signal import fftconvolve

from synsight.data.images import Pixels
from synsight.errors import ConfigError, ShapeError, near_names

SEVERITIES = (1, 2, 3, 4, 5)
PUBLISHED_SIDE = 224
"""Side of the pictures that the parameters were set for, pixels."""

Levels = NDArray[np.float64]
"""[H, W, 3] in 0..1."""
Corruption = Callable[[Levels, int, np.random.Generator], Levels]
"""Pixels, severity from 0 to 4, source of chance -> pixels; what leaves 0..1 is cut off afterwards."""


def corrupt(pixels: Pixels, name: str, *, severity: int, rng: np.random.Generator) -> Pixels:
    """A corrupted copy of one picture, [H, W, 3] uint8 of the same size.

    Args:
        pixels: [H, W, 3] uint8, as the network would see it: after resizing and cropping.
        name: One of `CORRUPTIONS`.
        severity: 1 to 5.
        rng: All chance comes from here; advanced by the call.

    Raises:
        ConfigError: An unknown corruption or severity.
        ShapeError: Other pixels than [H, W, 3] uint8.
    """
    check_corruption(name, severity)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ShapeError(
            f"expected a picture as uint8 [H, W, 3]; got {pixels.dtype} {list(pixels.shape)}; "
            "convert it to RGB."
        )
    changed = CORRUPTIONS[name](pixels / 255.0, severity - 1, rng)
    found: Pixels = np.rint(np.clip(changed, 0, 1) * 255).astype(np.uint8)
    return found


def check_corruption(name: str, severity: int) -> None:
    """Raise a ConfigError for a corruption or severity that there is not."""
    if name not in CORRUPTIONS:
        raise ConfigError(f"no corruption is called {name!r}; {near_names(name, CORRUPTIONS)}")
    if severity not in SEVERITIES:
        raise ConfigError(f"severity of a corruption must be 1 to 5; got {severity!r}.")


def gaussian_noise(x: Levels, severity: int, rng: np.random.Generator) -> Levels:
    """Noise of one deviation everywhere."""
    return x + rng.normal(scale=(0.08, 0.12, 0.18, 0.26, 0.38)[severity], size=x.shape)


def shot_noise(x: Levels, severity: int, rng: np.random.Generator) -> Levels:
    """Photons counted: few of them in dim light."""
    photons = (60, 25, 12, 5, 3)[severity]
    return rng.poisson(x * photons) / photons


def impulse_noise(x: Levels, severity: int, rng: np.random.Generator) -> Levels:
    """Salt and pepper: a share of all values becomes 0 or 1."""
    share = (0.03, 0.06, 0.09, 0.17, 0.27)[severity]
    hit, salt = rng.random(x.shape) < share, rng.random(x.shape) < 0.5
    return np.where(hit, salt.astype(np.float64), x)


def speckle_noise(x: Levels, severity: int, rng: np.random.Generator) -> Levels:
    """Noise in proportion to the light."""
    return x + x * rng.normal(scale=(0.15, 0.2, 0.35, 0.45, 0.6)[severity], size=x.shape)


def defocus_blur(x: Levels, severity: int, rng: np.random.Generator) -> Levels:
    """Light spread over a disk, then over a small Gaussian."""
    radius = (3, 4, 6, 8, 10)[severity] * scale_of(x)
    softness = (0.1, 0.5, 0.5, 0.5, 0.5)[severity] * scale_of(x)
    return np.asarray(
        gaussian_filter(_convolved(x, disk(radius)), (softness, softness, 0), mode="mirror"), np.float64
    )


def gaussian_blur(x: Levels, severity: int, rng: np.random.Generator) -> Levels:
    """Light spread over a Gaussian."""
    sigma = (1, 2, 3, 4, 6)[severity] * scale_of(x)
    return np.asarray(gaussian_filter(x, (sigma, sigma, 0), mode="nearest"), np.float64)


def motion_blur(x: Levels, severity: int, rng: np.random.Generator) -> Levels:
    """Light dragged along a line, within 45 degrees of the horizontal, less and less of it."""
    radius, sigma = ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15))[severity]
    angle = math.radians(rng.uniform(-45, 45))
    return _convolved(x, trail(radius * scale_of(x), sigma * scale_of(x), angle))


def zoom_blur(x: Levels, severity: int, rng: np.random.Generator) -> Levels:
    """The mean of the picture at several magnifications."""
    most, step = ((0.10, 0.01), (0.15, 0.01), (0.20, 0.02), (0.25, 0.02), (0.30, 0.03))[severity]
    factors = [1 + number * step for number in range(round(most / step) + 1)]
    total = x + sum((_zoomed(x, factor) for factor in factors), start=np.zeros_like(x))
    return np.asarray(total / (len(factors) + 1))


def fog(x: Levels, severity: int, rng: np.random.Generator) -> Levels:
    """A cloud laid over the picture, and all of it dimmed to the range it had."""
    strength, decay = ((1.5, 2.0), (2.0, 2.0), (2.5, 1.7), (2.5, 1.5), (3.0, 1.4))[severity]
    height, width = x.shape[:2]
    cloud = plasma(1 << (max(height, width) - 1).bit_length(), decay=decay, rng=rng)[:height, :width, None]
    brightest = x.max()
    return np.asarray((x + strength * cloud) * brightest / (brightest + strength))


def brightness(x: Levels, severity: int, rng: np.random.Generator) -> Levels:
    """More of HSV's value."""
    value = x.max(axis=2, keepdims=True)
    brighter = np.minimum(value + (0.1, 0.2, 0.3, 0.4, 0.5)[severity], 1)
    # Hue and saturation are ratios: they stay when all channels grow by one factor. Black becomes grey.
    return np.asarray(np.where(value > 0, x * brighter / np.where(value > 0, value, 1), brighter))


def contrast(x: Levels, severity: int, rng: np.random.Generator) -> Levels:
    """Each channel drawn to its mean."""
    mean = x.mean(axis=(0, 1), keepdims=True)
    return np.asarray(mean + (x - mean) * (0.4, 0.3, 0.2, 0.1, 0.05)[severity])


def saturate(x: Levels, severity: int, rng: np.random.Generator) -> Levels:
    """Less of HSV's saturation (severity 1 and 2), or more of it (3 to 5)."""
    factor, shift = ((0.3, 0.0), (0.1, 0.0), (2.0, 0.0), (5.0, 0.1), (20.0, 0.2))[severity]
    value, least = x.max(axis=2, keepdims=True), x.min(axis=2, keepdims=True)
    spread = value - least
    before = spread / np.where(value > 0, value, 1)
    after = np.clip(before * factor + shift, 0, 1)
    # What is grey has no hue; the published code takes red, hue 0, and so does this.
    below = np.where(spread > 0, (value - x) / np.where(spread > 0, spread, 1), np.array([0.0, 1.0, 1.0]))
    return np.asarray(value * (1 - after * below))


def pixelate(x: Levels, severity: int, rng: np.random.Generator) -> Levels:
    """Fewer, larger pixels."""
    share = (0.6, 0.5, 0.4, 0.3, 0.25)[severity]
    height, width = x.shape[:2]
    small = _pillow(x).resize((max(1, int(width * share)), max(1, int(height * share))), Image.Resampling.BOX)
    return np.asarray(small.resize((width, height), Image.Resampling.BOX)) / 255.0


def jpeg_compression(x: Levels, severity: int, rng: np.random.Generator) -> Levels:
    """Saved as a JPEG of low quality."""
    file = io.BytesIO()
    _pillow(x).save(file, "JPEG", quality=(25, 18, 15, 10, 7)[severity])
    return np.asarray(Image.open(file).convert("RGB")) / 255.0


CORRUPTIONS: Mapping[str, Corruption] = {
    "gaussian_noise": gaussian_noise,
    "shot_noise": shot_noise,
    "impulse_noise": impulse_noise,
    "speckle_noise": speckle_noise,
    "defocus_blur": defocus_blur,
    "gaussian_blur": gaussian_blur,
    "motion_blur": motion_blur,
    "zoom_blur": zoom_blur,
    "fog": fog,
    "brightness": brightness,
    "contrast": contrast,
    "saturate": saturate,
    "pixelate": pixelate,
    "jpeg_compression": jpeg_compression,
}
"""Eleven of the fifteen that the benchmark's mean is taken over, and three of its four spare ones:
`speckle_noise`, `gaussian_blur` and `saturate`."""


def scale_of(x: NDArray[Any]) -> float:
    """By how much lengths in pixels are multiplied for a picture of this size."""
    return float(min(x.shape[:2])) / PUBLISHED_SIDE


def disk(radius: float, *, parts: int = 8) -> NDArray[np.float64]:
    """A disk of sum 1 around the middle pixel, [2R + 1, 2R + 1]: the share of each pixel that it covers.

    Args:
        radius: Pixels, > 0.
        parts: Points a pixel is looked at along each side.
    """
    reach = math.ceil(radius + 0.5)
    points = (np.arange((2 * reach + 1) * parts) + 0.5) / parts - reach - 0.5
    inside = (points[:, None] ** 2 + points**2 <= radius**2).astype(np.float64)
    covered = inside.reshape(2 * reach + 1, parts, 2 * reach + 1, parts).sum(axis=(1, 3))
    return np.asarray(covered / covered.sum())


def trail(radius: float, sigma: float, angle: float) -> NDArray[np.float64]:
    """Half a Gaussian along a line from the middle pixel outwards, of sum 1, [2R + 1, 2R + 1].

    Args:
        radius: Half of the line's length, pixels.
        sigma: Deviation, pixels.
        angle: Of the line, radians.
    """
    length = max(1, round(2 * radius))
    steps = np.arange(length + 1)
    kernel = np.zeros((2 * length + 1, 2 * length + 1))
    rows, columns = (
        np.rint(length + steps * part).astype(np.int64) for part in (math.sin(angle), math.cos(angle))
    )
    np.add.at(kernel, (rows, columns), np.exp(-(steps**2) / (2 * sigma**2)))
    return np.asarray(kernel / kernel.sum())


def plasma(side: int, *, decay: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """A cloud by the diamond-square rule, [side, side] in 0..1, its edges fitting each other.

    Args:
        side: A power of two.
        decay: By how much the chance of each finer step is smaller.
        rng: Source of chance.
    """
    cloud = np.zeros((side, side))
    step, wobble = side, 100.0
    while step >= 2:
        half = step // 2
        corners = cloud[::step, ::step]
        pairs = corners + np.roll(corners, -1, axis=0)
        cloud[half::step, half::step] = _wobbled(pairs + np.roll(pairs, -1, axis=1), wobble, rng)
        middles = cloud[half::step, half::step]
        above = middles + np.roll(middles, 1, axis=0)
        cloud[::step, half::step] = _wobbled(above + corners + np.roll(corners, -1, axis=1), wobble, rng)
        beside = middles + np.roll(middles, 1, axis=1)
        cloud[half::step, ::step] = _wobbled(beside + corners + np.roll(corners, -1, axis=0), wobble, rng)
        step, wobble = half, wobble / decay
    cloud -= cloud.min()
    return np.asarray(cloud / max(cloud.max(), np.finfo(float).tiny))


def _wobbled(total: NDArray[np.float64], wobble: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """The mean of four neighbours, given their sum, and chance; `wobble` enters squared, as published."""
    return np.asarray(total / 4 + wobble * rng.uniform(-wobble, wobble, total.shape))


def _convolved(x: Levels, kernel: NDArray[np.float64]) -> Levels:
    reach = len(kernel) // 2
    padded = np.pad(x, ((reach, reach), (reach, reach), (0, 0)), mode="edge")
    return np.asarray(fftconvolve(padded, kernel[:, :, None], mode="valid", axes=(0, 1)))


def _zoomed(x: Levels, factor: float) -> Levels:
    height, width = x.shape[:2]
    left, top = (width - width / factor) / 2, (height - height / factor) / 2
    box = (left, top, width - left, height - top)
    return np.asarray(_pillow(x).resize((width, height), Image.Resampling.BILINEAR, box=box)) / 255.0


def _pillow(x: Levels) -> Image.Image:
    return Image.fromarray(np.rint(x * 255).astype(np.uint8))
