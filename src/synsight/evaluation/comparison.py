"""Is one model better than another? Both answered the same test rows, so answers are compared row by row."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from synsight.errors import DataError
from synsight.evaluation.scoring import METRICS, scores_of
from synsight.metrics import paired_difference
from synsight.records import Result

SIDES = ("first:", "second:")


@dataclass(frozen=True)
class Difference:
    """First minus second, with the ends of its 95% interval."""

    value: float
    ci_low: float
    ci_high: float


def paired_differences(first: pa.Table, second: pa.Table, *, metric: str = "acc1") -> Difference:
    """Mean of the first predictions' scores minus mean of the second's; both see the same groups again.

    Each side may hold several draws or training seeds of one question (told apart by model, task, number of
    labels and seed); the mean is taken over them. What the sides predicted *with* may differ, what they were
    asked may not.

    Args:
        first: Predictions, as `read_predictions` gives them, filtered to one question.
        second: The same test rows, answered by another.
        metric: `acc1` or `mean_per_class_recall`.

    Raises:
        DataError: The sides answered different test rows, or know different labels for them.
    """
    _check_same_rows(first, second)
    scores = scores_of(
        pa.concat_tables([_marked(side, name) for side, name in zip((first, second), SIDES, strict=True)]),
        metric,
    )
    ours, theirs = ([one for key, one in scores.items() if key.model.startswith(side)] for side in SIDES)
    found = paired_difference(ours, theirs)
    return Difference(found.value, found.low, found.high)


def difference_results(
    results: Sequence[Result], predictions: pa.Table, *, model: str, against: str
) -> list[Result]:
    """Records of the paired differences between two models, one for each question that both answered.

    A record is the model's own with `_difference` behind the metric, the difference as its value, and
    `details["against"]`. A network trained on few labels (`supervised`) answers the question `fewshot`, and
    one trained on all labels the question `linear`.

    Args:
        results: Records of both models.
        predictions: Predictions of both models.
        model: The first.
        against: The second, which is taken off.
    """
    found = []
    asked = dict.fromkeys(
        (one.task, one.n_labels) for one in results if one.model == model and one.metric in METRICS
    )
    for task, n_labels in asked:
        theirs = _answers(predictions, against, task, n_labels)
        if not theirs.num_rows:
            rival = {"fewshot": "supervised", "linear": "supervised"}.get(task, task)
            theirs = _answers(predictions, against, rival, n_labels)
        if not theirs.num_rows:
            continue
        ours = _answers(predictions, model, task, n_labels)
        for metric in METRICS:
            own = next(
                one
                for one in results
                if (one.model, one.task, one.n_labels, one.metric) == (model, task, n_labels, metric)
            )
            found.append(_record(own, paired_differences(ours, theirs, metric=metric), against, ours))
    return found


def _record(own: Result, difference: Difference, against: str, ours: pa.Table) -> Result:
    return Result(
        model=own.model,
        dataset=own.dataset,
        task=own.task,
        metric=f"{own.metric}_difference",
        value=difference.value,
        ci_low=difference.ci_low,
        ci_high=difference.ci_high,
        n_labels=own.n_labels,
        seed=own.seed,
        n_test=own.n_test,
        baseline=0.0,
        catalog_version=own.catalog_version,
        config_hash=own.config_hash,
        details={"against": against, "draws": len(pc.unique(ours["seed"]))},
    )


def _answers(predictions: pa.Table, model: str, task: str, n_labels: int | None) -> pa.Table:
    labels = pc.field("n_labels").is_null() if n_labels is None else pc.field("n_labels") == n_labels
    return predictions.filter((pc.field("model") == model) & (pc.field("task") == task) & labels)


def _marked(predictions: pa.Table, side: str) -> pa.Table:
    """The same model on both sides stays two."""
    names = pc.binary_join_element_wise(pa.scalar(side), predictions["model"], "")
    return predictions.set_column(0, predictions.schema.field("model"), names)


def _check_same_rows(first: pa.Table, second: pa.Table) -> None:
    asked = [
        set(zip(side["id"].to_pylist(), side["label"].to_pylist(), strict=True)) for side in (first, second)
    ]
    both = len(asked[0] & asked[1])
    if asked[0] != asked[1]:
        raise DataError(
            "a paired comparison needs the same test rows with the same labels on both sides; found "
            f"{len(asked[0])} and {len(asked[1])} rows, {both} of them common; evaluate both on one catalog."
        )
