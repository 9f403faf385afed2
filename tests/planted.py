"""Shipped pictures with planted defects, and catalogs of them."""

import io
from collections.abc import Callable, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageEnhance, ImageFilter

from synsight.data.catalog import Catalog, Commit
from synsight.data.images import decode_image


@cache
def shipped(name: str, count: int) -> list[bytes]:
    """So many images of a shipped sample, spread over all of it."""
    table = pq.read_table(files("synsight.data") / "sample_files" / f"{name}.parquet", columns=["image"])
    chosen = np.linspace(0, len(table) - 1, count).astype(int)
    return table.take(chosen)["image"].to_pylist()


def picture(data: bytes) -> Image.Image:
    return decode_image(data)


def encoded(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def _cropped(image: Image.Image, share: float) -> Image.Image:
    dx, dy = round(image.width * share), round(image.height * share)
    return image.crop((dx, dy, image.width - dx, image.height - dy))


def _noise(image: Image.Image) -> Image.Image:
    rng = np.random.default_rng(image.width * image.height)
    levels = rng.integers(20, 235) + rng.normal(0, 3, (image.height, image.width, 3))
    return Image.fromarray(levels.astype(np.uint8))


DEFECTS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "blurred": lambda image: image.filter(ImageFilter.GaussianBlur(0.03 * max(image.size))),
    "dark": lambda image: ImageEnhance.Brightness(image).enhance(0.25),
    "bright": lambda image: Image.blend(image, Image.new("RGB", image.size, "white"), 0.92),
    "blank": _noise,
    "tiny": lambda image: image.resize((16, 16)),
    "odd-aspect": lambda image: image.resize((64, 9)),
}
"""Flag -> what plants its defect."""

COPIES: dict[str, Callable[[Image.Image], bytes]] = {
    "jpeg 50": lambda image: encoded(image, "JPEG", quality=50),
    "half the size": lambda image: encoded(image.resize((image.width // 2 or 1, image.height // 2 or 1))),
    "smaller, jpeg 70": lambda image: encoded(
        image.resize((image.width * 3 // 4 or 1, image.height * 3 // 4 or 1), Image.Resampling.LANCZOS),
        "JPEG",
        quality=70,
    ),
    "2% cut off each side": lambda image: encoded(_cropped(image, 0.02)),
}
"""How a picture comes twice, and nearly the same."""


def catalog_of(path: Path, images: Sequence[bytes | None], **columns: Sequence[str | None]) -> Catalog:
    """A catalog of encoded images with ids id0, id1, ..."""
    table = {"id": pa.array([f"id{n}" for n in range(len(images))]), "image": pa.array(images, pa.binary())}
    batch = pa.record_batch(table | {name: pa.array(values) for name, values in columns.items()})
    catalog = Catalog.create(path, batch.schema, commit=Commit(verb="ingest"))
    catalog.append(catalog.write_fragment(batch), commit=Commit(verb="ingest"))
    return catalog
