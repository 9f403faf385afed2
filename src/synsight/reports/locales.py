"""Numbers and words as a language writes them: English, and Japanese for a factory's meeting room.

The words stand in `wording/LOCALE.json`, one template a key; every locale has the same keys.
"""

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib import resources
from typing import Any

from synsight.errors import UsageError, near_names
from synsight.reports.decision_records import Estimate, Sign
from synsight.reports.text import shortened

LOCALES = ("en", "ja")

SYMBOLS = {"EUR": "€", "USD": "$", "GBP": "£", "JPY": "¥"}
"""Currency -> what stands before an amount; others stand with their code."""

MINUS = "\u2212"

NAME_LENGTH = 60
"""Most characters of a model's or class's name in a sentence or a table."""

Number = Callable[[float], str]


@dataclass(frozen=True)
class Kind:
    """How one kind of number is written."""

    bare: Number
    """The number alone."""
    units: Mapping[str, tuple[str, str]]
    """Locale -> templates around one number and around several, as "{} labels"."""
    never: str = "never"
    """Key of the words for a number that is never reached."""

    def whole(self, value: float, locale: str) -> str:
        """The number with its unit."""
        bare = self.bare(value)
        one, several = self.units.get(locale, ("{}", "{}"))
        return (one if bare == "1" else several).format(bare)


@dataclass(frozen=True)
class Locale:
    """A language with its way of writing numbers."""

    name: str
    words: Mapping[str, str]

    def say(self, key: str, **values: object) -> str:
        """The sentence of a key, filled; names are cut to `NAME_LENGTH` beforehand by `name_of`."""
        return self.words[key].format(**values)

    def named(self, family: str, key: str) -> str:
        """What a key of a family is called, as `named("task", "knn")`; else the key itself."""
        return self.words.get(f"{family}.{key}", key)

    def listed(self, parts: Iterable[str]) -> str:
        """As "a, b and c"."""
        *first, last = list(parts) or [""]
        return self.words["comma"].join(first) + (self.words["and"] if first else "") + last

    def name_of(self, text: str) -> str:
        """A foreign name on one line, not too long."""
        return shortened(text, most=NAME_LENGTH)

    def date(self, moment: str) -> str:
        """As "23 November 2026" or "2026年11月23日"; what is no ISO time as it stands."""
        try:
            day = datetime.fromisoformat(moment)
        except ValueError:
            return moment
        if self.name == "ja":
            return f"{day.year}年{day.month}月{day.day}日"
        return f"{day.day} {MONTHS[day.month - 1]} {day.year}"

    def question(self, n_labels: int | None) -> str:
        """What is learnt from: "10 labels a class"."""
        if n_labels is None:
            return self.words["question.all"]
        return self.words["question.one"] if n_labels == 1 else self.say("question.some", n=f"{n_labels:,}")

    def estimate(self, one: Estimate, kind: Kind) -> str:
        """As "310 labels (220 to 420)"; only the value where there is no interval."""
        value = self.value(one, kind)
        if not has_interval(one) or is_point(one):
            return value
        low, high = self.ends(one, kind)
        return f"{value}（{low}～{high}）" if self.name == "ja" else f"{value} ({low} to {high})"

    def value(self, one: Estimate, kind: Kind) -> str:
        """The number with its unit, without its interval."""
        return self._signed(one.value, one.value_sign, kind, kind.whole)

    def interval(self, one: Estimate, kind: Kind) -> str:
        """As "95% interval 220 to 420"."""
        if not has_interval(one):
            return self.words["no_interval"]
        low, high = self.ends(one, kind)
        return self.say("interval", low=low, high=high)

    def ends(self, one: Estimate, kind: Kind) -> tuple[str, str]:
        """Both ends; Japanese repeats the unit at the second."""

        def plain(value: float, _: str) -> str:
            return kind.bare(value)

        low = self._signed(one.low, one.low_sign, kind, plain)
        return low, self._signed(one.high, one.high_sign, kind, kind.whole if self.name == "ja" else plain)

    def _signed(self, value: float | None, sign: Sign, kind: Kind, form: Callable[[float, str], str]) -> str:
        if sign == "never":
            return self.words[kind.never]
        if value is None:
            return self.words["unknown"]
        text = form(value, self.name)
        if sign == "=":
            return text
        if self.name == "ja":
            return f"{text}超" if sign == ">" else f"{text}未満"
        return f"more than {text}" if sign == ">" else f"less than {text}"


MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


@cache
def locale_of(name: str) -> Locale:
    """The locale `en` or `ja`.

    Raises:
        UsageError: There is no such locale.
    """
    if name not in LOCALES:
        raise UsageError(f"no locale {name!r}; {near_names(name, LOCALES)}")
    file = resources.files("synsight.reports").joinpath(f"wording/{name}.json")
    words: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return Locale(name, words)


def has_interval(one: Estimate) -> bool:
    """Whether both ends are known, or known to lie beyond what was measured."""
    return all(
        value is not None or sign == "never"
        for value, sign in ((one.low, one.low_sign), (one.high, one.high_sign))
    )


def is_point(one: Estimate) -> bool:
    """Whether the interval says nothing beyond the value, as "never" or "more than 150" at both ends."""
    value = (one.value, one.value_sign)
    return value == (one.low, one.low_sign) == (one.high, one.high_sign)


def _rounded(value: float, digits: int) -> str:
    text = f"{value:,.{digits}f}"
    text = text.removeprefix("-") if not text.strip("-0.,") else text
    return text.replace("-", MINUS)


def _signed_number(value: float, digits: int) -> str:
    text = _rounded(value, digits)
    return text if text.startswith(MINUS) or not text.strip("0.,") else f"+{text}"


def _few_digits(value: float) -> str:
    """Three significant digits at most below 100; whole above."""
    text = _rounded(value, 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2)
    return text.rstrip("0").rstrip(".") if "." in text else text


def _two_digits(value: float) -> str:
    """At least two significant digits, as 31.0, 0.40 and 0.0051, so that no rare error reads as none."""
    if value == 0:
        return "0"
    if abs(value) >= 0.1:
        return _rounded(value, 1 if abs(value) >= 10 else 2)
    return _rounded(value, 1 - math.floor(math.log10(abs(value))))


COUNT = Kind(lambda value: _rounded(value, 0), {}, never="labels.never")
LABELS = Kind(COUNT.bare, {"en": ("{} label", "{} labels"), "ja": ("{}枚", "{}枚")}, never="labels.never")
SHARE = Kind(lambda value: f"{_rounded(100 * value, 1)}%", {})
SMALL_SHARE = Kind(lambda value: f"{_two_digits(100 * value)}%", {})
POINTS = Kind(
    lambda value: _signed_number(100 * value, 1),
    {"en": ("{} points", "{} points"), "ja": ("{}ポイント", "{}ポイント")},
)
THRESHOLD = Kind(
    lambda value: _few_digits(100 * value),
    {"en": ("{} point", "{} points"), "ja": ("{}ポイント", "{}ポイント")},
)
FACTOR = Kind(
    lambda value: _rounded(value, 1 if abs(value) >= 1 else 2),
    {"en": ("{} times", "{} times"), "ja": ("{}倍", "{}倍")},
    never="labels.never",
)
PERIOD = Kind(
    lambda value: _few_digits(round(value, 1) if abs(value) >= 1 else value),
    {"en": ("{} month", "{} months"), "ja": ("{}か月", "{}か月")},
    never="payback.never",
)
PLAIN = Kind(_few_digits, {})


def payback_text(locale: Locale, one: Estimate) -> str:
    """Months, or "at once" where there is nothing to pay back."""
    if one.value == 0 and one.value_sign == "=":
        later = has_interval(one) and not (one.high == 0 and one.high_sign == "=")
        _, high = locale.ends(one, PERIOD) if later else ("", "")
        at_once = locale.words["at_once"]
        if not later:
            return at_once
        return f"{at_once}（～{high}）" if locale.name == "ja" else f"{at_once} (up to {high})"
    return locale.estimate(one, PERIOD)


def money(currency: str) -> Kind:
    """An amount to the unit, as "€1,234" or "¥1,234,567"; below 100 with cents, if there are any."""
    before = SYMBOLS.get(currency, f"{shortened(currency, most=8)} ")

    def written(value: float) -> str:
        text = _rounded(value, 0 if currency == "JPY" or abs(value) >= 100 else 2).removesuffix(".00")
        sign = MINUS if text.startswith(MINUS) else ""
        return f"{sign}{before}{text.removeprefix(MINUS)}"

    return Kind(written, {})


def spoken_money(currency: str, locale: Locale) -> Kind:
    """An amount as one says it: to three digits; yen in Japanese as "123万円" or "1.2億円"."""
    exact = money(currency)
    if currency != "JPY" or locale.name != "ja":
        return Kind(lambda value: exact.bare(_three_digits(value)), {})

    def written(value: float) -> str:
        size = abs(value)
        for least, unit in ((1e8, "億円"), (1e4, "万円")):
            if size >= least:
                scaled = value / least
                text = _rounded(scaled, 0 if abs(scaled) >= 100 else 1)
                return f"{text.removesuffix('.0')}{unit}"
        return f"{_rounded(value, 0)}円"

    return Kind(written, {})


def _three_digits(value: float) -> float:
    return float(f"{value:.3g}")
