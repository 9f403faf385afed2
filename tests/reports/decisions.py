"""Decisions as `compare` might reach them, with a place for hostile text in every field of foreign words."""

from dataclasses import replace

from synsight.records import Result
from synsight.reports.decision_records import (
    Assumption,
    Case,
    Check,
    ComparedModel,
    CostLine,
    CurvePoint,
    Decision,
    Difference,
    Driver,
    EqualLabels,
    ErrorPair,
    Estimate,
    LeftOut,
    Note,
    Plan,
    Rule,
    Saving,
    Source,
    Verdict,
)

OURS, THEIRS = "CatLIP, 9 epochs on line 3", "EfficientNet-Lite0"
CLASSES = 6
LABELS = (1, 2, 5, 10, 20, 50)
CURVES = {
    OURS: (0.412, 0.498, 0.597, 0.668, 0.722, 0.781),
    THEIRS: (0.301, 0.372, 0.455, 0.531, 0.612, 0.704),
}


def around(value, half, **signs):
    return Estimate(value=value, low=value - half, high=value + half, **signs)


def between(value, low, high, **signs):
    return Estimate(value=value, low=low, high=high, **signs)


def results(shift=0.0, text=""):
    found = []
    for model, values in CURVES.items():
        moved = shift if model == OURS else 0.0
        for n_labels, value in zip(LABELS, values, strict=True):
            found.append(_result(text + model, "fewshot", n_labels, value + moved, text))
        found.append(_result(text + model, "linear", None, values[-1] + moved + 0.03, text))
        found.append(_result(text + model, "knn", None, values[-1] + moved - 0.02, text))
    return found


def _result(model, task, n_labels, value, text):
    return Result(
        model=model,
        dataset=text + "line 3, housings",
        task=task,
        metric="acc1",
        value=value,
        ci_low=value - 0.03,
        ci_high=value + 0.03,
        n_labels=n_labels,
        n_test=1130,
        baseline=0.206,
        seconds=2.5,
        details={text + "draws": 10 if n_labels else 1},
    )


def differences(shift=0.0, text="", found="better", paired=True):
    rows = [*(("fewshot", n_labels) for n_labels in LABELS), ("linear", None), ("knn", None)]
    said = []
    for place, (task, n_labels) in enumerate(rows):
        ours, theirs = (CURVES[name][min(place, 5)] for name in (OURS, THEIRS))
        said.append(
            Difference(
                model=text + OURS,
                against=text + THEIRS,
                task=task,
                against_task="supervised" if task == "linear" else task,
                metric="acc1",
                n_labels=n_labels,
                difference=around(ours - theirs + shift, 0.031),
                paired=paired,
                n_test=1130,
                test_groups=212,
                p_value=0.0004 if found == "better" else 0.31,
                p_holm=0.0032 if found == "better" else 1.0,
                found=found,
                deciding=n_labels == 10,
            )
        )
    return said


def curve(shift=0.0, text=""):
    return [
        CurvePoint(
            model=text + model,
            task="fewshot",
            labels=n_labels * CLASSES,
            labels_per_class=n_labels,
            all_labels=False,
            accuracy=around(value + (shift if model == OURS else 0), 0.045 - place * 0.004),
            fitted=value + (shift if model == OURS else 0),
            draws=10,
            n_test=1130,
        )
        for model, values in CURVES.items()
        for place, (n_labels, value) in enumerate(zip(LABELS, values, strict=True))
    ]


def savings(text="", in_use=None, shift=0.0):
    in_use = in_use or between(198.0, 132.0, 286.0)
    rows = {
        12: between(52.0, 37.0, 71.0),
        30: between(112.0, 84.0, 150.0),
        60: in_use,
        120: between(300.0, 231.0, 300.0, value_sign=">", high_sign=">"),
    }
    found = []
    for labels, needed in rows.items():
        parts = [None if one is None else one / labels for one in (needed.value, needed.low, needed.high)]
        per_class = [
            None if one is None else one / CLASSES for one in (needed.value, needed.low, needed.high)
        ]
        signs = {
            "value_sign": needed.value_sign,
            "low_sign": needed.low_sign,
            "high_sign": needed.high_sign,
        }
        found.append(
            Saving(
                model=text + OURS,
                against=text + THEIRS,
                labels=labels,
                labels_per_class=labels / CLASSES,
                accuracy=around(CURVES[OURS][LABELS.index(labels // CLASSES)] + shift, 0.03),
                against_labels=needed,
                against_labels_per_class=Estimate(
                    value=per_class[0], low=per_class[1], high=per_class[2], **signs
                ),
                factor=Estimate(value=parts[0], low=parts[1], high=parts[2], **signs),
                in_use=labels == 60,
            )
        )
    return found


def equal_labels(shift=0.0, text=""):
    return [
        EqualLabels(
            model=text + OURS,
            against=text + THEIRS,
            labels=n_labels * CLASSES,
            labels_per_class=n_labels,
            accuracy=around(ours + shift, 0.03),
            against_accuracy=around(theirs, 0.03),
            difference=around(ours - theirs + shift, 0.031),
        )
        for n_labels, ours, theirs in zip(LABELS, CURVES[OURS], CURVES[THEIRS], strict=True)
    ]


def cost_lines(scale=1.0):
    def line(key, period, theirs, ours, unit, quantities):
        saving = theirs - ours
        return CostLine(
            key=key,
            period=period,
            baseline=around(theirs * scale, abs(theirs) * scale * 0.1),
            candidate=around(ours * scale, abs(ours) * scale * 0.1),
            saving=around(saving * scale, abs(saving) * scale * 0.25),
            quantity_unit=unit,
            baseline_quantity=around(quantities[0], quantities[0] * 0.1),
            candidate_quantity=around(quantities[1], quantities[1] * 0.1),
        )

    return [
        line("labelling", "once", 66.0, 20.0, "labels", (198, 60)),
        line("engineering", "once", 0.0, 960.0, "hours", (0, 24)),
        line("compute", "once", 0.0, 1.84, "hours", (0, 2.4)),
        line("downtime", "year", 0.0, 120.0, "minutes", (0, 40)),
        line("errors", "year", 25_430.0, 18_960.0, "images", (12_715, 9_480)),
    ]


def drivers(scale=1.0):
    return [
        Driver(key="measurement", low=4_120 * scale, high=17_300 * scale),
        Driver(key="images_per_year", low=6_900 * scale, high=14_100 * scale, input_text="800000..1200000"),
        Driver(key="error_costs", low=9_000 * scale, high=12_400 * scale, input_text="1.5..2.5"),
        Driver(key="engineer_hours", low=10_150 * scale, high=11_200 * scale, input_text="16..32"),
    ]


def plans(scale=1.0, **changed):
    deciding = Plan(
        kind="same_labels",
        lines=cost_lines(scale)[1:],
        once=around(-962 * scale, 210 * scale),
        per_month=around(529 * scale, 140 * scale),
        payback_months=between(1.8, 1.1, 3.2),
        net=around(11_730 * scale, 5_900 * scale),
        drivers=drivers(scale),
        deciding=True,
    )
    other = Plan(
        kind="same_accuracy",
        lines=cost_lines(scale)[:4],
        once=around(-916 * scale, 210 * scale),
        per_month=Estimate(value=-10 * scale, low=-12 * scale, high=-8 * scale),
        payback_months=Estimate(value=None, value_sign="never", low_sign="never", high_sign="never"),
        net=around(-1_156 * scale, 260 * scale),
    )
    return [replace(deciding, **changed), other]


def error_pairs(text="", scale=1.0):
    return [
        ErrorPair(
            truth=text + "scratch",
            predicted=text + "good",
            cost=between(40 * scale, 30 * scale, 50 * scale),
            baseline_rate=0.00052,
            candidate_rate=0.00031,
            baseline_per_year=around(20_800 * scale, 3_100 * scale),
            candidate_per_year=around(12_400 * scale, 2_600 * scale),
        ),
        ErrorPair(
            truth=text + "良品",
            predicted=text + "キズ",
            cost=between(0.5 * scale, 0.4 * scale, 0.6 * scale),
            baseline_rate=0.0113,
            candidate_rate=0.0131,
            baseline_per_year=around(5_650 * scale, 700 * scale),
            candidate_per_year=around(6_550 * scale, 720 * scale),
        ),
    ]


def check(key, measured, threshold, holds=True, holds_by_value=True):
    return Check(key=key, holds=holds, holds_by_value=holds_by_value, measured=measured, threshold=threshold)


def adopt(text="", scale=1.0, currency="EUR"):
    """Better, sure, cheap."""
    verdict = Verdict(
        kind="adopt",
        checks=[
            check("gain", around(0.137, 0.031), 0.0),
            check("savings", between(3.3, 2.2, 4.8), 1.0),
            check("payback", between(1.8, 1.1, 3.2), 12.0),
            check("paired", Estimate(value=1.0), 1.0),
            check("test_groups", Estimate(value=212.0), 30.0),
            check("leaks", Estimate(value=0.0), 0.0),
        ],
    )
    case = Case(
        model=text + OURS,
        against=text + THEIRS,
        verdict=verdict,
        difference=differences(text=text)[3],
        equal_labels=equal_labels(text=text),
        savings=savings(text),
        plans=plans(scale),
        error_pairs=error_pairs(text, scale),
    )
    return Decision(
        dataset=text + "line 3, housings",
        label=text + "defect",
        metric="acc1",
        labels_in_use=10,
        labels_in_use_total=60,
        baseline=text + THEIRS,
        baseline_reason="named",
        candidate=text + OURS,
        candidate_reason="only",
        currency=currency,
        horizon_months=24,
        sources=[
            Source(
                path=text + "ev_ours/",
                dataset=text + "line 3, housings",
                models=[text + OURS],
                label=text + "defect",
                catalog_version=7,
                classes=CLASSES,
                train_rows=3_799,
                test_rows=1_130,
                test_groups=212,
            ),
            Source(path=text + "b0.json", dataset=text + "line 3", models=[text + THEIRS], foreign=True),
        ],
        models=[
            ComparedModel(name=text + THEIRS, role="baseline", path=text + "b0.json", fitting_seconds=2.1),
            ComparedModel(
                name=text + OURS,
                role="candidate",
                path=text + "ev_ours/",
                training_seconds=8_640,
                fitting_seconds=2.4,
            ),
        ],
        cases=[case],
        rule=Rule(),
        results=results(text=text),
        differences=differences(text=text),
        curve=curve(text=text),
        curve_method=text + "monotone (isotonic) in the logarithm of labels",
        assumptions=assumptions(text),
        left_out=[LeftOut(key="energy", flags=["--watts", "--kwh-price"], text=text + "Electricity.")],
        notes=[Note(key="one_training_seed", text=text + "One training seed.", values={})],
        command=text + "synsight compare ev_ours/ b0.json --images-per-year 1e6",
        version="0.1.0",
    )


def assumptions(text=""):
    return [
        Assumption(
            key="label_minutes",
            text=text + "0.3..0.8",
            unit="minutes",
            origin="given",
            source=text + "as given",
            flag="--label-minutes",
            value=0.55,
            low=0.3,
            high=0.8,
        ),
        Assumption(
            key="hourly_rate",
            text=text + "40",
            unit="money/hour",
            origin="default",
            source=text + "a round figure",
            flag="--hourly-rate",
            value=40.0,
        ),
        Assumption(
            key="class_mix",
            text=text + "as in the test images",
            unit="",
            origin="measured",
            source=text + "counted",
        ),
    ]


def conditions(text="", scale=1.0, currency="EUR"):
    """Better by its value, unsure, few groups, savings beyond what was measured."""
    whole = adopt(text, scale, currency)
    own = around(0.021, 0.034)
    notes = [
        Note(
            key="gain_not_sure",
            text=text + "The gain is not sure: +2.1 points, 95% interval -1.3 to +5.5.",
            values={"value": 0.021, "low": -0.013, "high": 0.055},
        ),
        Note(
            key="few_test_groups",
            text=text + "There are 18 groups of test images; the rule wants 30.",
            values={"groups": 18, "least": 30},
        ),
    ]
    case = replace(
        whole.case,
        verdict=Verdict(
            kind="adopt_with_conditions",
            checks=[
                check("gain", own, 0.0, holds=False),
                check("savings", between(5.0, 0.8, 5.0, value_sign=">", high_sign=">"), 1.0, holds=False),
                check("payback", between(5.5, 1.9, 30.0), 12.0, holds=False),
                check("paired", Estimate(value=1.0), 1.0),
                check("test_groups", Estimate(value=18.0), 30.0, holds=False, holds_by_value=False),
                check("leaks", Estimate(value=0.0), 0.0),
            ],
            conditions=notes,
        ),
        difference=replace(
            differences(-0.116, text, "none")[3], difference=own, test_groups=18, p_value=0.21
        ),
        savings=savings(text, between(300.0, 48.0, 300.0, value_sign=">", high_sign=">"), -0.05),
        plans=plans(
            scale,
            payback_months=Estimate(value=5.5, low=1.9, high=None, high_sign="never"),
            net=around(2_310 * scale, 4_000 * scale),
        ),
    )
    return replace(
        whole,
        cases=[case],
        results=results(-0.116, text),
        differences=differences(-0.116, text, "none"),
        curve=curve(-0.05, text),
        candidate_reason="best",
    )


def do_not(text="", scale=1.0, currency="EUR"):
    """Worse, unpaired, no costs given, a copy of test images in training, long names."""
    long = "open-clip:ViT-B-32-quickgelu/laion400m_e32 finetuned on housings of line 3, camera 2, 2026-10"
    whole = adopt(text, scale, currency)
    worse = around(-0.043, 0.022)
    case = replace(
        whole.case,
        model=text + long,
        verdict=Verdict(
            kind="do_not_adopt",
            checks=[
                check("gain", worse, 0.0, holds=False, holds_by_value=False),
                check("savings", between(0.6, 0.4, 0.9), 1.0, holds=False, holds_by_value=False),
                check("payback", Estimate(value=None), 12.0, holds=False, holds_by_value=False),
                check("paired", Estimate(value=0.0), 1.0, holds=False, holds_by_value=False),
                check("leaks", Estimate(value=9.0), 0.0, holds=False, holds_by_value=False),
            ],
            reasons=[
                Note(
                    key="worse",
                    text=text + "It is worse: -4.3 points, 95% interval -6.5 to -2.1.",
                    values={"value": -0.043, "low": -0.065, "high": -0.021},
                ),
            ],
        ),
        difference=replace(
            differences(-0.18, text, "worse", paired=False)[3],
            model=text + long,
            difference=worse,
            test_groups=None,
        ),
        equal_labels=[replace(one, model=text + long) for one in equal_labels(-0.18, text)],
        savings=[
            replace(one, model=text + long, factor=between(0.6, 0.4, 0.9))
            for one in savings(text, between(36.0, 24.0, 54.0), -0.18)
            if one.labels <= 60
        ],
        plans=[],
        error_pairs=[],
    )
    renamed = {text + OURS: text + long}
    return replace(
        whole,
        candidate=text + long,
        cases=[case],
        models=[replace(one, name=renamed.get(one.name, one.name)) for one in whole.models],
        results=[replace(one, model=renamed.get(one.model, one.model)) for one in results(-0.18, text)],
        differences=[
            replace(one, model=text + long) for one in differences(-0.18, text, "worse", paired=False)
        ],
        curve=[replace(one, model=renamed.get(one.model, one.model)) for one in curve(-0.18, text)],
        left_out=[
            LeftOut(key=key, flags=[flag], text=text + f"{key}: not known.")
            for key, flag in (
                ("labelling", "--label-minutes"),
                ("compute", "--compute-price"),
                ("downtime", "--downtime-minutes"),
                ("errors", "--error-cost"),
            )
        ],
        notes=[
            Note(
                key="unpaired",
                text=text + "Compared unpaired: a foreign result file.",
                values={"models": [text + long, text + THEIRS], "reason": "foreign"},
            ),
            Note(
                key="near_copies",
                text=text + "9 test images have near copies in training.",
                values={"model": text + long, "rows": 9},
            ),
        ],
    )


def several(text="", scale=1.0, currency="EUR"):
    """Two candidates."""
    first, second = adopt(text, scale, currency), do_not(text, scale, currency)
    return replace(first, cases=[first.case, second.case], models=[*first.models, second.models[1]])


def nothing_in_common(text="", scale=1.0, currency="EUR"):
    """The models were asked different things: every number is missing."""
    whole = adopt(text, scale, currency)
    case = Case(
        model=text + OURS,
        against=text + THEIRS,
        verdict=Verdict(
            kind="do_not_adopt",
            checks=[check("gain", Estimate(value=None), 0.0, holds=False, holds_by_value=False)],
            reasons=[Note(key="nothing_compared", text=text + "Nothing was compared.", values={})],
        ),
        difference=None,
    )
    return replace(whole, cases=[case], results=[], differences=[], curve=[], assumptions=[], left_out=[])


ALL = (adopt, conditions, do_not, several, nothing_in_common)
