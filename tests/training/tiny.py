"""A tiny labelled, captioned catalog and tiny settings: seconds, not minutes."""

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

from synsight.data.catalog import Catalog, Commit
from synsight.language.vocabulary import DIGEST_FIELD, Vocabulary, vocabulary_path
from synsight.models.text import TRANSFORMERS, TextTowerConfig
from synsight.recipes import RECIPES
from synsight.training import RunConfig, override, paths

TRANSFORMERS["tiny"] = TextTowerConfig(width=16, layers=1, heads=2, context_length=8)

KINDS = ("blue", "green", "red", "yellow")
COLOURS = {"blue": (40, 60, 220), "green": (40, 200, 60), "red": (220, 40, 40), "yellow": (220, 210, 50)}
SIDE = 24

SETTINGS: dict[str, object] = {
    "encoder": "test_resnet.r160_in1k",
    "image_size": 16,
    "batch_size": 16,
    "epochs": 2,
    "least_steps": 0,
    "optim.lr": 1e-3,
    "schedule.warmup": 0.05,
    "precision": "fp32",
    "workers": 0,
    "log_every": 1,
    "monitor.every_steps": 3,
    "checkpoint.least_minutes": 0.0,
}

HEADS: dict[str, object] = {
    "method.projection_dim": 16,
    "method.predictor_dim": 8,
    "method.text": "tiny",
}


def make_catalog(
    path: Path,
    *,
    rows: int = 96,
    words: bool = True,
    label: bool = True,
    captions: bool = True,
    test_every: int = 0,
) -> Catalog:
    """Noisy squares of four colours; the colour is label and word; every fifth row is for validation."""
    random = np.random.default_rng(0)
    kinds = [KINDS[row % len(KINDS)] for row in range(rows)]
    columns = {
        "id": pa.array([f"row{row}" for row in range(rows)]),
        "image": pa.array([_png(kind, random) for kind in kinds], pa.binary()),
        "width": pa.array([SIDE] * rows, pa.int32()),
        "height": pa.array([SIDE] * rows, pa.int32()),
        "split": pa.array([_split(row, test_every) for row in range(rows)]),
    }
    if label:
        columns["kind"] = pa.array(kinds)
    if captions:
        columns["caption"] = pa.array(
            [f"a {kind} square" if row % 11 else None for row, kind in enumerate(kinds)]
        )
        columns |= _caption_columns(kinds, columns["split"].to_pylist())
    if words:
        # Every seventh row has no word; the others have their colour and now and then a second word.
        lists = [
            [] if row % 7 == 0 else sorted({KINDS.index(kind), 4 if row % 3 else KINDS.index(kind)})
            for row, kind in enumerate(kinds)
        ]
        columns["words_synset"] = pa.array(lists, pa.list_(pa.int32()))
    vocabulary = _vocabulary()
    batch = pa.RecordBatch.from_pydict(columns)
    fields = [
        field.with_metadata({DIGEST_FIELD: vocabulary.digest}) if field.name == "words_synset" else field
        for field in batch.schema
    ]
    batch = batch.cast(pa.schema(fields))
    catalog = Catalog.create(path, batch.schema, commit=Commit(verb="test"))
    catalog.append(catalog.write_fragment(batch), commit=Commit(verb="test"))
    if words:
        vocabulary.save(vocabulary_path(catalog, "synset"))
    return catalog


def tiny_config(recipe: str, data: Path | str = "", **changes: object) -> RunConfig:
    """A recipe's settings made tiny."""
    begin = override(RECIPES[recipe](), {"label": "kind"})
    known = paths(begin)
    heads = {name: value for name, value in HEADS.items() if name in known}
    return override(begin, {**SETTINGS, **heads, "data": str(data), **changes})


def _caption_columns(kinds: list[str], splits: list[str]) -> dict[str, pa.Array]:
    """Embeddings that tell the colours apart, zeros for rows without a caption, and neighbours of one colour
    among the training rows."""
    random = np.random.default_rng(1)
    rows = np.array([np.eye(8)[KINDS.index(kind)] for kind in kinds]) + random.normal(0, 0.1, (len(kinds), 8))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    rows[::11] = 0
    similarity = rows @ rows.T
    trained = [row for row, split in enumerate(splits) if split == "train" and row % 11]
    near = [
        sorted((one for one in trained if one != row), key=lambda one: -similarity[row, one])[:3]
        if row in trained
        else []
        for row in range(len(kinds))
    ]
    flat = pa.array(rows.astype(np.float16).reshape(-1))
    return {
        "caption_embedding": pa.FixedSizeListArray.from_arrays(flat, 8),
        # A new catalog numbers its rows from 0; these are stable row ids.
        "neighbours": pa.array(near, pa.list_(pa.int64())),
    }


def _split(row: int, test_every: int) -> str:
    if test_every and row % test_every == 0:
        return "test"
    return "val" if row % 5 == 0 else "train"


def _vocabulary() -> Vocabulary:
    table = pa.table(
        {
            "class": pa.array(range(5), pa.int32()),
            "key": [f"wn30:n{number:08d}" for number in range(5)],
            "name": [*KINDS, "square"],
            "count": pa.array([9] * 5, pa.int64()),
        }
    )
    return Vocabulary("synset", table)


def _png(kind: str, random: np.random.Generator) -> bytes:
    noise = random.normal(0, 25, (SIDE, SIDE, 3))
    pixels = np.clip(np.array(COLOURS[kind]) + noise, 0, 255).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, format="PNG")
    return out.getvalue()
