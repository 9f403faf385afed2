"""Spellings found in folded text of any script: where one may stand depends on how scripts part words."""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

_START = 3
"""Characters of a spelling by which it is looked up."""


@dataclass(frozen=True)
class Span:
    """A term in a folded text."""

    start: int
    end: int
    number: int


class TermFinder:
    """Finds spellings in folded text, from the left, the longest first; they do not overlap.

    A spelling must stand by itself where its script parts words: by blanks (Latin and other alphabets;
    a plural's s may follow), by a change of script (katakana; a single kanji). Elsewhere it may stand
    anywhere. A spelling with a number below 0 is passed over, with the shorter ones within it.
    """

    def __init__(self, spellings: Iterable[tuple[str, int]]) -> None:
        self._by_start: dict[str, list[tuple[str, int]]] = {}
        for spelling, number in sorted(dict(spellings).items(), key=lambda pair: (-len(pair[0]), pair[0])):
            self._by_start.setdefault(spelling[:_START], []).append((spelling, number))
        marks = {start[0] for start in self._by_start}
        plain = "".join(sorted(mark for mark in marks if mark.isascii() and mark.isalnum()))
        others = "".join(re.escape(mark) for mark in sorted(marks - set(plain)))
        parts = [*([f"(?<![a-z0-9])[{plain}]"] if plain else []), *([f"[{others}]"] if others else [])]
        self._starts = re.compile("|".join(parts)) if parts else None

    def find(self, text: str) -> list[Span]:
        """The terms of a folded text."""
        spans: list[Span] = []
        end = 0
        for match in self._starts.finditer(text) if self._starts else ():
            if match.start() >= end and (span := self._at(text, match.start())):
                spans.append(span)
                end = span.end
        return [span for span in spans if span.number >= 0]

    def _at(self, text: str, start: int) -> Span | None:
        for length in range(_START, 0, -1):
            key = text[start : start + length]
            for spelling, number in self._by_start.get(key, ()) if len(key) == length else ():
                if text.startswith(spelling, start):
                    stop = _whole_end(text, start, start + len(spelling))
                    if stop:
                        return Span(start, stop, number)
        return None


def _whole_end(text: str, start: int, end: int) -> int:
    """Where a spelling that stands at `start` ends, with the s of its plural; 0: it is part of a word."""
    single = end - start == 1
    if start and _are_one_word(text[start - 1], text[start], single=single):
        return 0
    for plural in ("", "s", "es") if text[end - 1].isascii() and text[end - 1].isalpha() else ("",):
        stop = end + len(plural)
        if text.startswith(plural, end) and (
            stop == len(text) or not _are_one_word(text[stop - 1], text[stop], single=single, right=True)
        ):
            return stop
    return 0


def _are_one_word(before: str, after: str, *, single: bool, right: bool = False) -> bool:
    script = _script(before)
    if script != _script(after) or script == "free":
        return False
    if script == "hangul":
        return not right  # particles follow a noun without a blank
    return single if script == "han" else True


@lru_cache(maxsize=65_536)
def _script(mark: str) -> str:
    """How a character takes part in words: `letters`, `katakana`, `han`, `hangul`, or `free`."""
    name = unicodedata.name(mark, "")
    if name.startswith("KATAKANA"):
        return "katakana"
    if name.startswith("CJK"):
        return "han"
    if name.startswith("HANGUL"):
        return "hangul"
    if name.startswith(("HIRAGANA", "THAI", "LAO", "KHMER", "MYANMAR")) or not mark.isalnum():
        return "free"
    return "letters"
