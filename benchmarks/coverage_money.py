"""Do 95% of the intervals of `compare` hold the truth: labels saved, money a year, net gain, payback?

Simulated evaluations whose truth is known: a candidate that needs half of the baseline's labels, test
rows in groups, draws of labels with their luck, three classes of which one is rare in production and dear to
miss. What a user is unsure of (minutes a label, images a year, the price of a missed defect) is given as a
range, and the true amount is drawn from it. Everything between the answers and the page is the code of the
verb. Printed: per cent of the intervals that hold the truth, and the median number of errors that the
candidate made in the test, since few errors are what is hard.

    OMP_NUM_THREADS=1 python benchmarks/coverage_money.py --experiments 300
    OMP_NUM_THREADS=1 python benchmarks/coverage_money.py --experiments 300 --sure     no uncertain input

What it leaves out: other trainings of the encoders, a production that differs from the test rows by more than
the mix of classes, amounts outside the stated range, and curves that cross.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm
from turns import machine

from synsight.reports.decision_records import Estimate, Plan
from synsight.workflow.amounts import read_amount
from synsight.workflow.compare_curves import Curves, Point
from synsight.workflow.costs import Measured, draw_inputs, plans
from synsight.workflow.error_costs import ErrorCosts, confusions, drawn_prices

CLASSES = ("ok", "crack", "dent")
SHOTS = (1, 2, 5, 10, 20, 50)
OURS = (5, 10, 20)
IN_USE = 10
"""Labels a class: of the baseline, of the candidate, and those that the decision is about."""
FACTOR = 2
"""Times the labels that the baseline needs."""
MIX = {"ok": 0.95, "crack": 0.01, "dent": 0.04}
RESAMPLES = 400
HOURLY, ENGINEER_HOURS, HORIZON = 40.0, 16.0, 12.0
RANGES = {"label_minutes": "0.3..0.8", "images_per_year": "150000..250000"}
PRICES = {("crack", "*"): "50..200", ("dent", "*"): "5..20", ("ok", "*"): "1..2"}
FIGURES = ("labels saved", "labelling", "net, fewer labels", "errors a year", "net, fewer errors", "payback")


@dataclass(frozen=True)
class Setting:
    """One kind of evaluation."""

    groups: int
    size: int
    """Rows of a group."""
    draws: int
    ceiling: float
    """Accuracy with labels without end."""
    luck: float = 0.15
    """Deviation between draws of labels, on the probit scale."""


SETTINGS = (
    Setting(50, 1, 5, 0.9),
    Setting(100, 3, 3, 0.9),
    Setting(400, 1, 10, 0.9),
    Setting(100, 1, 5, 0.98),
    Setting(200, 3, 5, 0.98),
    Setting(1000, 1, 5, 0.98),
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--experiments", type=int, default=300, help="in each setting")
    parser.add_argument("--settings", type=int, nargs="+", default=range(len(SETTINGS)), help="by number")
    parser.add_argument("--sure", action="store_true", help="give every amount as one number")
    asked = parser.parse_args()
    print(machine("synsight", "numpy", "scipy", threads=1))
    print("| groups | rows each | draws | ceiling | errors in the test | " + " | ".join(FIGURES) + " |")
    print("|--:|--:|--:|--:|--:|" + "--:|" * len(FIGURES))
    for number in asked.settings:
        setting = SETTINGS[number]
        held, errors = [], []
        for experiment in range(asked.experiments):
            found = experiment_of(setting, seed=experiment, sure=asked.sure)
            held.append(found.held)
            errors.append(found.errors)
        cells = " | ".join(f"{100 * one:.1f}" for one in np.mean(held, axis=0))
        head = f"{setting.groups} | {setting.size} | {setting.draws} | {setting.ceiling}"
        print(f"| {head} | {np.median(errors):.0f} | {cells} |", flush=True)


@dataclass(frozen=True)
class Found:
    """One experiment."""

    held: list[bool]
    """Of `FIGURES`, whether the interval holds the truth."""
    figures: Sequence[Estimate]
    """Of `FIGURES`, what the page says."""
    errors: float
    """Of the candidate at the labels in use, the mean over draws."""


def experiment_of(setting: Setting, *, seed: int, sure: bool = False) -> Found:
    """Simulate the answers, ask the code of the verb, and compare with the truth."""
    rng = np.random.default_rng([seed, setting.groups, setting.draws])
    curves = simulated(setting, rng, seed=seed)
    asked, true = inputs(rng, sure=sure)
    saving, drawn = next(one for one in curves.savings("ours", "theirs", in_use=IN_USE) if one[0].in_use)
    labels = len(CLASSES) * np.array(SHOTS)
    measured = Measured(
        labels=saving.labels,
        against_labels=drawn,
        least_labels=int(labels[0]),
        most_labels=int(labels[-1]),
    )
    points = [curves.point(name, IN_USE) for name in ("theirs", "ours")]
    assert points[0] is not None and points[1] is not None
    costs = ErrorCosts({key: read_amount(asked[key], name="cost") for key in PRICES}, "made up")
    made = confusions(curves, *points, costs=costs, mix=MIX)
    amounts = {name: read_amount(asked[name], name=name) for name in RANGES}
    amounts |= {"hourly_rate": read_amount(HOURLY, name=""), "engineer_hours": read_amount(16, name="")}
    prices = drawn_prices(costs, made.pairs, resamples=RESAMPLES)
    both = Measured(**vars(measured) | {"baseline_rates": made.baseline, "candidate_rates": made.candidate})
    fewer_labels, fewer_errors = plans(
        both,
        draw_inputs(amounts, resamples=RESAMPLES, prices=prices),
        horizon_months=HORIZON,
        resamples=RESAMPLES,
    )
    figures = (
        saving.against_labels,
        saved(fewer_labels, "labelling"),
        fewer_labels.net,
        saved(fewer_errors, "errors"),
        fewer_errors.net,
        fewer_errors.payback_months,
    )
    truths = truth(setting, true)
    held = [holds(one, number) for one, number in zip(figures, truths, strict=True)]
    return Found(held, figures, float((~points[1].hits).sum(axis=1).mean()))


def inputs(rng: np.random.Generator, *, sure: bool) -> tuple[dict, dict]:
    """What the user gives, and what is true."""
    asked, true = {}, {}
    for name, text in {**RANGES, **PRICES}.items():
        low, high = map(float, text.split(".."))
        true[name] = (low + high) / 2 if sure else rng.uniform(low, high)
        asked[name] = str(true[name]) if sure else text
    return asked, true


def truth(setting: Setting, true: dict) -> Sequence[float]:
    """Of `FIGURES`."""
    ours = len(CLASSES) * IN_USE
    labelling = (FACTOR - 1) * ours * true["label_minutes"] * HOURLY / 60
    gain = accuracy(setting, FACTOR * ours) - accuracy(setting, ours)
    price = sum(share * true[name, "*"] for name, share in MIX.items())
    errors = gain * price * true["images_per_year"]
    invested = ENGINEER_HOURS * HOURLY
    return (
        FACTOR * ours,
        labelling,
        labelling - invested,
        errors,
        errors * HORIZON / 12 - invested,
        invested / (errors / 12),
    )


def simulated(setting: Setting, rng: np.random.Generator, *, seed: int) -> Curves:
    """Answers of two models; rows of a group, and both models, find the same things hard."""
    rows = setting.groups * setting.size
    groups = np.repeat(np.arange(setting.groups), setting.size)
    truths = np.array(CLASSES, dtype=object)[rng.integers(len(CLASSES), size=setting.groups)][groups]
    hard = np.sqrt(0.4) * rng.normal(size=setting.groups)[groups] + np.sqrt(0.3) * rng.normal(size=rows)
    luck = setting.luck * rng.normal(size=(len(SHOTS), setting.draws, 1))  # shared: the same labels
    points: dict[str, list[Point]] = {"theirs": [], "ours": []}
    places = np.array([CLASSES.index(one) for one in truths])
    for model, factor in (("theirs", 1), ("ours", FACTOR)):
        for number, shot in enumerate(SHOTS):
            if model == "ours" and shot not in OURS:
                continue
            labels = len(CLASSES) * shot
            own = np.sqrt(0.3) * rng.normal(size=(setting.draws, rows))
            level = norm.ppf(1 - accuracy(setting, factor * labels)) * np.sqrt(1 + setting.luck**2)
            hits = hard + own + luck[number] > level
            others = (places + rng.integers(1, len(CLASSES), size=hits.shape)) % len(CLASSES)
            predicted = np.array(CLASSES, dtype=object)[np.where(hits, places, others)]
            seeds = tuple(range(setting.draws))
            points[model].append(Point("fewshot", shot, labels, seeds, hits, predicted))
    ids = np.array([f"row{number:05}" for number in range(rows)], dtype=object)
    return Curves(ids, truths, groups, points, "acc1", RESAMPLES)


def accuracy(setting: Setting, labels: float) -> float:
    """With so many labels of the baseline, mean over all draws and rows."""
    return float(setting.ceiling / (1 + np.exp(1.0 - 0.9 * np.log(labels))))


def saved(plan: Plan, key: str) -> Estimate:
    return next(one.saving for one in plan.lines if one.key == key)


def holds(found: Estimate, number: float) -> bool:
    """Whether the interval holds it; an open end holds all beyond it."""
    low = -np.inf if found.low is None or found.low_sign == "<" else found.low
    low = np.inf if found.low_sign == "never" else low
    high = np.inf if found.high is None or found.high_sign in (">", "never") else found.high
    return bool(low <= number <= high)


if __name__ == "__main__":
    main()
