"""Masks as COCO writes them: polygons and run lengths, to pixels and back.

A mask comes from somebody's file, so every number in it is looked at before it is used.
"""

import json
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synsight.errors import DataError

Mask = NDArray[np.bool_]
"""[H, W]."""

MOST_POINTS = 1_000_000
"""Of all polygons of one object."""


def read_mask(text: str, *, height: int, width: int) -> Mask:
    """The pixels of one object.

    A pixel belongs to a polygon when its centre lies inside (even-odd rule); the parts of an object are
    united. (COCO's own tools round corners to a fifth of a pixel instead; the masks differ in few pixels of
    the edge.)

    Args:
        text: JSON of COCO's `segmentation`: a list of polygons [x, y, x, y, ...], or an object with `size`
            [H, W] and `counts`, a list or COCO's compressed text.
        height: H of the image, pixels.
        width: W of the image, pixels.

    Raises:
        DataError: It is neither, or does not fit the image. Its text is a short reason for counting.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise DataError("no_json") from None
    if isinstance(value, dict):
        return _from_runs(value, height, width)
    if isinstance(value, list) and value:
        return _from_polygons(value, height, width)
    raise DataError("no_mask")


def mask_text(mask: Mask) -> str:
    """A mask as the JSON of COCO's run lengths, not compressed."""
    return json.dumps({"size": list(mask.shape), "counts": run_lengths(mask)}, separators=(",", ":"))


def run_lengths(mask: Mask) -> list[int]:
    """Lengths of the runs of a mask [H, W] read column by column, beginning with the outside."""
    flat = np.concatenate([[False], mask.ravel(order="F"), [not mask.ravel(order="F")[-1]]])
    ends = np.flatnonzero(flat[1:] != flat[:-1])
    lengths: list[int] = np.diff(ends, prepend=0).tolist()
    return lengths


def polygon_mask(corners: NDArray[np.float64], *, height: int, width: int) -> Mask:
    """The pixels [H, W] whose centres lie inside a polygon [P, 2] of x and y, by the even-odd rule."""
    toggles = np.zeros((height, width + 1), dtype=np.int64)
    centres = np.arange(height) + 0.5
    for (x, y), (next_x, next_y) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        crossed = np.flatnonzero((np.minimum(y, next_y) <= centres) & (centres < np.maximum(y, next_y)))
        if len(crossed):
            at = x + (centres[crossed] - y) * ((next_x - x) / (next_y - y))
            # The first column whose centre is not left of the crossing; what is right of it changes sides.
            toggles[crossed, np.clip(np.ceil(at - 0.5), 0, width).astype(np.int64)] += 1
    inside: Mask = np.cumsum(toggles[:, :width], axis=1) % 2 == 1
    return inside


def _from_polygons(polygons: list[Any], height: int, width: int) -> Mask:
    mask = np.zeros((height, width), dtype=bool)
    if sum(len(one) for one in polygons if isinstance(one, list)) > 2 * MOST_POINTS:
        raise DataError("too_many_points")
    for polygon in polygons:
        if not isinstance(polygon, list) or len(polygon) < 6 or len(polygon) % 2:
            raise DataError("bad_polygon")
        if not all(_is_number(one) and abs(one) < 1e9 for one in polygon):
            raise DataError("bad_polygon")
        mask |= polygon_mask(np.array(polygon, dtype=np.float64).reshape(-1, 2), height=height, width=width)
    return mask


def _from_runs(value: dict[str, Any], height: int, width: int) -> Mask:
    counts = value.get("counts")
    if isinstance(counts, str):
        counts = _decompressed(counts, most=height * width + 2)
    if not isinstance(counts, list) or not all(_is_whole(one) for one in counts):
        raise DataError("bad_runs")
    if value.get("size") != [height, width] or sum(counts) != height * width:
        raise DataError("other_size")
    inside = np.arange(len(counts)) % 2 == 1
    mask: Mask = np.repeat(inside, counts).reshape((height, width), order="F")
    return mask


def _decompressed(text: str, *, most: int) -> list[int]:
    """COCO's text of run lengths: five bits a character, signed, from the third on relative to the last but
    one.
    """
    counts: list[int] = []
    at = 0
    while at < len(text) and len(counts) < most:
        value, shift, more = 0, 0, True
        while more and at < len(text) and shift < 60:
            bits = ord(text[at]) - 48
            if not 0 <= bits < 64:
                raise DataError("bad_runs")
            value |= (bits & 31) << shift
            more = bool(bits & 32)
            at, shift = at + 1, shift + 5
            if not more and bits & 16:
                value -= 1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
    return counts


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < 2**63 and math.isfinite(value)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**40


def box_of(mask: Mask) -> tuple[int, int, int, int]:
    """The smallest box around a mask that is not empty: left, top, right, bottom in pixels; the last two lie
    just outside.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def numbers(values: object) -> list[float] | None:
    """Four finite numbers, as a box has them; None for anything else."""
    if isinstance(values, list) and len(values) == 4 and all(_is_number(side) for side in values):
        return [float(side) for side in values]
    return None
