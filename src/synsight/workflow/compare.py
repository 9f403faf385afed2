"""The verb `compare`: evaluations in, one decision out, in labels, hours and money."""

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from synsight import files
from synsight.errors import ConfigError, Interrupted, UsageError
from synsight.evaluation.resampling import RESAMPLES
from synsight.records import as_json
from synsight.reports.decision_records import Decision, Rule, VerdictKind
from synsight.workflow.compare_choice import choose
from synsight.workflow.compare_decision import assemble
from synsight.workflow.evidence import read_evidence
from synsight.workflow.prices import Given, read_prices

FILE = "decision.json"

LOCALES = ("en", "ja")


@dataclass(frozen=True, kw_only=True)
class CompareSummary:
    """What `compare` found, and where it stands."""

    verdict: VerdictKind
    candidate: str
    baseline: str
    out: str
    report: str
    """The page."""
    files: Sequence[str]
    decision: Decision


def compare(
    evaluations: Sequence[str | Path] | str | Path,
    *,
    out: str | Path,
    baseline: str | None = None,
    candidate: str | None = None,
    labels_per_class: int | None = None,
    metric: str = "acc1",
    locale: str = "en",
    currency: str | None = None,
    label_minutes: Given = None,
    label_cost: Given = None,
    hourly_rate: Given = None,
    engineer_hours: Given = None,
    pretraining_hours: Given = None,
    machine_rate_per_hour: Given = None,
    electricity_price: Given = None,
    watts: Given = None,
    downtime_minutes: Given = None,
    downtime_cost_per_hour: Given = None,
    images_per_year: Given = None,
    error_costs: str | float | Path | None = None,
    class_mix: str | None = None,
    horizon_months: Given = None,
    least_gain: float = Rule.least_gain,
    least_savings: float = Rule.least_factor,
    most_payback_months: float = Rule.most_payback_months,
    least_test_groups: int = Rule.least_test_groups,
    alpha: float = Rule.alpha,
    resamples: int = RESAMPLES,
) -> CompareSummary:
    """Set models side by side and say whether one of them should be adopted.

    Every amount may be a number, a range as "0.3..0.8" or three points as "0.3..0.5..0.8"; its uncertainty
    goes into every figure, together with that of the test images and of the draws of labels.

    Args:
        evaluations: Folders of `evaluate`, `pilot` or the supervised baseline, and result files of
            CLIP_benchmark; patterns as "results/*.json" are allowed.
        out: Folder for decision.json, results.csv, costs.csv, savings.csv, decision.xlsx and the page.
        baseline: What the others are compared with; None: a network trained from scratch on labels if
            there is one, else the first model.
        candidate: Which model the page is about; None: the best one at the labels in use.
        labels_per_class: That the decision is about; None: 10 if measured, else the most, else all labels.
        metric: That decides: `acc1`, `mean_per_class_recall`, or any other that the records hold.
        locale: Language of the page: `en` or `ja`.
        currency: Three letters of ISO 4217; None: USD, for `ja` JPY.
        label_minutes: To label one image.
        label_cost: Of one label, in place of minutes and hourly rate.
        hourly_rate: Of labelling and engineering.
        engineer_hours: To bring the candidate into use.
        pretraining_hours: Machine time to make the candidate's encoder, where no run folder says it.
        machine_rate_per_hour: Of the machine that trains.
        electricity_price: Of one kWh.
        watts: Of the machine while it trains.
        downtime_minutes: When the candidate replaces the present model.
        downtime_cost_per_hour: Of it.
        images_per_year: That the model judges in production.
        error_costs: A CSV file `truth,predicted,cost`, or one cost for every error.
        class_mix: Share of classes in production, as "crack=0.01" or a CSV file `class,share`; None: as in
            the test images.
        horizon_months: Over which the net gain is counted.
        least_gain: Of the rule: accuracy that must be gained, as 0.01 for one point.
        least_savings: Of the rule: or how many times fewer labels.
        most_payback_months: Of the rule.
        least_test_groups: Of the rule.
        alpha: Of the rule: p after Holm's correction must be below it.
        resamples: Of test groups, draws and amounts.

    Raises:
        UsageError: An unknown model, number of labels, metric, class or locale, or an amount that is none.
        DataError: An evaluation or table that cannot be read, or evaluations by different labels.
        ConfigError: The folder holds something else.
        StorageError: The disk refused a write.
        Interrupted: Stopped from outside; nothing half-written stays.
    """
    given: dict[str, Given] = {
        "label_minutes": label_minutes,
        "label_cost": label_cost,
        "hourly_rate": hourly_rate,
        "engineer_hours": engineer_hours,
        "pretraining_hours": pretraining_hours,
        "machine_rate_per_hour": machine_rate_per_hour,
        "electricity_price": electricity_price,
        "watts": watts,
        "downtime_minutes": downtime_minutes,
        "downtime_cost_per_hour": downtime_cost_per_hour,
        "images_per_year": images_per_year,
        "horizon_months": horizon_months,
    }
    rule = Rule(
        least_gain=least_gain,
        least_factor=least_savings,
        most_payback_months=most_payback_months,
        least_test_groups=least_test_groups,
        alpha=alpha,
    )
    _check_rule(rule)
    if locale not in LOCALES:
        raise UsageError(f"--locale: expected en or ja; got {locale!r}.")
    out, paths = Path(out), [evaluations] if isinstance(evaluations, str | Path) else list(evaluations)
    _check_folder(out)
    ruled = {
        "least_gain": (least_gain, Rule.least_gain),
        "least_savings": (least_savings, Rule.least_factor),
        "most_payback_months": (most_payback_months, Rule.most_payback_months),
        "least_test_groups": (least_test_groups, Rule.least_test_groups),
        "alpha": (alpha, Rule.alpha),
    }
    choices = {
        "baseline": baseline,
        "candidate": candidate,
        "labels_per_class": labels_per_class,
        "metric": None if metric == "acc1" else metric,
        "locale": None if locale == "en" else locale,
        "currency": currency,
        **given,
        "error_costs": error_costs,
        "class_mix": class_mix,
        **{name: None if value == usual else value for name, (value, usual) in ruled.items()},
    }
    try:
        prices = read_prices(given, currency=currency, locale=locale)
        evidence = read_evidence(paths)
        choice = choose(
            evidence, baseline=baseline, candidate=candidate, labels_per_class=labels_per_class, metric=metric
        )
        decision = assemble(
            evidence,
            choice,
            prices,
            rule,
            error_costs=error_costs,
            class_mix=class_mix,
            resamples=resamples,
            command=_command(paths, choices),
        )
        return _write(decision, out, locale=locale)
    except KeyboardInterrupt:
        raise Interrupted(
            f"compare was stopped; no file in {out} is half-written, so run the same command again."
        ) from None


def _check_rule(rule: Rule) -> None:
    """Refuse what no measurement could meet, or what every one would."""
    said = [
        ("--least-gain", rule.least_gain, -1 < rule.least_gain < 1, "between -1 and 1 (0.01 is one point)"),
        ("--least-savings", rule.least_factor, 0 <= rule.least_factor < math.inf, "not below 0"),
        ("--most-payback-months", rule.most_payback_months, rule.most_payback_months >= 0, "not below 0"),
        ("--least-test-groups", rule.least_test_groups, rule.least_test_groups >= 0, "not below 0"),
        ("--alpha", rule.alpha, 0 < rule.alpha < 1, "above 0 and below 1, as 0.05"),
    ]
    for flag, value, fits, expected in said:
        if not fits:
            raise UsageError(f"{flag}: expected a number {expected}; got {value!r}.")


def _check_folder(out: Path) -> None:
    """Write into a new folder, or over what `compare` has written."""
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out}: expected a folder to write the report in, found a file; choose another.")
    present = sorted(one.name for one in out.iterdir() if one.name[0] != ".") if out.is_dir() else []
    if present and FILE not in present:
        raise ConfigError(
            f"{out}: expected a new folder or that of a comparison, found {len(present)} files such as "
            f"{present[0]!r}; choose another folder."
        )


def _command(paths: Sequence[str | Path], choices: Mapping[str, object]) -> str:
    """What a user types to get here, but for the folder."""
    words = ["synsight", "compare", *(str(one) for one in paths)]
    for name, value in choices.items():
        words += [f"--{name.replace('_', '-')}", str(value)] if value is not None else []
    return shlex.join([*words, "--out", "NEW_FOLDER"])


def _write(decision: Decision, out: Path, *, locale: str) -> CompareSummary:
    """The tables, the page, and last decision.json, which says that the rest is whole."""
    from synsight.reports.decision_page import write_decision_page
    from synsight.reports.spreadsheets import write_tables

    written = write_tables(decision, out)
    pages = write_decision_page(decision, out, locale=locale)
    files.write_json(out / FILE, as_json(decision))
    return CompareSummary(
        verdict=decision.case.verdict.kind,
        candidate=decision.candidate,
        baseline=decision.baseline,
        out=str(out),
        report=str(pages[0]),
        files=[str(one) for one in (*pages, *written, out / FILE)],
        decision=decision,
    )
