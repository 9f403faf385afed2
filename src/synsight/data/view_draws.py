"""What chance decides of a view, apart from how pixels are then computed.

All numbers of a view are drawn before its first pixel is touched: two ways of computing it show the same
crop and colours, and a decoder can be told beforehand which part of the image will be looked at.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from synsight.errors import ConfigError

ASPECT_RATIOS = (3 / 4, 4 / 3)
"""Least and greatest width / height of a random crop."""

BLUR_SIGMAS = (0.1, 2.0)
"""Least and greatest deviation of the Gaussian blur, pixels of the view."""

Change = Literal["brightness", "contrast", "saturation", "hue"]
CHANGES: tuple[Change, ...] = ("brightness", "contrast", "saturation", "hue")


@dataclass(frozen=True, kw_only=True)
class ViewsConfig:
    """How many views an image gets and how far they may stray from it."""

    kind: Literal["simclr", "catlip", "plain"] = "simclr"
    """`simclr`: crop (bicubic), flip, colour, grey, blur. `catlip`: crop (bilinear) and flip. `plain`:
    resize the shorter side and cut out the centre, as in evaluation."""

    path: Literal["auto", "reference"] = "auto"
    """`auto`: the fast operations (docs/views.md) where their packages are installed. `reference`:
    torchvision's, whatever is installed."""

    count: int = 1
    """Views of one image, apart from the local ones."""

    min_area: float = 0.08
    """Least share of the image's area that a random crop shows."""

    max_area: float = 1.0
    """Greatest share of it."""

    local_count: int = 0
    """Local views (multi-crop of SwAV, https://arxiv.org/abs/2006.09882): smaller, and of smaller parts."""

    local_size: int = 0
    """Side of a local view, pixels; 0: three sevenths of the other views' (96 for 224)."""

    local_min_area: float = 0.05
    local_max_area: float = 0.25

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
        if self.path not in ("auto", "reference"):
            raise ConfigError(f"path of views must be auto or reference; got {self.path!r}.")
        if self.count < 1:
            raise ConfigError(f"count of views must be >= 1; got {self.count}.")
        self._check_areas()
        self._check_local()
        for name in ("jitter_probability", "grey_probability", "blur_probability", "flip_probability"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} must be in 0..1; got {getattr(self, name)!r}.")
        if not 0 <= self.strength <= 1.25:  # beyond, 0.8 s exceeds 1 and a colour could be inverted
            raise ConfigError(f"strength must be in 0..1.25; got {self.strength!r}.")

    def _check_areas(self) -> None:
        for name in ("min_area", "max_area", "local_min_area", "local_max_area", "crop_fraction"):
            if not 0 < getattr(self, name) <= 1:
                raise ConfigError(f"{name} must be in (0, 1]; got {getattr(self, name)!r}.")
        for least, greatest in (("min_area", "max_area"), ("local_min_area", "local_max_area")):
            if getattr(self, least) > getattr(self, greatest):
                raise ConfigError(
                    f"{least} must be at most {greatest}; "
                    f"got {getattr(self, least)!r} and {getattr(self, greatest)!r}."
                )

    def _check_local(self) -> None:
        for name in ("local_count", "local_size"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} must be >= 0; got {getattr(self, name)}.")
        if self.local_count and self.kind == "plain":
            raise ConfigError("plain views have no local views; set local_count=0 or kind='simclr'.")

    def local_side(self, image_size: int) -> int:
        """Side of a local view, pixels, beside views of `image_size`."""
        return self.local_size or max(1, round(image_size * 3 / 7))


@dataclass(frozen=True)
class Drawn:
    """What chance has decided of one view."""

    size: int
    """Side of the view, pixels."""
    top: int
    """Of the crop, pixels of the image, as `left`, `height` and `width`."""
    left: int
    height: int
    width: int
    flip: bool = False
    jitter: tuple[tuple[Change, float], ...] = ()
    """Changes of colour in their order: factors, but for hue a share of the colour circle."""
    grey: bool = False
    sigma: float | None = None
    """Deviation of the blur, pixels of the view; None: no blur."""


def draw(
    config: ViewsConfig, *, width: int, height: int, image_size: int, rng: np.random.Generator
) -> list[Drawn]:
    """The chance of all views of an image: `config.count` of side `image_size`, then the local ones.

    Args:
        config: What may happen; not the plain kind, which knows no chance.
        width: Of the image, pixels.
        height: Of the image, pixels.
        image_size: Side of a view that is not local, pixels.
        rng: Source of it all; advanced by the call, one view after the other.
    """
    views = [(image_size, config.min_area, config.max_area)] * config.count
    side = config.local_side(image_size)
    views += [(side, config.local_min_area, config.local_max_area)] * config.local_count
    drawn = []
    for size, least, greatest in views:
        crop = draw_crop(width, height, min_area=least, max_area=greatest, rng=rng)
        drawn.append(_draw_rest(config, size, crop, rng))
    return drawn


def draw_crop(
    width: int, height: int, *, min_area: float, max_area: float = 1.0, rng: np.random.Generator
) -> tuple[int, int, int, int]:
    """Top, left, height and width of a random crop, by the rule of torchvision's RandomResizedCrop.

    Area uniform in [min_area, max_area] of the image, aspect ratio log-uniform in 3/4..4/3; after ten misses
    the largest centre crop of an allowed ratio.
    """
    low, high = (math.log(ratio) for ratio in ASPECT_RATIOS)
    for _ in range(10):
        area = width * height * _uniform(rng, min_area, max_area)
        ratio = math.exp(_uniform(rng, low, high))
        crop_width, crop_height = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < crop_width <= width and 0 < crop_height <= height:
            top = int(rng.integers(height - crop_height + 1))
            left = int(rng.integers(width - crop_width + 1))
            return top, left, crop_height, crop_width
    ratio = min(max(width / height, ASPECT_RATIOS[0]), ASPECT_RATIOS[1])
    crop_width = min(width, max(1, round(height * ratio)))
    crop_height = min(height, max(1, round(width / ratio)))
    return (height - crop_height) // 2, (width - crop_width) // 2, crop_height, crop_width


def decode_size(config: ViewsConfig, *, image_size: int) -> int | None:
    """Shortest side, in pixels, to which a decoder may shrink an image without blurring any view of it.

    The smallest crop then still has as many pixels as its view. None: do not shrink. (Plain views never do,
    so that an image given as bytes and the same image given decoded have the same features.)
    """
    if config.kind == "plain":
        return None
    needed = image_size / math.sqrt(config.min_area * ASPECT_RATIOS[0])
    if config.local_count:
        side = config.local_side(image_size)
        needed = max(needed, side / math.sqrt(config.local_min_area * ASPECT_RATIOS[0]))
    return math.ceil(needed)


def blur_kernel(image_size: int) -> int:
    """Side of SimCLR's blur kernel: a tenth of the image's, made odd (7 at 64 px, 23 at 224)."""
    return image_size // 10 | 1


def _draw_rest(
    config: ViewsConfig, size: int, crop: tuple[int, int, int, int], rng: np.random.Generator
) -> Drawn:
    flip = rng.random() < config.flip_probability
    if config.kind == "catlip":
        return Drawn(size, *crop, flip=flip)
    jitter = _draw_jitter(config.strength, rng) if rng.random() < config.jitter_probability else ()
    grey = rng.random() < config.grey_probability
    sigma = _uniform(rng, *BLUR_SIGMAS) if rng.random() < config.blur_probability else None
    return Drawn(size, *crop, flip=flip, jitter=jitter, grey=grey, sigma=sigma)


def _draw_jitter(strength: float, rng: np.random.Generator) -> tuple[tuple[Change, float], ...]:
    factors, turns = (1 - 0.8 * strength, 1 + 0.8 * strength), (-0.2 * strength, 0.2 * strength)
    drawn = []
    for change in (CHANGES[number] for number in rng.permutation(4)):
        drawn.append((change, _uniform(rng, *(turns if change == "hue" else factors))))
    return tuple(drawn)


def _uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """The number that `rng.uniform` draws, in half its time."""
    return low + (high - low) * rng.random()
