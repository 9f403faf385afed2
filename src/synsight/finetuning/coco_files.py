"""What detection asked and what it was answered, as the two files that COCO's tools read.

EVALUATION/coco/RUN/    ground_truth.json    the test images and their objects, in COCO's instance format
                        detections.json      what was found, in COCO's results format

Both are a function of the catalog's rows, the weights and the settings: nothing in them tells when or where
they were written, and the same evaluation again puts the same bytes in their place.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from synsight import files

COCO_FILES = TRUTH, FOUND = "ground_truth.json", "detections.json"

Entries = Sequence[Mapping[str, Any]]
"""COCO's objects of one kind."""


def write_coco(
    folder: Path, *, images: Entries, annotations: Entries, detections: Entries, classes: Sequence[str]
) -> None:
    """Write both files at once; a reader finds the two old ones or the two new ones.

    Args:
        folder: Theirs alone.
        images: `id`, `file_name`, `height` and `width` of each test image.
        annotations: `id`, `image_id`, `category_id`, `bbox`, `area` and `iscrowd` of each object, and its
            `segmentation` where masks are known.
        detections: `image_id`, `category_id`, `bbox` and `score` of what was found, and its `segmentation`.
        classes: Names of the categories, of which the first has the number 1.

    Raises:
        StorageError: The disk refused.
    """
    parts = {
        "images": _lines(images),
        "annotations": _lines(annotations),
        "categories": _lines([{"id": number, "name": name} for number, name in enumerate(classes, start=1)]),
    }
    truth = "{\n" + ",\n".join(f'"{name}": {lines}' for name, lines in parts.items()) + "\n}\n"
    with files.replacing(folder) as temporary:
        temporary.mkdir()
        for name, text in ((TRUTH, truth), (FOUND, _lines(detections) + "\n")):
            (temporary / name).write_text(text, encoding="ascii")


def _lines(entries: Entries) -> str:
    """A JSON list with an object a line. All in ASCII: COCO's tools open files in the system's encoding."""
    written = [json.dumps(one, allow_nan=False, separators=(",", ":")) for one in entries]
    return "[\n" + ",\n".join(written) + "\n]"
