"""Catalogs of red squares and blue discs on grey, with boxes and masks, for the tests of this folder."""

import io

import numpy as np
import pyarrow as pa
from PIL import Image

from synsight.data.catalog import Catalog, Commit
from synsight.data.masks import box_of, mask_text

SIDE = 64
COLOURS = {"disc": (30, 60, 220), "square": (220, 40, 30)}


def drawn(rng, *, side=SIDE):
    """Pixels, and (category, mask) of each shape; they do not overlap."""
    pixels = rng.normal(120, 8, (side, side, 3))
    rows, columns = np.mgrid[:side, :side] + 0.5
    found, taken = [], np.zeros((side, side), bool)
    for _ in range(rng.integers(1, 4)):
        category, radius = ("disc", "square")[rng.integers(2)], rng.integers(8, 13)
        x, y = rng.integers(radius, side - radius + 1, 2)
        far = np.abs(np.stack([columns - x, rows - y]))
        mask = np.hypot(*far) < radius if category == "disc" else far.max(axis=0) < radius
        if not (mask & taken).any():
            taken |= mask
            pixels[mask] = COLOURS[category]
            found.append((category, mask))
    return np.clip(pixels, 0, 255).astype(np.uint8), found


def png(pixels):
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, format="PNG")
    return out.getvalue()


def sides(mask):
    left, top, right, bottom = box_of(mask)
    return [float(left), float(top), float(right - left), float(bottom - top)]


def make_shapes(
    path, *, train=24, test=8, masks=True, names=("disc", "square"), seed=0, id_of="row{:03d}".format
):
    rng = np.random.default_rng(seed)
    called = dict(zip(("disc", "square"), names, strict=True))
    drawings = [drawn(rng) for _ in range(train + test)]
    columns = {
        "id": [id_of(number) for number in range(train + test)],
        "image": [png(pixels) for pixels, _ in drawings],
        "group": [f"lot{number // 2}" for number in range(train + test)],
        "split": ["train"] * train + ["test"] * test,
        "boxes": pa.array(
            [[sides(mask) for _, mask in found] for _, found in drawings], pa.list_(pa.list_(pa.float32()))
        ),
        "box_categories": pa.array(
            [[called[one] for one, _ in found] for _, found in drawings], pa.list_(pa.string())
        ),
    }
    if masks:
        columns["box_masks"] = [[mask_text(mask) for _, mask in found] for _, found in drawings]
    batch = pa.RecordBatch.from_pydict(columns)
    catalog = Catalog.create(path, batch.schema, commit=Commit(verb="test"))
    catalog.append(catalog.write_fragment(batch), commit=Commit(verb="test"))
    return catalog
