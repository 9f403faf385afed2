"""What a user says about costs, and what is assumed where nothing was said; each is written down."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from synsight.errors import UsageError
from synsight.reports.decision_records import Assumption, LeftOut
from synsight.workflow.amounts import Amount, read_amount, sure

Given = str | float | None
"""A number, a range as "0.3..0.8", three points as "0.3..0.5..0.8", or nothing."""

HOURLY_RATES: Mapping[str, float] = {"USD": 40, "EUR": 40, "GBP": 35, "JPY": 4000}
"""Currency -> assumed price of an hour of work with overheads; other currencies have none."""

NO_CODES: Mapping[str, str] = {"YEN": "JPY", "RMB": "CNY", "USA": "USD", "STG": "GBP"}
"""What is said for a currency and is no code of one -> its code."""

LABEL_MINUTES = 0.5
ENGINEER_HOURS = 16.0
HORIZON_MONTHS = 12.0

PLACEHOLDER = "a placeholder of synsight, measured by nobody; give your own"

UNITS: Mapping[str, str] = {
    "label_minutes": "minutes",
    "label_cost": "money",
    "hourly_rate": "money/hour",
    "engineer_hours": "hours",
    "pretraining_hours": "hours",
    "machine_rate_per_hour": "money/hour",
    "electricity_price": "money/kWh",
    "watts": "watts",
    "downtime_minutes": "minutes",
    "downtime_cost_per_hour": "money/hour",
    "images_per_year": "images/year",
    "horizon_months": "months",
}
"""Every input that is a number, in the order of the page."""


@dataclass(frozen=True)
class Prices:
    """The inputs, read."""

    currency: str
    amounts: Mapping[str, Amount]
    """Name -> amount; what is neither given nor assumed is not there."""
    horizon_months: float
    assumptions: list[Assumption] = field(default_factory=list)

    def has(self, *names: str) -> bool:
        """Whether all are known."""
        return all(name in self.amounts for name in names)


def read_prices(given: Mapping[str, Given], *, currency: str | None, locale: str) -> Prices:
    """Read the inputs and put defaults in the place of the few that have one.

    Args:
        given: Names of `UNITS` -> what the user gave.
        currency: ISO 4217; None: yen for Japanese readers, else US dollars.
        locale: Of the page.

    Raises:
        UsageError: An amount or a currency that is none, or both a cost and minutes of a label.
    """
    currency = (currency or ("JPY" if locale == "ja" else "USD")).upper()
    if not re.fullmatch("[A-Z]{3}", currency) or currency in NO_CODES:
        meant = NO_CODES.get(currency, "EUR or JPY")
        raise UsageError(f"--currency: expected three letters of ISO 4217 as {meant}; got {currency!r}.")
    if given.get("label_cost") is not None and given.get("label_minutes") is not None:
        raise UsageError("give either --label-cost or --label-minutes, not both.")
    amounts: dict[str, Amount] = {}
    assumptions: list[Assumption] = []
    for name in UNITS:
        value = given.get(name)
        if value is not None:
            amounts[name] = read_amount(value, name=flag_of(name))
            assumptions.append(_assumption(name, amounts[name], "given by the user"))
    for name, default in _defaults(currency, amounts).items():
        amounts[name] = sure(default)
        assumptions.append(_assumption(name, amounts[name], PLACEHOLDER, is_default=True))
    horizon = amounts.pop("horizon_months")
    if not horizon.is_sure or horizon.centre <= 0:
        raise UsageError(f"--horizon-months: expected one number above zero; got {horizon.text!r}.")
    order = [*UNITS]
    assumptions.sort(key=lambda one: order.index(one.key))
    return Prices(currency, amounts, horizon.centre, assumptions)


def _defaults(currency: str, known: Mapping[str, Amount]) -> dict[str, float]:
    assumed = {"engineer_hours": ENGINEER_HOURS, "horizon_months": HORIZON_MONTHS}
    if currency in HOURLY_RATES:
        assumed["hourly_rate"] = HOURLY_RATES[currency]
    if "label_cost" not in known:
        assumed["label_minutes"] = LABEL_MINUTES
    return {name: value for name, value in assumed.items() if name not in known}


def flag_of(name: str) -> str:
    """As "--label-minutes"."""
    return "--" + name.replace("_", "-")


def _assumption(name: str, amount: Amount, source: str, *, is_default: bool = False) -> Assumption:
    return Assumption(
        key=name,
        text=amount.text,
        unit=UNITS[name],
        origin="default" if is_default else "given",
        source=source,
        flag=flag_of(name),
        value=amount.centre,
        low=amount.low,
        high=amount.high,
    )


def left_out(prices: Prices, *, errors_priced: bool, unknown_training: bool, curve: bool) -> list[LeftOut]:
    """Costs that are in no figure.

    Args:
        prices: What is known.
        errors_priced: Whether errors have prices and images of a year, and both models' answers are known.
        unknown_training: Nobody has measured how long the candidate's encoder took to make.
        curve: Whether labels saved are known.
    """
    machine = "machine_rate_per_hour"
    found: list[tuple[bool, str, tuple[str, ...], str]] = [
        (
            not errors_priced,
            "errors",
            ("--error-costs", "--images-per-year"),
            "What fewer errors are worth is left out.",
        ),
        (
            not (prices.has("label_cost") or prices.has("label_minutes", "hourly_rate")),
            "labelling",
            ("--label-cost", "--hourly-rate"),
            "The price of labels is left out.",
        ),
        (not curve, "label_savings", (), "Labels saved are left out: nobody was asked with several numbers."),
        (
            not prices.has("engineer_hours", "hourly_rate"),
            "engineering",
            ("--engineer-hours", "--hourly-rate"),
            "Engineers' work is left out.",
        ),
        (not prices.has(machine), "compute", (flag_of(machine),), "The price of computing is left out."),
        (
            not prices.has("electricity_price", "watts"),
            "energy",
            ("--electricity-price", "--watts"),
            "Energy is left out.",
        ),
        (
            unknown_training and (prices.has(machine) or prices.has("electricity_price", "watts")),
            "pretraining",
            ("--pretraining-hours",),
            "Making the candidate's encoder is left out: no run folder says how long it took; "
            "nothing, if others made it.",
        ),
        (
            not prices.has("downtime_minutes", "downtime_cost_per_hour"),
            "downtime",
            ("--downtime-minutes", "--downtime-cost-per-hour"),
            "Downtime when the model is exchanged is left out.",
        ),
    ]
    return [LeftOut(key=key, flags=flags, text=text) for missing, key, flags, text in found if missing]
