"""What adopting the candidate costs and brings, with the uncertainty of every input carried through.

A better model can be used in two ways, which must not be added up: fewer labels at the same accuracy (saved
once), or fewer errors with the same labels (saved every month). Each is a plan. All sums are formed row by
row over arrays [R + 1]: row 0 is the calculation with every input at its centre, the others draw the test
groups, the draws of labels and every uncertain input again, together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from synsight.evaluation.resampling import Drawn, ends
from synsight.reports.decision_records import CostKey, CostLine, Driver, Estimate, Plan, PlanKind, Sign
from synsight.workflow.amounts import Amount
from synsight.workflow.rounding import estimate, rounded

MEASUREMENT = "measurement"
SECONDS_PER_HOUR = 3600.0
MINUTES_PER_HOUR = 60.0


@dataclass(frozen=True, eq=False)
class Measured:
    """What evaluations and runs say; arrays are [R + 1, ...]."""

    labels: int | None = None
    """Of the candidate, in all, at the labels in use."""
    against_labels: Drawn | None = None
    """Labels of the baseline for the candidate's accuracy; inf: more than `most_labels`, 0: fewer than
    `least_labels`. None: there is no curve to read."""
    least_labels: int = 0
    most_labels: int = 0
    baseline_seconds: float | None = None
    """Of making and fitting the model."""
    candidate_seconds: float | None = None
    baseline_rates: Drawn | None = None
    """[R + 1, P] shares of all images of production."""
    candidate_rates: Drawn | None = None


@dataclass(frozen=True, eq=False)
class Inputs:
    """Name of an input -> its draws, [R + 1] or [R + 1, P]; what is not there was not given."""

    values: Mapping[str, Drawn]
    texts: Mapping[str, str] = field(default_factory=dict)
    """Of the uncertain ones: the range as given."""

    def __getitem__(self, name: str) -> Drawn:
        return self.values[name]

    def has(self, *names: str) -> bool:
        """Whether all were given."""
        return all(name in self.values for name in names)


def draw_inputs(amounts: Mapping[str, Amount], *, resamples: int, prices: Drawn | None) -> Inputs:
    """Draw every input once; `prices` are those of the confusions, [R + 1, P]."""
    values = {name: amount.drawn(resamples, name=name) for name, amount in amounts.items()}
    texts = {name: amount.text for name, amount in amounts.items() if not amount.is_sure}
    if prices is not None:
        values["error_costs"] = prices
        if prices.size and np.ptp(prices, axis=0).max() > 0:
            texts["error_costs"] = "as in the table"
    return Inputs(values, texts)


@dataclass(frozen=True, eq=False)
class _Line:
    """One kind of cost, as arrays."""

    key: CostKey
    yearly: bool
    unit: str
    quantities: tuple[Drawn, Drawn]
    """Baseline, candidate."""
    costs: tuple[Drawn, Drawn]

    @property
    def saving(self) -> Drawn:
        return self.costs[0] - self.costs[1]


def plans(measured: Measured, inputs: Inputs, *, horizon_months: float, resamples: int) -> list[Plan]:
    """The plans that the inputs allow, none of them deciding yet.

    A plan is there if what it saves has a price: labels need a curve and a label's price, errors need prices
    and the images of a year.
    """
    kinds: list[PlanKind] = []
    if measured.against_labels is not None and _label_price(inputs) is not None:
        kinds.append("same_accuracy")
    if measured.baseline_rates is not None and inputs.has("images_per_year", "error_costs"):
        kinds.append("same_labels")
    return [_plan(kind, measured, inputs, horizon_months, resamples) for kind in kinds]


def deciding(found: Sequence[Plan]) -> list[Plan]:
    """Mark the plan that pays sooner (upper end, then value; the first where they are equal)."""
    if not found:
        return []
    best = min(range(len(found)), key=lambda one: (_months(found[one], "high"), _months(found[one], "value")))
    return [replace(one, deciding=number == best) for number, one in enumerate(found)]


def _months(plan: Plan, end: str) -> float:
    number = getattr(plan.payback_months, end)
    return np.inf if number is None else float(number)


def _plan(kind: PlanKind, measured: Measured, inputs: Inputs, horizon_months: float, resamples: int) -> Plan:
    lines = _lines(kind, measured, inputs, resamples)
    once, per_month = _sums(lines, resamples)
    read = measured.against_labels if kind == "same_accuracy" else None
    return Plan(
        kind=kind,
        lines=[_record(one, read if one.key == "labelling" else None) for one in lines],
        once=_signed(once, read),
        per_month=estimate(per_month),
        payback_months=estimate(_payback(once, per_month)),
        net=_signed(once + per_month * horizon_months, read),
        drivers=_drivers(kind, measured, inputs, horizon_months, resamples),
    )


def _lines(kind: PlanKind, measured: Measured, inputs: Inputs, resamples: int) -> list[_Line]:
    zero = np.zeros(resamples + 1)
    lines = []
    if kind == "same_accuracy":
        lines.append(_labelling(measured, inputs, resamples))
    if inputs.has("engineer_hours", "hourly_rate"):
        worked = (zero, inputs["engineer_hours"])
        lines.append(_line("engineering", "hours", worked, inputs["hourly_rate"]))
    hours = _machine_hours(measured, inputs, resamples)
    if inputs.has("machine_rate_per_hour"):
        lines.append(_line("compute", "hours", hours, inputs["machine_rate_per_hour"]))
    if inputs.has("electricity_price", "watts"):
        energy = (hours[0] * inputs["watts"] / 1000, hours[1] * inputs["watts"] / 1000)
        lines.append(_line("energy", "kWh", energy, inputs["electricity_price"]))
    if inputs.has("downtime_minutes", "downtime_cost_per_hour"):
        price = inputs["downtime_cost_per_hour"] / MINUTES_PER_HOUR
        lines.append(_line("downtime", "minutes", (zero, inputs["downtime_minutes"]), price))
    if kind == "same_labels":
        lines.append(_errors(measured, inputs))
    return lines


def _machine_hours(measured: Measured, inputs: Inputs, resamples: int) -> tuple[Drawn, Drawn]:
    """Of making and fitting both models; what is not known counts as nothing, and is said to be left out."""
    sides = [
        np.full(resamples + 1, (seconds or 0.0) / SECONDS_PER_HOUR)
        for seconds in (measured.baseline_seconds, measured.candidate_seconds)
    ]
    if inputs.has("pretraining_hours"):
        sides[1] = sides[1] + inputs["pretraining_hours"]
    return sides[0], sides[1]


def _line(key: CostKey, unit: str, quantities: tuple[Drawn, Drawn], price: Drawn) -> _Line:
    return _Line(key, False, unit, quantities, (quantities[0] * price, quantities[1] * price))


def _labelling(measured: Measured, inputs: Inputs, resamples: int) -> _Line:
    """Beyond the measured numbers of labels only those that were measured are counted."""
    price = _label_price(inputs)
    assert price is not None and measured.against_labels is not None and measured.labels is not None
    theirs = np.where(measured.against_labels == 0, measured.least_labels, measured.against_labels)
    theirs = np.minimum(theirs, measured.most_labels)
    ours = np.full(resamples + 1, float(measured.labels))
    return _line("labelling", "labels", (theirs, ours), price)


def _label_price(inputs: Inputs) -> Drawn | None:
    """Of one label."""
    if inputs.has("label_cost"):
        return inputs["label_cost"]
    if inputs.has("label_minutes", "hourly_rate"):
        price: Drawn = inputs["label_minutes"] * inputs["hourly_rate"] / MINUTES_PER_HOUR
        return price
    return None


def _errors(measured: Measured, inputs: Inputs) -> _Line:
    images, prices = inputs["images_per_year"], inputs["error_costs"]
    assert measured.baseline_rates is not None and measured.candidate_rates is not None
    sides = (measured.baseline_rates, measured.candidate_rates)
    wrong = [rates.sum(axis=1) * images for rates in sides]
    costs = [(rates * prices).sum(axis=1) * images for rates in sides]
    return _Line("errors", True, "images", (wrong[0], wrong[1]), (costs[0], costs[1]))


def _sums(lines: Sequence[_Line], resamples: int) -> tuple[Drawn, Drawn]:
    """What is saved once, and what every month saves."""
    once, per_month = np.zeros(resamples + 1), np.zeros(resamples + 1)
    for one in lines:
        if one.yearly:
            per_month = per_month + one.saving / 12
        else:
            once = once + one.saving
    return once, per_month


def _payback(once: Drawn, per_month: Drawn) -> Drawn:
    """Months until the investment is back: 0 if there is none, inf if it never is."""
    months = np.full_like(once, np.inf)
    np.divide(-once, per_month, out=months, where=per_month > 0)
    return np.where(once >= 0, np.where(per_month >= 0, 0.0, np.inf), months)


def _record(line: _Line, read: Drawn | None) -> CostLine:
    return CostLine(
        key=line.key,
        period="year" if line.yearly else "once",
        baseline=_signed(line.costs[0], read),
        candidate=estimate(line.costs[1]),
        saving=_signed(line.saving, read),
        quantity_unit=line.unit,
        baseline_quantity=_signed(line.quantities[0], read),
        candidate_quantity=estimate(line.quantities[1]),
    )


def _signed(drawn: Drawn, read: Drawn | None) -> Estimate:
    """An estimate that grows with labels which may lie beyond what was measured (`read`, if any)."""
    found = estimate(drawn)
    if read is None:
        return found
    low, high = ends(read)
    return replace(found, value_sign=_sign(float(read[0])), low_sign=_sign(low), high_sign=_sign(high))


def _sign(labels: float) -> Sign:
    return ">" if labels == np.inf else "<" if labels == 0 else "="


def _drivers(
    kind: PlanKind, measured: Measured, inputs: Inputs, horizon_months: float, resamples: int
) -> list[Driver]:
    """One input at a time takes its draws, all others stay at their centre; largest swing first."""

    def net(moving: str) -> Drawn:
        held = Inputs({name: one if name == moving else _centre(one) for name, one in inputs.values.items()})
        seen = measured if moving == MEASUREMENT else _as_measured(measured)
        once, per_month = _sums(_lines(kind, seen, held, resamples), resamples)
        return once + per_month * horizon_months

    found = []
    for name in (MEASUREMENT, *inputs.texts):
        low, high = ends(net(name))
        if high > low:
            text = inputs.texts.get(name, "")
            found.append(Driver(key=name, low=rounded(low), high=rounded(high), input_text=text))
    return sorted(found, key=lambda one: (one.low - one.high, one.key))


def _centre(drawn: Drawn) -> Drawn:
    centre: Drawn = np.broadcast_to(drawn[:1], drawn.shape)
    return centre


def _as_measured(measured: Measured) -> Measured:
    return replace(
        measured,
        against_labels=_centre_of(measured.against_labels),
        baseline_rates=_centre_of(measured.baseline_rates),
        candidate_rates=_centre_of(measured.candidate_rates),
    )


def _centre_of(drawn: Drawn | None) -> Drawn | None:
    return None if drawn is None else _centre(drawn)
