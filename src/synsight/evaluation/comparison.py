"""Is one model better than another? Answers to the same test rows are compared row by row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from synsight.errors import DataError
from synsight.evaluation.scoring import METRICS, Key, scores_of
from synsight.evaluation.verdicts import corrected
from synsight.metrics import Interval, ScoreDifference, Scores, difference_of_intervals, paired_difference
from synsight.metrics.small_samples import EffectiveRows, wilson
from synsight.records import Result

SIDES = ("first:", "second:")


@dataclass(frozen=True)
class Difference:
    """First minus second, with the ends of its 95% interval."""

    value: float
    ci_low: float
    ci_high: float
    p_value: float
    """Two-sided, for "no difference"; not corrected for other comparisons."""
    detectable: float
    """A true difference of this size would be found, at 5%, in 80% of such experiments."""
    method: str
    """How the interval was found."""
    paired: bool = True
    """Compared on the same test rows."""


def paired_differences(
    first: pa.Table, second: pa.Table, *, metric: str = "acc1", stride: int = 1
) -> Difference:
    """Mean of the first predictions' scores minus mean of the second's, on the same test groups.

    Each side may hold several draws or training seeds of one question (told apart by model, task, number of
    labels and seed); the mean is taken over them, and from three on their variation counts in the interval
    and the p-value. What the sides predicted *with* may differ, what they were asked may not.

    Args:
        first: Predictions, as `read_predictions` gives them, filtered to one question.
        second: The same test rows, answered by another.
        metric: `acc1` or `mean_per_class_recall`.
        stride: Seeds within one stride are draws of one training seed and count as one repetition.

    Raises:
        DataError: The sides answered different test rows, or know different labels for them.
    """
    _check_same_rows(first, second)
    scores = scores_of(
        pa.concat_tables([_marked(side, name) for side, name in zip((first, second), SIDES, strict=True)]),
        metric,
    )
    ours, theirs = ({key: one for key, one in scores.items() if key.model.startswith(side)} for side in SIDES)
    found = paired_difference(
        [*ours.values()],
        [*theirs.values()],
        first_seeds=_repetitions(ours, stride),
        second_seeds=_repetitions(theirs, stride),
    )
    return _difference(found)


def unpaired_difference(first: Result, second: Result) -> Difference:
    """First minus second where no answers are known row by row, as for results of other tools.

    A record without an interval gets Wilson's, for independent rows; test images that belong together make
    that too narrow. What both found hard does not cancel, so this finds less than a paired comparison.

    Args:
        first: A record of a share, with an interval or with `n_test`.
        second: Another one of the same metric.

    Raises:
        DataError: The metrics differ, or a record has neither an interval nor a number of test rows.
    """
    if first.metric != second.metric:
        raise DataError(
            f"a difference needs one metric; found {first.metric!r} of {first.model} and "
            f"{second.metric!r} of {second.model}; compare records of one metric."
        )
    return _difference(difference_of_intervals(_interval(first), _interval(second)), paired=False)


def difference_results(
    results: Sequence[Result], predictions: pa.Table, *, model: str, against: str, stride: int = 1
) -> list[Result]:
    """Records of the paired differences between two models, one for each question that both answered.

    A record is the model's own with `_difference` behind the metric, the difference as its value, and
    `details`: `against`, `p_value`, `p_holm` (over the questions of this call; `verdicts.corrected` counts
    those of several), `found` (`better`, `worse`, `no difference found`), `detectable`, `interval`. A network
    trained on few labels (`supervised`) answers the question `fewshot`, and one trained on all labels the
    question `linear`.

    Args:
        results: Records of both models.
        predictions: Predictions of both models.
        model: The first.
        against: The second, which is taken off.
        stride: As in `paired_differences`.
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
                (
                    one
                    for one in results
                    if (one.model, one.task, one.n_labels, one.metric) == (model, task, n_labels, metric)
                ),
                None,
            )
            if own is None:
                continue
            difference = paired_differences(ours, theirs, metric=metric, stride=stride)
            found.append(_record(own, difference, against, ours))
    return corrected(found)


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
        details={
            "against": against,
            "draws": len(pc.unique(ours["seed"])),
            "p_value": float(f"{difference.p_value:.4g}"),
            "detectable": round(difference.detectable, 4),
            "interval": difference.method,
        },
    )


def _difference(found: ScoreDifference, *, paired: bool = True) -> Difference:
    return Difference(
        found.value, found.low, found.high, found.p_value, found.detectable, found.method, paired
    )


def _repetitions(scores: Mapping[Key, Scores], stride: int) -> list[int]:
    """A number for each score; models of one side are repetitions, too, however their seeds are called."""
    models = [*dict.fromkeys(key.model for key in scores)]
    if len(models) == 1:
        return [key.seed // stride for key in scores]
    repeated = [*dict.fromkeys((key.model, key.seed // stride) for key in scores)]
    return [repeated.index((key.model, key.seed // stride)) for key in scores]


def _interval(result: Result) -> Interval:
    if result.ci_low is not None and result.ci_high is not None:
        return Interval(result.value, result.ci_low, result.ci_high)
    if not result.n_test or not 0 <= result.value <= 1:
        raise DataError(
            f"{result.model}, {result.task}, {result.metric}: a difference needs the interval of the value, "
            f"or a share with its number of test rows; found {result.value!r} of {result.n_test!r} rows; "
            "give one of them."
        )
    return Interval(result.value, *wilson(EffectiveRows(result.n_test, result.value)))


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
