"""How the rule for English comes to its words: tokens and phrases, their readings, senses and neighbours."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache

import numpy as np

from synsight.language.explanations import Piece, Sense
from synsight.language.nouns import Kind, NounReader, Reading
from synsight.language.phrases import PhraseBook
from synsight.language.synsets import SynsetMatcher, is_label
from synsight.language.term_matching import TermMatcher, is_stand_in
from synsight.language.terms import FIRST_TERM
from synsight.language.tokens import BREAK, CAPTION_END, cut
from synsight.language.trades import Trade
from synsight.language.wordnet import Noun, NounTable, key_of

MOST_SENSES = 12
"""Senses of a word that are listed."""

_CLOSED = (
    (Kind.DETERMINER, "an article or a number word"),
    (Kind.SUBJECT, "a pronoun or an auxiliary: what follows is a verb"),
    (Kind.FUNCTION, "a function word"),
    (Kind.ADJECTIVE, "met mostly as an adjective, so it names nothing"),
    (Kind.UNKNOWN, "no word of WordNet"),
)
_NO_NOUN = Kind.DETERMINER | Kind.SUBJECT | Kind.FUNCTION
_BY_NEIGHBOURS = (
    (Kind.ADJECTIVE_TOO, "an adjective here: it stands before a noun"),
    (Kind.VERB_TOO, "a verb here: it stands after its subject or before its object"),
    (Kind.VERB_MOSTLY, "a verb here: it follows its subject"),
)
"""What a spelling can be, and why it is no label among these neighbours."""


def english_pieces(rule: SynsetMatcher | TermMatcher, caption: str) -> Iterator[Piece]:
    parts = _Parts.of(rule)
    tokens, shown = cut_tokens(rule, caption)
    tokens.append(CAPTION_END)
    words = [token.decode(errors="replace").strip("'") for token in tokens]
    readings = [parts.reading(token, word) for token, word in zip(tokens, words, strict=True)]
    kinds = np.array([int(reading.kinds) for reading in readings], np.int64)
    phrases = parts.phrases.find(np.array([parts.phrases.number(word) for word in words], np.int64))
    starts = dict(zip(phrases.starts.tolist(), phrases.offsets.tolist(), strict=True))
    covered = set(phrases.covered.tolist())
    readings = parts.trade.applied(words, readings)
    labels = is_label(kinds) & np.array([reading.offset >= 0 for reading in readings])
    place = 0
    while place < len(tokens) - 1:
        if place in starts:
            end = place + 1
            while end in covered and end not in starts:
                end += 1
            yield parts.phrase(" ".join(shown[place:end]), starts[place])
            place = end
            continue
        if tokens[place] in (BREAK, b"&", b"'"):
            yield Piece(text=shown[place], kind="mark", reason="neither phrases nor grammar reach across")
        else:
            piece = parts.word(words[place], readings[place], bool(labels[place]), _why_not(kinds, place))
            yield replace(piece, text=shown[place])
        place += 1


def _why_not(kinds: np.ndarray, place: int) -> str:
    """Which of the things a spelling can be kept it from being a label here."""
    for kind, reason in _BY_NEIGHBOURS:
        other = kinds.copy()
        other[place] &= ~int(kind)
        if is_label(other)[place]:
            return reason
    return "an adjective or a verb here"


class _Parts:
    """What the rule for synsets looks things up in."""

    def __init__(self, table: NounTable, name_of: Callable[[int], tuple[str, str]]) -> None:
        self.table, self.name_of = table, name_of
        self.reader = NounReader(table)
        self.phrases = PhraseBook(self.reader)
        self.trade = Trade(table)

    @staticmethod
    def of(rule: SynsetMatcher | TermMatcher) -> "_Parts":
        return _term_parts(rule) if isinstance(rule, TermMatcher) else _synset_parts()

    def reading(self, token: bytes, word: str) -> Reading:
        if token in (BREAK, CAPTION_END):
            return Reading(-1, Kind.BREAK)
        if token == b"&":
            return Reading(-1, Kind.FUNCTION)
        return Reading(-1, Kind(0)) if token == b"'" else self.reader.read(word)

    def phrase(self, text: str, offset: int) -> Piece:
        if offset < 0:
            return Piece(text=text, kind="phrase", reason="a phrase that is mostly an adjective, or a person")
        key, name = self.name_of(offset)
        if offset >= FIRST_TERM:
            return Piece(text=text, kind="term", key=key, name=name, reason="a term of the file")
        reason = "a noun of several words; the longest goes first"
        return Piece(text=text, kind="phrase", key=key, name=name, reason=reason)

    def word(self, text: str, reading: Reading, is_found: bool, why_not: str) -> Piece:
        if reading.offset >= FIRST_TERM:
            key, name = self.name_of(reading.offset)
            return Piece(text=text, kind="term", key=key, name=name, reason="a term of the file")
        lemma, noun = self._noun(text)
        senses = [] if reading.kinds & _NO_NOUN else self._senses(noun)
        if not is_found:
            reason = why_not if reading.kinds & Kind.LABEL else self._why_nothing(text, reading, noun)
            return Piece(text=text, kind="word", reason=reason, senses=senses)
        key, name = self.name_of(reading.offset)
        reason = _why_sense(noun, reading.offset)
        if lemma and lemma != text:
            reason = f"a form of {lemma!r}; {reason}"
        return Piece(text=text, kind="word", key=key, name=name, reason=reason, senses=senses)

    def _noun(self, word: str) -> tuple[str, Noun | None]:
        word = word.removesuffix("'s")
        lemmas = self.reader.lemmas(word) or self.reader.lemmas(word.rstrip("0123456789"))
        if not lemmas:
            return "", None
        lemma = max(lemmas, key=lambda one: sum(self.table.nouns[one].counts))
        return lemma, self.table.nouns[lemma]

    def _senses(self, noun: Noun | None) -> list[Sense]:
        pairs = [] if noun is None else list(zip(noun.senses, noun.counts, strict=False))[:MOST_SENSES]
        return [
            Sense(key=key_of(offset), name=name, kind_of=above, count=count)
            for offset, count in pairs
            for name, above in [described(offset)]
        ]

    def _why_nothing(self, word: str, reading: Reading, noun: Noun | None) -> str:
        for kind, reason in _CLOSED:
            if reading.kinds & kind:
                return reason
        if word.isdecimal():
            return "a number"
        if noun is None:
            return "a verb or an adverb, and no noun"
        if self.reader.best_sense(noun) < 0:
            return "names single persons only; nobody is to be named"
        return "a noun too, but met mostly as a verb, or a short form that says too little"


@lru_cache(maxsize=1)
def _synset_parts() -> _Parts:
    table = NounTable.load()
    return _Parts(table, lambda offset: (key_of(offset), table.name(offset)))


@lru_cache(maxsize=1)
def _term_parts(rule: TermMatcher) -> _Parts:
    table = NounTable.load()

    def name_of(number: int) -> tuple[str, str]:
        concept = rule.concept_of(number)
        return (concept.key, concept.name) if concept else (key_of(number), table.name(number))

    return _Parts(rule.table, name_of)


def _why_sense(noun: Noun | None, offset: int) -> str:
    if noun is None or offset not in noun.senses:
        return "its sense here"
    if len(noun.senses) == 1:
        return "its only sense"
    place, total = noun.senses.index(offset), sum(noun.counts)
    if place == 0:
        share = f", {noun.counts[0]} of {total} counted uses" if total else ""
        return f"the most frequent of {len(noun.senses)} senses{share}"
    return f"sense {place + 1} of {len(noun.senses)}: those before it are single persons, or do not fit"


def cut_tokens(rule: SynsetMatcher | TermMatcher, caption: str) -> tuple[list[bytes], list[str]]:
    """The tokens as the rule sees them, and as people do: terms as they stand in the caption."""
    if not isinstance(rule, TermMatcher):
        tokens = cut([caption])[:-1]
        return tokens, [token.decode(errors="replace") for token in tokens]
    text, terms = rule.rewritten(caption)
    tokens, waiting = cut([text])[:-1], iter(terms)
    shown = [token.decode(errors="replace") for token in tokens]
    return tokens, [next(waiting, one) if is_stand_in(one) else one for one in shown]


def described(offset: int) -> tuple[str, str]:
    table = NounTable.load()
    return table.name(offset), ", ".join(table.name(one) for one in table.hypernyms(offset)[:1])
