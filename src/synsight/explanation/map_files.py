"""A map of a catalog for other programs: Parquet for Embedding Atlas, a folder for FiftyOne.

    embedding-atlas map.parquet --x x --y y --text text --image image
    fiftyone.Dataset.from_dir(dataset_dir="fiftyone", dataset_type=fiftyone.types.CSVDataset)

open them.
"""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

from synsight import files
from synsight.data.catalog import Catalog
from synsight.data.images import decode_image
from synsight.errors import ImageError
from synsight.explanation.embedding_map import EmbeddingMap
from synsight.explanation.reference import captions_of

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("x", pa.float32()),
        ("y", pa.float32()),
        ("text", pa.string()),
        ("cluster", pa.string()),
        ("label", pa.string()),
        ("words", pa.string()),
        ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
    ]
)
"""Columns of map.parquet; `image` in the layout of Hugging Face's data sets."""
SIDE = 96
"""Of the small pictures, pixels."""
_ROWS_AT_ONCE = 512


def write_atlas(
    path: Path,
    catalog: Catalog,
    positions: NDArray[np.int64],
    found: EmbeddingMap,
    *,
    label: str | None = None,
    words: list[str] | None = None,
    pictures: bool = True,
) -> Path:
    """Write the Parquet file that Embedding Atlas opens.

    Args:
        path: The file.
        catalog: Where the images are.
        positions: Of the rows on the map, [N].
        found: The map.
        label: Column of labels.
        words: What each row's words are called, [N].
        pictures: With small WebP pictures; else `image` is null.

    Raises:
        StorageError: The disk refused.
    """
    with files.replacing(path) as temporary, pq.ParquetWriter(temporary, SCHEMA) as writer:
        for rows in _parts(catalog, positions, found, label, words):
            if not pictures:
                rows["image"] = [None] * len(rows["id"])
            writer.write_table(pa.table({name: rows[name] for name in SCHEMA.names}, schema=SCHEMA))
    return path


def write_fiftyone(
    folder: Path,
    catalog: Catalog,
    positions: NDArray[np.int64],
    found: EmbeddingMap,
    *,
    label: str | None = None,
    words: list[str] | None = None,
) -> Path:
    """Write a folder that FiftyOne's `CSVDataset` importer reads: labels.csv, and pictures in data/.

    File names are numbers, since ids may be anything; the id is a column. Cells that a spreadsheet would run
    are defused with a quote.

    Raises:
        StorageError: The disk refused.
    """
    with files.replacing(folder) as temporary:
        (temporary / "data").mkdir(parents=True)
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        columns = ("id", "text", "cluster", "label", "words", "x", "y")
        writer.writerow(("filepath", *columns))
        number = 0
        for rows in _parts(catalog, positions, found, label, words):
            for row in range(len(rows["id"])):
                picture = rows["image"][row]
                name = f"data/{number:08d}.webp"
                number += 1
                if picture is not None:
                    (temporary / name).write_bytes(picture["bytes"])
                    writer.writerow((name, *(_cell(rows[column][row]) for column in columns)))
        (temporary / "labels.csv").write_text(text.getvalue(), encoding="utf-8")
    return folder


def _parts(
    catalog: Catalog,
    positions: NDArray[np.int64],
    found: EmbeddingMap,
    label: str | None,
    words: list[str] | None,
) -> Iterator[dict[str, list[Any]]]:  # columns of a part of the rows
    for start in range(0, len(positions), _ROWS_AT_ONCE):
        some = slice(start, start + _ROWS_AT_ONCE)
        wanted = list(dict.fromkeys(["id", "image", *([label] if label else [])]))
        table = catalog.take(positions[some], wanted)
        labels = table[label].to_pylist() if label else [None] * table.num_rows
        yield {
            "id": table["id"].to_pylist(),
            "x": found.points[some, 0].tolist(),
            "y": found.points[some, 1].tolist(),
            "text": captions_of(catalog, positions[some]),
            "cluster": [found.names[one] for one in found.clusters[some]],
            "label": [None if one is None else str(one) for one in labels],
            "words": list(words[some]) if words is not None else [""] * table.num_rows,
            "image": [_picture(one) for one in table["image"].to_pylist()],
        }


def _picture(data: bytes) -> dict[str, object] | None:
    try:
        image = decode_image(data, shrink_to=SIDE)
    except ImageError:
        return None
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=80)
    return {"bytes": buffer.getvalue(), "path": None}


def _cell(value: object) -> object:
    if isinstance(value, str) and value[:1] in {"=", "+", "-", "@", "\t", "\r"}:
        return f"'{value}"
    return "" if value is None else value
