"""Sentences for the meeting, filled with the measured numbers.

Each says how sure it is; a negative result has its sentence too.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from synsight.reports.decision_notes import (
    costs_labels,
    horizon,
    input_name,
    judged_on,
    note_text,
    only_corrected,
    result_in_use,
    unknown,
)
from synsight.reports.decision_records import Case, Decision, Estimate, Plan, Saving
from synsight.reports.locales import (
    COUNT,
    FACTOR,
    LABELS,
    MINUS,
    PERIOD,
    POINTS,
    SHARE,
    THRESHOLD,
    Kind,
    Locale,
    payback_text,
    spoken_money,
)


def meeting(decision: Decision, locale: Locale) -> list[str]:
    """About ten sentences to say in the meeting, in the order in which they are needed."""
    return list(_Speech(decision, locale).sentences())


@dataclass(frozen=True)
class _Speech:
    """The sentences about a decision's first case."""

    decision: Decision
    locale: Locale

    @property
    def case(self) -> Case:
        return self.decision.case

    @property
    def names(self) -> dict[str, str]:
        return {
            "candidate": self.locale.name_of(self.case.model),
            "baseline": self.locale.name_of(self.case.against),
        }

    @property
    def money(self) -> Kind:
        return spoken_money(self.decision.currency, self.locale)

    def sentences(self) -> Iterator[str]:
        yield self._verdict()
        yield from self._gain()
        yield from self._saving()
        yield from self._labelling()
        if self.case.plan is not None:
            yield from self._money(self.case.plan)
            yield from self._driver(self.case.plan)
        yield self._errors()
        yield from self._left_out()
        yield from self._test()
        yield from self._outlook()

    def say(self, key: str, **values: object) -> str:
        return self.locale.say(f"said.{key}", **{**self.names, **values})

    def _verdict(self) -> str:
        kind, open_points = self.case.verdict.kind, len(self.case.verdict.conditions)
        one = "_one" if kind == "adopt_with_conditions" and open_points == 1 else ""
        return self.say(f"verdict.{kind}{one}", n=open_points)

    def _gain(self) -> Iterator[str]:
        one = self.case.difference
        if one is None:
            return
        value = self.locale.value(one.difference, POINTS)
        if one.found != "none":  # the sentence says which way
            value = value.lstrip(f"+{MINUS}")
        low, high = self.locale.ends(one.difference, POINTS)
        yield self.say(
            f"gain.{one.found}",
            question=self.locale.question(self.decision.labels_in_use),
            metric=self.locale.named("metric", one.metric),
            on=judged_on(one, self.locale),
            value=value,
            low=low,
            high=high,
        )
        if only_corrected(one):
            yield self.say("corrected")
        if not one.paired:
            yield self.say("unpaired")

    def _saving(self) -> Iterator[str]:
        one = self.case.saving
        if one is None or unknown(one.against_labels):
            yield self.say("saving.unknown")
            return
        key = saving_key(one)
        yield self.say(
            f"saving.{key}",
            labels=COUNT.bare(one.labels),
            against=self.locale.estimate(one.against_labels, LABELS),
        )
        if key != "worse" and one.against_labels.value_sign in {">", "never"}:
            yield self.say("saving.beyond")

    def _labelling(self) -> Iterator[str]:
        plan = next((one for one in self.case.plans if one.kind == "same_accuracy"), None)
        line = next((one for one in plan.lines if one.key == "labelling"), None) if plan else None
        if line is None or not line.saving.value:
            return
        saved = line.saving
        if saved.value is not None and saved.value < 0:
            saved = negated(saved)
        yield self.say(
            "labelling" if saved is line.saving else "labelling_more",
            value=self.locale.value(saved, self.money),
            interval=self.locale.interval(saved, self.money),
        )

    def _money(self, plan: Plan) -> Iterator[str]:
        once, month, payback = plan.once, plan.per_month, plan.payback_months
        if once.value is None or month.value is None or unknown(payback):
            return
        if payback.value_sign == "never":
            key = "invest_never" if once.value < 0 else "loses"
        else:
            key = "free" if once.value >= 0 else "invest"
        outlay = {"invest", "invest_never"}
        yield self.say(
            key,
            once=self.locale.estimate(negated(once) if key in outlay else once, self.money),
            month=self.locale.estimate(negated(month) if key == "loses" else month, self.money),
            payback=payback_text(self.locale, payback),
        )
        if key in {"invest", "free"} and payback.high_sign == "never":
            yield self.say("payback_may_never")
        net = plan.net
        if net.value is None:
            return
        key = "net_loss" if net.value < 0 else "net_open" if (net.low or 0.0) < 0 else "net"
        yield self.say(
            key, horizon=horizon(self.decision, self.locale), net=self.locale.estimate(net, self.money)
        )

    def _driver(self, plan: Plan) -> Iterator[str]:
        if plan.drivers:
            most = plan.drivers[0]
            yield self.say(
                "driver",
                driver=input_name(most.key, self.locale),
                low=self.money.bare(most.low),
                high=self.money.bare(most.high),
            )

    def _errors(self) -> str:
        if not self.case.error_pairs:
            return self.say("no_errors")
        worst = self.case.error_pairs[0]
        return self.say(
            "errors",
            truth=self.locale.name_of(worst.truth),
            predicted=self.locale.name_of(worst.predicted),
            baseline_cost=self.locale.estimate(worst.baseline_per_year, self.money),
            candidate_cost=self.locale.estimate(worst.candidate_per_year, self.money),
        )

    def _left_out(self) -> Iterator[str]:
        what = [self.locale.named("left", one.key) for one in self.decision.left_out if one.flags]
        if what:
            yield self.say("left_out", what=self.locale.listed(dict.fromkeys(what)))

    def _test(self) -> Iterator[str]:
        reached = result_in_use(self.decision, self.case.model)
        if reached is None:
            return
        difference = self.case.difference
        groups = difference.test_groups if difference else None
        yield self.say(
            "test" if reached.baseline is not None else "test_plain",
            n=f"{reached.n_test:,}",
            groups=self.locale.say("measured.groups", groups=f"{groups:,}") if groups else "",
            chance=SHARE.bare(reached.baseline or 0.0),
            reached=SHARE.bare(reached.value),
        )

    def _outlook(self) -> Iterator[str]:
        verdict, rule = self.case.verdict, self.decision.rule
        space = "" if self.locale.name == "ja" else " "
        if verdict.conditions:
            what = space.join(note_text(one, self.locale, verdict.checks) for one in verdict.conditions)
            yield self.say("settle", what=what)
        if verdict.reasons:
            what = space.join(note_text(one, self.locale, verdict.checks) for one in verdict.reasons)
            yield self.say("against", what=what)
        if verdict.kind == "do_not_adopt":
            yield self.say(
                "again",
                gain=THRESHOLD.whole(rule.least_gain, self.locale.name),
                factor=FACTOR.whole(rule.least_factor, self.locale.name),
                payback=PERIOD.whole(rule.most_payback_months, self.locale.name),
            )


def saving_key(one: Saving) -> str:
    """Whether labels are saved with the whole interval, perhaps, or not."""
    if costs_labels(one):
        return "worse"
    low = one.factor.low
    sure = low is not None and low > 1 and one.factor.low_sign != "<"
    return "sure" if sure or one.factor.low_sign == "never" else "open"


def negated(one: Estimate) -> Estimate:
    """The number with the other sign, its ends exchanged."""
    turned: dict[str, Any] = {"=": "=", ">": "<", "<": ">", "never": "never"}
    return Estimate(
        value=None if one.value is None else -one.value,
        low=None if one.high is None else -one.high,
        high=None if one.low is None else -one.low,
        value_sign=turned[one.value_sign],
        low_sign=turned[one.high_sign],
        high_sign=turned[one.low_sign],
    )
