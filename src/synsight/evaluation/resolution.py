"""The task `resolution`: what is left when images come with a half, a quarter, an eighth of their side."""

from collections.abc import Iterator, Sequence
from functools import partial

import torch
from PIL import Image

from synsight.errors import ConfigError
from synsight.evaluation.altered import CLEAN, ask_altered, ask_clean, joined, score_altered
from synsight.evaluation.judged import Judged
from synsight.evaluation.scoring import Scored
from synsight.models import Model

TASK = "resolution"


def resolution(judged: Judged) -> Scored:
    """Accuracy on test images of lower resolution, beside that on the same images as they are.

    The classifier learns from images at their full size. Each test image is made smaller by Pillow's bicubic
    filter, which averages over what it shrinks, and then goes the model's own way: it is scaled to the
    model's size, up where it has become smaller than that. Nothing is lost on images much larger than the
    model's input, and that is the answer: so much resolution is not needed.

    Records have the task `resolution:2`, `:4`, `:8` (by what the side was divided) and `resolution:clean`.

    Raises:
        UsageError: Only features are known.
        ConfigError: A factor of 1 or less.
        DataError: There is no labelled validation row.
    """
    factors = judged.options.robustness.resolutions
    if not factors or min(factors) <= 1:
        raise ConfigError(f"resolutions divide an image's side, so each must be > 1; got {list(factors)!r}.")
    asked = ask_clean(judged)
    altered = partial(smaller_pixels, factors=factors)
    found = ask_altered(judged, asked, altered, count=len(factors), title=TASK)
    scored = [
        score_altered(judged, asked, [asked.clean], task=f"{TASK}:{CLEAN}", seconds=asked.seconds, details={})
    ]
    for factor, answer in zip(factors, found.probabilities, strict=True):
        scored.append(
            score_altered(
                judged,
                asked,
                [answer],
                task=f"{TASK}:{factor:g}",
                seconds=asked.seconds + found.seconds,
                details={"side_divided_by": factor},
            )
        )
    return joined(scored)


def smaller_pixels(
    model: Model, images: Sequence[Image.Image], ids: Sequence[str], *, factors: Sequence[float]
) -> Iterator[torch.Tensor]:
    """What the encoder is shown of images with 1 / factor of their sides, uint8 [B, 3, S, S] for each."""
    for factor in factors:
        yield model.pixels([shrunk_image(one, factor=factor) for one in images])


def shrunk_image(image: Image.Image, *, factor: float) -> Image.Image:
    """The image with its sides divided by the factor, rounded, at least a pixel."""
    sides = (max(1, round(image.width / factor)), max(1, round(image.height / factor)))
    return image.resize(sides, Image.Resampling.BICUBIC)
