"""What a page and a terminal say of drift; the words stand in `wording/drift_LOCALE.json`."""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources

from synsight.reports.drift_records import AccuracyEstimate, Advice, DriftSummary, Moved, SampleFacts
from synsight.reports.locales import MINUS, Locale, locale_of
from synsight.reports.text import shortened

SOME_LABELS = 250
"""Asked for where nobody knows how many it takes."""
IN_A_LINE = 6
"""Words in a sentence; the figure shows more."""


@dataclass(frozen=True)
class DriftWords:
    """The sentences of one language."""

    locale: Locale

    @staticmethod
    def of(name: str) -> "DriftWords":
        """In `en` or `ja`.

        Raises:
            UsageError: There is no such locale.
        """
        locale_of(name)
        return DriftWords(_locale(name))

    def say(self, key: str, **values: object) -> str:
        """The sentence of a key, filled."""
        return self.locale.say(key, **values)

    def headline(self, summary: DriftSummary) -> str:
        """Verdict and what it means, on one line."""
        colon = "：" if self.locale.name == "ja" else ": "
        verdict = self.say(f"verdict.{summary.verdict}")
        return f"{verdict}{colon}{self.say(f'headline.{summary.verdict}')}"

    def lead(self, summary: DriftSummary) -> list[str]:
        """How sure, how large, how many."""
        least = 1 / (summary.settings.get("exchanges", 999) + 1)
        p = share(summary.p_value)
        return [
            self.say(
                "p",
                p=self.say("p.at_most", p=p) if summary.p_value <= 1.01 * least else p,
                alpha=share(summary.alpha),
            ),
            self.say("auc", auc=f"{100 * summary.auc:.0f}"),
            self.say(
                "novel",
                share=share(summary.novel),
                low=share(summary.novel_low),
                high=share(summary.novel_high),
            ),
        ]

    def words_line(self, summary: DriftSummary) -> str:
        """As "In words: rust +0.12 [0.08, 0.16], steel −0.08 [...]."; "" where none moved."""
        if not summary.words:
            return ""
        told = self.locale.words["comma"].join(self.moved(one) for one in summary.words[:IN_A_LINE])
        if len(summary.words) > IN_A_LINE:
            told += self.say("words.more", n=len(summary.words) - IN_A_LINE)
        return self.say("words.line", words=told)

    def moved(self, one: Moved) -> str:
        """As "rust +0.12 [0.08, 0.16]"."""
        return f"{shortened(one.name, most=40)} {change_text(one)}"

    def advice(self, summary: DriftSummary) -> list[str]:
        """What to do, most urgent first."""
        return [self._advice(one) for one in summary.advice]

    def facts(self, summary: DriftSummary) -> Iterator[tuple[str, str]]:
        """The numbers of a terminal."""
        images = f"{summary.reference.looked_at:,} / {summary.current.looked_at:,}"
        yield self.say("fact.images"), images
        yield self.say("fact.p"), f"{summary.p_value:.3f}"
        yield self.say("fact.auc"), f"{summary.auc:.2f}"
        yield self.say("fact.novel"), self.interval(summary.novel, summary.novel_low, summary.novel_high)
        if summary.accuracy is not None:
            yield self.say("fact.accuracy"), self.estimate(summary.accuracy)
        if summary.labels is not None:
            moved = [shortened(one.name, most=40) for one in summary.labels.classes if one.moved]
            if moved:
                yield self.say("fact.classes"), self.locale.listed(moved)

    def interval(self, value: float, low: float, high: float) -> str:
        """As "12% (10% to 14%)"."""
        between = self.say("interval", low=share(low), high=share(high))
        return f"{share(value)}（{between}）" if self.locale.name == "ja" else f"{share(value)} ({between})"

    def estimate(self, told: AccuracyEstimate) -> str:
        """As "80% (75% to 85%)", or that there is none."""
        if told.value is None or told.low is None or told.high is None:
            return self.say("accuracy.withheld")
        return self.interval(told.value, told.low, told.high)

    def accuracy(self, told: AccuracyEstimate) -> list[str]:
        """How the estimate was made, if it was, and why not to rely on it."""
        doubts = [self.say(f"doubt.{one}") for one in told.doubts]
        if told.value is None:
            return ["", *doubts]
        return [self.say(f"accuracy.{told.method}", error=f"{100 * told.error:.1f}"), *doubts]

    def side(self, facts: SampleFacts) -> str:
        """Which rows were looked at."""
        where = self.say("made.where", where=shortened(facts.where, most=200)) if facts.where else ""
        return (
            self.say(
                "made.side",
                catalog=shortened(facts.catalog, most=60),
                version=facts.version,
                looked=f"{facts.looked_at:,}",
                rows=f"{facts.rows:,}",
                groups=f"{facts.groups:,}",
            )
            + where
        )

    def flag(self, name: str) -> str:
        """What a flag or a measure is called in a sentence: without its unit."""
        return re.split(r" \(|（", self.locale.named("flag", name))[0]

    def _advice(self, one: Advice) -> str:
        values, key = dict(one.values), f"advice.{one.kind}"
        if one.kind == "finer_groups":
            values["least"] = f"{values['least']:.2g}"
        elif one.kind == "check_camera":
            values["names"] = self.locale.listed(self.flag(name) for name in values["names"])
        elif one.kind == "roll_back":
            values = {name: share(value) for name, value in values.items()}
        elif one.kind == "collect":
            values["novel"] = share(values["novel"])
        elif one.kind == "relabel":
            images = values.get("images", math.inf)
            if (values["labels"] or SOME_LABELS) >= images:
                key, values["images"] = "advice.relabel_all", f"{images:,}"
            elif not values["labels"]:
                key, values["labels"] = "advice.relabel_some", SOME_LABELS
        elif one.kind == "readapt" and values["classes"]:
            key = "advice.readapt_classes"
            values["classes"] = self.locale.listed(shortened(name, most=40) for name in values["classes"][:5])
        return self.say(key, **values)


def share(value: float) -> str:
    """As "12%", "4.2%" or "0.1%"."""
    percent = 100 * value
    return f"{percent:.0f}%" if percent >= 9.95 or percent == round(percent) else f"{percent:.1f}%"


def change_text(one: Moved) -> str:
    """As "+0.12 [0.08, 0.16]", all with the digits of the difference."""
    digits = digits_of(one.difference)
    low, high = plain(one.low, digits=digits), plain(one.high, digits=digits)
    return f"{signed(one.difference, digits=digits)} [{low}, {high}]"


def signed(value: float, *, digits: int | None = None) -> str:
    """As "+0.12" or "−0.08", with as many digits as a small number needs."""
    return ("+" if value > 0 else "") + plain(value, digits=digits)


def plain(value: float, *, digits: int | None = None) -> str:
    """With two digits, three where the number is below 0.05, four below 0.005."""
    if digits is None:
        digits = digits_of(value)
    return f"{value:.{digits}f}".replace("-", MINUS)


def digits_of(value: float) -> int:
    """Digits behind the point that a number of this size needs."""
    return 2 if abs(value) >= 0.05 else 3 if abs(value) >= 0.005 else 4


@cache
def _locale(name: str) -> Locale:
    file = resources.files("synsight.reports").joinpath(f"wording/drift_{name}.json")
    return Locale(name, json.loads(file.read_text(encoding="utf-8")))
