"""The tables of the decision page: records in rows, in the words of a locale."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from synsight.records import Result
from synsight.reports.decision_notes import horizon, input_name, unknown
from synsight.reports.decision_records import Assumption, Case, Check, Decision, Difference, Estimate, Plan
from synsight.reports.locales import (
    COUNT,
    FACTOR,
    LABELS,
    PERIOD,
    PLAIN,
    POINTS,
    SHARE,
    SMALL_SHARE,
    THRESHOLD,
    Kind,
    Locale,
    has_interval,
    is_point,
    money,
    payback_text,
)
from synsight.reports.text import shortened

Tone = Literal["", "good", "bad", "open", "soft", "total"]

TONES: dict[str, Tone] = {
    "better": "good",
    "worse": "bad",
    "none": "soft",
    "adopt": "good",
    "adopt_with_conditions": "open",
    "do_not_adopt": "bad",
}
"""What is said -> its colour."""

USUAL_TASKS = ("fewshot", "supervised")
"""Those that the number of labels alone names."""

THRESHOLD_FLAGS = {
    "gain": "--least-gain",
    "savings": "--least-savings",
    "payback": "--most-payback-months",
    "test_groups": "--least-test-groups",
}
"""Clause of the rule -> the flag that changes its threshold."""


@dataclass(frozen=True)
class Cell:
    """What stands in one place: a value, and under it what is smaller."""

    text: str
    small: str = ""
    tone: Tone = ""


@dataclass(frozen=True)
class Table:
    """A caption, column heads, rows; the first cell of a row is its head."""

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


def estimate_cell(one: Estimate, kind: Kind, locale: Locale, tone: Tone = "") -> Cell:
    """A value over its interval."""
    if unknown(one):
        return Cell("–")
    low, high = locale.ends(one, kind) if has_interval(one) and not is_point(one) else ("", "")
    between = f"{low}～{high}" if locale.name == "ja" else f"{low} to {high}"
    return Cell(locale.value(one, kind), between if low else "", tone)


def head_name(model: str) -> str:
    """A model's name, short enough for the head of a column."""
    return shortened(model, most=32)


def rule_table(decision: Decision, locale: Locale) -> Table:
    """Each clause, what was measured, whether it holds."""
    rows = []
    for one in decision.case.verdict.checks:
        tone: Tone = "good" if one.holds else "open" if one.holds_by_value else "bad"
        held = "holds" if one.holds else "holds_by_value" if one.holds_by_value else "holds_not"
        mark = {"good": "✓ ", "open": "! ", "bad": "✗ "}[tone]
        rows.append(
            (
                Cell(clause(one, decision, locale), THRESHOLD_FLAGS.get(one.key, "")),
                _measured(one, locale),
                Cell(mark + locale.words[held], tone=tone),
            )
        )
    return table_of(locale, "", ("clause", "measured", "holds"), rows)


def clause(one: Check, decision: Decision, locale: Locale) -> str:
    """A clause of the rule with its threshold."""
    kinds = {"gain": THRESHOLD, "savings": PLAIN, "payback": PERIOD}
    threshold = kinds.get(one.key, COUNT).whole(one.threshold, locale.name)
    metric = locale.named("metric", decision.metric)
    return locale.say(f"clause.{one.key}", metric=metric, threshold=threshold)


def _measured(one: Check, locale: Locale) -> Cell:
    if one.key == "paired":
        return Cell(locale.words["paired" if one.holds else "unpaired"])
    if one.key == "leaks":
        rows = one.measured.value or 0
        return Cell(locale.say("leaks.rows", n=COUNT.bare(rows)) if rows else locale.words["leaks.none"])
    if one.key == "payback" and not unknown(one.measured):
        return Cell(payback_text(locale, one.measured))
    return estimate_cell(
        one.measured, {"gain": POINTS, "savings": FACTOR, "payback": PERIOD}.get(one.key, COUNT), locale
    )


def savings_table(case: Case, locale: Locale) -> Table | None:
    """The curves read across."""
    names = {"candidate": head_name(case.model), "baseline": head_name(case.against)}
    rows = [
        (
            Cell(LABELS.whole(one.labels, locale.name), tone="total" if one.in_use else ""),
            estimate_cell(one.against_labels, LABELS, locale),
            estimate_cell(one.factor, FACTOR, locale),
            estimate_cell(one.accuracy, SHARE, locale),
        )
        for one in case.savings
    ]
    head = (
        locale.say("col.labels_of", **names),
        locale.say("col.do_the_work", **names),
        locale.words["col.factor"],
        locale.words["col.at_accuracy"],
    )
    return Table(locale.words["savings.table"], head, tuple(rows)) if rows else None


def equal_labels_table(case: Case, locale: Locale) -> Table | None:
    """The curves read upwards."""
    rows = [
        (
            Cell(LABELS.whole(one.labels, locale.name)),
            estimate_cell(one.accuracy, SHARE, locale),
            estimate_cell(one.against_accuracy, SHARE, locale),
            estimate_cell(one.difference, POINTS, locale),
        )
        for one in case.equal_labels
    ]
    head = (
        locale.words["col.labels"],
        head_name(case.model),
        head_name(case.against),
        locale.words["col.difference"],
    )
    return Table(locale.words["equal.table"], head, tuple(rows)) if rows else None


def accuracy_table(decision: Decision, case: Case, locale: Locale) -> Table | None:
    """Both models on each question, their difference, and what may be said of it."""
    own = [
        one
        for one in decision.differences
        if (one.model, one.against, one.metric) == (case.model, case.against, decision.metric)
    ]
    own.sort(key=lambda one: (one.n_labels is None, one.n_labels or 0, one.task not in USUAL_TASKS))
    rows = [
        (
            Cell(_question(one, locale), tone="total" if one.deciding else ""),
            _reached(decision.results, one, one.model, one.task, locale),
            _reached(decision.results, one, one.against, one.against_task, locale),
            estimate_cell(one.difference, POINTS, locale, TONES[one.found]),
            Cell(locale.words[f"found.{one.found}"], _footing(one, locale), TONES[one.found]),
        )
        for one in own
    ]
    head = (
        locale.words["col.question"],
        head_name(case.model),
        head_name(case.against),
        locale.words["col.difference"],
        locale.words["col.said"],
    )
    return Table("", head, tuple(rows)) if rows else None


def _question(one: Difference, locale: Locale) -> str:
    question = locale.question(one.n_labels)
    if one.n_labels and one.task in USUAL_TASKS:
        return question
    task = locale.named("task", shortened(one.task, most=30))
    if one.n_labels == 0:  # a task that learns from no label says so in its name
        return task
    return f"{question}（{task}）" if locale.name == "ja" else f"{question}, {task}"


def _reached(results: Sequence[Result], one: Difference, model: str, task: str, locale: Locale) -> Cell:
    wanted = (model, task, one.metric, one.n_labels)
    for result in results:
        if (result.model, result.task, result.metric, result.n_labels) == wanted:
            found = Estimate(value=result.value, low=result.ci_low, high=result.ci_high)
            return estimate_cell(found, SHARE, locale)
    return Cell("–")


def _footing(one: Difference, locale: Locale) -> str:
    said = [] if one.paired else [locale.words["unpaired"]]
    if one.p_holm is not None:
        said.append("p < 0.001" if one.p_holm < 0.001 else f"p = {one.p_holm:.3f}")
    return locale.words["comma"].join(said)


def plan_table(plan: Plan, decision: Decision, case: Case, locale: Locale) -> Table:
    """Every cost of both ways of working, then the balances."""
    amount = money(decision.currency)
    rows: list[tuple[Cell, ...]] = []
    for one in plan.lines:
        unit = locale.named("unit", one.quantity_unit)
        pairs = ((one.candidate, one.candidate_quantity), (one.baseline, one.baseline_quantity))
        rows.append(
            (
                Cell(locale.named("cost", one.key), locale.words[f"period.{one.period}"]),
                *(_cost_cell(cost, quantity, unit, amount, locale) for cost, quantity in pairs),
                estimate_cell(one.saving, amount, locale),
            )
        )
    totals = [("once", plan.once, ""), ("per_month", plan.per_month, ""), ("net", plan.net, "")]
    for key, value, _ in totals:
        name = locale.say(f"plan.{key}", horizon=horizon(decision, locale)) if key == "net" else ""
        head = Cell(name or locale.words[f"plan.{key}"], tone="total")
        rows.append((head, Cell(""), Cell(""), estimate_cell(value, amount, locale, "total")))
    payback = "–" if unknown(plan.payback_months) else payback_text(locale, plan.payback_months)
    total = Cell(locale.words["plan.payback"], tone="total")
    rows.append((total, Cell(""), Cell(""), Cell(payback, tone="total")))
    head_row = (
        locale.words["col.cost"],
        head_name(case.model),
        head_name(case.against),
        locale.words["col.saving"],
    )
    return Table(locale.words[f"plan.{plan.kind}"], head_row, tuple(rows))


def _cost_cell(cost: Estimate, quantity: Estimate, unit: str, amount: Kind, locale: Locale) -> Cell:
    cell = estimate_cell(cost, amount, locale)
    if unknown(quantity):
        return cell
    space = "" if locale.name == "ja" else " "
    return Cell(cell.text, f"{locale.value(quantity, PLAIN)}{space}{unit}")


def errors_table(decision: Decision, case: Case, locale: Locale) -> Table | None:
    """Each confusion, what one costs, how often each model makes it and what that costs a year."""
    amount = money(decision.currency)
    models = (case.model, case.against)
    rows = []
    for one in case.error_pairs:
        rates = (one.candidate_rate, one.baseline_rate)
        yearly = (one.candidate_per_year, one.baseline_per_year)
        pair = locale.say(
            "errors.pair", truth=locale.name_of(one.truth), predicted=locale.name_of(one.predicted)
        )
        rows.append(
            (
                Cell(pair),
                estimate_cell(one.cost, amount, locale),
                *(Cell(SMALL_SHARE.bare(rate)) for rate in rates),
                *(estimate_cell(cost, amount, locale) for cost in yearly),
            )
        )
    head = (
        locale.words["col.confusion"],
        locale.words["col.error_cost"],
        *(locale.say("col.rate", model=head_name(name)) for name in models),
        *(locale.say("col.per_year", model=head_name(name)) for name in models),
    )
    return Table("", head, tuple(rows)) if rows else None


def assumptions_table(decision: Decision, locale: Locale) -> Table | None:
    """Every input, its value, who says so and how to change it."""
    timed = iter([one.name for one in decision.models if one.training_seconds or one.fitting_seconds])
    rows = [
        (
            Cell(_input(one, timed, locale)),
            Cell(_assumed(one, decision.currency, locale)),
            Cell(locale.words[f"origin.{one.origin}"], _source(one, locale)),
            Cell(one.flag),
        )
        for one in decision.assumptions
    ]
    columns = ("assumption", "value", "origin", "flag")
    return table_of(locale, "", columns, rows) if rows else None


def _input(one: Assumption, timed: Iterator[str], locale: Locale) -> str:
    """Its name; of machine times also whose it is, in the order of the models."""
    what = input_name(one.key, locale)
    model = next(timed, "") if one.key.endswith("_machine_time") else ""
    return locale.say("named_input", what=what, model=head_name(model)) if model else what


def _assumed(one: Assumption, currency: str, locale: Locale) -> str:
    """As "0.3 to 0.8 minutes"; what is no number as it was given."""
    try:
        parts = [f"{float(part):,.10g}" for part in one.text.split("..")]
    except ValueError:
        return shortened(locale.words.get(f"text.{one.text}", one.text), most=200)
    text = ("～" if locale.name == "ja" else " to ").join(dict.fromkeys((parts[0], parts[-1])))
    if one.unit:
        is_yen = locale.name == "ja" and currency == "JPY"
        unit = locale.named("per", one.unit).format(currency="円" if is_yen else shortened(currency, most=8))
        text = f"{text}{unit}" if unit[:1] > "\u2e80" else f"{text} {unit}"
    return locale.say("most_likely", range=text, peak=parts[1]) if len(parts) == 3 else text


def _source(one: Assumption, locale: Locale) -> str:
    """Who says so, where it is not the user; in another language than English where it has the words."""
    if one.origin == "given":
        return ""
    if locale.name == "en":
        return shortened(one.source, most=300)
    return locale.words.get(f"source.{one.key}", locale.words.get(f"text.{one.source}", ""))


def cases_table(decision: Decision, locale: Locale) -> Table | None:
    """The other candidates, a line each; None where there is one."""
    rows = []
    for case in decision.cases[1:]:
        difference = case.difference.difference if case.difference else Estimate(value=None)
        found = case.difference.found if case.difference else "none"
        saving, plan = case.saving, case.plan
        payback = plan.payback_months if plan else Estimate(value=None)
        rows.append(
            (
                Cell(locale.name_of(case.model)),
                Cell(locale.words[f"verdict.{case.verdict.kind}"], tone=TONES[case.verdict.kind]),
                estimate_cell(difference, POINTS, locale, TONES[found]),
                estimate_cell(saving.factor if saving else Estimate(value=None), FACTOR, locale),
                Cell("–" if unknown(payback) else payback_text(locale, payback)),
            )
        )
    columns = ("model", "verdict", "difference", "savings", "payback")
    return table_of(locale, "", columns, rows) if rows else None


def table_of(locale: Locale, caption: str, columns: Iterable[str], rows: Sequence[tuple[Cell, ...]]) -> Table:
    return Table(caption, tuple(locale.words[f"col.{one}"] for one in columns), tuple(rows))
