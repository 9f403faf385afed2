"""Catalogs and answers whose weak spots are known: planted by hand, or none at all."""

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image
from scipy.sparse import csr_array

from synsight.data.catalog import Catalog, Commit
from synsight.evaluation import write_evaluation
from synsight.evaluation.scoring import PREDICTIONS
from synsight.language import find_words

NOUNS = ("rust", "snow", "bridge", "tree", "tape", "wheel")
CAMERAS = ("A", "B", "C")


def image() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (8, 8), (200, 120, 40)).save(out, format="PNG")
    return out.getvalue()


def planted_columns(rows: int, *, seed: int = 0) -> dict[str, list]:
    """Cameras and words that have nothing to do with each other, but for two things.

    In training camera C has most defects, and its captions mostly have the word tape: within a camera tape
    and defect are independent, and in the test split everywhere. The word rust goes with defects everywhere.
    """
    rng = np.random.default_rng(seed)
    split = np.where(np.arange(rows) % 2 == 0, "train", "test")
    camera = rng.choice(CAMERAS, rows)
    is_c = (camera == "C") & (split == "train")
    defect = rng.random(rows) < np.where(is_c, 0.8, 0.25)
    has = {noun: rng.random(rows) < 0.25 for noun in NOUNS}
    has["tape"] = rng.random(rows) < np.where(is_c, 0.8, 0.15)
    has["rust"] = rng.random(rows) < np.where(defect, 0.45, 0.15)
    return {
        "id": [f"row{number:05d}" for number in range(rows)],
        "image": [image()] * rows,
        "caption": [
            " and ".join(f"a {noun}" for noun in NOUNS if has[noun][row]) or "a part" for row in range(rows)
        ],
        "camera": camera.tolist(),
        "lot": rng.integers(0, 8, rows).tolist(),
        "weight": rng.normal(50, 9, rows).tolist(),
        "split": split.tolist(),
        "kind": ["defect" if one else "ok" for one in defect],
    }


def catalog_of(path: Path, columns: dict[str, list], *, words: bool = True) -> Catalog:
    batch = pa.RecordBatch.from_pydict(columns)
    catalog = Catalog.create(path, batch.schema, commit=Commit(verb="ingest", config={"source": "made"}))
    catalog.append(catalog.write_fragment(batch), commit=Commit(verb="ingest", config={"source": "made"}))
    if words:
        find_words(catalog, min_count=2)
    return Catalog.open(path)


def answers(columns: dict[str, list], chance_of_a_miss: np.ndarray, *, seed: int = 1) -> list[dict]:
    """A row of predictions for each test row."""
    missed = np.random.default_rng(seed).random(len(columns["id"])) < chance_of_a_miss
    other = {"defect": "ok", "ok": "defect"}
    return [
        {
            "model": "made",
            "id": name,
            "group": None,
            "label": label,
            "prediction": other[label] if miss else label,
            "probability": 0.75,
            "task": "linear",
            "n_labels": None,
            "seed": 0,
        }
        for name, label, split, miss in zip(
            columns["id"], columns["kind"], columns["split"], missed, strict=True
        )
        if split == "test"
    ]


def evaluation_of(folder: Path, rows: list[dict]) -> Path:
    write_evaluation(folder, [], pa.Table.from_pylist(rows, schema=PREDICTIONS), settings={})
    return folder


def with_word(columns: dict[str, list], word: str) -> np.ndarray:
    return np.array([f"a {word}" in caption for caption in columns["caption"]])


def null_members(rng: np.random.Generator, groups: np.ndarray, parts: int) -> csr_array:
    """Words that all rows of a group share, as captions of one concept do."""
    words = rng.random((int(groups.max()) + 1, parts)) < rng.uniform(0.03, 0.3, parts)
    members = words[groups].astype(np.float64)
    return csr_array(members[:, members.sum(axis=0) >= 20])
