"""COCO annotations: one JSON file with images, captions and boxes, the image files elsewhere."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import pyarrow as pa

from synsight.data.masks import numbers
from synsight.data.sources.column_types import Reader
from synsight.data.sources.records import Record
from synsight.data.sources.roots import Root, shown
from synsight.data.sources.rows import as_json_text, as_text
from synsight.errors import DataError

ANNOTATIONS = "annotations"
"""The folder beside those of the images, as COCO is laid out."""
MOST_BYTES = 4_000_000_000
TYPES: Mapping[str, tuple[pa.DataType, Reader]] = {
    "file_name": (pa.string(), as_text),
    "coco_id": (pa.string(), as_text),
    "caption": (pa.string(), as_text),
    "captions": (pa.list_(pa.string()), lambda value: value),
    "keywords": (pa.list_(pa.string()), lambda value: value),
    "boxes": (pa.list_(pa.list_(pa.float32())), lambda value: value),
    "box_categories": (pa.list_(pa.string()), lambda value: value),
    "box_masks": (pa.list_(pa.string()), lambda value: value),
    "box_crowds": (pa.list_(pa.bool_()), lambda value: value),
    "split": (pa.string(), as_text),
    "group": (pa.string(), as_text),
}


class Box(NamedTuple):
    """One annotated object."""

    sides: list[float]
    """[x, y, width, height], pixels."""
    category: str
    mask: str
    """COCO's `segmentation` as JSON, as it was found; "": there is none."""
    crowd: bool


class CocoTable:
    """A file as `captions_val2017.json` or `instances_val2017.json`; a record an image.

    Columns: `caption` (the first), `captions` (all of them), `boxes` ([x, y, width, height] in pixels, as
    COCO has them), `box_categories` (a name for each box), `box_masks` (its `segmentation` as JSON, "" for
    none), `box_crowds` (whether it stands for many objects) and `keywords` (the categories, each once); also
    `split` and `group` where an image says so, which COCO itself does not. A box that is not four finite
    numbers is left out; a mask is looked at when it is used (`data.instances`). Image files are looked for
    beside the annotations, in `images/`, and as COCO lays them out: in `val2017/` beside `annotations/` for a
    file whose name ends so.

    Args:
        root: The folder that no path may leave.
        path: The file below it.
    """

    unit = "image"
    bytes_columns: Collection[str] = ()

    def __init__(self, root: Root, path: str) -> None:
        self._root, self._path = root, path

    @cached_property
    def columns(self) -> Sequence[str]:
        """See `Table.columns`; those that the file has something for."""
        wanted = ["file_name", "coco_id"]
        wanted += ["caption", "captions"] if self._captions else []
        wanted += ["keywords", "boxes", "box_categories"] if self._boxes else []
        found = [box for boxes in self._boxes.values() for box in boxes]
        wanted += ["box_masks"] if any(box.mask for box in found) else []
        wanted += ["box_crowds"] if any(box.crowd for box in found) else []
        images = [one for one in self._content["images"] if isinstance(one, dict)]
        return wanted + [name for name in ("split", "group") if any(one.get(name) for one in images)]

    @property
    def types(self) -> Mapping[str, tuple[pa.DataType, Reader]]:
        """See `Table.types`."""
        return {name: TYPES[name] for name in self.columns}

    @property
    def rows(self) -> int:
        """See `Table.rows`."""
        return len(self._content["images"])

    def records(self) -> Iterator[Record]:
        """See `Table.records`."""
        for number, image in enumerate(self._content["images"], 1):
            name = image.get("file_name") if isinstance(image, dict) else None
            if not isinstance(name, str) or not name:
                yield Record(number, {}, "expected an object with a file_name")
                continue
            key = str(image.get("id"))
            captions, boxes = self._captions.get(key, []), self._boxes.get(key, [])
            yield Record(
                number,
                {
                    "file_name": f"{self._image_folder}{name}",
                    "coco_id": key,
                    "caption": captions[0] if captions else None,
                    "captions": captions,
                    "keywords": list(dict.fromkeys(box.category for box in boxes)),
                    "boxes": [box.sides for box in boxes],
                    "box_categories": [box.category for box in boxes],
                    "box_masks": [box.mask for box in boxes],
                    "box_crowds": [box.crowd for box in boxes],
                    "split": image.get("split"),
                    "group": image.get("group"),
                },
            )

    @cached_property
    def _content(self) -> Mapping[str, Any]:
        place = f"{shown(self._path)} in {self._root.name}"
        size = self._root.entry(self._path).size
        if size > MOST_BYTES:
            raise DataError(
                f"{place}: expected at most {MOST_BYTES:,} bytes of JSON, found {size:,}; split the file."
            )
        try:
            with self._root.open(self._path) as file:
                content = json.load(file)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{place}: expected COCO annotations, but it is no JSON ({error}).") from None
        if not isinstance(content, dict) or not isinstance(content.get("images"), list):
            raise DataError(
                f"{place}: expected COCO annotations (an object with `images` and `annotations`), found "
                "something else; write other records as JSONL, one object a line."
            )
        return content

    @cached_property
    def _annotations(self) -> list[Mapping[str, Any]]:
        found = self._content.get("annotations")
        return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []

    @cached_property
    def _captions(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for one in self._annotations:
            if text := as_text(one.get("caption")):
                found.setdefault(str(one.get("image_id")), []).append(" ".join(text.split()))
        return found

    @cached_property
    def _boxes(self) -> dict[str, list[Box]]:
        named = self._content.get("categories")
        names = {
            str(one.get("id")): as_text(one.get("name")) or str(one.get("id"))
            for one in (named if isinstance(named, list) else [])
            if isinstance(one, dict)
        }
        found: dict[str, list[Box]] = {}
        for one in self._annotations:
            sides, category = numbers(one.get("bbox")), str(one.get("category_id"))
            if sides is not None:
                mask = as_json_text(one["segmentation"]) if one.get("segmentation") else None
                box = Box(sides, names.get(category, category), mask or "", one.get("iscrowd") in (1, True))
                found.setdefault(str(one.get("image_id")), []).append(box)
        return found

    @cached_property
    def _image_folder(self) -> str:
        """Where the files lie, below the annotations' folder or beside it; "" where nothing was found."""
        first = next(
            (
                one["file_name"]
                for one in self._content["images"]
                if isinstance(one, dict) and one.get("file_name")
            ),
            "",
        )
        folder, named = image_base(self._path), PurePosixPath(self._path).stem.rpartition("_")[2]
        for below in ("", "images/", f"{named}/", f"images/{named}/"):
            if self._root.entry(f"{folder}{below}{first}").size:
                return below
        return ""


def image_base(path: str) -> str:
    """Where the paths in an annotation file start: its folder, or the one that holds `annotations/`."""
    folder = PurePosixPath(path).parent
    if folder.name == ANNOTATIONS:
        folder = folder.parent
    return "" if str(folder) == "." else f"{folder}/"
