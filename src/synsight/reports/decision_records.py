"""What `compare` found, as plain records: the decision page is written from these and from nothing else.

A sentence is never stored alone: what must be said in two languages is a `Note` with a stable `key`, the
values that fill it, and the English sentence for whoever reads decision.json. Money has its own records
(`cost_records`), which are found here as well.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from synsight.records import Result
from synsight.reports.cost_records import (
    Assumption,
    CostKey,
    CostLine,
    Driver,
    ErrorPair,
    Estimate,
    LeftOut,
    Plan,
    PlanKind,
    Sign,
)

__all__ = [
    "NOTES",
    "Assumption",
    "Case",
    "Check",
    "ComparedModel",
    "CostKey",
    "CostLine",
    "CurvePoint",
    "Decision",
    "Difference",
    "Driver",
    "EqualLabels",
    "ErrorPair",
    "Estimate",
    "LeftOut",
    "Note",
    "Plan",
    "PlanKind",
    "Rule",
    "Saving",
    "Sign",
    "Source",
    "Verdict",
    "VerdictKind",
]

VerdictKind = Literal["adopt", "adopt_with_conditions", "do_not_adopt"]


NOTES: Mapping[str, str] = {
    # of a decision
    "renamed": "model, path, name",
    "repeated": "model, path",
    "unpaired": "models, reason (foreign | test_rows | dataset)",
    "no_interval": "models",
    "nothing_in_common": "model",
    "chosen_on_test": "models (how many)",
    "points_left_out": "n_labels (list), kept_classes",
    "no_curve": "model",
    "curve_fell": "model",
    "few_draws": "model, draws",
    "one_training_seed": "",
    "error_class_never_missed": "truth, groups, most_rate",
    # conditions of a verdict
    "gain_not_sure": "value, low, high",
    "savings_not_sure": "value, low, high",
    "payback_not_sure": "value, low, high, most",
    "payback_unknown": "",
    "errors_not_priced": "value, most",
    "not_paired": "",
    "few_test_groups": "groups, least",
    "seen_rows": "model, rows",
    "near_copies": "model, rows",
    # reasons against
    "worse": "value, low, high",
    "no_gain": "value, low, high",
    "nothing_compared": "",
    "payback_too_long": "value, low, high, most",
    "payback_never": "most",
}
"""Key of a note -> the names of its values."""


@dataclass(frozen=True, kw_only=True)
class Note:
    """Something a reader must know; `NOTES` lists the keys."""

    key: str
    text: str
    """In English, complete."""
    values: Mapping[str, Any] = field(default_factory=dict)
    """What fills the sentence."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """One evaluation that was compared."""

    path: str
    """As the user gave it."""
    dataset: str
    models: Sequence[str]
    """As they are called in the comparison."""
    foreign: bool = False
    """A result file of CLIP_benchmark: no predictions, so it is compared unpaired."""
    label: str | None = None
    """The column that holds the classes; None: not known."""
    catalog_version: int | None = None
    classes: int | None = None
    train_rows: int | None = None
    test_rows: int | None = None
    test_groups: int | None = None


@dataclass(frozen=True, kw_only=True)
class ComparedModel:
    """One of the models side by side."""

    name: str
    role: Literal["baseline", "candidate"]
    path: str
    """The evaluation it comes from, as the user gave it."""
    digest: str | None = None
    training_seconds: float | None = None
    """Measured time of making the encoder (pretraining); None: not known, or made by others."""
    fitting_seconds: float | None = None
    """Measured time of learning from the labels in use, mean over draws, with predicting the test rows."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A model minus the baseline on one question."""

    model: str
    against: str
    task: str
    """Of the model; the baseline may have answered with `against_task`."""
    against_task: str
    metric: str
    n_labels: int | None
    """Labels of each class; None: all."""
    difference: Estimate
    paired: bool
    """Both answered the same test rows, and were compared row by row."""
    n_test: int = 0
    test_groups: int | None = None
    p_value: float | None = None
    p_holm: float | None = None
    """Corrected by Holm for all differences of the same metric on the page."""
    found: Literal["better", "worse", "none"] = "none"
    """What may be said at the page's level; `none`: no difference was found."""
    deciding: bool = False
    """The rule looks at this one."""


@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """Accuracy of a model after learning from a number of labels."""

    model: str
    task: str
    labels: int
    """In all."""
    labels_per_class: float
    all_labels: bool
    accuracy: Estimate
    """Mean over draws; the interval holds test groups and draws."""
    fitted: float
    """On the monotone curve that is read horizontally."""
    draws: int
    n_test: int


@dataclass(frozen=True, kw_only=True)
class Saving:
    """The curves read horizontally: so many labels of the candidate do the work of so many others."""

    model: str
    against: str
    labels: int
    """Of the candidate, in all."""
    labels_per_class: float
    accuracy: Estimate
    """Reached with them, on the candidate's monotone curve."""
    against_labels: Estimate
    """Labels in all that the baseline needs for the same accuracy."""
    against_labels_per_class: Estimate
    factor: Estimate
    """`against_labels / labels`; 4: a quarter of the labels is enough."""
    in_use: bool = False
    """At the number of labels that the decision is about."""


@dataclass(frozen=True, kw_only=True)
class EqualLabels:
    """The curves read vertically: what both reach with the same labels."""

    model: str
    against: str
    labels: int
    labels_per_class: float | None
    accuracy: Estimate
    against_accuracy: Estimate
    difference: Estimate


@dataclass(frozen=True, kw_only=True)
class Rule:
    """When to adopt; every number is a flag."""

    least_gain: float = 0.0
    """The lower end of the difference at the labels in use must be above this (0.01 is one point)."""
    least_factor: float = 1.0
    """Or the lower end of the label savings must be above this many times."""
    most_payback_months: float = 12.0
    """And the upper end of the payback must not be above this."""
    least_test_groups: int = 30
    """With fewer groups of test images, only with conditions."""
    alpha: float = 0.05
    """p after Holm's correction must be below it for a difference to count as found."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """One clause of the rule."""

    key: Literal["gain", "savings", "payback", "paired", "test_groups", "leaks"]
    holds: bool
    """By its interval."""
    holds_by_value: bool
    """By its value alone."""
    measured: Estimate
    threshold: float


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The answer, by the rule."""

    kind: VerdictKind
    checks: Sequence[Check]
    conditions: Sequence[Note] = ()
    """What must be settled first; empty unless `adopt_with_conditions`."""
    reasons: Sequence[Note] = ()
    """Why not; empty unless `do_not_adopt`."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One candidate against the baseline."""

    model: str
    against: str
    verdict: Verdict
    difference: Difference | None
    """At the labels in use; None: they were not asked the same."""
    equal_labels: Sequence[EqualLabels] = ()
    savings: Sequence[Saving] = ()
    plans: Sequence[Plan] = ()
    error_pairs: Sequence[ErrorPair] = ()
    """Costliest first."""

    @property
    def saving(self) -> Saving | None:
        """Label savings at the labels in use."""
        return next((one for one in self.savings if one.in_use), None)

    @property
    def plan(self) -> Plan | None:
        """The plan that the rule looks at."""
        return next((one for one in self.plans if one.deciding), None)


@dataclass(frozen=True, kw_only=True)
class Decision:
    """Everything that `compare` found; decision.json holds it whole."""

    dataset: str
    label: str | None
    metric: str
    """The one that decides: `acc1` unless asked otherwise."""
    labels_in_use: int | None
    """Labels of each class that the decision is about; None: all."""
    labels_in_use_total: int | None
    baseline: str
    baseline_reason: Literal["named", "from_scratch", "first"]
    candidate: str
    """Of the first case."""
    candidate_reason: Literal["named", "only", "best"]
    """`best`: highest value on the test images, so its differences are corrected for the choice."""
    currency: str
    """ISO 4217, as "EUR" or "JPY"."""
    horizon_months: float
    sources: Sequence[Source]
    models: Sequence[ComparedModel]
    """The baseline first."""
    cases: Sequence[Case]
    """One for each candidate; the first is the one that the page is about."""
    rule: Rule
    results: Sequence[Result]
    """What each model reached: means over draws, by model and question."""
    differences: Sequence[Difference]
    curve: Sequence[CurvePoint] = ()
    curve_method: str = "monotone"
    """How the points were joined, in English."""
    assumptions: Sequence[Assumption] = ()
    left_out: Sequence[LeftOut] = ()
    notes: Sequence[Note] = ()
    command: str = ""
    """What a user types to get here."""
    version: str = ""
    """Of synsight."""

    @property
    def case(self) -> Case:
        """The one that the page is about."""
        return self.cases[0]
