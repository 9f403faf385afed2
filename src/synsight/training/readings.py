"""What one look at held-out features says, with labels and without."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from synsight.metrics import (
    acc1,
    alignment,
    few_shot_episodes,
    lidar,
    neighbour_count,
    rank_me,
    uniformity,
    unit_feature_spread,
    weighted_knn,
    zero_shot,
)
from synsight.metrics.arrays import Floats
from synsight.seeding import generator
from synsight.training.config import RunConfig
from synsight.training.held_out import HeldOut

READINGS = (
    "knn_acc1",
    "fewshot_acc1",
    "zeroshot_acc1",
    "head_acc1",
    "rankme",
    "alignment",
    "uniformity",
    "feature_spread",
    "lidar",
)
"""Everything that may be read, in the order of a row of metrics.jsonl."""


@dataclass(frozen=True, eq=False)
class Embedded:
    """Features of the rows that are looked at, whole in every process."""

    val: Floats
    """[N, D]"""
    train: Floats | None = None
    """[M, D]"""
    views: Floats | None = None
    """[R, Q, D]"""
    val_z: Floats | None = None
    """[N, P] in the space of texts; None: the method reads no text."""
    class_z: Floats | None = None
    """[C, P]"""
    val_answers: Sequence[str] | None = None
    """[N] labels that the method's own head gives the rows; None: it has no head over labels."""


@dataclass(frozen=True, eq=False)
class Reading:
    """What one look found."""

    values: Mapping[str, float] = field(default_factory=dict)
    """Those of `READINGS` that could be read."""
    chosen: float | None = None
    """The value of the reading that counts; None: it could not be read."""
    standard_error: float | None = None
    """Of the chosen one: over rows for an accuracy of rows, over episodes for few-shot; None: unknown."""
    hits: NDArray[np.bool_] | None = None
    """Which held-out rows were right, [N], when the chosen one is an accuracy of rows."""


def read(embedded: Embedded, held_out: HeldOut, config: RunConfig) -> Reading:
    """Take every reading that the features and labels allow."""
    values: dict[str, float] = {}
    hits: dict[str, NDArray[np.bool_]] = {}
    errors: dict[str, float] = {}
    labels = held_out.val_labels
    if labels is not None:
        predictions = {
            "knn_acc1": _nearest(embedded, held_out, config),
            "zeroshot_acc1": _named(embedded),
            "head_acc1": _answered(embedded, held_out),
        }
        for name, predicted in predictions.items():
            if predicted is not None:
                values[name], hits[name] = acc1(labels, predicted), labels == predicted
                errors[name] = float(np.sqrt(values[name] * (1 - values[name]) / len(labels)))
        found = few_shot_episodes(
            embedded.val,
            labels,
            ways=config.monitor.ways,
            shots=config.monitor.shots,
            queries=config.monitor.queries,
            episodes=config.monitor.episodes,
            rng=generator(config.seed, "monitor", "episodes"),
        )
        if found is not None:
            values["fewshot_acc1"], errors["fewshot_acc1"] = found.acc1, found.standard_error
    values |= _without_labels(embedded)
    metric = config.monitor.metric
    return Reading(
        values={name: values[name] for name in READINGS if name in values},
        chosen=values.get(metric),
        standard_error=errors.get(metric),
        hits=hits.get(metric),
    )


def chances(held_out: HeldOut, config: RunConfig) -> dict[str, float]:
    """Accuracy that needs no features, by reading: the height below which a reading says nothing.

    Of rows: always answering the most frequent class of the neighbours (without any, of the rows that
    are asked about). Of episodes and of class names: one of so many.
    """
    labels = held_out.val_labels
    if labels is None:
        return {}
    known = labels if held_out.train_labels is None else held_out.train_labels
    frequent = float(np.mean(labels == np.bincount(known).argmax()))
    ways = min(config.monitor.ways, int((np.bincount(labels) > config.monitor.shots).sum()))
    return {
        "knn_acc1": frequent,
        "head_acc1": frequent,
        "fewshot_acc1": 1 / max(ways, 1),
        "zeroshot_acc1": 1 / max(len(held_out.class_names), 1),
    }


def to_numbers(reading: Reading, *, rows: int) -> NDArray[np.float64]:
    """A reading as one array of a length that depends on the held-out rows alone, to be sent elsewhere."""
    values = [reading.values.get(name, np.nan) for name in READINGS]
    error = np.nan if reading.standard_error is None else reading.standard_error
    hits = np.full(rows, np.nan) if reading.hits is None else reading.hits
    return np.concatenate([values, [error], hits]).astype(np.float64)


def from_numbers(numbers: NDArray[np.float64], *, metric: str) -> Reading:
    """The reading that `to_numbers` took apart."""
    values, error, hits = np.split(numbers, [len(READINGS), len(READINGS) + 1])
    known = {name: float(value) for name, value in zip(READINGS, values, strict=True) if not np.isnan(value)}
    return Reading(
        values=known,
        chosen=known.get(metric),
        standard_error=None if np.isnan(error[0]) else float(error[0]),
        hits=None if np.isnan(hits).any() else hits > 0,
    )


def _without_labels(embedded: Embedded) -> dict[str, float]:
    values = {"rankme": rank_me(embedded.val), "feature_spread": unit_feature_spread(embedded.val)}
    if len(embedded.val) > 1:
        values["uniformity"] = uniformity(embedded.val)
    if embedded.views is not None:
        firsts, seconds = np.triu_indices(embedded.views.shape[1], k=1)  # every pair of views of an image
        values["alignment"] = alignment(
            *(embedded.views[:, one].reshape(-1, embedded.views.shape[2]) for one in (firsts, seconds))
        )
        # At a mean square length of one, delta means the same for every encoder and at every step.
        length = np.sqrt(np.mean(np.sum(np.square(embedded.views, dtype=np.float64), axis=2)))
        values["lidar"] = lidar(embedded.views / max(length, np.finfo(np.float32).tiny))
    return values


def _nearest(embedded: Embedded, held_out: HeldOut, config: RunConfig) -> NDArray[np.int64] | None:
    if embedded.train is None or held_out.train_labels is None:
        return None
    votes = weighted_knn(
        embedded.train,
        held_out.train_labels,
        embedded.val,
        num_classes=len(held_out.class_names),
        k=neighbour_count(held_out.train_labels, most=config.monitor.neighbours),
        temperature=config.monitor.temperature,
    )
    nearest: NDArray[np.int64] = votes.argmax(axis=1)
    return nearest


def _named(embedded: Embedded) -> NDArray[np.int64] | None:
    if embedded.val_z is None or embedded.class_z is None:
        return None
    return zero_shot(embedded.val_z, embedded.class_z)


def _answered(embedded: Embedded, held_out: HeldOut) -> NDArray[np.int64] | None:
    if embedded.val_answers is None:
        return None
    numbers = {name: number for number, name in enumerate(held_out.class_names)}
    return np.array([numbers.get(name, -1) for name in embedded.val_answers], dtype=np.int64)
