"""`synsight compare`."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import RenderableType

from synsight.cli.console import Json, show
from synsight.errors import UsageError
from synsight.records import as_json

if TYPE_CHECKING:
    from synsight.workflow import CompareSummary


def compare(
    *evaluations: str,
    out: Path,
    baseline: str | None = None,
    candidate: str | None = None,
    labels_per_class: int | None = None,
    metric: str = "acc1",
    locale: str = "en",
    currency: str | None = None,
    label_minutes: str | None = None,
    label_cost: str | None = None,
    hourly_rate: str | None = None,
    engineer_hours: str | None = None,
    pretraining_hours: str | None = None,
    machine_rate_per_hour: str | None = None,
    electricity_price: str | None = None,
    watts: str | None = None,
    downtime_minutes: str | None = None,
    downtime_cost_per_hour: str | None = None,
    images_per_year: str | None = None,
    error_costs: str | None = None,
    class_mix: str | None = None,
    horizon_months: float | None = None,
    least_gain: float = 0.0,
    least_savings: float = 1.0,
    most_payback_months: float = 12.0,
    least_test_groups: int = 30,
    alpha: float = 0.05,
    json: Json = False,
) -> None:
    """Set models side by side and say whether one should be adopted: labels, hours, money, verdict.

    Amounts may be ranges, as 0.3..0.8, or three points, as 0.3..0.5..0.8; every figure then holds them.

    Args:
        evaluations: Folders of evaluate or pilot, and result files of CLIP_benchmark (.json).
        out: Folder for decision.json, the page and its tables.
        baseline: Model that the others are compared with.
        candidate: Model that the page is about; the best one unless given.
        labels_per_class: That the decision is about; 10 unless given, where it was measured.
        metric: That decides.
        locale: Language of the page: en or ja.
        currency: Three letters, as EUR or JPY.
        label_minutes: To label one image; 0.5 unless given.
        label_cost: Of one label, in place of minutes and hourly rate.
        hourly_rate: Of people; 40 unless given (4000 yen).
        engineer_hours: To bring the candidate into use; 16 unless given.
        pretraining_hours: Machine time to make the candidate, where no run folder says it.
        machine_rate_per_hour: Of the machine that trains.
        electricity_price: Of one kWh.
        watts: Of the machine while it trains.
        downtime_minutes: When the candidate replaces the present model.
        downtime_cost_per_hour: Of it.
        images_per_year: That the model judges in production.
        error_costs: CSV file with the columns truth,predicted,cost, or one cost for every error.
        class_mix: Share of classes in production, as crack=0.01, or a CSV file class,share.
        horizon_months: Over which the net gain is counted; 12 unless given.
        least_gain: Of the rule: accuracy that must be gained, as 0.01.
        least_savings: Of the rule: or how many times fewer labels.
        most_payback_months: Of the rule.
        least_test_groups: Of the rule.
        alpha: Of the rule: p after Holm's correction must be below it.
        json: Print one JSON object.
    """
    if not evaluations:
        raise UsageError("compare needs evaluations; give the folders that `synsight evaluate` wrote.")
    from synsight.workflow import compare as run

    summary = run(
        evaluations,
        out=out,
        baseline=baseline,
        candidate=candidate,
        labels_per_class=labels_per_class,
        metric=metric,
        locale=locale,
        currency=currency,
        label_minutes=label_minutes,
        label_cost=label_cost,
        hourly_rate=hourly_rate,
        engineer_hours=engineer_hours,
        pretraining_hours=pretraining_hours,
        machine_rate_per_hour=machine_rate_per_hour,
        electricity_price=electricity_price,
        watts=watts,
        downtime_minutes=downtime_minutes,
        downtime_cost_per_hour=downtime_cost_per_hour,
        images_per_year=images_per_year,
        error_costs=error_costs,
        class_mix=class_mix,
        horizon_months=horizon_months,
        least_gain=least_gain,
        least_savings=least_savings,
        most_payback_months=most_payback_months,
        least_test_groups=least_test_groups,
        alpha=alpha,
    )
    show(as_json(summary), as_json=json, table=lambda: _table(summary, locale))


def _table(summary: "CompareSummary", locale: str) -> Iterator[RenderableType]:
    from synsight.reports import question_table
    from synsight.reports.decision_page import install_hints

    decision = summary.decision
    yield question_table([one for one in decision.results if one.metric == decision.metric])
    yield ""
    verdict = decision.case.verdict
    yield f"{decision.candidate} against {decision.baseline}: {verdict.kind.replace('_', ' ')}"
    for note in (*verdict.conditions, *verdict.reasons):
        yield f"- {note.text}"
    for one in decision.notes:
        yield f"note: {one.text}"
    for hint in install_hints(locale):
        yield f"hint: {hint}"
    yield f"report: {summary.report}"
