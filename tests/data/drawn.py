"""A small catalog of drawn images with words and labels; importable by spawned workers."""

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

from synsight.data.catalog import Catalog, Commit

KINDS = ("circle", "square", None)


def picture(number: int, *, width: int = 40, height: int = 32) -> Image.Image:
    """Smooth colours that differ from number to number."""
    rng = np.random.default_rng(number)
    return Image.fromarray(rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)).resize((width, height))


def encoded(image: Image.Image, kind: str = "png") -> bytes:
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


def drawn_catalog(path: Path, *, rows: int = 24) -> Catalog:
    """Row n: label KINDS[n % 3], words 0..n % 3 - 1, split train for three rows of four."""
    numbers = range(rows)
    table = {
        "id": pa.array([f"id{n}" for n in numbers]),
        "image": pa.array([encoded(picture(n)) for n in numbers], pa.binary()),
        "width": pa.array([40] * rows, pa.int32()),
        "height": pa.array([32] * rows, pa.int32()),
        "kind": pa.array([KINDS[n % 3] for n in numbers]),
        "split": pa.array(["val" if n % 4 == 3 else "train" for n in numbers]),
        "words_synset": pa.array([list(range(n % 3)) for n in numbers], pa.list_(pa.int32())),
    }
    batch = pa.record_batch(table)
    catalog = Catalog.create(path, batch.schema, commit=Commit(verb="ingest"))
    catalog.append(catalog.write_fragment(batch), commit=Commit(verb="ingest"))
    return catalog
