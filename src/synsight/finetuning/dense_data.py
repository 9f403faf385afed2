"""Images with their objects out of a catalog, fitted into a square, and batches of them.

B images of S x S pixels, N objects, C classes.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from synsight.data.catalog import POSITION, Catalog
from synsight.data.images import Pixels, decode_image
from synsight.data.instances import COLUMNS, IGNORED, Instances, class_map, read_instances
from synsight.data.plan import Plan
from synsight.data.views import normalise
from synsight.errors import DataError
from synsight.evaluation.rows import group_codes
from synsight.models.preparing import Images
from synsight.seeding import generator


@dataclass(frozen=True, eq=False)
class AnnotatedRows:
    """Rows of one split, in the order of their ids."""

    positions: NDArray[np.int64]
    """[N] in the catalog."""
    ids: NDArray[np.object_]
    """[N] strings."""
    group_codes: NDArray[np.int64]
    """[N] one number a group; a row without one is its own."""

    def __len__(self) -> int:
        return len(self.positions)


@dataclass(frozen=True, eq=False)
class Picture:
    """One image as a network sees it, and the way back."""

    pixels: Pixels
    """[S, S, 3]; what the image does not fill, to the right or below, is grey."""
    filled: tuple[int, int]
    """Height and width that the image fills, pixels."""
    original: tuple[int, int]
    """Height and width of the image, pixels."""
    instances: Instances
    """In pixels of the original."""


@dataclass(frozen=True, eq=False)
class AnnotatedImages:
    """The annotated images of a catalog, split by split; nothing of a pixel is kept."""

    catalog: Catalog
    classes: tuple[str, ...]
    """Categories of all splits, sorted."""
    train: AnnotatedRows
    """Images with at least one box."""
    test: AnnotatedRows
    """Also images in which there is nothing to be found."""
    has_masks: bool
    unannotated: int
    """Rows of which nobody says what is in them; left out."""
    refused: Counter[str] = field(default_factory=Counter)
    """What was wrong with the objects of the test images (`read_instances`), by reason."""

    def pictures(
        self, positions: Sequence[int] | NDArray[np.int64], *, size: int, masks: bool, count: bool = False
    ) -> Iterator[Picture]:
        """Read some rows.

        Args:
            positions: In the catalog.
            size: S.
            masks: Read the masks.
            count: Add what is wrong with an object to `refused`.
        """
        columns = [name for name in COLUMNS if name in self.catalog.columns]
        for row in self.catalog.take(positions, ["image", *columns]).to_pylist():
            image = decode_image(row["image"])
            instances = read_instances(
                row,
                self.classes,
                height=image.height,
                width=image.width,
                masks=masks,
                refused=self.refused if count else None,
            )
            pixels, filled = letterboxed(image, size)
            yield Picture(pixels, filled, (image.height, image.width), instances)


def read_annotated(catalog: Catalog, *, need_training: bool = True) -> AnnotatedImages:
    """Find the annotated rows of a catalog.

    Args:
        catalog: Needs the columns that the ingest of a COCO file leaves: `boxes` and `box_categories`, and
            for masks `box_masks`; `box_crowds` and `group` are used where they are there.
        need_training: Whether something is to be trained.

    Raises:
        DataError: A column is missing or of another type, or a split that is needed has no annotated row.
    """
    for name in COLUMNS[:2]:
        if name not in catalog.columns:
            raise DataError(
                f"{catalog.path}: expected a column {name!r} with the objects of each image, found none; "
                "ingest a COCO file of instances, or make some with `synsight sample scenes`."
            )
        kind = catalog.schema.field(name).type
        if not pa.types.is_list(kind):
            raise DataError(
                f"{catalog.path}: expected a list an image in the column {name!r}, found {kind}; ingest a "
                "COCO file of instances."
            )
    names = ["id", "split", "box_categories", *(["group"] if "group" in catalog.columns else [])]
    batches = list(catalog.scan(names, with_positions=True))
    rows = [row for batch in batches for row in batch.to_pylist()]
    known = sorted((row for row in rows if row["box_categories"] is not None), key=lambda row: row["id"])
    classes = {name for row in known for name in row["box_categories"] if name is not None}
    train = [row for row in known if row["split"] == "train" and row["box_categories"]]
    test = [row for row in known if row["split"] == "test"]
    for split, found in (("train", train), ("test", [row for row in test if row["box_categories"]])):
        if not found and (need_training or split == "test"):
            raise DataError(
                f"{catalog.path}: the {split} split has no image with a box; ingest with a split column, or "
                "more images."
            )
    return AnnotatedImages(
        catalog,
        tuple(sorted(classes)),
        _rows_of(train),
        _rows_of(test),
        has_masks="box_masks" in catalog.columns,
        unannotated=len(rows) - len(known),
    )


def shown(images: Images, size: int) -> Iterator[Picture]:
    """Images of which nobody says what is in them.

    Raises:
        ImageError: Bytes that are no image.
    """
    nothing = Instances(np.empty((0, 4), np.float32), np.empty(0, np.int64), np.empty(0, bool))
    for one in images:
        image = decode_image(one) if isinstance(one, bytes) else one
        image = image.convert("RGB") if isinstance(image, Image.Image) else Image.fromarray(image)
        yield Picture(*letterboxed(image, size), (image.height, image.width), nothing)


def letterboxed(image: Image.Image, size: int) -> tuple[Pixels, tuple[int, int]]:
    """An image in the upper left corner of a square, as large as it fits; the height and width it fills."""
    scale = size / max(image.size)
    width, height = (max(1, min(size, round(side * scale))) for side in image.size)
    pixels = np.full((size, size, 3), 128, dtype=np.uint8)
    pixels[:height, :width] = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))
    return pixels, (height, width)


def as_batch(pictures: Sequence[Picture], *, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """Normalised images, float32 [B, 3, S, S]; what an image does not fill is 0, the mean."""
    pixels = torch.from_numpy(np.stack([one.pixels for one in pictures])).permute(0, 3, 1, 2)
    images = normalise(pixels, mean=mean, std=std).contiguous()
    for image, picture in zip(images, pictures, strict=True):
        height, width = picture.filled
        image[:, height:] = 0
        image[:, :, width:] = 0
    return images


def detection_target(picture: Picture, *, mirrored: bool) -> dict[str, Tensor]:
    """What torchvision's detectors learn from: `boxes` [N, 4], `labels` [N] from 1, `masks` [N, S, S].

    In pixels of the square; ignored regions are left out, as in torchvision's reference for COCO.
    """
    instances = picture.instances.taught()
    size = len(picture.pixels)
    (height, width), (filled_height, filled_width) = picture.original, picture.filled
    if mirrored:
        instances = instances.mirrored(width=width)
    scales = np.array([filled_width / width, filled_height / height] * 2, dtype=np.float32)
    target = {
        "boxes": torch.from_numpy(instances.boxes * scales),
        "labels": torch.from_numpy(instances.labels) + 1,
    }
    if instances.masks is not None:
        masks = torch.zeros(len(instances), size, size, dtype=torch.uint8)
        if len(instances):
            found = torch.from_numpy(instances.masks).float()[:, None]
            shape = (filled_height, filled_width)
            small = F.interpolate(found, size=shape, mode="bilinear", antialias=True)
            masks[:, :filled_height, :filled_width] = small[:, 0] >= 0.5
        target["masks"] = masks
    return target


def segmentation_target(picture: Picture, *, mirrored: bool) -> Tensor:
    """The class of each pixel of the square, int64 [S, S]; outside of the image `IGNORED`."""
    (height, width), (filled_height, filled_width) = picture.original, picture.filled
    classes = torch.from_numpy(class_map(picture.instances, height=height, width=width))
    if mirrored:
        classes = classes.flip(1)
    # Classes cannot be mixed: the nearest pixel says which. Exact up to 2**24 of them.
    shape = (filled_height, filled_width)
    small = F.interpolate(classes[None, None].float(), size=shape, mode="nearest-exact")
    target = torch.full((len(picture.pixels),) * 2, IGNORED, dtype=torch.int64)
    target[:filled_height, :filled_width] = small[0, 0].long()
    return target


def mirrored(picture: Picture) -> Picture:
    """The picture with left and right of its image exchanged; its objects stay as they are."""
    pixels, width = picture.pixels.copy(), picture.filled[1]
    pixels[:, :width] = picture.pixels[:, :width][:, ::-1]
    return Picture(pixels, picture.filled, picture.original, picture.instances)


@dataclass(frozen=True, eq=False)
class TrainingBatches:
    """Which images a step sees, and which of them mirrored: a function of the seed and the step."""

    images: AnnotatedImages
    plan: Plan
    size: int
    masks: bool
    flip: bool

    def at(self, step: int) -> tuple[list[Picture], list[bool]]:
        """The pictures of the step after `step` steps, and whether each is mirrored."""
        epoch, place = self.plan.locate(step)
        rows = self.plan.indices(epoch, place)
        positions = self.images.train.positions[rows]
        pictures = list(self.images.pictures(positions, size=self.size, masks=self.masks))
        flips = generator(self.plan.seed, "flip", step).random(len(rows)) < 0.5
        turned = [bool(one) and self.flip for one in flips]
        shown = [mirrored(one) if turn else one for one, turn in zip(pictures, turned, strict=True)]
        return shown, turned


def _rows_of(rows: list[dict[str, object]]) -> AnnotatedRows:
    ids = np.array([row["id"] for row in rows], dtype=object)
    groups = np.array([row.get("group") for row in rows], dtype=object)
    positions = np.array([row[POSITION] for row in rows], dtype=np.int64)
    return AnnotatedRows(positions, ids, group_codes(ids, groups))
