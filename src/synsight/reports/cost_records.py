"""What a decision costs and brings, as plain records, each number with how far it is known."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Sign = Literal["=", ">", "<", "never"]
"""How a number is meant: as it stands; more than it; less than it; `never` (the number is None)."""

PlanKind = Literal["same_accuracy", "same_labels"]
"""What a better model is used for: fewer labels at one accuracy, or fewer errors with the same labels."""

CostKey = Literal["labelling", "engineering", "compute", "energy", "downtime", "errors"]


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A number with the ends of its 95% interval, any of which may lie beyond what was measured.

    `value=500, value_sign=">"` reads "more than 500"; `value=None, value_sign="never"` reads "never";
    `value=None, value_sign="="` reads "not known". The ends likewise.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    value_sign: Sign = "="
    low_sign: Sign = "="
    high_sign: Sign = "="


@dataclass(frozen=True, kw_only=True)
class CostLine:
    """One kind of cost of both ways of working, in the decision's currency."""

    key: CostKey
    period: Literal["once", "year"]
    baseline: Estimate
    candidate: Estimate
    saving: Estimate
    """Baseline minus candidate; below zero: the candidate costs more. Sign ">": at least so much."""
    quantity_unit: str
    """Of what is paid for: `labels`, `hours`, `kWh`, `minutes`, `images`."""
    baseline_quantity: Estimate
    candidate_quantity: Estimate


@dataclass(frozen=True, kw_only=True)
class Driver:
    """How far one uncertain input alone moves the net gain over the horizon, all others at their centre."""

    key: str
    """`measurement` (test images and draws of labels) or the name of a flag, as `label_minutes`."""
    low: float
    high: float
    """Net gain at the ends of the input's own 95% range, the smaller one first."""
    input_text: str = ""
    """The input's range as given, "0.3..0.8"; "" for the measurement."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What adopting the candidate costs and brings, if its quality is used in one of two ways."""

    kind: PlanKind
    lines: Sequence[CostLine]
    once: Estimate
    """One-time saving minus one-time cost; below zero: an investment."""
    per_month: Estimate
    """What every month brings."""
    payback_months: Estimate
    """0: at once; `never`: what it brings does not pay for it."""
    net: Estimate
    """Over the horizon."""
    drivers: Sequence[Driver] = ()
    """What the uncertainty of `net` comes from, largest first."""
    deciding: bool = False
    """The rule looks at this plan."""


@dataclass(frozen=True, kw_only=True)
class ErrorPair:
    """One kind of confusion at the labels in use: what it costs, how often each model makes it."""

    truth: str
    predicted: str
    cost: Estimate
    """Of one such error."""
    baseline_rate: float
    """Share of all images of production, by the class mix that is assumed."""
    candidate_rate: float
    baseline_per_year: Estimate
    candidate_per_year: Estimate
    """Money."""


@dataclass(frozen=True, kw_only=True)
class Assumption:
    """One input of the calculation and where it comes from; every one is on the page."""

    key: str
    """As the flag: `label_minutes`, `hourly_rate`, `images_per_year`, `class_mix`, ..."""
    text: str
    """The value as given or shown, "0.3..0.8" or "as in the test images"."""
    unit: str
    """`minutes`, `money/hour`, `money`, `hours`, `watts`, `money/kWh`, `images/year`, `months`, ""."""
    origin: Literal["given", "default", "measured"]
    source: str
    """In English: who says so."""
    flag: str = ""
    """The flag that changes it, "--label-minutes"; "": none."""
    value: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """A cost that is in no figure, since nobody gave what it takes."""

    key: str
    """`compute`, `energy`, `downtime`, `errors`, `pretraining`, `labelling`, ..."""
    flags: Sequence[str]
    """What to give."""
    text: str
    """In English."""
