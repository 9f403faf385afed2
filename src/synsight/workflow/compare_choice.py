"""Who is compared with whom, and on which question the decision rests."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from synsight.errors import DataError, UsageError, near_names
from synsight.reports.decision_records import Difference, Note
from synsight.workflow.compare_curves import LABELS_ELSEWHERE
from synsight.workflow.compare_differences import Question, questions
from synsight.workflow.evidence import Evidence

SCRATCH_TASK = "supervised"
USUAL_LABELS = 10
"""Labels of a class that the decision is about unless asked otherwise: the default of `evaluate`."""

DECIDING_TASKS = ("fewshot", "supervised", "finetune", "linear", "knn", "zeroshot", "evidence")
"""Which task decides, where several have the number of labels; any other comes after."""


@dataclass(frozen=True)
class Choice:
    """Baseline, candidates (the page's one first) and the deciding question of each."""

    baseline: str
    baseline_reason: Literal["named", "from_scratch", "first"]
    candidates: Sequence[str]
    candidate_reason: Literal["named", "only", "best"]
    metric: str
    labels_in_use: int | None
    deciding: dict[str, Question]
    """Candidate -> question; one that was not asked with so many labels is not there."""
    notes: list[Note] = field(default_factory=list)

    def marked(self, one: Difference) -> Difference:
        """A difference, marked if the rule looks at it."""
        asked = self.deciding.get(one.model)
        own = Question(one.task, one.against_task, one.n_labels)
        return replace(one, deciding=True) if one.metric == self.metric and asked == own else one


def choose(
    evidence: Evidence,
    *,
    baseline: str | None,
    candidate: str | None,
    labels_per_class: int | None,
    metric: str,
) -> Choice:
    """Settle all that was not asked for.

    Raises:
        UsageError: An unknown model, metric or number of labels.
        DataError: There is only one model, or nothing that two were both asked.
    """
    against, reason = _baseline(evidence, baseline)
    others = [one for one in evidence.models if one != against]
    if not others:
        raise DataError(f"compare needs two models; found {against!r} alone, so name another evaluation.")
    metrics = sorted({one.metric for one in evidence.results})
    if metric not in metrics:
        raise UsageError(f"no evaluation measured {metric!r}; {near_names(metric, metrics)}")
    if candidate is not None and candidate not in others:
        said = near_names(candidate, others)
        raise UsageError(f"no candidate is called {candidate!r} (the baseline is {against!r}); {said}")
    asked = {one: questions(evidence.results, model=one, against=against, metric=metric) for one in others}
    if not any(asked.values()):
        raise DataError(
            f"no model was asked the same question as {against!r} in {metric}; evaluate them with the "
            "same tasks and numbers of labels, or choose another --baseline or --metric."
        )
    wanted = [candidate] if candidate is not None else [one for one in others if asked[one]]
    labels = _labels_in_use(labels_per_class, [each for one in wanted for each in asked[one]])
    deciding = {one: found for one in others if (found := _deciding(asked[one], labels)) is not None}
    ordered = _ordered(evidence, others, candidate, deciding, metric)
    notes = [_nothing_in_common(one, against) for one in ordered if not asked[one]]
    by_name: Literal["named", "only", "best"] = "named" if candidate is not None else "best"
    if by_name == "best" and len(others) == 1:
        by_name = "only"
    if by_name == "best":
        text = (
            f"The best of {len(others)} candidates was chosen on the test images; p is corrected for that, "
            "the size of its gain is not."
        )
        notes.append(Note(key="chosen_on_test", text=text, values={"models": len(others)}))
    return Choice(against, reason, ordered, by_name, metric, labels, deciding, notes)


def _baseline(evidence: Evidence, named: str | None) -> tuple[str, Literal["named", "from_scratch", "first"]]:
    if named is not None:
        if named not in evidence.models:
            raise UsageError(f"no model is called {named!r}; {near_names(named, evidence.models)}")
        return named, "named"
    scratch = [one.model for one in evidence.results if one.task == SCRATCH_TASK]
    return (scratch[0], "from_scratch") if scratch else (evidence.models[0], "first")


def _labels_in_use(wanted: int | None, asked: Sequence[Question]) -> int | None:
    countable = [one for one in asked if one.task not in LABELS_ELSEWHERE]
    few = sorted({one.n_labels for one in countable if one.n_labels is not None})
    if wanted is not None:
        if wanted not in few:
            known = ", ".join(map(str, few)) or "none"
            raise UsageError(
                f"--labels-per-class: both models were not asked with {wanted}; they were with: {known}."
            )
        return wanted
    if not few:
        return None
    return USUAL_LABELS if USUAL_LABELS in few else few[-1]


def _deciding(asked: Sequence[Question], labels: int | None) -> Question | None:
    found = [one for one in asked if one.n_labels == labels]

    def place(one: Question) -> int:
        return DECIDING_TASKS.index(one.task) if one.task in DECIDING_TASKS else len(DECIDING_TASKS)

    return min(found, key=place, default=None)


def _ordered(
    evidence: Evidence,
    others: Sequence[str],
    candidate: str | None,
    deciding: dict[str, Question],
    metric: str,
) -> list[str]:
    """The named one first, then by value on the deciding question; those without one last."""

    def value(model: str) -> float:
        asked = deciding.get(model)
        found = [
            one.value
            for one in evidence.results
            if asked is not None
            and (one.model, one.task, one.n_labels, one.metric) == (model, asked.task, asked.n_labels, metric)
        ]
        return max(found, default=-1.0)

    return sorted(others, key=lambda one: (one != candidate, -value(one)))


def _nothing_in_common(model: str, against: str) -> Note:
    text = f"{model} was not asked the same question as {against}, so it stands in no comparison."
    return Note(key="nothing_in_common", text=text, values={"model": model})
