"""Views by OpenCV and torch's kernels for 8-bit images, from the same draws as the reference's.

Each operation keeps the order, the clipping and the rounding that Pillow has, so that a view differs from
the reference's by less than a level of 255 on average; docs/views.md lists what is left. OpenCV comes with
the extra `fast`.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cache, lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F
from torch.utils.data import get_worker_info

from synsight.data.images import Pixels
from synsight.data.view_draws import Change, Drawn, blur_kernel

GREY = (0.299, 0.587, 0.114)
"""Share of red, green and blue in Pillow's grey (ITU-R 601-2)."""

ROUND_DOWN = -0.499
"""Added where OpenCV rounds to the nearest and Pillow cuts off; not -0.5, or whole numbers would fall."""

NO_BLUR = 0.25
"""Sigma up to which a blur changes no pixel by half a level."""


@cache
def is_fast_installed() -> bool:
    """Whether OpenCV is there."""
    try:
        _opencv()
    except ImportError:
        return False
    return True


def fast_view(pixels: Pixels, drawn: Drawn, *, bicubic: bool) -> Pixels:
    """One view, [S, S, 3] uint8.

    Args:
        pixels: The image, [H, W, 3]; unchanged by the call.
        drawn: What to do to it, in its pixels.
        bicubic: The filter of the resizing; else bilinear. Both average over what they shrink.
    """
    cv2 = _opencv()
    view = _resized_crop(pixels, drawn, bicubic=bicubic)
    for change, amount in drawn.jitter:
        _change(view, change, amount)
    if drawn.grey:
        cv2.cvtColor(cv2.cvtColor(view, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB, dst=view)
    if drawn.sigma is not None and drawn.sigma > NO_BLUR:
        _blur(view, drawn.sigma)
    return view


def fitting_shrink(drawn: Sequence[Drawn], *, most: int) -> int:
    """How many times smaller the image may be decoded while every crop keeps as many pixels as its view."""
    times = 1
    while 2 * times <= most and all(min(one.height, one.width) >= 2 * times * one.size for one in drawn):
        times *= 2
    return times


def shrunk(drawn: Drawn, times: int) -> Drawn:
    """The same view of an image `times` smaller; the crop's edges go to the nearest whole pixel."""
    if times == 1:
        return drawn
    top, left = round(drawn.top / times), round(drawn.left / times)
    bottom, right = round((drawn.top + drawn.height) / times), round((drawn.left + drawn.width) / times)
    return replace(drawn, top=top, left=left, height=bottom - top, width=right - left)


def _resized_crop(pixels: Pixels, drawn: Drawn, *, bicubic: bool) -> Pixels:
    bottom, right = drawn.top + drawn.height, drawn.left + drawn.width
    crop = pixels[drawn.top : bottom, drawn.left : right]
    # Without gaps: torch would start threads to copy it; and a copy: it warns of arrays that are read-only.
    crop = _opencv().flip(crop, 1) if drawn.flip else crop.copy()
    image = crop.reshape(1, drawn.height, drawn.width, 3).transpose(0, 3, 1, 2)  # torch's channels-last
    view = F.interpolate(
        torch.from_numpy(image),
        (drawn.size, drawn.size),
        mode="bicubic" if bicubic else "bilinear",
        antialias=True,
    )
    return np.ascontiguousarray(view.numpy()[0].transpose(1, 2, 0))  # contiguous but for sides of 1


def _change(view: Pixels, change: Change, amount: float) -> None:
    """As Pillow's ImageEnhance: a mixture of the view (`amount`) and of black, its mean grey or its grey.

    Rounded and clipped after each change, as there: a bright sky that was cut off at 255 stays flat when the
    contrast falls.
    """
    cv2 = _opencv()
    if change == "hue":
        _turn_hue(view, amount)
    elif change == "saturation":
        red, green, blue = ((1 - amount) * share for share in GREY)
        matrix = [
            [amount + red, green, blue, ROUND_DOWN],
            [red, amount + green, blue, ROUND_DOWN],
            [red, green, amount + blue, ROUND_DOWN],
        ]
        cv2.transform(view, np.array(matrix), dst=view)
    else:
        mean = cv2.mean(view) if change == "contrast" else (0, 0, 0)
        grey = int(GREY[0] * mean[0] + GREY[1] * mean[1] + GREY[2] * mean[2] + 0.5)
        cv2.addWeighted(view, amount, view, 0, (1 - amount) * grey + ROUND_DOWN, dst=view)


def _turn_hue(view: Pixels, share: float) -> None:
    """Turn the hue by `share` of the circle, in HSV with 256 hues where Pillow has 255."""
    cv2 = _opencv()
    hsv = cv2.cvtColor(view, cv2.COLOR_RGB2HSV_FULL)
    rows = hsv.reshape(len(hsv), -1)  # as runs of bytes: four times faster than one channel with gaps
    np.add(rows, _hue_steps(len(hsv), round(int(share * 255) * 256 / 255) % 256), out=rows)
    cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB_FULL, dst=view)


@lru_cache(maxsize=512)
def _hue_steps(width: int, steps: int) -> NDArray[np.uint8]:
    """What is added, modulo 256, to a row of HSV pixels, [3 * width]."""
    row = np.zeros((width, 3), np.uint8)
    row[:, 0] = steps
    return row.reshape(-1)


def _blur(view: Pixels, sigma: float) -> None:
    """The reference's Gaussian cut off at 3 sigma, where 0.3% of it is left."""
    cv2 = _opencv()
    radius = min(blur_kernel(len(view)) // 2, math.ceil(3 * sigma))
    weights = cv2.getGaussianKernel(2 * radius + 1, sigma)
    cv2.sepFilter2D(view, -1, weights, weights, dst=view, borderType=cv2.BORDER_REFLECT_101)


@cache
def _opencv() -> Any:
    import cv2

    if get_worker_info() is not None:  # a loader's workers share the cores among themselves already
        cv2.setNumThreads(1)
    return cv2
