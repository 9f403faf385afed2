"""Labelled rows whose features are known, and a small catalog of coloured squares."""

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

from synsight.data.catalog import Catalog, Commit
from synsight.evaluation.questions import Features
from synsight.evaluation.rows import Rows, Splits, group_codes

COLOURS = {"green": (40, 170, 60), "red": (200, 40, 40), "blue": (40, 60, 200), "rare": (200, 190, 50)}
SIDE = 16


def make_splits(counts=(40, 20, 30), *, classes=3, seed=0, noise=0.8):
    """Splits with two rows a group, and features around one centre a class."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(1).normal(size=(classes, 5))
    rows, features = [], []
    for split, count in zip(("train", "val", "test"), counts, strict=True):
        labels = np.arange(count) % classes
        ids = np.array([f"{split}{number:03d}" for number in range(count)], dtype=object)
        groups = np.array(
            [f"{split}-{number // (2 * classes)}-{number % classes}" for number in range(count)], object
        )
        rows.append(Rows(np.arange(count), ids, labels, groups, group_codes(ids, groups)))
        features.append((centres[labels] + noise * rng.normal(size=(count, 5))).astype(np.float32))
    names = tuple("abcdefgh"[:classes])
    return Splits("kind", names, *rows, unlabelled=0), Features(*features)


def make_catalog(path: Path, *, rows: int = 90, change=lambda columns: columns) -> Catalog:
    """Noisy squares in three colours, and two of a fourth; two rows a group; labels `kind` and `number`."""
    rng = np.random.default_rng(0)
    kinds = [("green", "red", "blue")[row % 3] for row in range(rows)]
    splits = [("train", "train", "train", "val", "test")[row // 6 % 5] for row in range(rows)]
    kinds[0], kinds[rows - 1] = "rare", "rare"  # one in train, one in test
    columns = {
        "id": [f"row{row:04d}" for row in rng.permutation(rows)],
        "image": [_png(kind, rng) for kind in kinds],
        "width": pa.array([SIDE] * rows, pa.int32()),
        "height": pa.array([SIDE] * rows, pa.int32()),
        "group": [f"group{row // 6}-{row % 3}" for row in range(rows)],
        "split": splits,
        "kind": [None if row % 30 == 7 else kind for row, kind in enumerate(kinds)],
        "number": [row % 3 for row in range(rows)],
        "size": [row / 7 for row in range(rows)],
        "same": ["x"] * rows,
    }
    batch = pa.RecordBatch.from_pydict(change(columns))
    catalog = Catalog.create(path, batch.schema, commit=Commit(verb="test"))
    catalog.append(catalog.write_fragment(batch), commit=Commit(verb="test"))
    return catalog


def _png(kind: str, rng: np.random.Generator) -> bytes:
    pixels = np.clip(np.array(COLOURS[kind]) + rng.normal(0, 25, (SIDE, SIDE, 3)), 0, 255).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, format="PNG")
    return out.getvalue()
