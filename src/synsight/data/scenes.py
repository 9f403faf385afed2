"""Composed scenes: cut-out drawings on backgrounds, with exact boxes and masks.

Their truth is known to the pixel, so they show whether a detector or a segmenter works at all, before
anybody has drawn a box. They are no replacement for pictures of the real place.
"""

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from importlib.resources import as_file, files

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import label as connected

from synsight.data.images import Pixels, decode_image, open_image
from synsight.data.masks import Mask, box_of, mask_text
from synsight.data.sources import MESSAGE, PLACE
from synsight.errors import ConfigError
from synsight.seeding import generator
from synsight.stages import REJECTED, Chunk, chunk_key

CLASSES = ("activities", "animals-nature", "flags", "food-drink", "objects", "smileys-emotion")
"""Categories of the sample `emoji` that look like things."""
PER_CHUNK = 100


@dataclass(frozen=True, kw_only=True)
class SceneConfig:
    """What a scene is."""

    scenes: tuple[int, int, int] = (600, 100, 200)
    """Of train, val and test."""
    classes: tuple[str, ...] = CLASSES
    """Categories of the sample `emoji`; every other drawing stays out."""
    side: int = 128
    """Width and height, pixels."""
    objects: tuple[int, int] = (1, 4)
    """Least and most drawings that are pasted."""
    sizes: tuple[float, float] = (0.2, 0.5)
    """Least and greatest side of a drawing, as a share of the scene's."""
    least_visible: float = 0.3
    """A drawing of which later ones leave less than this share is no object any more, though it is seen."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.side < 16 or not 0 < self.sizes[0] <= self.sizes[1] <= 1 or min(self.scenes) < 0:
            raise ConfigError(
                f"scenes need a side >= 16, sizes in 0..1 and counts >= 0; got {self.side}, {self.sizes} and "
                f"{self.scenes}."
            )
        if not 1 <= self.objects[0] <= self.objects[1]:
            raise ConfigError(f"objects must be 1 or more, the least first; got {self.objects}.")


@dataclass(frozen=True, eq=False)
class CutOut:
    """A drawing without its background."""

    pixels: Pixels
    mask: Mask
    category: str


@dataclass(frozen=True, eq=False)
class Scene:
    """An image and all that is to be found in it."""

    pixels: Pixels
    masks: list[Mask]
    """What is visible of each object, [H, W]."""
    categories: list[str]


def cut_out(image: bytes) -> Mask:
    """What of a drawing is no background, [H, W]: its opaque part, or all but the white that touches the
    border.

    The shipped drawings lie on white, so white parts inside a drawing stay in it, and a white edge is lost.
    """
    _, opened = open_image(image)
    if opened.has_transparency_data:
        opaque: Mask = np.asarray(opened.convert("RGBA"))[:, :, 3] >= 128
        return opaque
    white = np.asarray(decode_image(image)).min(axis=2) >= 225  # lossy files: white is not quite white
    parts, _ = connected(white)
    border = np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]])
    mask: Mask = ~(white & np.isin(parts, border[border > 0]))
    return mask


def compose(drawings: Sequence[CutOut], config: SceneConfig, *, rng: np.random.Generator) -> Scene:
    """Paste some drawings at random places in random sizes, the later over the earlier."""
    pixels = _background(config.side, rng)
    masks: list[Mask] = []
    areas, categories = [], []
    for number in rng.integers(len(drawings), size=rng.integers(config.objects[0], config.objects[1] + 1)):
        drawing = drawings[number]
        side = max(4, round(config.side * rng.uniform(*config.sizes)))
        top, left = rng.integers(0, config.side - side + 1, size=2)
        small = np.asarray(Image.fromarray(drawing.pixels).resize((side, side), Image.Resampling.LANCZOS))
        shape = np.asarray(Image.fromarray(drawing.mask).resize((side, side), Image.Resampling.NEAREST))
        mask = np.zeros((config.side, config.side), dtype=bool)
        mask[top : top + side, left : left + side] = shape
        pixels[top : top + side, left : left + side][shape] = small[shape]
        masks = [former & ~mask for former in masks] + [mask]
        areas.append(int(mask.sum()))
        categories.append(drawing.category)
    kept = [at for at, mask in enumerate(masks) if mask.sum() > config.least_visible * areas[at]]
    return Scene(pixels, [masks[at] for at in kept], [categories[at] for at in kept])


def _background(side: int, rng: np.random.Generator) -> Pixels:
    """One colour, a soft mixture of colours, or noise; never white, on which drawings were cut out."""
    kind = rng.integers(3)
    cells = (1, 4, side)[kind]
    colours = rng.integers(20, 220, size=(cells, cells, 3)).astype(np.uint8)
    soft = Image.fromarray(colours).resize((side, side), Image.Resampling.BICUBIC)
    return np.asarray(soft).copy()


class SceneSource:
    """Scenes of the sample `emoji` as a source of `ingest`, the same ones whenever they are asked for.

    The concepts of a split's drawings come in no other split.

    Args:
        config: What a scene is.
    """

    ignored = 0
    unread_tables = ()
    columns: Mapping[str, str] = {"image": "composed", "split": "that of the drawings"}
    schema = pa.schema(
        [
            pa.field("id", pa.string()),
            pa.field("keywords", pa.list_(pa.string())),
            pa.field("split", pa.string()),
            pa.field("boxes", pa.list_(pa.list_(pa.float32()))),
            pa.field("box_categories", pa.list_(pa.string())),
            pa.field("box_masks", pa.list_(pa.string())),
        ]
    )

    def __init__(self, config: SceneConfig | None = None) -> None:
        self.config = config or SceneConfig()
        self.identity = chunk_key("scenes", sorted(asdict(self.config).items()))

    @property
    def rows(self) -> int:
        """See `ImageSource.rows`."""
        return sum(self.config.scenes)

    def chunks(self) -> Iterator[Chunk]:
        """See `stages.Source`."""
        for split, count in zip(("train", "val", "test"), self.config.scenes, strict=True):
            for start in range(0, count, PER_CHUNK):
                stop = min(start + PER_CHUNK, count)
                yield Chunk(
                    key=chunk_key(self.identity, split, start, stop),
                    rows=stop - start,
                    read=partial(self._read, split, range(start, stop)),
                    name=f"scenes {start + 1:,} to {stop:,} of {split}",
                )

    def scene(self, split: str, number: int) -> Scene:
        """One scene, a function of the config alone."""
        rng = generator(self.config.seed, "scene", split, number)
        return compose(self._drawings[split], self.config, rng=rng)

    def _read(self, split: str, numbers: Sequence[int]) -> pa.RecordBatch:
        rows = [_row(self.scene(split, number), f"scene/{split}/{number:05d}", split) for number in numbers]
        nothing = pa.nulls(len(rows), pa.string())
        columns = [pa.array([row["id"] for row in rows], pa.string()), nothing, nothing]
        columns.append(pa.array([row["image"] for row in rows], pa.binary()))
        columns += [pa.array([row[field.name] for row in rows], field.type) for field in self.schema]
        return pa.RecordBatch.from_arrays(
            columns, names=[PLACE, REJECTED, MESSAGE, "image", *self.schema.names]
        )

    @cached_property
    def _drawings(self) -> dict[str, list[CutOut]]:
        with as_file(files("synsight.data") / "sample_files" / "emoji.parquet") as path:
            table = pq.read_table(path, columns=["image", "category", "split"])
        table = table.filter(pc.is_in(table["category"], pa.array(self.config.classes, pa.string())))
        if not table.num_rows:
            raise ConfigError(
                f"classes must be categories of the sample emoji ({', '.join(CLASSES)}, ...); got "
                f"{', '.join(self.config.classes)}."
            )
        found: dict[str, list[CutOut]] = {}
        for row in table.to_pylist():
            mask = cut_out(row["image"])
            # A mask of nearly all or nothing is a drawing that was not told from its background.
            if 0.1 < mask.mean() < 0.95:
                drawing = CutOut(np.asarray(decode_image(row["image"])), mask, row["category"])
                found.setdefault(row["split"], []).append(drawing)
        return found


def _row(scene: Scene, name: str, split: str) -> dict[str, object]:
    out = io.BytesIO()
    Image.fromarray(scene.pixels).save(out, format="PNG")
    return {
        "id": name,
        "image": out.getvalue(),
        "keywords": list(dict.fromkeys(scene.categories)),
        "split": split,
        "boxes": [_sides(mask) for mask in scene.masks],
        "box_categories": scene.categories,
        "box_masks": [mask_text(mask) for mask in scene.masks],
    }


def _sides(mask: NDArray[np.bool_]) -> list[float]:
    left, top, right, bottom = box_of(mask)
    return [float(left), float(top), float(right - left), float(bottom - top)]
