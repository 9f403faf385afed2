"""The notes and reasons of the decision page, in the page's language."""

from collections.abc import Sequence
from typing import Any

from synsight.records import Result
from synsight.reports.decision_records import Case, Check, Decision, Difference, Estimate, Note, Saving
from synsight.reports.locales import (
    COUNT,
    FACTOR,
    LABELS,
    MINUS,
    PERIOD,
    POINTS,
    SMALL_SHARE,
    Kind,
    Locale,
    has_interval,
    payback_text,
    spoken_money,
)
from synsight.reports.text import sentence, shortened

NOTE_LENGTH = 600

TOPICS = {"gain": POINTS, "savings": FACTOR, "payback": PERIOD}
"""Clause of the rule -> what its numbers are."""


def note_text(note: Note, locale: Locale, checks: Sequence[Check] = ()) -> str:
    """A note in the page's language; in English, and where a language lacks it, as it was written.

    Args:
        note: What to say.
        locale: In which language.
        checks: Of the verdict it belongs to; they know which numbers lie beyond what was measured.
    """
    template = locale.words.get(f"note.{note.key}")
    if template is None:
        return sentence(shortened(note.text, most=NOTE_LENGTH))
    topic = topic_of(note)
    kind = TOPICS.get(topic, POINTS)
    values = {name: _note_value(name, value, kind, locale) for name, value in note.values.items()}
    for one in checks:
        if one.key == topic and has_interval(one.measured) and "low" in values:
            values["low"], values["high"] = locale.ends(one.measured, kind)
            values["value"] = locale.value(one.measured, kind)
    try:
        return template.format(**values)
    except (KeyError, IndexError):  # an older decision.json says less
        return sentence(shortened(note.text, most=NOTE_LENGTH))


def _note_value(name: str, value: Any, kind: Kind, locale: Locale) -> str:
    if value is None:
        return locale.words[PERIOD.never if kind is PERIOD else "unknown"]
    if isinstance(value, list | tuple):
        return locale.listed([locale.name_of(str(one)) for one in value])
    if isinstance(value, int | float):
        kinds = {"value": kind, "low": kind, "high": kind, "most": PERIOD, "most_rate": SMALL_SHARE}
        return kinds.get(name, COUNT).whole(value, locale.name)
    text = locale.name_of(str(value))
    return locale.named("unpaired", text) if name == "reason" else text


def reasons(decision: Decision, locale: Locale) -> list[str]:
    """The three most important: what decided first, then accuracy, labels, money."""
    case = decision.case
    verdict = case.verdict
    said = [note_text(one, locale, verdict.checks) for one in (*verdict.reasons, *verdict.conditions)]
    covered = {topic_of(one) for one in (*verdict.reasons, *verdict.conditions)}
    topics = {
        "gain": gain_reason(decision, case, locale),
        "savings": saving_reason(case, locale),
        "payback": payback_reason(decision, case, locale),
    }
    said += [text for topic, text in topics.items() if text and topic not in covered]
    return said[:3]


def topic_of(note: Note) -> str:
    """Which clause of the rule a note is about; "" where it is none of the three."""
    if note.key in {"gain_not_sure", "worse", "no_gain"}:
        return "gain"
    if note.key == "errors_not_priced":
        return "payback"
    first = note.key.split("_", 1)[0]
    return first if first in TOPICS else ""


def gain_reason(decision: Decision, case: Case, locale: Locale) -> str:
    """The paired difference with the labels in use; "" where there is none."""
    one = case.difference
    if one is None:
        return ""
    said = locale.say(
        f"reason.gain.{one.found}",
        metric=locale.named("metric", decision.metric),
        value=locale.value(one.difference, POINTS),
        size=locale.value(one.difference, POINTS).lstrip(f"+{MINUS}"),
        on=judged_on(one, locale),
        interval=locale.interval(one.difference, POINTS),
    )
    if not only_corrected(one):
        return said
    return said + ("" if locale.name == "ja" else " ") + locale.words["reason.corrected"]


def only_corrected(one: Difference) -> bool:
    """Whether the interval leaves zero out and yet no difference may be called found."""
    low, high = one.difference.low, one.difference.high
    return one.found == "none" and ((low is not None and low > 0) or (high is not None and high < 0))


def judged_on(one: Difference, locale: Locale) -> str:
    """As "on the same 1,130 test images"."""
    return locale.say("on.paired" if one.paired else "on.unpaired", n=f"{one.n_test:,}")


def saving_reason(case: Case, locale: Locale) -> str:
    """The label savings with the labels in use."""
    one = case.saving
    if one is None or unknown(one.against_labels):
        return locale.words["reason.saving_none"]
    key = "reason.saving_worse" if costs_labels(one) else "reason.saving"
    return locale.say(key, labels=COUNT.bare(one.labels), against=locale.estimate(one.against_labels, LABELS))


def costs_labels(one: Saving) -> bool:
    """Whether the candidate needs more labels, with the whole interval."""
    high = one.factor.high
    return high is not None and high < 1 and one.factor.high_sign != ">" and has_interval(one.factor)


def payback_reason(decision: Decision, case: Case, locale: Locale) -> str:
    """The payback and the net gain of the plan that the rule looks at."""
    plan = case.plan
    if plan is None or unknown(plan.payback_months):
        return locale.words["reason.no_payback"]
    said = locale.say("reason.payback", payback=payback_text(locale, plan.payback_months))
    if unknown(plan.net):
        return said
    net = locale.estimate(plan.net, spoken_money(decision.currency, locale))
    space = "" if locale.name == "ja" else " "
    return said + space + locale.say("reason.net", horizon=horizon(decision, locale), net=net)


def unknown(one: Estimate) -> bool:
    """Whether nothing is known."""
    return one.value is None and one.value_sign != "never"


def horizon(decision: Decision, locale: Locale) -> str:
    """As "24 months"."""
    return PERIOD.whole(decision.horizon_months, locale.name)


def input_name(key: str, locale: Locale) -> str:
    """What an input of the calculation is called."""
    for family in ("driver", "input"):
        if f"{family}.{key}" in locale.words:
            return locale.words[f"{family}.{key}"]
    return shortened(key.replace("_", " "), most=60)


def result_in_use(decision: Decision, model: str) -> Result | None:
    """What a model reached with the labels that the decision is about."""
    task = next((one.task for one in decision.differences if one.model == model and one.deciding), None)
    own = [
        one
        for one in decision.results
        if (one.model, one.metric, one.n_labels) == (model, decision.metric, decision.labels_in_use)
    ]
    return next((one for one in own if one.task == task), own[0] if own else None)
