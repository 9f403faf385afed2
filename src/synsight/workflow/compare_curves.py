"""Curves over labels from predictions: which points belong to one curve, and what they say when read."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synsight.evaluation.label_savings import monotone, read_horizontally
from synsight.evaluation.resampling import Drawn, Resampling
from synsight.evaluation.rows import group_codes
from synsight.evaluation.scoring import METRICS
from synsight.records import Result
from synsight.reports.decision_records import CurvePoint, EqualLabels, Estimate, Note, Saving, Sign
from synsight.workflow.evidence import Evidence, answers
from synsight.workflow.rounding import estimate, rounded

FULL_TASKS: Mapping[str, str] = {"fewshot": "linear", "start": "linear"}
"""Task with few labels -> the one that learns from all of them; else it is the same task."""

PREFERRED = ("fewshot", "supervised", "finetune")
"""Which task makes a model's curve, where several have a number of labels; any other comes after."""


LABELS_ELSEWHERE = frozenset({"episodes"})
"""Tasks whose labels a class are drawn among the test rows, so nobody labels them."""

WITHOUT_CURVE = ("linear", "supervised", "finetune", "knn", "zeroshot", "evidence")
"""Which task stands for a model that was asked with all labels only: one point and no curve."""


@dataclass(frozen=True, eq=False)
class Point:
    """Answers of one model after learning from one number of labels."""

    task: str
    n_labels: int | None
    labels: int
    """In all; 0: none were needed, or nobody wrote down how many."""
    seeds: tuple[int, ...]
    hits: NDArray[np.bool_]
    """[draws, N], rows in the curves' order."""
    predicted: NDArray[np.object_]
    """[draws, N] names of classes."""


@dataclass(frozen=True, eq=False)
class Curves:
    """The points of all models that answered the same test rows, and one resampling of these rows."""

    ids: NDArray[np.object_]
    truths: NDArray[np.object_]
    """[N] names of classes."""
    groups: NDArray[np.int64]
    """[N]"""
    points: Mapping[str, Sequence[Point]]
    """Model -> points with rising labels; a model without any is not there."""
    metric: str
    resamples: int
    notes: list[Note] = field(default_factory=list)

    @cached_property
    def resampling(self) -> Resampling:
        """Of the test rows' groups."""
        return Resampling(self.groups, resamples=self.resamples)

    @cached_property
    def accuracies(self) -> dict[str, Drawn]:
        """Model -> [R + 1, points]."""
        strata = METRICS[self.metric](np.unique(self.truths.astype(str), return_inverse=True)[1])
        return {
            model: np.stack(
                [self.resampling.means(one.hits, seeds=one.seeds, strata=strata) for one in points], axis=1
            )
            for model, points in self.points.items()
        }

    @property
    def classes(self) -> int:
        """Among the test rows."""
        return len(set(self.truths.tolist()))

    def point(self, model: str, n_labels: int | None) -> Point | None:
        """A model's point with so many labels a class."""
        return next((one for one in self.points.get(model, ()) if one.n_labels == n_labels), None)

    def records(self) -> list[CurvePoint]:
        """Every point with its interval."""
        return [
            CurvePoint(
                model=model,
                task=one.task,
                labels=one.labels,
                labels_per_class=self.per_class(one),
                all_labels=one.n_labels is None,
                accuracy=estimate(self.accuracies[model][:, place]),
                fitted=rounded(float(monotone(self.accuracies[model][:1])[0, place])),
                draws=len(one.seeds),
                n_test=len(self.ids),
            )
            for model, points in self.points.items()
            for place, one in enumerate(points)
        ]

    def per_class(self, point: Point) -> float:
        """Labels of each class, the mean where all are used."""
        return point.n_labels if point.n_labels is not None else rounded(point.labels / self.classes)

    def savings(self, model: str, against: str, *, in_use: int | None) -> list[tuple[Saving, Drawn]]:
        """Each point of a model, read on the other's curve; with the readings of all resamples."""
        labels = [one.labels for one in self.points.get(against, ())]
        if len(labels) < 2 or labels[0] == 0 or model not in self.points:
            return []
        ours = monotone(self.accuracies[model])
        return [
            self._saving(model, against, one, ours[:, place], labels, in_use)
            for place, one in enumerate(self.points[model])
            if one.labels > 0
        ]

    def _saving(
        self, model: str, against: str, point: Point, ours: Drawn, labels: list[int], in_use: int | None
    ) -> tuple[Saving, Drawn]:
        reading, read = read_horizontally(labels, self.accuracies[against], ours)
        ends_of = (reading.value, reading.low, reading.high)
        return (
            Saving(
                model=model,
                against=against,
                labels=point.labels,
                labels_per_class=self.per_class(point),
                accuracy=estimate(ours),
                against_labels=_beyond(ends_of, reading.least, reading.most, 1),
                against_labels_per_class=_beyond(ends_of, reading.least, reading.most, self.classes),
                factor=_beyond(ends_of, reading.least, reading.most, point.labels),
                in_use=point.n_labels == in_use,
            ),
            read,
        )

    def equal_labels(self, model: str, against: str) -> list[EqualLabels]:
        """Both curves at the numbers of labels that both were measured with."""
        found = []
        for place, one in enumerate(self.points.get(model, ())):
            for other_place, other in enumerate(self.points.get(against, ())):
                if other.n_labels == one.n_labels and other.labels == one.labels:
                    ours, theirs = self.accuracies[model][:, place], self.accuracies[against][:, other_place]
                    found.append(
                        EqualLabels(
                            model=model,
                            against=against,
                            labels=one.labels,
                            labels_per_class=one.n_labels,
                            accuracy=estimate(ours),
                            against_accuracy=estimate(theirs),
                            difference=estimate(ours - theirs),
                        )
                    )
        return found


def _beyond(numbers: tuple[float, float, float], least: int, most: int, divisor: float) -> Estimate:
    """Readings with the signs of those that lie beyond what was measured."""
    value, low, high = (_end(one, least, most, divisor) for one in numbers)
    return Estimate(
        value=value[0],
        low=low[0],
        high=high[0],
        value_sign=value[1],
        low_sign=low[1],
        high_sign=high[1],
    )


def _end(number: float, least: int, most: int, divisor: float) -> tuple[float, Sign]:
    if number == np.inf:
        return rounded(most / divisor), ">"
    return rounded((number or least) / divisor), "=" if number else "<"


def read_curves(evidence: Evidence, *, dataset: str, metric: str, resamples: int) -> Curves | None:
    """The curves of all models over one set of test rows; None where no row-level answer is known.

    A number of labels that some classes do not have drops these classes from the question, so its answers
    are about other rows. The rows that most points answered (the more rows, where two are as frequent) make
    the curves; points on other rows are left out, and a note says which.
    """
    asked = {
        (model, task, n_labels): answers(evidence.predictions, model, task, n_labels)
        for model in evidence.models
        if evidence.home[model].dataset == dataset and metric in METRICS
        for task, n_labels in _curve_of(evidence.results, model)
    }
    asked = {key: table for key, table in asked.items() if table.num_rows}
    if not asked:
        return None
    rows_of = {key: frozenset(table["id"].to_pylist()) for key, table in asked.items()}
    counted = Counter(rows_of.values())
    rows = max(counted, key=lambda one: (counted[one], len(one), sorted(one)))
    kept = {key: table for key, table in asked.items() if rows_of[key] == rows}
    truths, groups = _rows(next(iter(kept.values())), rows)
    ids = np.array(sorted(rows), dtype=object)
    points: dict[str, list[Point]] = {}
    for (model, task, n_labels), table in kept.items():
        labels = _labels(evidence.results, model, task, n_labels)
        points.setdefault(model, []).append(_point(table, ids, truths, task, n_labels, labels))
    for some in points.values():
        some.sort(key=lambda one: one.labels)
    curves = Curves(ids, truths, groups, {m: _rising(some) for m, some in points.items()}, metric, resamples)
    curves.notes.extend(_notes(curves, sorted({key[2] or 0 for key in asked.keys() - kept.keys()})))
    return curves


def _curve_of(results: Sequence[Result], model: str) -> list[tuple[str, int | None]]:
    """The questions of a model that make its curve."""
    asked = dict.fromkeys((one.task, one.n_labels) for one in results if one.model == model)
    few = dict.fromkeys(task for task, n in asked if n is not None and task not in LABELS_ELSEWHERE)
    if not few:
        alone = next((one for one in WITHOUT_CURVE if (one, None) in asked), None)
        return [] if alone is None else [(alone, None)]
    task = min(few, key=lambda one: PREFERRED.index(one) if one in PREFERRED else len(PREFERRED))
    full = FULL_TASKS.get(task, task)
    return [(each, n) for each, n in asked if each == (full if n is None else task)]


def _labels(results: Sequence[Result], model: str, task: str, n_labels: int | None) -> int:
    """Labels in all, as the record says."""
    own = [one for one in results if (one.model, one.task, one.n_labels) == (model, task, n_labels)]
    rows = next((one.details["train_rows"] for one in own if "train_rows" in one.details), None)
    return rows if isinstance(rows, int) and rows > 0 else 0


def _rows(table: pa.Table, rows: frozenset[str]) -> tuple[NDArray[np.object_], NDArray[np.int64]]:
    known = dict(
        zip(
            table["id"].to_pylist(),
            zip(table["label"].to_pylist(), table["group"].to_pylist(), strict=True),
            strict=True,
        )
    )
    ids = sorted(rows)
    truths = np.array([known[one][0] for one in ids], dtype=object)
    groups = np.array([known[one][1] for one in ids], dtype=object)
    return truths, group_codes(np.array(ids, dtype=object), groups)


def _point(
    table: pa.Table,
    ids: NDArray[np.object_],
    truths: NDArray[np.object_],
    task: str,
    n_labels: int | None,
    labels: int,
) -> Point:
    seeds, draws = np.unique(table["seed"].to_numpy(), return_inverse=True)
    places = np.searchsorted(ids.astype(str), np.array(table["id"].to_pylist(), dtype=str))
    predicted = np.full((len(seeds), len(ids)), None, dtype=object)
    predicted[draws, places] = table["prediction"].to_numpy(zero_copy_only=False)
    return Point(task, n_labels, labels, tuple(map(int, seeds)), predicted == truths, predicted)


def _rising(points: Sequence[Point]) -> list[Point]:
    """Each number of labels once; the few-label question before the one with all."""
    kept: dict[int, Point] = {}
    for one in points:
        kept.setdefault(one.labels, one)
    return list(kept.values())


def _notes(curves: Curves, left_out: list[int]) -> list[Note]:
    notes = []
    if left_out:
        said = ", ".join("all" if one == 0 else str(one) for one in left_out)
        notes.append(
            Note(
                key="points_left_out",
                text=(
                    f"Not on the curves: {said} labels a class, since these were asked of other test images "
                    f"than the {curves.classes} classes of the other points."
                ),
                values={"n_labels": left_out, "kept_classes": curves.classes},
            )
        )
    for model, points in curves.points.items():
        measured = curves.accuracies[model][0]
        if (np.diff(measured) < 0).any():
            text = f"{model}: accuracy falls somewhere as labels are added; the curve is read as level there."
            notes.append(Note(key="curve_fell", text=text, values={"model": model}))
        few = [len(one.seeds) for one in points if one.n_labels is not None]
        if few and min(few) < 5:
            text = (
                f"{model}: few-label points rest on as few as {min(few)} draws of the labels; the intervals "
                "are widened for that, and more draws would narrow them."
            )
            notes.append(Note(key="few_draws", text=text, values={"model": model, "draws": min(few)}))
    return notes
