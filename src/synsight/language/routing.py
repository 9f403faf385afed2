"""Which rule reads which caption: by its language, and company terms in all of them.

`auto` asks for the language of each row's text. English, and text that is too short to tell, is read by
the English rule, Japanese by the Japanese one, mixed text by both. Text in another language is read by
neither, since an Italian "cane" is no walking stick; unless the English rule knows all of its words ("flag:
Côte d'Ivoire"). It is counted, its company terms are found, and sub-words read it.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from importlib.util import find_spec
from typing import Literal, Protocol, get_args

import numpy as np

from synsight.errors import MissingDependency
from synsight.language.matches import Matches, lists_of_rows, unique_in_rows
from synsight.language.term_matching import TermMatcher

Language = Literal["auto", "en", "ja"]
LANGUAGES: tuple[str, ...] = get_args(Language)

ENGLISH, JAPANESE, MIXED = "en", "ja", "mixed"
NO_LANGUAGE = "none"
"""How rows without text, or of no language that can be told, are counted."""
_JAPANESE_SCRIPT = re.compile(r"[\u3005-\u3007\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uff66-\uff9f]")
_LATIN_WORDS = re.compile(
    r"(?<![A-Za-z0-9])[A-Za-z][A-Za-z']*(?:[ ,.;:!?-]+[A-Za-z][A-Za-z']*)+(?![A-Za-z0-9])"
)
"""Two Latin words or more: not "M8", nor the LED of LEDライト."""
_PLAIN_WORD = re.compile(r"[a-z][a-z'&-]+[a-z]")


class Matcher(Protocol):
    """A rule from captions to words, each a number: a synset's offset or a sub-word's id."""

    def match(self, captions: Sequence[str]) -> Matches:
        """The words of each caption."""

    def join(self, texts: Iterable[str | None]) -> str:
        """Several texts of one row as one caption."""


@dataclass(frozen=True)
class Words:
    """What is found in N rows of text."""

    matches: Matches
    nouns: Sequence[Sequence[str]]
    """The unmatched words of each row that may become entries of the vocabulary themselves."""
    languages: list[str | None]
    """Of each row's text; None: it has none, or none that can be told."""


@dataclass(frozen=True)
class Router:
    """Reads each row by the rule for its language.

    Args:
        rule: Reads English, or (sub-words, the released rule) whatever comes.
        by_language: `auto`, `en`, `ja`; None: `rule` reads everything.
        japanese: Loads what reads Japanese, when there is some; None: nobody does.
        terms: Finds company terms where `rule` does not read; None: there are none.
        english_nouns: Unmatched English words may become entries too.
    """

    rule: Matcher
    by_language: Language | None = None
    japanese: Callable[[], Matcher] | None = None
    terms: TermMatcher | None = None
    english_nouns: bool = False

    def read(self, rows: Sequence[Sequence[str]]) -> Words:
        """The words of rows of texts."""
        captions = [row[0] if len(row) == 1 else self.rule.join(row) for row in rows]
        languages = languages_of_texts(captions)
        by_language = {language: self._readers(language) for language in set(languages)}
        if all(one is _ENGLISH_ONLY for one in by_language.values()):  # the common case, at the rule's speed
            matches = self.rule.match(captions)
            if not self.english_nouns:
                return Words(matches, [()] * len(rows), languages)
            return Words(matches, [self._english_nouns(words) for words in matches.unmatched], languages)
        readers = [by_language[language] for language in languages]
        found = _Gathered(len(rows))
        self._read_english(captions, [row for row, one in enumerate(readers) if one.english], readers, found)
        self._read_japanese(rows, [row for row, one in enumerate(readers) if one.japanese], readers, found)
        self._read_others(captions, [row for row, one in enumerate(readers) if one is _NOBODY], found)
        return Words(found.matches(), lists_of_rows(found.nouns, len(rows)), languages)

    def readers(self, language: str | None) -> tuple[bool, bool]:
        """Whether English and Japanese rules read text of a language."""
        one = self._readers(language)
        return one.english, one.japanese

    def _readers(self, language: str | None) -> "_Readers":
        if self.by_language in (None, ENGLISH):
            return _ENGLISH_ONLY
        if self.by_language == JAPANESE:
            return _JAPANESE_ONLY
        if language == JAPANESE:
            return _JAPANESE_ONLY if self.japanese else _NOBODY
        if language == MIXED:
            return _BOTH if self.japanese else _ENGLISH_ONLY
        return _ENGLISH_ONLY if language in (None, ENGLISH) else _NOBODY

    def _read_english(
        self, captions: Sequence[str], places: list[int], readers: Sequence["_Readers"], found: "_Gathered"
    ) -> None:
        matches = self.rule.match([captions[place] for place in places])
        found.take(places, matches)
        for place, unmatched in zip(places, matches.unmatched, strict=True):
            if not unmatched:
                continue
            if readers[place].japanese:
                unmatched = [word for word in unmatched if not has_japanese_script(word)]
            found.say(place, unmatched, self._english_nouns(unmatched))

    def _read_japanese(
        self,
        rows: Sequence[Sequence[str]],
        places: list[int],
        readers: Sequence["_Readers"],
        found: "_Gathered",
    ) -> None:
        if self.japanese is None or not places:
            return
        japanese = self.japanese()
        captions = [japanese.join(rows[place]) for place in places]
        for row, place in enumerate(places):
            if readers[place].english:
                captions[row] = without_latin_words(captions[row])
        if self.terms is not None:
            words = partial(cut_words, japanese)
            for row, place in enumerate(places):
                captions[row], numbers = self.terms.without_terms(captions[row], words=words)
                found.pairs += [(place, number) for number in numbers]
        matches = japanese.match(captions)
        found.take(places, matches)
        for row, place in enumerate(places):
            unmatched = matches.unmatched[row]
            if readers[place].english:  # whose reader has seen the words of Latin script
                unmatched = [word for word in unmatched if has_japanese_script(word)]
            found.say(place, unmatched, [one for one in unmatched if _may_be_entry(one)])

    def _read_others(self, captions: Sequence[str], places: list[int], found: "_Gathered") -> None:
        """Rows of other languages: terms, and text that is English as far as the English rule can tell."""
        matches = self.rule.match([captions[place] for place in places])
        for row, place in enumerate(places):
            if not matches.unmatched[row]:
                found.pairs += [(place, number) for number in matches[row]]
            elif self.terms is not None:
                numbers = self.terms.without_terms(captions[place])[1]
                found.pairs += [(place, number) for number in numbers]

    def _english_nouns(self, words: Sequence[str]) -> list[str]:
        return [word for word in words if _PLAIN_WORD.fullmatch(word)] if self.english_nouns else []


def without_latin_words(text: str) -> str:
    """Mixed text for the Japanese rule: what reads as English by itself is left to the English one."""
    return _LATIN_WORDS.sub("。", text)


def has_japanese_script(text: str) -> bool:
    """Whether some of a text is kana or kanji."""
    return _JAPANESE_SCRIPT.search(text) is not None


def cut_words(japanese: Matcher, text: str) -> Iterator[tuple[str, bool]]:
    """The words that the Japanese rule cuts a text into, and whether its dictionary knows each; none of a
    rule that cuts no words.
    """
    cut = getattr(japanese, "_cut", None)
    for word in cut(text) if cut is not None else ():
        yield word.surface, word.is_known


def languages_of_texts(texts: Sequence[str]) -> list[str | None]:
    """The language of each text: `en`, `ja`, another ISO 639-1 code, `mixed`, or None."""
    from synsight.language.languages import languages_of

    return list(languages_of(texts))


def can_read_japanese() -> bool:
    """Whether the packages that cut Japanese into words are installed."""
    return find_spec("sudachipy") is not None and find_spec("sudachidict_core") is not None


@cache
def japanese_matcher() -> Matcher:
    """The Japanese rule, loaded once in a process.

    Raises:
        MissingDependency: The extra `ja` is not installed.
    """
    if not can_read_japanese():
        raise MissingDependency("sudachipy", extra="ja", purpose="reading Japanese captions")
    from synsight.language.japanese import JapaneseMatcher

    return JapaneseMatcher.load()


@dataclass(frozen=True)
class _Readers:
    english: bool = False
    japanese: bool = False


_ENGLISH_ONLY, _JAPANESE_ONLY = _Readers(english=True), _Readers(japanese=True)
_BOTH, _NOBODY = _Readers(english=True, japanese=True), _Readers()


@dataclass
class _Gathered:
    """What several readers find in the same rows."""

    rows: int
    pairs: list[tuple[int, int]] = field(default_factory=list)
    """(row, number)"""
    parts: list[np.ndarray] = field(default_factory=list)
    """The same, as arrays [P, 2]."""

    def __post_init__(self) -> None:
        self.unmatched: dict[int, list[str]] = defaultdict(list)
        self.nouns: dict[int, list[str]] = defaultdict(list)

    def take(self, places: Sequence[int], matches: Matches) -> None:
        """The words of rows."""
        rows = np.repeat(np.array(places, np.int64), np.diff(matches.bounds))
        self.parts.append(np.stack((rows, matches.numbers.astype(np.int64)), axis=1))

    def say(self, row: int, unmatched: Sequence[str], nouns: list[str]) -> None:
        """What has no meaning in a row."""
        if unmatched:
            self.unmatched[row] += unmatched
        if nouns:
            self.nouns[row] += nouns

    def matches(self) -> Matches:
        pairs = np.concatenate([np.array(self.pairs, np.int64).reshape(-1, 2), *self.parts])
        unmatched = lists_of_rows(self.unmatched, self.rows)
        return Matches(*unique_in_rows(pairs[:, 0], pairs[:, 1], self.rows), unmatched=unmatched)


def _may_be_entry(word: str) -> bool:
    """Whether an unknown Japanese noun says enough for a class: two characters, or more, with letters."""
    return len(word) >= 2 and any(mark.isalpha() for mark in word)
