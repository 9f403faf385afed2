from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synsight.reports.decision_records import Difference, Estimate, Plan, Rule, Saving
from synsight.workflow.decision_rule import Leak, decide

ORDER = ("do_not_adopt", "adopt_with_conditions", "adopt")


def difference(value, low, high, *, p_holm=0.001, paired=True, groups=100):
    return Difference(
        model="ours",
        against="theirs",
        task="fewshot",
        against_task="fewshot",
        metric="acc1",
        n_labels=10,
        difference=Estimate(value=value, low=low, high=high),
        paired=paired,
        test_groups=groups,
        p_holm=p_holm,
        deciding=True,
    )


def saving(value, low, high, *, sign="=", low_sign="="):
    factor = Estimate(value=value, low=low, high=high, value_sign=sign, low_sign=low_sign)
    nothing = Estimate(value=None)
    return Saving(
        model="ours",
        against="theirs",
        labels=80,
        labels_per_class=10,
        accuracy=nothing,
        against_labels=nothing,
        against_labels_per_class=nothing,
        factor=factor,
        in_use=True,
    )


def plan(value, low, high):
    def sign(number):
        return "never" if number is None else "="

    months = Estimate(
        value=value, low=low, high=high, value_sign=sign(value), low_sign=sign(low), high_sign=sign(high)
    )
    nothing = Estimate(value=0)
    return Plan(
        kind="same_labels", lines=(), once=nothing, per_month=nothing, payback_months=months, net=nothing
    )


SURE = difference(0.05, 0.02, 0.08)
LIKELY = difference(0.05, -0.01, 0.11, p_holm=0.2)
WORSE = difference(-0.05, -0.08, -0.02)
PAYS = plan(4, 2, 9)
NEVER = plan(None, 30, None)


def verdict(rule=None, *, gain=SURE, saved=None, pays=PAYS, priced=True, leaks=()):
    return decide(rule or Rule(), difference=gain, saving=saved, plan=pays, errors_priced=priced, leaks=leaks)


@pytest.mark.parametrize(
    ("given_", "kind", "keys"),
    [
        ({}, "adopt", []),
        ({"gain": LIKELY}, "adopt_with_conditions", ["gain_not_sure"]),
        ({"gain": LIKELY, "saved": saving(3, 1.5, 5)}, "adopt", []),
        (
            {"gain": LIKELY, "saved": saving(3, 0.8, 5)},
            "adopt_with_conditions",
            ["gain_not_sure", "savings_not_sure"],
        ),
        ({"gain": WORSE}, "do_not_adopt", ["worse"]),
        ({"gain": WORSE, "saved": saving(3, 1.5, 5)}, "do_not_adopt", ["worse"]),
        ({"gain": difference(0.0, -0.03, 0.03, p_holm=1)}, "do_not_adopt", ["no_gain"]),
        ({"gain": None}, "do_not_adopt", ["nothing_compared"]),
        ({"pays": plan(4, 2, 12)}, "adopt", []),
        ({"pays": plan(4, 2, 12.1)}, "adopt_with_conditions", ["payback_not_sure"]),
        ({"pays": plan(4, 2, None)}, "adopt_with_conditions", ["payback_not_sure"]),
        ({"pays": plan(12.1, 2, 20)}, "do_not_adopt", ["payback_too_long"]),
        ({"pays": NEVER}, "do_not_adopt", ["payback_never"]),
        ({"pays": NEVER, "priced": False}, "adopt_with_conditions", ["errors_not_priced"]),
        ({"pays": None, "priced": False}, "adopt_with_conditions", ["payback_unknown"]),
        ({"gain": replace(SURE, paired=False)}, "adopt_with_conditions", ["not_paired"]),
        ({"gain": replace(SURE, test_groups=29)}, "adopt_with_conditions", ["few_test_groups"]),
        ({"gain": replace(SURE, test_groups=30)}, "adopt", []),
        ({"leaks": [Leak(key="seen_rows", model="ours", rows=3)]}, "adopt_with_conditions", ["seen_rows"]),
        ({"gain": replace(SURE, p_holm=0.05)}, "adopt_with_conditions", ["gain_not_sure"]),
        ({"gain": replace(SURE, p_holm=0.049)}, "adopt", []),
        ({"gain": replace(SURE, p_holm=None)}, "adopt_with_conditions", ["gain_not_sure"]),
        ({"gain": difference(0.05, 0.0, 0.1)}, "adopt_with_conditions", ["gain_not_sure"]),
        ({"rule": Rule(least_gain=0.02)}, "adopt_with_conditions", ["gain_not_sure"]),
        ({"rule": Rule(least_gain=0.019)}, "adopt", []),
        ({"rule": Rule(least_gain=0.05)}, "do_not_adopt", ["no_gain"]),
        ({"rule": Rule(most_payback_months=8)}, "adopt_with_conditions", ["payback_not_sure"]),
    ],
)
def test_the_rule_says(given_, kind, keys):
    found = verdict(**given_)
    assert (found.kind, [one.key for one in (*found.conditions, *found.reasons)]) == (kind, keys)


@pytest.mark.parametrize(
    ("number", "sign", "holds"),
    [(1, "=", False), (1.01, "=", True), (1, ">", True), (0.9, ">", False), (2, "<", False)],
)
def test_more_than_one_is_above_one_and_fewer_than_two_is_not_known_to_be(number, sign, holds):
    found = verdict(gain=LIKELY, saved=saving(5, number, 9, low_sign=sign))
    assert (found.kind == "adopt") is holds


def test_every_clause_is_shown_with_its_measure():
    found = verdict(saved=saving(3, 1.5, 5))
    shown = {one.key: (one.measured.value, one.threshold, one.holds) for one in found.checks}
    assert shown == {
        "gain": (0.05, 0.0, True),
        "savings": (3, 1.0, True),
        "payback": (4, 12.0, True),
        "paired": (1.0, 1, True),
        "test_groups": (100, 30, True),
        "leaks": (0, 0, True),
    }


ends = st.tuples(*[st.floats(-0.3, 0.3)] * 3).map(sorted)
months = st.tuples(*[st.floats(0, 30) | st.none()] * 3).map(
    lambda some: sorted(some, key=lambda one: float("inf") if one is None else one)
)


@given(
    ends=ends,
    p_holm=st.floats(0, 1),
    groups=st.integers(1, 60),
    paired=st.booleans(),
    factor=st.tuples(*[st.floats(0.1, 5)] * 3).map(sorted) | st.none(),
    back=months,
    priced=st.booleans(),
    seen=st.integers(0, 2),
    more=st.tuples(st.floats(0, 0.2), st.floats(0, 1), st.integers(0, 40), st.floats(0, 3), st.floats(0, 20)),
)
def test_better_numbers_never_make_the_verdict_worse(
    ends, p_holm, groups, paired, factor, back, priced, seen, more
):
    gain, surer, groups_more, factor_more, sooner = more
    low, value, high = ends

    def told(shift, p, groups, paired, grown, earlier, seen):
        saved = None if factor is None else saving(factor[1] + grown, factor[0] + grown, factor[2] + grown)
        first, middle, last = (None if one is None else max(0.0, one - earlier) for one in back)
        return ORDER.index(
            verdict(
                gain=difference(
                    value + shift, low + shift, high + shift, p_holm=p, paired=paired, groups=groups
                ),
                saved=saved,
                pays=plan(middle, first, last),
                priced=priced,
                leaks=[Leak(key="seen_rows", model="ours", rows=seen)] if seen else [],
            ).kind
        )

    before = told(0, p_holm, groups, paired, 0, 0, seen)
    assert told(gain, p_holm, groups, paired, 0, 0, seen) >= before
    assert told(0, p_holm * (1 - surer), groups, paired, 0, 0, seen) >= before
    assert told(0, p_holm, groups + groups_more, paired, 0, 0, seen) >= before
    assert told(0, p_holm, groups, True, 0, 0, seen) >= before
    assert told(0, p_holm, groups, paired, factor_more, 0, seen) >= before
    assert told(0, p_holm, groups, paired, 0, sooner, seen) >= before
    assert told(0, p_holm, groups, paired, 0, 0, 0) >= before
    assert told(gain, p_holm * (1 - surer), groups + groups_more, True, factor_more, sooner, 0) >= before
