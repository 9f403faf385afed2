"""The verdict: a pure function of what was measured and of a rule that anybody can read and change.

Adopt if
  - the paired difference at the labels in use is above `least_gain` with its lower end, and found after
    Holm's correction, or the label savings are above `least_factor` with their lower end; and
  - the payback is within `most_payback_months` with its upper end; and
  - the evidence is paired, rests on `least_test_groups` groups of test images or more, and no leak is known.
Adopt with conditions if this holds by the values but not by the ends of their intervals, if the evidence
lacks something, or if what fewer errors are worth was not given and the rest does not pay alone.
Do not adopt otherwise, nor where the candidate is behind with the upper end of its difference.

Better numbers never make the verdict worse.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from synsight.reports.decision_records import (
    Check,
    Difference,
    Estimate,
    Note,
    Plan,
    Rule,
    Saving,
    Verdict,
)

UNKNOWN = Estimate(value=None)


@dataclass(frozen=True, kw_only=True)
class Leak:
    """Test images that a model has seen, or of which it has seen a near copy."""

    key: str
    """`seen_rows` or `near_copies`."""
    model: str
    rows: int


def decide(
    rule: Rule,
    *,
    difference: Difference | None,
    saving: Saving | None,
    plan: Plan | None,
    errors_priced: bool,
    leaks: Sequence[Leak] = (),
) -> Verdict:
    """Apply the rule.

    Args:
        rule: Its numbers.
        difference: Candidate minus baseline at the labels in use; None: not asked the same.
        saving: Label savings there; None: no curve.
        plan: The one that pays sooner; None: nothing has a price.
        errors_priced: Whether it is known what fewer errors are worth.
        leaks: That the evaluations report.
    """
    gain, savings = _gain(rule, difference), _savings(rule, saving)
    payback, evidence = _payback(rule, plan), _evidence(rule, difference, leaks)
    checks = [gain, savings, payback, *(check for check, _ in evidence)]
    open_payback = plan is None or not (payback.holds_by_value or errors_priced)
    reasons = _against(rule, difference, saving, gain, savings, payback, open_payback)
    if reasons:
        return Verdict(kind="do_not_adopt", checks=checks, reasons=reasons)
    conditions = _quality_conditions(gain, savings)
    conditions += _payback_conditions(rule, plan, payback, open_payback)
    conditions += [note for check, notes in evidence if not check.holds for note in notes]
    return Verdict(
        kind="adopt_with_conditions" if conditions else "adopt", checks=checks, conditions=conditions
    )


def _gain(rule: Rule, difference: Difference | None) -> Check:
    measured = UNKNOWN if difference is None else difference.difference
    p_holm = None if difference is None else difference.p_holm
    found = p_holm is not None and p_holm < rule.alpha
    return Check(
        key="gain",
        holds=found and _above(measured.low, rule.least_gain),
        holds_by_value=_above(measured.value, rule.least_gain),
        measured=measured,
        threshold=rule.least_gain,
    )


def _savings(rule: Rule, saving: Saving | None) -> Check:
    factor = UNKNOWN if saving is None else saving.factor
    return Check(
        key="savings",
        holds=_above(factor.low, rule.least_factor, factor.low_sign),
        holds_by_value=_above(factor.value, rule.least_factor, factor.value_sign),
        measured=factor,
        threshold=rule.least_factor,
    )


def _above(number: float | None, least: float, sign: str = "=") -> bool:
    """More than the least; "more than 1" is, "fewer than 2" is not known to be."""
    if number is None or sign in ("<", "never"):
        return False
    return number >= least if sign == ">" else number > least


def _payback(rule: Rule, plan: Plan | None) -> Check:
    months = UNKNOWN if plan is None else plan.payback_months
    most = rule.most_payback_months
    return Check(
        key="payback",
        holds=months.high is not None and months.high <= most,
        holds_by_value=months.value is not None and months.value <= most,
        measured=months,
        threshold=most,
    )


def _evidence(
    rule: Rule, difference: Difference | None, leaks: Sequence[Leak]
) -> list[tuple[Check, list[Note]]]:
    paired = difference is not None and difference.paired
    groups = 0 if difference is None else difference.test_groups or 0
    rows = sum(one.rows for one in leaks)
    text = (
        "The models answered different test images, or no answers are known; evaluate both on the same ones."
    )
    few = (
        f"Only {groups} independent groups of test images, fewer than {rule.least_test_groups}; collect more."
    )
    return [
        (_plain("paired", paired, float(paired), 1), [Note(key="not_paired", text=text)]),
        (
            _plain("test_groups", groups >= rule.least_test_groups, groups, rule.least_test_groups),
            [
                Note(
                    key="few_test_groups",
                    text=few,
                    values={"groups": groups, "least": rule.least_test_groups},
                )
            ],
        ),
        (_plain("leaks", rows == 0, rows, 0), [_leak_note(one) for one in leaks]),
    ]


def _plain(
    key: Literal["paired", "test_groups", "leaks"], holds: bool, measured: float, threshold: float
) -> Check:
    return Check(
        key=key,
        holds=holds,
        holds_by_value=holds,
        measured=Estimate(value=measured),
        threshold=threshold,
    )


def _leak_note(one: Leak) -> Note:
    if one.key == "seen_rows":
        text = f"{one.model} was trained on {one.rows:,} test images; evaluate it on images it has not seen."
    else:
        text = f"The training images hold near copies of {one.rows:,} test images; leave these out."
    return Note(key=one.key, text=text, values={"model": one.model, "rows": one.rows})


def _against(
    rule: Rule,
    difference: Difference | None,
    saving: Saving | None,
    gain: Check,
    savings: Check,
    payback: Check,
    open_payback: bool,
) -> list[Note]:
    if difference is None and saving is None:
        return [Note(key="nothing_compared", text="The two models were not asked the same question.")]
    reasons = []
    upper = gain.measured.high
    if upper is not None and upper < 0:
        text = f"The candidate is behind the baseline: {_points(gain.measured)}."
        reasons.append(Note(key="worse", text=text, values=_values(gain.measured)))
    elif not (gain.holds_by_value or savings.holds_by_value):
        text = f"No gain was measured: {_points(gain.measured)} at the labels in use, and no labels saved."
        reasons.append(Note(key="no_gain", text=text, values=_values(gain.measured)))
    if not payback.holds_by_value and not open_payback:
        never = payback.measured.value is None
        most = rule.most_payback_months
        text = f"It does not pay within {most:g} months: {_months(payback.measured)}."
        key = "payback_never" if never else "payback_too_long"
        values = {"most": most} if never else {**_values(payback.measured), "most": most}
        reasons.append(Note(key=key, text=text, values=values))
    return reasons


def _quality_conditions(gain: Check, savings: Check) -> list[Note]:
    if gain.holds or savings.holds:
        return []
    found = []
    if gain.holds_by_value:
        text = f"The gain is not sure: {_points(gain.measured)}; measure on more test images."
        found.append(Note(key="gain_not_sure", text=text, values=_values(gain.measured)))
    if savings.holds_by_value:
        text = (
            f"The label savings are not sure: {_times(savings.measured)}; measure with more draws and images."
        )
        found.append(Note(key="savings_not_sure", text=text, values=_values(savings.measured)))
    return found


def _payback_conditions(rule: Rule, plan: Plan | None, payback: Check, open_payback: bool) -> list[Note]:
    most = rule.most_payback_months
    if plan is None:
        text = (
            "No payback is known, as neither labels nor errors have a price; give --label-cost or "
            "--hourly-rate, or --error-costs with --images-per-year."
        )
        return [Note(key="payback_unknown", text=text)]
    if open_payback:
        text = (
            f"Fewer labels alone do not pay within {most:g} months ({_months(payback.measured)}), and "
            "what fewer errors are worth was not given; give --error-costs and --images-per-year."
        )
        values = {"value": payback.measured.value, "most": most}
        return [Note(key="errors_not_priced", text=text, values=values)]
    if payback.holds:
        return []
    text = f"It is not sure to pay within {most:g} months: {_months(payback.measured)}."
    return [Note(key="payback_not_sure", text=text, values={**_values(payback.measured), "most": most})]


def _values(one: Estimate) -> dict[str, float | None]:
    return {"value": one.value, "low": one.low, "high": one.high}


def _points(one: Estimate) -> str:
    if one.value is None:
        return "no difference is known"
    said = f"{100 * one.value:+.1f} points"
    if one.low is None or one.high is None:
        return f"{said} (no interval)"
    return f"{said} (95% interval {100 * one.low:+.1f} to {100 * one.high:+.1f})"


def _times(one: Estimate) -> str:
    sides = ((one.value, one.value_sign), (one.low, one.low_sign), (one.high, one.high_sign))
    value, low, high = (_said(number, sign, "{:.1f}") for number, sign in sides)
    return f"{value} times (95% interval {low} to {high})"


def _months(one: Estimate) -> str:
    ends = [_said(number, "=", "{:.1f}") for number in (one.value, one.low, one.high)]
    months = "never" if one.value is None else f"{ends[0]} months"
    return f"{months} (95% interval {ends[1]} to {ends[2]})"


def _said(number: float | None, sign: str, form: str) -> str:
    if number is None:
        return "never"
    return {">": "more than ", "<": "less than "}.get(sign, "") + form.format(number)
