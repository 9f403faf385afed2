"""Every model minus the baseline, question by question, corrected for how many were asked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pyarrow as pa

from synsight.errors import DataError
from synsight.evaluation.comparison import Difference as Measured
from synsight.evaluation.comparison import paired_differences, unpaired_difference
from synsight.evaluation.rows import group_codes
from synsight.evaluation.scoring import METRICS
from synsight.metrics import holm
from synsight.records import Result
from synsight.reports.decision_records import Difference, Estimate
from synsight.workflow.evidence import Evidence, answers
from synsight.workflow.rounding import rounded

RIVALS: Mapping[str, Sequence[str]] = {
    "fewshot": ("supervised",),
    "linear": ("supervised",),
    "finetune": ("supervised",),
    "supervised": ("fewshot", "linear"),
}
"""Task -> tasks that answer the same question in another way, where the other was not asked the same."""


VARIANT = ":"
"""In the name of a task on altered test images, as "corruptions:fog". They stand in the table of results; as
comparisons of their own they would only weaken those that decide."""


@dataclass(frozen=True)
class Question:
    """What two models were both asked."""

    task: str
    against_task: str
    n_labels: int | None


def questions(results: Sequence[Result], *, model: str, against: str, metric: str) -> list[Question]:
    """What both answered in one metric, in the model's order; the same number of labels on both sides."""
    asked = dict.fromkeys(
        (one.task, one.n_labels) for one in results if _is(one, model, metric) and VARIANT not in one.task
    )
    theirs = {(one.task, one.n_labels) for one in results if _is(one, against, metric)}
    found = []
    for task, n_labels in asked:
        rival = next((one for one in (task, *RIVALS.get(task, ())) if (one, n_labels) in theirs), None)
        if rival is not None:
            found.append(Question(task, rival, n_labels))
    return found


def differences(evidence: Evidence, *, model: str, against: str) -> list[Difference]:
    """All differences between two models, p not corrected yet."""
    metrics = dict.fromkeys(one.metric for one in evidence.results if one.model == model)
    return [
        _difference(evidence, question, model=model, against=against, metric=metric)
        for metric in metrics
        for question in questions(evidence.results, model=model, against=against, metric=metric)
    ]


def corrected(found: Sequence[Difference], *, alpha: float) -> list[Difference]:
    """The same with p by Holm over all of one metric, and what may be said.

    Without p (no interval is known) nothing is found.
    """
    p_holm: dict[int, float] = {}
    for metric in dict.fromkeys(one.metric for one in found):
        known = {n: one.p_value for n, one in enumerate(found) if one.metric == metric}
        tested = {n: p for n, p in known.items() if p is not None}
        p_holm.update(zip(tested, holm([*tested.values()]).tolist() if tested else (), strict=True))
    return [_judged(one, p_holm.get(number), alpha) for number, one in enumerate(found)]


def _judged(one: Difference, p_holm: float | None, alpha: float) -> Difference:
    """Better or worse only where p and the interval agree; never "equal"."""
    if p_holm is None:
        return one
    low, high = one.difference.low, one.difference.high
    found: Literal["better", "worse", "none"] = "none"
    if p_holm < alpha and low is not None and high is not None:
        found = "better" if low > 0 else "worse" if high < 0 else "none"
    return replace(one, p_holm=rounded(p_holm), found=found)


def _difference(
    evidence: Evidence, question: Question, *, model: str, against: str, metric: str
) -> Difference:
    own = _record(evidence.results, model, question.task, question.n_labels, metric)
    other = _record(evidence.results, against, question.against_task, question.n_labels, metric)
    ours = answers(evidence.predictions, model, question.task, question.n_labels)
    theirs = answers(evidence.predictions, against, question.against_task, question.n_labels)
    found = _paired(ours, theirs, metric) if own.dataset == other.dataset else None
    found = found or _unpaired(own, other)
    return Difference(
        model=model,
        against=against,
        task=question.task,
        against_task=question.against_task,
        metric=metric,
        n_labels=question.n_labels,
        difference=_estimate(own.value - other.value, found),
        paired=found is not None and found.paired,
        n_test=own.n_test,
        test_groups=_groups(ours),
        p_value=None if found is None else rounded(found.p_value),
    )


def _paired(ours: pa.Table, theirs: pa.Table, metric: str) -> Measured | None:
    """None where the sides did not answer the same rows, or no row-level answers are known."""
    if metric not in METRICS or not ours.num_rows or not theirs.num_rows:
        return None
    try:
        return paired_differences(ours, theirs, metric=metric)
    except DataError:
        return None


def _unpaired(own: Result, other: Result) -> Measured | None:
    """None where a side has neither an interval nor a number of test images."""
    try:
        return unpaired_difference(own, other)
    except DataError:
        return None


def _estimate(value: float, found: Measured | None) -> Estimate:
    if found is None:
        return Estimate(value=rounded(value))
    return Estimate(value=rounded(found.value), low=rounded(found.ci_low), high=rounded(found.ci_high))


def _groups(predictions: pa.Table) -> int | None:
    if not predictions.num_rows:
        return None
    ids, groups = (
        predictions[name].to_numpy(zero_copy_only=False).astype(object) for name in ("id", "group")
    )
    return len(np.unique(group_codes(ids, groups)))


def _record(results: Sequence[Result], model: str, task: str, n_labels: int | None, metric: str) -> Result:
    """The mean over draws if a record holds it, else the lowest seed."""
    found = [
        one for one in results if _is(one, model, metric) and one.task == task and one.n_labels == n_labels
    ]
    return min(found, key=lambda one: ("draws" not in one.details, one.seed))


def _is(one: Result, model: str, metric: str) -> bool:
    return one.model == model and one.metric == metric
