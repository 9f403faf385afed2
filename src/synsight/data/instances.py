"""The objects of one image: boxes, classes and masks, out of the columns that COCO files leave in a catalog.

N objects, C classes, H x W pixels.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synsight.data.masks import Mask, numbers, read_mask
from synsight.errors import DataError

BACKGROUND = 0
"""Number of what is no object in a class map; class c has c + 1."""

IGNORED = -1
"""Number of pixels in a class map that nobody is asked about."""

COLUMNS = ("boxes", "box_categories", "box_masks", "box_crowds")
"""What is read where it is there; the first two are needed."""


@dataclass(frozen=True, eq=False)
class Instances:
    """Objects, in the order of the file."""

    boxes: NDArray[np.float32]
    """[N, 4] left, top, right, bottom in pixels, inside the image."""
    labels: NDArray[np.int64]
    """[N] places in the list of classes."""
    ignored: NDArray[np.bool_]
    """[N] regions that are neither taught nor asked about: COCO's crowds, objects with broken masks."""
    masks: NDArray[np.bool_] | None = None
    """[N, H, W]; None: the boxes alone were read."""

    def __len__(self) -> int:
        return len(self.labels)

    def taught(self) -> "Instances":
        """The objects without the ignored regions."""
        kept = ~self.ignored
        masks = None if self.masks is None else self.masks[kept]
        return Instances(self.boxes[kept], self.labels[kept], self.ignored[kept], masks)

    def mirrored(self, *, width: int) -> "Instances":
        """The objects of the image with left and right exchanged."""
        boxes = self.boxes.copy()
        boxes[:, [0, 2]] = width - self.boxes[:, [2, 0]]
        masks = None if self.masks is None else self.masks[:, :, ::-1].copy()
        return replace(self, boxes=boxes, masks=masks)


def read_instances(
    row: Mapping[str, Any],
    classes: Sequence[str],
    *,
    height: int,
    width: int,
    masks: bool,
    refused: Counter[str] | None = None,
) -> Instances:
    """The objects of one row.

    A box is clipped to its image, and left out when nothing of it remains. An object whose mask is missing,
    empty or broken becomes an ignored region of the size of its box.

    Args:
        row: Cells of `COLUMNS`.
        classes: Names of the C classes; an object of another is left out.
        height: H of the image as it is shown, pixels.
        width: W.
        masks: Read them; else the boxes alone.
        refused: Where what is not as it should be is counted by a short reason.
    """
    refused = Counter() if refused is None else refused
    sides, names = row.get("boxes") or [], row.get("box_categories") or []
    texts, crowds = row.get("box_masks") or [], row.get("box_crowds") or []
    boxes, labels, ignored, found = [], [], [], []
    for at, (box, name) in enumerate(zip(sides, names, strict=False)):
        clipped = _clipped(box, height, width)
        if clipped is None or name not in classes:
            refused["box_outside" if clipped is None else "other_class"] += 1
            continue
        ignore = bool(at < len(crowds) and crowds[at])
        if masks:
            mask = _mask(texts[at] if at < len(texts) else "", height, width, refused)
            ignore |= mask is None
            found.append(_filled(clipped, height, width) if mask is None else mask)
        boxes.append(clipped)
        labels.append(classes.index(name))
        ignored.append(ignore)
    return Instances(
        np.array(boxes, dtype=np.float32).reshape(-1, 4),
        np.array(labels, dtype=np.int64),
        np.array(ignored, dtype=bool),
        np.array(found, dtype=bool).reshape(-1, height, width) if masks else None,
    )


def class_map(instances: Instances, *, height: int, width: int) -> NDArray[np.int64]:
    """The class of each pixel, [H, W]: `BACKGROUND`, c + 1, or `IGNORED` where a region is, or where
    objects of different classes overlap, as in torchvision's reference for COCO.
    """
    pixels = np.full((height, width), BACKGROUND, dtype=np.int64)
    assert instances.masks is not None
    for mask, label, ignored in zip(instances.masks, instances.labels, instances.ignored, strict=True):
        if not ignored:
            clash = mask & (pixels != BACKGROUND) & (pixels != label + 1)
            pixels[mask] = label + 1
            pixels[clash] = IGNORED
    for mask in instances.masks[instances.ignored]:
        pixels[mask & (pixels == BACKGROUND)] = IGNORED
    return pixels


def _clipped(box: Any, height: int, width: int) -> tuple[float, float, float, float] | None:
    sides = numbers(box)
    if sides is None or sides[2] <= 0 or sides[3] <= 0:
        return None
    left, top = max(sides[0], 0.0), max(sides[1], 0.0)
    right, bottom = min(sides[0] + sides[2], float(width)), min(sides[1] + sides[3], float(height))
    # Less than a hundredth of a pixel is no object, and makes the losses of boxes infinite.
    return (left, top, right, bottom) if min(right - left, bottom - top) > 0.01 else None


def _mask(text: str | None, height: int, width: int, refused: Counter[str]) -> Mask | None:
    try:
        mask = read_mask(text or "[]", height=height, width=width)
    except DataError as error:
        refused[f"mask_{error}"] += 1
        return None
    if not mask.any():
        refused["mask_empty"] += 1
        return None
    return mask


def _filled(box: tuple[float, float, float, float], height: int, width: int) -> Mask:
    mask = np.zeros((height, width), dtype=bool)
    left, top = int(box[0]), int(box[1])
    mask[top : int(np.ceil(box[3])), left : int(np.ceil(box[2]))] = True
    return mask
