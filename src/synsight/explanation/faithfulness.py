"""Whether a map says where the score comes from: deletion and insertion, pointing at boxes, random weights.

Letters: h and w cells of a map, S side of the input in pixels, B images at once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from scipy.stats import spearmanr
from torch import Tensor

from synsight.errors import ShapeError
from synsight.seeding import generator

Probability = Callable[[Tensor], NDArray[np.floating]]
"""Images uint8 [B, 3, S, S] -> a probability for each, [B]."""

STEPS = 16
RANDOM_ORDERS = 3


@dataclass(frozen=True)
class Curves:
    """Areas under the curves of probability against the share of the image, 0 to 1.

    Attributes:
        deletion: The map's strongest cells go first; small is good.
        insertion: They come first; large is good.
        deletion_random: The same in random order, mean over the orders.
        insertion_random: As well.
    """

    deletion: float
    insertion: float
    deletion_random: float
    insertion_random: float


def deletion_insertion(
    pixels: Tensor,
    values: NDArray[np.floating],
    probability: Probability,
    *,
    steps: int = STEPS,
    orders: int = RANDOM_ORDERS,
    seed: int = 0,
) -> Curves:
    """Delete the image cell by cell, or bring it in, and watch the probability.

    What is deleted is blurred until nothing can be seen, since grey squares are edges that a network reacts
    to; insertion begins with the blurred image, as in the paper. Departure: the paper deletes to grey.

    Args:
        pixels: As the model sees it, uint8 [3, S, S].
        values: The map, [h, w].
        probability: Of the word or class that the map is about.
        steps: Points of a curve beyond its start.
        orders: Random orders beside.
        seed: Of the random orders.

    Reference: Petsiuk et al. 2018 (RISE), section 4.3, https://arxiv.org/abs/1806.07421
    """
    drawn = generator(seed, "random order")
    ranks = [np.argsort(np.argsort(-values.ravel(), kind="stable"))]
    ranks += [drawn.permutation(values.size) for _ in range(orders)]
    blurred = _blurred(pixels)
    deletion, insertion = [], []
    for rank in ranks:
        share = (rank + 1).reshape(values.shape) / values.size
        kept = torch.from_numpy(_enlarged(share, pixels.shape[1:]))
        levels = torch.linspace(0, 1, steps + 1).view(-1, 1, 1, 1)
        gone = kept[None, None] <= levels + 1e-9
        deletion.append(_area(probability(torch.where(gone, blurred, pixels))))
        insertion.append(_area(probability(torch.where(gone, pixels, blurred))))
    chance = [float(np.mean(one[1:])) if orders else float("nan") for one in (deletion, insertion)]
    return Curves(deletion[0], insertion[0], *chance)


def points_at(values: NDArray[np.floating], boxes: Sequence[Sequence[float]], *, side: int) -> bool:
    """Whether the middle of the map's strongest cell lies in one of some boxes.

    Args:
        values: [h, w], over the whole image.
        boxes: (left, top, width, height) in pixels of an image of `side`.
        side: Of the image the boxes are about, pixels.

    Raises:
        ShapeError: There is no box.

    Reference: Zhang et al. 2016 (excitation backprop, the pointing game), section 4.1,
    https://arxiv.org/abs/1608.00507; without their margin of 15 pixels.
    """
    if not len(boxes):
        raise ShapeError("the pointing game needs a box; leave out images without one.")
    row, column = np.unravel_index(int(np.argmax(values)), values.shape)
    y, x = (row + 0.5) / values.shape[0] * side, (column + 0.5) / values.shape[1] * side
    return any(left <= x < left + wide and top <= y < top + tall for left, top, wide, tall in boxes)


def rank_correlation(first: NDArray[np.floating], second: NDArray[np.floating]) -> float:
    """Spearman's between two maps of one image, -1 to 1; near 0 when weights were made random and the map
    depends on them.

    Reference: Adebayo et al. 2018, section 3, https://arxiv.org/abs/1810.03292
    """
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    return float(spearmanr(first.ravel(), second.ravel()).statistic)


def _area(values: NDArray[np.floating]) -> float:
    return float(np.trapezoid(values, dx=1 / (len(values) - 1)))


def _enlarged(share: NDArray[np.float64], size: Sequence[int]) -> NDArray[np.float32]:
    image = Image.fromarray(share.astype(np.float32))
    return np.asarray(image.resize((size[1], size[0]), Image.Resampling.NEAREST)).copy()


def _blurred(pixels: Tensor) -> Tensor:
    image = Image.fromarray(np.ascontiguousarray(pixels.permute(1, 2, 0).numpy()))
    soft = image.filter(ImageFilter.GaussianBlur(image.width / 6))
    return torch.from_numpy(np.asarray(soft).copy()).permute(2, 0, 1)
