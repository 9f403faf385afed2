"""Evaluations' folders whose truth is known: answers drawn from a curve, no image and no model."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa

from synsight.evaluation.scoring import PREDICTIONS
from synsight.evaluation.storage import write_evaluation
from synsight.records import Result

CLASSES = ("ok", "crack", "dent")
SHOTS = (1, 2, 5, 10, 20, 50)


def accuracy(labels: float) -> float:
    """After learning from so many labels in all."""
    return float(0.97 / (1 + np.exp(2.0 - 0.8 * np.log(labels))))


def write(
    folder: Path,
    models: dict[str, float],
    *,
    task: str = "fewshot",
    shots=SHOTS,
    draws: int = 5,
    rows: int = 240,
    seed: int = 0,
    classes=CLASSES,
    dataset: str = "parts",
    prefix: str = "row",
    label: str = "kind",
    details=None,
    digest: str | None = None,
    **settings: object,
) -> Path:
    """Models with so many times the worth of a label each; all answer rows of one difficulty."""
    ease = np.random.default_rng(99).normal(0, 0.7, rows)  # the same rows are hard in every folder
    rng = np.random.default_rng(seed)
    truths = np.array([classes[row % len(classes)] for row in range(rows)], dtype=object)
    results, parts = [], []
    for model, worth in models.items():
        for shot in shots:
            labels = len(classes) * (shot or 100)
            level = accuracy(worth * labels)
            chance = 1 / (1 + np.exp(-(np.log(level / (1 - level)) + ease)))
            for draw in range(draws if shot else 1):
                hits = rng.random(rows) < chance
                others = np.array([classes[(row + 1) % len(classes)] for row in range(rows)], dtype=object)
                answered = np.where(hits, truths, others)
                own = task if shot or task == "supervised" else "linear"
                parts.append(_table(model, own, shot, draw, truths, answered, prefix))
                results.append(
                    Result(
                        model=model,
                        dataset=dataset,
                        task=own,
                        metric="acc1",
                        value=float(hits.mean()),
                        ci_low=float(hits.mean()) - 0.06,
                        ci_high=float(hits.mean()) + 0.06,
                        n_labels=shot,
                        seed=draw,
                        n_test=rows,
                        baseline=1 / len(classes),
                        seconds=2.0,
                        details={"train_rows": labels, **(details or {})},
                    )
                )
    write_evaluation(
        folder,
        results,
        pa.concat_tables(parts),
        settings={
            "label": label,
            "classes": list(classes),
            "rows": {"train": 900, "val": 90, "test": rows},
            "test_groups": rows // 2,
            "models": [
                {"name": one, "source": f"runs/{one}/model", "digest": digest or one} for one in models
            ],
            **settings,
        },
    )
    return folder


def _table(model, task, shot, draw, truths, answered, prefix) -> pa.Table:
    rows = len(truths)
    columns = {
        "model": [model] * rows,
        "id": [f"{prefix}{number:04d}" for number in range(rows)],
        "group": [f"lot{number // 2}" for number in range(rows)],
        "label": truths,
        "prediction": answered,
        "probability": np.full(rows, 0.5, np.float32),
        "task": [task] * rows,
        "n_labels": pa.array([shot] * rows, pa.int64()),
        "seed": [draw] * rows,
    }
    return pa.table(
        {one.name: pa.array(columns[one.name], one.type) for one in PREDICTIONS}, schema=PREDICTIONS
    )


def write_foreign(path: Path, *, model: str = "ViT-B-32", acc1: float = 0.6, **more: object) -> Path:
    """A result file of CLIP_benchmark."""
    value = {
        "dataset": "parts",
        "model": model,
        "pretrained": "laion400m_e32",
        "task": "linear_probe",
        "metrics": {"lp_acc1": acc1, "fewshot_k": 10, "seed": 0},
        "language": "en",
        **more,
    }
    path.write_text(json.dumps(value))
    return path
