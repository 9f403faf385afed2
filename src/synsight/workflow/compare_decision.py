"""The whole decision, put together from evaluations, prices and the rule."""

from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from synsight.errors import UsageError
from synsight.evaluation.label_savings import METHOD
from synsight.records import Result
from synsight.reports.decision_records import (
    Assumption,
    ComparedModel,
    Decision,
    Difference,
    LeftOut,
    Note,
    Rule,
    Source,
)
from synsight.workflow.compare_case import Question, build_case, compared_model, mix_assumption
from synsight.workflow.compare_choice import Choice
from synsight.workflow.compare_curves import Curves, read_curves
from synsight.workflow.compare_differences import corrected, differences
from synsight.workflow.error_costs import ErrorCosts, read_class_mix, read_error_costs
from synsight.workflow.evidence import Evidence
from synsight.workflow.prices import Prices, left_out


def assemble(
    evidence: Evidence,
    choice: Choice,
    prices: Prices,
    rule: Rule,
    *,
    error_costs: str | float | Path | None,
    class_mix: str | None,
    resamples: int,
    command: str,
) -> Decision:
    """Everything between what was read and what is written.

    Args:
        evidence: The evaluations.
        choice: Who is compared with whom.
        prices: Inputs in money and hours.
        rule: Of the verdict.
        error_costs: As for `compare`.
        class_mix: As for `compare`.
        resamples: Of test groups, draws and amounts.
        command: What a user types to get here.

    Raises:
        UsageError: Error costs without answers, or an unknown class.
        DataError: A table that cannot be read.
    """
    dataset = evidence.home[choice.baseline].dataset
    curves = read_curves(evidence, dataset=dataset, metric=choice.metric, resamples=resamples)
    found = _differences(evidence, choice, rule)
    costs, mix = _errors(curves, error_costs, class_mix)
    question = Question(
        evidence=evidence,
        curves=curves,
        differences=found,
        baseline=choice.baseline,
        labels_in_use=choice.labels_in_use,
        prices=prices,
        costs=costs,
        mix=mix,
        rule=rule,
        resamples=resamples,
    )
    models = _models(evidence, choice, found)
    cases = [build_case(question, model, models) for model in choice.candidates]
    first = cases[0]
    in_use = None if curves is None else curves.point(choice.candidates[0], choice.labels_in_use)
    errors_priced = any(one.kind == "same_labels" for one in first.plans)
    return Decision(
        dataset=dataset,
        label=next((one.settings["label"] for one in evidence.evaluations if "label" in one.settings), None),
        metric=choice.metric,
        labels_in_use=choice.labels_in_use,
        labels_in_use_total=None if in_use is None or not in_use.labels else in_use.labels,
        baseline=choice.baseline,
        baseline_reason=choice.baseline_reason,
        candidate=choice.candidates[0],
        candidate_reason=choice.candidate_reason,
        currency=prices.currency,
        horizon_months=prices.horizon_months,
        sources=_sources(evidence),
        models=list(models.values()),
        cases=cases,
        rule=rule,
        results=_by_model(evidence, list(models)),
        differences=found,
        curve=[] if curves is None else curves.records(),
        curve_method=METHOD,
        assumptions=_assumptions(prices, costs, curves, class_mix, error_costs, models),
        left_out=_left_out(prices, models, first.model, errors_priced, bool(first.savings)),
        notes=[
            *evidence.notes,
            *choice.notes,
            *_unpaired(evidence, found),
            *([] if curves is None else curves.notes),
            *_unique(question.notes),
            _training_seeds(),
        ],
        command=command,
        version=_version(),
    )


def _differences(evidence: Evidence, choice: Choice, rule: Rule) -> list[Difference]:
    found = [
        one
        for model in choice.candidates
        for one in differences(evidence, model=model, against=choice.baseline)
    ]
    return [choice.marked(one) for one in corrected(found, alpha=rule.alpha)]


def _errors(
    curves: Curves | None, error_costs: str | float | Path | None, class_mix: str | None
) -> tuple[ErrorCosts | None, Mapping[str, float]]:
    if curves is None:
        if error_costs is not None:
            raise UsageError(
                "--error-costs needs the answers to single test images, and no evaluation has them; "
                "evaluate with synsight."
            )
        return None, {}
    mix = read_class_mix(class_mix or "", truths=curves.truths)
    if error_costs is None:
        return None, mix
    answered = {
        str(name) for some in curves.points.values() for one in some for name in one.predicted.ravel()
    }
    return read_error_costs(error_costs, classes=sorted({*mix, *answered})), mix


def _models(evidence: Evidence, choice: Choice, found: Sequence[Difference]) -> dict[str, ComparedModel]:
    models = {}
    for name in (choice.baseline, *choice.candidates):
        deciding = [one for one in found if one.deciding and name in (one.model, one.against)]
        role = "baseline" if name == choice.baseline else "candidate"
        models[name] = compared_model(evidence, name, role=role, difference=next(iter(deciding), None))
    return models


def _sources(evidence: Evidence) -> list[Source]:
    def number(value: object) -> int | None:
        return value if isinstance(value, int) else None

    sources = []
    for one in evidence.evaluations:
        rows = one.settings.get("rows")
        rows = rows if isinstance(rows, dict) else {}
        classes = one.settings.get("classes")
        sources.append(
            Source(
                path=one.path,
                dataset=one.dataset,
                models=one.models,
                foreign=one.foreign,
                label=one.settings.get("label"),
                catalog_version=None if one.foreign else one.results[0].catalog_version,
                classes=len(classes) if isinstance(classes, list) else None,
                train_rows=number(rows.get("train")),
                test_rows=number(rows.get("test")) or max(each.n_test for each in one.results) or None,
                test_groups=number(one.settings.get("test_groups")),
            )
        )
    return sources


def _by_model(evidence: Evidence, order: Sequence[str]) -> list[Result]:
    return sorted(evidence.results, key=lambda one: order.index(one.model))


def _assumptions(
    prices: Prices,
    costs: ErrorCosts | None,
    curves: Curves | None,
    class_mix: str | None,
    error_costs: str | float | Path | None,
    models: Mapping[str, ComparedModel],
) -> list[Assumption]:
    found = [*prices.assumptions]
    if costs is not None and curves is not None:
        found.append(
            Assumption(
                key="error_costs",
                text=str(error_costs),
                unit="money",
                origin="given",
                source="given by the user",
                flag="--error-costs",
            )
        )
        found.append(mix_assumption(class_mix))
        found += _default_price(costs, curves)
    for one in models.values():
        seconds = (one.training_seconds or 0.0) + (one.fitting_seconds or 0.0)
        if seconds:
            found.append(
                Assumption(
                    key=f"{one.role}_machine_time",
                    text=f"{seconds:.4g}",
                    unit="seconds",
                    origin="measured",
                    source=f"the records of {one.name}, on the machine that made them",
                    value=seconds,
                )
            )
    return found


def _default_price(costs: ErrorCosts, curves: Curves) -> list[Assumption]:
    """Pairs that some model confuses and that the table does not name."""
    made = {
        (str(truth), str(answer))
        for some in curves.points.values()
        for one in some
        for row in one.predicted
        for truth, answer in zip(curves.truths, row, strict=True)
    }
    unnamed = [pair for pair in made if not costs.is_named(*pair)]
    if not unnamed:
        return []
    return [
        Assumption(
            key="error_cost_default",
            text=f"{costs.default:g}",
            unit="money",
            origin="default",
            source=f"the mean of the table, for {len(unnamed)} confusions that it does not name",
            flag="--error-costs",
            value=costs.default,
        )
    ]


def _left_out(
    prices: Prices,
    models: Mapping[str, ComparedModel],
    candidate: str,
    errors_priced: bool,
    curve: bool,
) -> list[LeftOut]:
    unknown = models[candidate].training_seconds is None and not prices.has("pretraining_hours")
    return left_out(prices, errors_priced=errors_priced, unknown_training=unknown, curve=curve)


def _unpaired(evidence: Evidence, found: Sequence[Difference]) -> list[Note]:
    notes = []
    reasons: dict[Literal["foreign", "dataset", "test_rows"], set[str]] = {}
    for one in found:
        if one.paired:
            continue
        sides = [evidence.home[name] for name in (one.model, one.against)]
        if any(side.foreign for side in sides):
            reasons.setdefault("foreign", set()).add(one.model)
        elif sides[0].dataset != sides[1].dataset:
            reasons.setdefault("dataset", set()).add(one.model)
        elif one.metric in ("acc1", "mean_per_class_recall") and one.test_groups is not None:
            reasons.setdefault("test_rows", set()).add(one.model)
    said = {
        "foreign": "a result file holds no answers to single images",
        "dataset": "they were judged on different datasets",
        "test_rows": "they answered different test images",
    }
    for reason, names in sorted(reasons.items()):
        models = sorted(names)
        text = f"Compared unpaired, as {said[reason]}: {', '.join(models)}."
        notes.append(Note(key="unpaired", text=text, values={"models": models, "reason": reason}))
    without = sorted({one.model for one in found if one.difference.low is None})
    if without:
        text = f"Without an interval, as nobody wrote down how many images were judged: {', '.join(without)}."
        notes.append(Note(key="no_interval", text=text, values={"models": without}))
    return notes


def _unique(notes: Sequence[Note]) -> list[Note]:
    """Each sentence once, whichever case said it."""
    return list({one.text: one for one in notes}.values())


def _training_seeds() -> Note:
    return Note(
        key="one_training_seed",
        text=(
            "The intervals hold other test images and other draws of labels; what another training of the "
            "same encoder would give is in none of them."
        ),
    )


def _version() -> str:
    try:
        return version("synsight")
    except PackageNotFoundError:
        return "unknown"
