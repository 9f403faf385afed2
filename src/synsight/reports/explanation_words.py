"""What the page of explanations says; the words stand in `wording/explanation_LOCALE.json`, the same keys in
each.
"""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources

from synsight.errors import UsageError, near_names
from synsight.reports.explanation_records import WordChange
from synsight.reports.text import shortened

LOCALES = ("en", "ja")


def say(locale: str, key: str, **values: object) -> str:
    """The sentence of a key, filled.

    Raises:
        UsageError: There is no such locale.
    """
    return words_of(locale)[key].format(**values)


@cache
def words_of(locale: str) -> Mapping[str, str]:
    """All templates of a locale.

    Raises:
        UsageError: There is no such locale.
    """
    if locale not in LOCALES:
        raise UsageError(f"no locale {locale!r}; {near_names(locale, LOCALES)}")
    file = resources.files("synsight.reports").joinpath(f"wording/explanation_{locale}.json")
    words: dict[str, str] = json.loads(file.read_text(encoding="utf-8"))
    return words


def why_not_sentence(
    locale: str, instead: str, changes: Sequence[WordChange], *, most: int, also: bool = False
) -> str:
    """What would have had to be seen otherwise."""
    name = shortened(instead, most=60)
    if not changes:
        return say(locale, "why_not.none", instead=name, most=most)
    parts = [
        say(
            locale,
            "why_not.more" if one.after > one.before else "why_not.less",
            name=shortened(one.name, most=60),
            before=_shares(one)[0],
            after=_shares(one)[1],
        )
        for one in changes
    ]
    *first, last = parts
    joined = say(locale, "comma").join(first) + (say(locale, "and") if first else "") + last
    return say(locale, "why_not.also" if also else "why_not.turn", instead=name, changes=joined)


def _shares(change: WordChange) -> tuple[str, str]:
    """Both probabilities with as many digits as it takes to tell them apart."""
    for digits in (2, 3, 4):
        before, after = (f"{value:.{digits}f}" for value in (change.seen_before, change.seen_after))
        if before != after:
            return before, after
    return f"{change.seen_before:.1e}", f"{change.seen_after:.1e}"
