"""A teacher and its student side by side: size, time, and what each makes of the validation images.

N images asked, M images that serve as neighbours, D dimensions of the features.
"""

import os
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from synsight.data.catalog import Catalog
from synsight.data.label_names import label_name
from synsight.errors import DataError
from synsight.metrics import Scores, neighbour_count, score_interval, weighted_knn
from synsight.models import Model
from synsight.progress import Bar, progress_bar
from synsight.seeding import generator

MOST_NEIGHBOURS, MOST_ASKED = 2000, 1000
"""Training rows that serve as neighbours, and validation rows that are asked about."""
NEAREST = 10
REPEATS, WARM_UP = 30, 5
BATCH = 128


@dataclass(frozen=True, kw_only=True)
class Cost:
    """One model, on this machine."""

    model: str
    encoder: str
    parameters: int
    size_bytes: int
    """Of its image side, as saved."""
    milliseconds: float
    """Median time of one image on one thread: pixels to features, and to scores where there is a head."""
    knn_acc1: float | None = None
    """Accuracy of a vote of the nearest training images; None: no label column was named."""
    knn_low: float | None = None
    knn_high: float | None = None
    head_acc1: float | None = None
    """Accuracy of its own head of labels; None: it has none that answers in this column."""


@dataclass(frozen=True, kw_only=True)
class Compared:
    """What both make of the same images; the fields are those of `Distilled`."""

    agreement: float | None
    neighbours_kept: float
    teacher: Cost
    student: Cost
    images: int


@dataclass(frozen=True)
class _Judged:
    """How right a model is in a label column."""

    knn_acc1: float
    knn_low: float
    knn_high: float
    head_acc1: float | None


def device_name() -> str:
    """What the times hold for: the processor's name, and one thread of it."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        models = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        name = models[0].partition(":")[2].strip() if models else name
    return f"{name}, 1 of {os.cpu_count()} threads"


def milliseconds(models: Sequence[Model], *, repeats: int = REPEATS) -> list[float]:
    """Median time of one image on one thread for each model, taken in turn."""
    threads = torch.get_num_threads()
    pixels = [
        torch.zeros(1, 3, one.config.image_size, one.config.image_size, dtype=torch.uint8) for one in models
    ]
    times: list[list[float]] = [[] for _ in models]
    torch.set_num_threads(1)
    try:
        for _ in range(WARM_UP + repeats):
            for one, image, found in zip(models, pixels, times, strict=True):
                began = time.perf_counter()
                features = one.features(image)
                if one.head is not None:
                    one.scores(features)
                found.append(1e3 * (time.perf_counter() - began))
    finally:
        torch.set_num_threads(threads)
    return [float(np.median(found[WARM_UP:])) for found in times]


def compared(
    teacher: Model, student: Model, catalog: Catalog, *, label: str | None, seed: int, progress: bool
) -> Compared:
    """Both on the validation images.

    Raises:
        DataError: The catalog has no training or no validation images.
    """
    known = "" if label is None else f" AND `{label}` IS NOT NULL"
    near = _some(catalog.positions(f"split = 'train'{known}"), MOST_NEIGHBOURS, seed)
    asked = _some(catalog.positions(f"split = 'val'{known}"), MOST_ASKED, seed)
    if not len(near) or not len(asked):
        raise DataError(
            f"{catalog.path}: has no training or no validation images to compare on; ingest some."
        )
    with progress_bar("compare", total=2 * (len(near) + len(asked)), shown=progress) as bar:
        found = [[_features(one, catalog, rows, bar) for rows in (near, asked)] for one in (teacher, student)]
    times = milliseconds([teacher, student])
    costs = []
    for one, taken, rows in zip((teacher, student), times, found, strict=True):
        judged = None
        if label is not None:
            judged = _judged(one, catalog, label, near=near, asked=asked, features=rows)
        costs.append(_cost(one, taken, judged))
    answers = [_answers(one, rows[1]) for one, rows in zip((teacher, student), found, strict=True)]
    same = None if answers[0] is None or answers[1] is None else float(np.mean(answers[0] == answers[1]))
    nearest = [_nearest(rows[1], rows[0]) for rows in found]
    kept = [len(np.intersect1d(one, other)) / len(one) for one, other in zip(*nearest, strict=True)]
    return Compared(
        agreement=same,
        neighbours_kept=float(np.mean(kept)),
        teacher=costs[0],
        student=costs[1],
        images=len(asked),
    )


def _features(model: Model, catalog: Catalog, positions: NDArray[np.int64], bar: Bar) -> NDArray[np.float32]:
    """Features of chosen rows alone, however many more the catalog has, [N, D]."""
    rows = np.empty((len(positions), model.config.embedding_dim), np.float32)
    for start in range(0, len(positions), BATCH):
        some = positions[start : start + BATCH]
        rows[start : start + BATCH] = model.embed(catalog.take(some, ["image"])["image"].to_pylist())
        bar.advance(len(some))
    return rows


def _cost(model: Model, taken: float, judged: _Judged | None) -> Cost:
    state = model.image_state()
    return Cost(
        model=model.name,
        encoder=model.config.encoder,
        parameters=sum(weight.numel() for weight in model.encoder.parameters()),
        size_bytes=sum(tensor.numel() * tensor.element_size() for tensor in state.values()),
        milliseconds=taken,
        knn_acc1=None if judged is None else judged.knn_acc1,
        knn_low=None if judged is None else judged.knn_low,
        knn_high=None if judged is None else judged.knn_high,
        head_acc1=None if judged is None else judged.head_acc1,
    )


def _judged(
    model: Model,
    catalog: Catalog,
    label: str,
    *,
    near: NDArray[np.int64],
    asked: NDArray[np.int64],
    features: Sequence[NDArray[np.float32]],
) -> _Judged:
    parts = [catalog.take(rows, [label, "group"]) for rows in (near, asked)]
    named = [[str(label_name(one)) for one in part[label].to_pylist()] for part in parts]
    names, numbers = np.unique(np.concatenate(named), return_inverse=True)
    train, right = numbers[: len(near)], numbers[len(near) :]
    k = neighbour_count(train)
    votes = weighted_knn(features[0], train, features[1], num_classes=len(names), k=k)
    hits = votes.argmax(axis=1) == right
    rows = [
        group if group is not None else f"row {row}"
        for row, group in enumerate(parts[1]["group"].to_pylist())
    ]
    groups = np.unique(rows, return_inverse=True)[1]
    interval = score_interval([Scores(hits, np.zeros_like(right), groups)])
    head = None
    if model.config.head == "labels" and set(model.class_names) & set(names):
        answers = np.array(model.class_names)[_answers(model, features[1])]
        head = float(np.mean(answers == np.array(named[1])))
    return _Judged(float(hits.mean()), interval.low, interval.high, head)


def _answers(model: Model, features: NDArray[np.float32]) -> NDArray[np.int64] | None:
    """Number of the likeliest label, or word, of each row, [N]."""
    if model.head is None and model.word_head is None:
        return None
    rows = torch.from_numpy(features)
    scores = model.scores(rows) if model.head is not None else model.word_logits(rows)
    answers: NDArray[np.int64] = scores.argmax(dim=1).cpu().numpy()
    return answers


def _nearest(asked: NDArray[np.float32], near: NDArray[np.float32]) -> NDArray[np.int64]:
    """The nearest rows of each, [N, 10] (fewer where there are fewer)."""
    one, other = (
        rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12) for rows in (asked, near)
    )
    k = min(NEAREST, len(near))
    found: NDArray[np.int64] = np.argpartition(-(one @ other.T), k - 1, axis=1)[:, :k]
    return found


def _some(positions: NDArray[np.int64], most: int, seed: int) -> NDArray[np.int64]:
    if len(positions) <= most:
        return positions
    return np.sort(generator(seed, "distill", "rows").choice(positions, size=most, replace=False))
