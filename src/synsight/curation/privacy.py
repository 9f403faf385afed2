"""Personal data in captions: addresses, telephone numbers, dates, names of people.

Rules, not a model: what they flag can be explained, and they err towards silence. A reason never repeats
what was found, so that findings may be shared. Patterns are linear in the text's length.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from functools import partial

from synsight.curation.person_names import person_spans
from synsight.language.clean import MAX_CHARACTERS

Span = tuple[int, int]

EMAIL = re.compile(
    r"(?<![\w.+-])[\w.+-]{1,64}(?:@|\s?[\[(]at[\])]\s?)[a-z0-9-]{1,63}(?:(?:\.|\s?[\[(]dot[\])]\s?)[a-z0-9-]{1,63}){1,4}",
    re.IGNORECASE,
)
"""Also `name [at] host [dot] com`."""

_DOMAINS = "com|org|net|edu|gov|info|biz|io|co|ac|ne|or|go|jp|uk|de|fr|it|es|nl|ru|cn|kr|br|au|ca"
URL = re.compile(
    r"\b[a-z][a-z0-9+.-]{1,15}://[^\s<>\"']+"
    r"|\bwww\.[^\s<>\"']+"
    rf"|(?<![\w@.-])[a-z0-9-]{{2,63}}(?:\.[a-z0-9-]{{1,63}}){{0,3}}\.(?:com|org|net|edu|gov|(?:{_DOMAINS})\.(?:jp|uk|au|br|kr|cn))(?![\w@-])(?:/[^\s<>\"']*)?",
    re.IGNORECASE,
)
"""With a scheme, with www, or a host under a well-known top domain ("example.com/a", not "logo.de")."""

_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|"
    r"sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
)
_YEAR = r"(?:1[89]|20)\d\d"
_DAY = r"(?:0?[1-9]|[12]\d|3[01])"
_MONTH_NUMBER = r"(?:0?[1-9]|1[0-2])"
_TIME = r"\d{1,2}:\d\d(?::\d\d)?"
DATE = re.compile(
    rf"(?<![\w.-]){_YEAR}([-/.]){_MONTH_NUMBER}\1{_DAY}(?![\d-])(?:[T ]{_TIME})?"
    rf"|(?<![\w.-]){_DAY}([-/.]){_DAY}\2{_YEAR}(?!\d)"
    rf"|\b{_DAY}(?:st|nd|rd|th)?[ -](?:of )?{_MONTH}\.?,?[ -]{_YEAR}\b"
    rf"|\b{_MONTH}\.? {_DAY}(?:st|nd|rd|th)?,? (?:{_TIME} (?:[a-z]{{3,4}} )?)?{_YEAR}\b"
    rf"|{_YEAR}年 ?{_MONTH_NUMBER}月(?: ?{_DAY}日)?"
    rf"|(?:明治|大正|昭和|平成|令和) ?(?:\d{{1,2}}|元)年(?: ?{_MONTH_NUMBER}月(?: ?{_DAY}日)?)?"
    rf"|\b[MTSHR]\d{{1,2}}\.{_MONTH_NUMBER}\.{_DAY}\b",
    re.IGNORECASE,
)
"""Day, month and year, or the Japanese forms; a year or a time alone is none ("Berlin 1945", "12:30")."""

_PHONE = re.compile(
    r"(?<![\w.+-])\+\d{1,3}(?:[ .-]?\(?\d{1,5}\)?){2,5}(?![\w-])"
    r"|(?<![\w.+(-])(?:\(0\d{1,4}\) ?|0\d{1,4}[- ])\d{1,4}[- ]\d{3,4}(?![\w-])"
    r"|(?<![\w.+(-])(?:\([2-9]\d\d\) ?|[2-9]\d\d[.-])[2-9]\d\d[.-]\d{4}(?![\w-])"
    r"|(?:\b(?:tel|phone|fax|mobile)\b|電話|携帯|℡)(?: ?(?:no|number|番号))?[ .:]{0,3}"
    r"\+?\d[\d ().-]{5,18}\d(?![\w-])",
    re.IGNORECASE,
)
_LEAST_DIGITS, _MOST_DIGITS = 8, 15
"""Of a telephone number: E.164 allows 15; shorter ones need the word "tel" before them."""


def email_spans(text: str) -> Iterator[Span]:
    """Where e-mail addresses stand."""
    return (match.span() for match in EMAIL.finditer(text))


def url_spans(text: str) -> Iterator[Span]:
    """Where web addresses stand."""
    return (match.span() for match in URL.finditer(text))


def date_spans(text: str) -> Iterator[Span]:
    """Where dates stand."""
    return (match.span() for match in DATE.finditer(text))


def phone_spans(text: str) -> Iterator[Span]:
    """Where telephone numbers stand; dates are none."""
    for match in _PHONE.finditer(text):
        digits = sum(map(str.isdigit, match[0]))
        named = not (match[0][0].isdigit() or match[0][0] in "+(")
        if (named or digits >= _LEAST_DIGITS) and digits <= _MOST_DIGITS and not DATE.search(match[0]):
            yield match.span()


FINDERS: Mapping[str, Callable[[str], Iterator[Span]]] = {
    "email": email_spans,
    "url": url_spans,
    "date": date_spans,
    "phone": phone_spans,
    "person-name": person_spans,
}
"""Flag -> where it stands in a text of compatibility form."""

_CALLED = {
    "email": "e-mail address",
    "url": "web address",
    "date": "date",
    "phone": "telephone number",
    "person-name": "name of a person",
}


def private_parts(text: str) -> dict[str, list[Span]]:
    """What personal data a text holds.

    Args:
        text: In compatibility form (see `comparable`).

    Returns:
        Flag -> spans, for the flags that are raised. What is part of an address is nothing else.
    """
    found: dict[str, list[Span]] = {}
    for flag, find in FINDERS.items():
        if not _may_hold(flag, text):
            continue
        taken = [span for flag in ("email", "url") for span in found.get(flag, [])]
        spans = [span for span in find(text) if not any(map(partial(_overlap, span), taken))]
        if spans:
            found[flag] = spans
    return found


def _may_hold(flag: str, text: str) -> bool:
    """A glance that spares most captions the search."""
    if flag == "email":
        return "@" in text or "at]" in text.casefold() or "at)" in text.casefold()
    if flag == "url":
        return "." in text or "://" in text
    return flag == "person-name" or any(map(str.isdigit, text)) or "元年" in text


def reason_of(flag: str, count: int) -> str:
    """As "2 e-mail addresses"; without the address."""
    name = _CALLED[flag]
    if count == 1:
        return f"1 {name}"
    plural = (
        name.replace("name of", "names of")
        if name.startswith("name of")
        else name + ("es" if name[-1] == "s" else "s")
    )
    return f"{count} {plural}"


def comparable(text: str) -> str:
    """Compatibility form (full-width digits and ＠ become plain ones), at most 4,000 characters."""
    return unicodedata.normalize("NFKC", text[:MAX_CHARACTERS])[:MAX_CHARACTERS]


def masked(text: str, spans: list[Span]) -> str:
    """The text with a blank in place of each span."""
    for start, stop in sorted(spans, reverse=True):
        text = f"{text[:start]} {text[stop:]}"
    return text


def _overlap(one: Span, other: Span) -> bool:
    return one[0] < other[1] and other[0] < one[1]
