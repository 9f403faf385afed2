"""Answers to records: each metric with its interval over groups and its baseline."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from synsight.errors import DataError
from synsight.evaluation.questions import Answered
from synsight.evaluation.rows import group_codes
from synsight.metrics import (
    Confidences,
    Interval,
    Scores,
    brier_score,
    calibration_interval,
    chance_recall,
    debiased_calibration_error,
    most_frequent_accuracy,
    most_frequent_top_k,
    score_interval,
    top_k_hits,
)
from synsight.metrics.arrays import Integers
from synsight.metrics.calibration import BINS
from synsight.records import Result

PREDICTIONS = pa.schema(
    [
        pa.field("model", pa.string(), nullable=False),
        pa.field("id", pa.string(), nullable=False),
        pa.field("group", pa.string()),
        pa.field("label", pa.string(), nullable=False),
        pa.field("prediction", pa.string(), nullable=False),
        pa.field("probability", pa.float32(), nullable=False),
        pa.field("task", pa.string(), nullable=False),
        pa.field("n_labels", pa.int64()),
        pa.field("seed", pa.int64(), nullable=False),
    ]
)
"""One row is a `records.Prediction`."""

Strata = Callable[[Integers], Integers]

METRICS: Mapping[str, Strata] = {
    "acc1": np.zeros_like,
    "mean_per_class_recall": np.asarray,
}
"""Metric that predictions alone can give -> what its average is taken over first: acc1 knows one stratum, the
other one a class."""

CALIBRATED = frozenset({"linear", "fewshot", "start", "supervised", "finetune", "zeroshot"})
"""Tasks whose answers are meant as probabilities; votes of neighbours are not."""

FIVE = 5
"""`acc5` says something where there are more classes than this."""


@dataclass(frozen=True, eq=False)
class Scored:
    """The numbers of some answers, and the answers themselves."""

    results: list[Result]
    predictions: pa.Table
    """Schema `PREDICTIONS`."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Whose answers are scored."""

    model: str
    dataset: str
    catalog_version: int
    class_names: tuple[str, ...]


def score(answer: Answered, *, origin: Origin, config_hash: str) -> Scored:
    """Score one answer: one record a metric.

    Beside those of `METRICS`: `acc5` where more than five classes were learnt, and `ece` where the answers
    are meant as probabilities. `details["interval"]` names how the interval was found.
    """
    test = answer.test
    predicted = answer.probabilities.argmax(axis=1)
    hits = predicted == test.labels
    baselines = {
        "acc1": most_frequent_accuracy(answer.train_labels, test.labels),
        "mean_per_class_recall": chance_recall(test.labels),
    }
    results = [
        _result(
            answer,
            metric,
            score_interval([Scores(hits, strata(test.labels), test.group_codes)]),
            baseline=baselines[metric],
            origin=origin,
            config_hash=config_hash,
        )
        for metric, strata in METRICS.items()
    ]
    if len(np.unique(answer.train_labels)) > FIVE:
        among = top_k_hits(answer.probabilities, test.labels, k=FIVE)
        results.append(
            _result(
                answer,
                "acc5",
                score_interval([Scores(among, np.zeros_like(test.labels), test.group_codes)]),
                baseline=most_frequent_top_k(answer.train_labels, test.labels, k=FIVE),
                origin=origin,
                config_hash=config_hash,
            )
        )
    if answer.question.task in CALIBRATED:
        results.append(_calibration(answer, hits, origin, config_hash))
    return Scored(results, _predictions(answer, predicted, origin))


def _calibration(answer: Answered, hits: NDArray[np.bool_], origin: Origin, config_hash: str) -> Result:
    """The calibration error.

    It has no baseline: who always names the most frequent class with its frequency is calibrated, and knows
    nothing of the image.
    """
    confidences = np.clip(answer.probabilities.max(axis=1), 0, 1)
    details = {
        "bins": BINS,
        "debiased": round(debiased_calibration_error(confidences, hits), 4),
        "brier": round(brier_score(answer.probabilities, answer.test.labels), 4),
        "mean_confidence": round(float(confidences.mean()), 4),
    }
    interval = calibration_interval(Confidences(confidences, hits, answer.test.group_codes))
    return _result(
        answer, "ece", interval, baseline=None, origin=origin, config_hash=config_hash, details=details
    )


def _result(
    answer: Answered,
    metric: str,
    interval: Interval,
    *,
    baseline: float | None,
    origin: Origin,
    config_hash: str,
    details: Mapping[str, Any] | None = None,
) -> Result:
    question = answer.question
    return Result(
        model=origin.model,
        dataset=origin.dataset,
        task=question.task,
        metric=metric,
        value=interval.value,
        ci_low=interval.low,
        ci_high=interval.high,
        n_labels=question.n_labels,
        seed=question.seed,
        n_test=len(answer.test),
        baseline=baseline,
        catalog_version=origin.catalog_version,
        config_hash=config_hash,
        seconds=round(answer.seconds, 4),
        details={**answer.details, **(details or {}), "interval": interval.method},
    )


def mean_over_draws(results: Sequence[Result], predictions: pa.Table) -> list[Result]:
    """Put one record, the mean, in the place of those that differ only in the seed; others stay as they are.

    The interval says what other test groups would have given, the same for all draws; metrics that
    predictions alone do not give (`acc5`, `ece`) get the mean of the draws' intervals, which is no narrower.
    `details` of the mean: `draws`, `values` (one a draw), `interval`, and what all draws agree on. Its seed
    is the first, its seconds are the sum.

    Args:
        results: Records of `evaluate`, of one or several models.
        predictions: Their predictions.

    Raises:
        DataError: A record has no predictions.
    """
    families: dict[tuple[object, ...], list[Result]] = {}
    for one in results:
        families.setdefault((one.model, one.dataset, one.task, one.metric, one.n_labels), []).append(one)
    return [family[0] if len(family) == 1 else _mean(family, predictions) for family in families.values()]


class Key(NamedTuple):
    """What one score in a table of predictions belongs to."""

    model: str
    task: str
    n_labels: int | None
    seed: int


def scores_of(predictions: pa.Table, metric: str) -> dict[Key, Scores]:
    """The scores that a table of predictions holds.

    A group has one number within a call, so scores that are averaged or compared come from one call.
    """
    if not predictions.num_rows:
        raise DataError("a score needs predictions; found none; evaluate the model first.")
    groups = group_codes(_objects(predictions["id"]), _objects(predictions["group"]))
    labels, answers = _objects(predictions["label"]), _objects(predictions["prediction"])
    classes = np.unique(labels.astype(str), return_inverse=True)[1]
    keys = [predictions[name].to_pylist() for name in ("model", "task", "n_labels", "seed")]
    parts: dict[Key, list[int]] = {}
    for row, key in enumerate(zip(*keys, strict=True)):
        parts.setdefault(Key(*key), []).append(row)
    return {
        key: Scores((labels == answers)[rows], METRICS[metric](classes[rows]), groups[rows])
        for key, rows in parts.items()
    }


def _mean(family: list[Result], predictions: pa.Table) -> Result:
    first = family[0]
    known = first.metric in METRICS
    interval = _interval_of_draws(first, predictions) if known else _mean_interval(family)
    agreed = {
        name: value
        for name, value in first.details.items()
        if all(one.details.get(name) == value for one in family)
    }
    return replace(
        first,
        value=interval.value,
        ci_low=None if np.isnan(interval.low) else interval.low,
        ci_high=None if np.isnan(interval.high) else interval.high,
        seconds=round(sum(one.seconds for one in family), 4),
        details={
            **agreed,
            "draws": len(family),
            "values": [round(one.value, 4) for one in family],
            "interval": interval.method,
        },
    )


def _interval_of_draws(first: Result, predictions: pa.Table) -> Interval:
    """Of the mean over all draws of the first's question."""
    own = (
        (pc.field("model") == first.model)
        & (pc.field("task") == first.task)
        & (
            pc.field("n_labels").is_null()
            if first.n_labels is None
            else pc.field("n_labels") == first.n_labels
        )
    )
    return score_interval([*scores_of(predictions.filter(own), first.metric).values()])


def _mean_interval(family: list[Result]) -> Interval:
    """Means of the values and of the ends; NaN where a record has no interval."""
    value, low, high = (
        float(np.mean([np.nan if one is None else one for one in column]))
        for column in zip(*((one.value, one.ci_low, one.ci_high) for one in family), strict=True)
    )
    return Interval(value, low, high, "mean of the draws' intervals")


def _predictions(answer: Answered, predicted: NDArray[np.int64], origin: Origin) -> pa.Table:
    test, question, count = answer.test, answer.question, len(answer.test)
    names = np.array(origin.class_names, dtype=object)
    columns = [
        [origin.model] * count,
        test.ids,
        test.groups,
        names[test.labels],
        names[predicted],
        answer.probabilities[np.arange(count), predicted],
        [question.task] * count,
        [question.n_labels] * count,
        [question.seed] * count,
    ]
    arrays = [pa.array(column, field.type) for column, field in zip(columns, PREDICTIONS, strict=True)]
    return pa.Table.from_arrays(arrays, schema=PREDICTIONS)


def _objects(column: pa.ChunkedArray) -> NDArray[np.object_]:
    objects: NDArray[np.object_] = column.to_numpy(zero_copy_only=False).astype(object)
    return objects
