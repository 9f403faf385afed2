"""One candidate against the baseline: difference, labels saved, money, verdict."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from synsight import files
from synsight.errors import DataError
from synsight.evaluation.resampling import Drawn
from synsight.records import Result
from synsight.reports.decision_records import (
    Assumption,
    Case,
    ComparedModel,
    Difference,
    ErrorPair,
    Note,
    Rule,
    Saving,
)
from synsight.workflow.compare_curves import Curves, Point
from synsight.workflow.costs import Measured, deciding, draw_inputs, plans
from synsight.workflow.decision_rule import Leak, decide
from synsight.workflow.error_costs import (
    Confusions,
    ErrorCosts,
    confusions,
    drawn_prices,
    error_pairs,
    never_missed,
)
from synsight.workflow.evidence import Evaluation, Evidence
from synsight.workflow.prices import Prices
from synsight.workflow.rounding import rounded

LEAKS = {"seen_test_rows": "seen_rows", "near_copies": "near_copies"}
"""What evaluations write about a model -> kind of leak."""


@dataclass(frozen=True, eq=False)
class Question:
    """What the decision is about, the same for all candidates."""

    evidence: Evidence
    curves: Curves | None
    differences: Sequence[Difference]
    """All of them, corrected."""
    baseline: str
    labels_in_use: int | None
    prices: Prices
    costs: ErrorCosts | None
    mix: Mapping[str, float]
    rule: Rule
    resamples: int
    notes: list[Note] = field(default_factory=list)


def build_case(question: Question, model: str, models: Mapping[str, ComparedModel]) -> Case:
    """Everything about one candidate."""
    difference = next((one for one in question.differences if one.model == model and one.deciding), None)
    curves, against, in_use = question.curves, question.baseline, question.labels_in_use
    read = [] if curves is None else curves.savings(model, against, in_use=in_use)
    points = _points(question, model)
    measured = _measured(question, model, read, models)
    pairs: list[ErrorPair] = []
    prices, found = None, None
    if question.costs is not None and curves is not None and points is not None:
        found = confusions(curves, *points, costs=question.costs, mix=question.mix)
        prices = drawn_prices(question.costs, found.pairs, resamples=question.resamples)
        measured = replace(measured, baseline_rates=found.baseline, candidate_rates=found.candidate)
        question.notes.extend(_unseen(curves, points[1], question.costs))
    inputs = draw_inputs(question.prices.amounts, resamples=question.resamples, prices=prices)
    if found is not None and prices is not None and question.costs is not None:
        pairs = _pairs(question, found, question.costs, prices, inputs.values.get("images_per_year"))
    planned = deciding(
        plans(measured, inputs, horizon_months=question.prices.horizon_months, resamples=question.resamples)
    )
    savings = [one for one, _ in read]
    return Case(
        model=model,
        against=against,
        verdict=decide(
            question.rule,
            difference=difference,
            saving=next((one for one in savings if one.in_use), None),
            plan=next((one for one in planned if one.deciding), None),
            errors_priced=any(one.kind == "same_labels" for one in planned),
            leaks=_leaks(question.evidence, model, against),
        ),
        difference=difference,
        equal_labels=[] if curves is None else curves.equal_labels(model, against),
        savings=savings,
        plans=planned,
        error_pairs=pairs,
    )


def _points(question: Question, model: str) -> tuple[Point, Point] | None:
    """Of the baseline and of the candidate, at the labels in use."""
    if question.curves is None:
        return None
    sides = [question.curves.point(name, question.labels_in_use) for name in (question.baseline, model)]
    return (sides[0], sides[1]) if sides[0] is not None and sides[1] is not None else None


def _measured(
    question: Question,
    model: str,
    read: Sequence[tuple[Saving, Drawn]],
    models: Mapping[str, ComparedModel],
) -> Measured:
    in_use = next(((saving, drawn) for saving, drawn in read if saving.in_use), None)
    measured = Measured(
        baseline_seconds=_seconds(models[question.baseline]), candidate_seconds=_seconds(models[model])
    )
    if in_use is None or question.curves is None:
        return measured
    labels = [one.labels for one in question.curves.points[question.baseline]]
    return replace(
        measured,
        labels=in_use[0].labels,
        against_labels=in_use[1],
        least_labels=min(labels),
        most_labels=max(labels),
    )


def _seconds(model: ComparedModel) -> float:
    return (model.training_seconds or 0.0) + (model.fitting_seconds or 0.0)


def _pairs(
    question: Question, found: Confusions, costs: ErrorCosts, prices: Drawn, images: Drawn | None
) -> list[ErrorPair]:
    return [] if images is None else error_pairs(found, costs, prices=prices, images=images)


def _unseen(curves: Curves, candidate: Point, costs: ErrorCosts) -> list[Note]:
    return [
        Note(
            key="error_class_never_missed",
            text=(
                f"No test image of {one.truth!r} was answered wrongly, in {one.groups} groups; up to "
                f"{one.most_rate:.1%} may be all the same, which is in no figure."
            ),
            values={"truth": one.truth, "groups": one.groups, "most_rate": one.most_rate},
        )
        for one in never_missed(curves, candidate, costs=costs)
    ]


def _leaks(evidence: Evidence, model: str, against: str) -> list[Leak]:
    """Of both; near copies in the training pool are the same ones for both."""
    own = leaks(evidence, model)
    known = {one.key for one in own} - {"seen_rows"}
    return [*own, *(one for one in leaks(evidence, against) if one.key not in known)]


def leaks(evidence: Evidence, model: str) -> list[Leak]:
    """Test images that an evaluation says a model has seen, or has seen near copies of."""
    most: dict[str, int] = {}
    for one in evidence.evaluations:
        if model not in one.models:
            continue
        said = [each.details for each in one.results if each.model == model]
        for entry in [*said, one.described(model), *_reports(one, model)]:
            for name, key in LEAKS.items():
                rows = entry.get(name)
                count = len(rows) if isinstance(rows, list) else rows
                if isinstance(count, int) and count > 0:
                    most[key] = max(most.get(key, 0), int(count))
    return [Leak(key=key, model=model, rows=rows) for key, rows in sorted(most.items())]


def _reports(one: Evaluation, model: str) -> list[Mapping[str, object]]:
    """Entries of evaluation.json about the model, under whatever name; one about no model is about all."""
    found: list[Mapping[str, object]] = [one.settings]
    for value in one.settings.values():
        parts = value if isinstance(value, list) else [value]
        found += [part for part in parts if isinstance(part, dict) and part.get("model", model) == model]
    return found


def compared_model(
    evidence: Evidence, name: str, *, role: str, difference: Difference | None
) -> ComparedModel:
    """A model with the times that are known."""
    home = evidence.home[name]
    described = home.described(name)
    fitting = None
    if difference is not None:
        task = difference.task if name == difference.model else difference.against_task
        fitting = _fitting(evidence.results, name, task, difference.n_labels, difference.metric)
    return ComparedModel(
        name=name,
        role="baseline" if role == "baseline" else "candidate",
        path=home.path,
        digest=described.get("digest"),
        training_seconds=_training(described.get("source")),
        fitting_seconds=fitting,
    )


def _fitting(
    results: Sequence[Result], model: str, task: str, n_labels: int | None, metric: str
) -> float | None:
    own = [
        one
        for one in results
        if (one.model, one.task, one.n_labels, one.metric) == (model, task, n_labels, metric)
    ]
    if not own or not own[0].seconds:
        return None
    return rounded(own[0].seconds / max(1, int(own[0].details.get("draws", 1))))


def _training(source: object) -> float | None:
    """Seconds of the run that made a model folder, if the run's folder stands around it."""
    if not isinstance(source, str):
        return None
    done = Path(source).parent / "DONE"
    try:
        seconds = files.read_json(done)["seconds"] if done.is_file() else None
    except (DataError, KeyError, TypeError):
        return None
    return rounded(float(seconds)) if isinstance(seconds, int | float) else None


def mix_assumption(given: str | None) -> Assumption:
    """How often each class comes in production."""
    return Assumption(
        key="class_mix",
        text=given or "as in the test images",
        unit="",
        origin="default" if given is None else "given",
        source="given by the user" if given else "the test images, which may be no fair sample of production",
        flag="--class-mix",
    )
