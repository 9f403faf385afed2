"""What is measured of each image: size, sharpness, brightness, what it shows at all, and its hash.

Photographs and drawings are judged by one measure each that fits both. A drawing is mostly paper, so its
lightness is that of what is drawn, and its sharpness that of its edges, however few. Pictures with
transparency lie on white, as every training sees them. Large images are reduced first: what cannot be seen at
a few hundred pixels is no defect for a model that looks at as many.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from synsight.data.fast_decode import decode_pixels
from synsight.data.images import read_header
from synsight.data.perceptual_hash import perceptual_hashes, reduced, steady_hashes
from synsight.errors import ImageError

DECODED_SIDE = 256
"""A JPEG is decoded no larger than its shorter side needs to keep so many pixels."""
SHARPNESS_SIDE = 128
"""Sharpness is measured at this longer side and at half of it; smaller images as they are."""
TONES_SIDE = 64
"""Brightness is measured at this longer side."""
CELLS = 16
"""An image is blank if the means of CELLS x CELLS cells are alike: noise is averaged out, a line is not."""

LEAST_DRAWN = 0.002
"""Share of the pixels; less is no drawing, and so its white no paper."""
EDGE_SHARE = 0.2
"""Least share of all variation that a direction must have to be judged by itself."""
CLIPPED = 244
"""Of 255: where every channel reaches it nothing is told apart any more; JPEG's ripples and the mean over
blocks are left room."""
LEAST_WHITE = 204
"""Of 255 in each channel; darker is no paper but a coloured ground."""
PAPER_LEVELS = 16
"""A pixel is drawn on the paper if a channel is so many levels of 255 off; JPEG's ripples are not."""

SCHEMA = pa.schema(
    [
        pa.field("image_hash", pa.uint64()),
        pa.field("steady_hash", pa.uint64()),
        pa.field("width", pa.int32()),
        pa.field("height", pa.int32()),
        pa.field("blur", pa.float32()),
        pa.field("darkness", pa.float32()),
        pa.field("lightness", pa.float32()),
        pa.field("drawn_lightness", pa.float32()),
        pa.field("on_paper", pa.bool_()),
        pa.field("burnt", pa.float32()),
        pa.field("contrast", pa.float32()),
        pa.field("fault", pa.string()),
    ]
)
"""Columns of the stage; all but `fault` are null where the image cannot be decoded."""


@dataclass(frozen=True)
class ImageStage:
    """The stage: the column `image` to the columns of `SCHEMA`."""

    name = "image-checks"
    version = "2"

    @property
    def settings(self) -> Mapping[str, object]:
        """See `Stage.settings`."""
        return {}

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """See `Stage.__call__`."""
        rows = [_measured(image) for image in batch.column("image").to_pylist()]
        small = [row.pop("reduced") for row in rows]
        readable = [number for number, pixels in enumerate(small) if pixels is not None]
        if readable:
            pixels = np.stack([small[number] for number in readable])
            hashes, steady = perceptual_hashes(pixels).tolist(), steady_hashes(pixels).tolist()
            for place, number in enumerate(readable):
                rows[number] |= {"image_hash": hashes[place], "steady_hash": steady[place]}
        return pa.RecordBatch.from_pylist(rows, schema=SCHEMA)


def _measured(data: bytes | None) -> dict[str, Any]:
    """A row of `SCHEMA` without its hash, and the pixels that it is made of under "reduced"."""
    try:
        pixels = decode_pixels(data or b"", shrink_to=DECODED_SIDE)
        height, width = pixels.shape[:2]
        if min(height, width) >= DECODED_SIDE:  # it may have come smaller
            header = read_header(data or b"")
            height, width = header.height, header.width
    except ImageError as error:
        return {"fault": error.reason.replace("_", " "), "reduced": None}
    image = _shrunk(Image.fromarray(pixels), 2 * DECODED_SIDE - 1)
    grey = image.convert("L")
    tones = pixels if max(pixels.shape) <= TONES_SIDE else np.asarray(_shrunk(image, TONES_SIDE))
    brightness = perceived_brightness(tones)
    drawn = drawn_on_paper(tones)
    return {
        "width": width,
        "height": height,
        "blur": blur(grey),
        "darkness": darkness(brightness),
        "lightness": _percentile(brightness.ravel(), 25),
        "drawn_lightness": _percentile(brightness.ravel() if drawn is None else brightness[drawn], 5),
        "on_paper": drawn is not None,
        "burnt": burnt(tones) if drawn is None else 0.0,
        "contrast": contrast(image),
        "reduced": reduced(grey),
    }


def blur(grey: Image.Image) -> float:
    """How soft the sharpest edges are, 0 (a step from one pixel to the next) to 1; NaN of one flat grey.

    The share of the variation between neighbouring pixels that a further blur leaves as it is: a blurred
    image has little to lose. An ideal edge that was blurred by a Gaussian of 0.85 pixels scores 0.65, of
    2 pixels 0.90. It depends neither on contrast nor on how much of the image is flat, so that it holds for
    drawings. The worse of two sizes: at the smaller, strong blur does not drown in noise and rounding.

    Reference: Crete et al. 2007, "The blur effect", eqs. 1 to 6, https://doi.org/10.1117/12.702790, with a
        mean over 5 pixels for theirs over 9, as images are small here, and leaving out directions without
        edges (see `EDGE_SHARE`).
    """
    grey = _shrunk(grey, SHARPNESS_SIDE)
    half = grey.reduce(2) if min(grey.size) >= 2 * CELLS else grey
    return float(np.fmax(_blur(np.asarray(grey)), _blur(np.asarray(half))))


def _blur(grey: NDArray[np.uint8]) -> float:
    values = grey.astype(np.int16)
    found = [_variation(values), _variation(values.T)]
    total = sum(variation for variation, _ in found)
    return max((1 - lost / all_ for all_, lost in found if all_ > EDGE_SHARE * total), default=float("nan"))


def _variation(values: NDArray[np.int16]) -> tuple[float, float]:
    """(sum of differences between neighbours down the columns, what of it a mean over 5 takes away)."""
    # A border of copies, so that edges at the very rim are seen: many drawings have no others.
    values = np.concatenate([values[:1]] * 3 + [values] + [values[-1:]] * 3)
    before = np.abs(values[3:-2] - values[2:-3])
    after = np.abs(values[5:] - values[:-5])  # 5 times the difference between neighbouring means
    lost = np.maximum(5 * before - after, 0)
    return float(before.sum(dtype=np.int64)), float(lost.sum(dtype=np.int64)) / 5


def darkness(brightness: NDArray[np.float32]) -> float:
    """1 minus the brightness that 99% of the pixels stay below, 0 to 1.

    Reference: CleanVision's `dark` (percentile 99 of the perceived brightness), Apache-2.0,
        https://github.com/cleanlab/cleanvision
    """
    return 1 - _percentile(brightness.ravel(), 99)


def drawn_on_paper(tones: NDArray[np.uint8]) -> NDArray[np.bool_] | None:
    """Where something lies on the paper, [H, W]; None: no paper (most of the border has no one light colour).

    Args:
        tones: RGB, [H, W, 3].
    """
    values = tones.astype(np.int16)
    border = np.concatenate([values[0], values[-1], values[:, 0], values[:, -1]])
    paper = np.partition(border, len(border) // 2, axis=0)[len(border) // 2]
    if paper.min() < LEAST_WHITE or np.mean(_distance(border, paper) <= PAPER_LEVELS) <= 0.5:
        return None
    drawn = _distance(values, paper) > PAPER_LEVELS
    return drawn if np.mean(drawn) >= LEAST_DRAWN else None


def burnt(tones: NDArray[np.uint8]) -> float:
    """Share of the pixels that are white in all channels, 0 to 1: highlights that a sensor could not hold.

    One or two full channels are no sign, as pure red and yellow have them. On paper it means nothing.

    Args:
        tones: RGB, [H, W, 3].
    """
    return float(np.mean(tones.min(axis=2) >= CLIPPED))


def contrast(image: Image.Image) -> float:
    """Largest difference between the means of CELLS x CELLS cells in any channel, 0 to 1."""
    cells = np.asarray(image.resize((CELLS, CELLS), Image.Resampling.BOX)).reshape(-1, 3)
    return float((cells.max(axis=0).astype(np.int16) - cells.min(axis=0)).max()) / 255


def perceived_brightness(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Brightness 0 to 1 of RGB pixels: root of the weighted squares (Finley, HSP colour model), [...]."""
    squares = np.square(rgb, dtype=np.float32) @ np.array([0.241, 0.691, 0.068], np.float32)
    brightness: NDArray[np.float32] = np.sqrt(squares) / 255
    return brightness


def _distance(values: NDArray[np.int16], colour: NDArray[np.int16]) -> NDArray[np.int16]:
    """Largest difference of a channel, [...] of RGB [..., 3]."""
    away = np.abs(values - colour)
    distance: NDArray[np.int16] = np.maximum(np.maximum(away[..., 0], away[..., 1]), away[..., 2])
    return distance


def _percentile(values: NDArray[np.float32], percent: int) -> float:
    """The value at a rank; no interpolation, which costs more than all the rest."""
    rank = min(len(values) - 1, len(values) * percent // 100)
    return float(np.partition(values, rank)[rank])


def _shrunk(image: Image.Image, side: int) -> Image.Image:
    """At most so large, by the mean of whole blocks of pixels."""
    times = -(-max(image.size) // side)
    return image if times == 1 else image.reduce((min(times, image.width), min(times, image.height)))
