"""Where a company's terms stand in captions.

Terms of plain words are put into the noun table as one more lemma each, so that everything the rule for
synsets does holds for them: plurals, the longest phrase first, context. Those that its tokeniser would cut
up ("AC/DC", "304", every script without blanks) are found in the folded text and replaced by a word that
stands for them; what is left is read as before.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache

import numpy as np

from synsight.language.matches import Matches, unique_in_rows
from synsight.language.nouns import PLURAL_ENDINGS
from synsight.language.synsets import SynsetMatcher
from synsight.language.term_finding import Span, TermFinder
from synsight.language.terms import FIRST_TERM, Concept, Terms, fold
from synsight.language.tokens import CAPTION_END, cut
from synsight.language.wordnet import Noun, NounTable

CutWords = Callable[[str], Iterable[tuple[str, bool]]]
"""Text -> its words, which joined are the text, and whether a dictionary knows each."""

_OFTEN = 1_000_000
"""Count of a term in the noun table: more than any sense of any spelling has there."""
_STAND_IN = 21939
"""The synset `artifact`: what a term is to the rule, a thing and neither a person nor a name."""
_WORD = re.compile(rb"[a-z0-9]+(?:'[a-z]+)?")
_BLANK = " \N{IDEOGRAPHIC FULL STOP} "
"""Takes a term's place where Japanese is read: no compound reaches across it."""


class TermMatcher:
    """The rule for synsets with a company's terms among its nouns. Made by `term_matcher`.

    Attributes:
        table: WordNet's nouns and the terms' lemmas; a term's number there is the place of its concept.
        rule: Reads by this table.
    """

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        spellings = [
            (spelling, place) for place, one in enumerate(terms.concepts) for spelling in one.spellings
        ]
        self._all = TermFinder((form, place) for spelling, place in spellings for form in _forms(spelling))
        self._concepts = np.array([one.number for one in terms.concepts], np.int64)
        nouns = NounTable.load().nouns
        lemmas = {_stand_in(place): FIRST_TERM + place for place in range(len(terms.concepts))}
        for spelling, place in spellings:
            # What WordNet has stays as it is there: the rule may look at it for the sake of other words.
            lemmas |= {one: FIRST_TERM + place for one in _lemmas(spelling) if one not in nouns}
        self.table: NounTable = _TermTable(NounTable.load(), lemmas)
        self.rule = SynsetMatcher(self.table)
        odd = {
            pair for pair, is_read in zip(spellings, self._are_read(spellings), strict=True) if not is_read
        }
        names = [fold(spelling) for spelling, _ in odd]
        # A longer term that holds an odd one would lose it to the shorter, and so would a phrase of WordNet.
        shorter = TermFinder((name, 0) for name in names)
        odd |= {pair for pair in spellings if shorter.find(fold(pair[0]))}
        phrases = ((phrase, -1) for phrase in _phrases_with(names))
        forms = ((form, place) for spelling, place in odd for form in _forms(spelling))
        self._odd = TermFinder([*phrases, *forms])
        self._has_odd = bool(odd)

    def join(self, texts: Iterable[str | None]) -> str:
        """See `SynsetMatcher.join`."""
        return self.rule.join(texts)

    def match(self, captions: Sequence[str]) -> Matches:
        """Synsets and concepts of terms of each caption, by number."""
        if self._has_odd:
            captions = [self.rewritten(caption)[0] for caption in captions]
        return self._as_concepts(self.rule.match(captions))

    def rewritten(self, caption: str) -> tuple[str, list[str]]:
        """A caption with the terms that the tokeniser would cut up replaced, and these terms as they stood;
        the caption as it is where it has none.
        """
        if not self._has_odd:
            return caption, []
        folded = fold(caption)
        spans = self._odd.find(folded)
        if not spans:
            return caption, []
        text = _replaced(folded, spans, lambda span: f" {_stand_in(span.number)} ")
        return text, [folded[span.start : span.end] for span in spans]

    def spans(self, caption: str) -> list[tuple[str, int]]:
        """All terms of a caption as text, whatever the language: (as found, number of the concept)."""
        folded = fold(caption)
        return [
            (folded[one.start : one.end], int(self._concepts[one.number])) for one in self._all.find(folded)
        ]

    def without_terms(self, caption: str, *, words: CutWords | None = None) -> tuple[str, list[int]]:
        """A caption without its terms, for a matcher of another language, and the concepts' numbers.

        Args:
            caption: Its text.
            words: Cuts text into words and says which of them a dictionary knows: a term is not looked for
                inside a longer one of these.
        """
        folded = fold(caption)
        spans = self._all.find(folded)
        if spans and words is not None:
            known = list(_known(words(folded)))
            spans = [one for one in spans if not any(_is_inside(one, *word) for word in known)]
        if not spans:
            return caption, []
        numbers = {int(self._concepts[span.number]) for span in spans}
        return _replaced(folded, spans, lambda _: _BLANK), sorted(numbers)

    def concept_of(self, number: int) -> Concept | None:
        """The concept that a number of `rule` stands for; None: it is a synset's."""
        return self._terms.concepts[number - FIRST_TERM] if number >= FIRST_TERM else None

    def _as_concepts(self, matches: Matches) -> Matches:
        numbers = matches.numbers.astype(np.int64)
        is_term = numbers >= FIRST_TERM
        if not is_term.any():
            return matches
        numbers[is_term] = self._concepts[numbers[is_term] - FIRST_TERM]
        rows = np.repeat(np.arange(len(matches), dtype=np.int64), np.diff(matches.bounds))
        return Matches(*unique_in_rows(rows, numbers, len(matches)), unmatched=matches.unmatched)

    def _are_read(self, spellings: Sequence[tuple[str, int]]) -> list[bool]:
        """Whether the rule finds each spelling by itself, however it is written and whatever stands by."""
        forms = [
            form
            for one, _ in spellings
            for form in (one, fold(one), one.upper(), f"the {one}, which", f"{one}. javascript, database")
        ]
        found = self.rule.match(forms)
        number = len(forms) // max(len(spellings), 1)
        read = []
        for row, (_, place) in enumerate(spellings):
            *alone, beside = (found[number * row + form] for form in range(number))
            wanted = FIRST_TERM + place
            read.append(all(one == [wanted] for one in alone) and wanted in beside)
        return read


@lru_cache(maxsize=4)
def term_matcher(terms: Terms) -> TermMatcher:
    """The matcher of a file's terms, made once in a process (about 2 s)."""
    return TermMatcher(terms)


class _TermTable(NounTable):
    """A noun table with more lemmas, each the name of one thing."""

    def __init__(self, table: NounTable, lemmas: dict[str, int]) -> None:
        vars(self).update(vars(table))
        terms = {lemma: Noun((number,), (_OFTEN,)) for lemma, number in lemmas.items()}
        # First in order too: of two lemmas that read alike the first is kept.
        self.nouns = {**terms, **table.nouns, **terms}

    def _row(self, offset: int) -> int:
        return super()._row(_STAND_IN if offset >= FIRST_TERM else offset)


def _known(words: Iterable[tuple[str, bool]]) -> Iterator[tuple[int, int]]:
    """Where words of the dictionary begin and end."""
    end = 0
    for word, is_known in words:
        start, end = end, end + len(word)
        if is_known:
            yield start, end


def _is_inside(span: Span, start: int, end: int) -> bool:
    return start <= span.start and span.end <= end and end - start > span.end - span.start


def is_stand_in(token: str) -> bool:
    """Whether a token is the word that stands for a term."""
    return re.fullmatch(r"zzterm\d+zz", token) is not None


def _stand_in(place: int) -> str:
    return f"zzterm{place}zz"


def _lemmas(spelling: str) -> list[str]:
    """A spelling as lemmas of the noun table, one for each number of its last word; [] if it is no words."""
    words = [word for word in cut([spelling]) if word != CAPTION_END]
    if not words or not all(_WORD.fullmatch(word) for word in words):
        return []
    *others, last = (word.decode() for word in words)
    # Of single words the rule knows plurals itself.
    return ["_".join([*others, form]) for form in (_plurals(last) if others else [last])]


def _forms(spelling: str) -> list[str]:
    """A spelling folded; of Latin script also without its accents."""
    folded = fold(spelling)
    plain = "".join(mark for mark in unicodedata.normalize("NFKD", folded) if not unicodedata.combining(mark))
    return [folded, plain] if plain.isascii() and plain != folded else [folded]


def _phrases_with(names: Sequence[str]) -> list[str]:
    """WordNet's phrases that hold one of these words and more, as far as the rule for synsets finds them."""
    words, nouns = set(names), NounTable.load().nouns
    parts = {lemma: re.split("[_-]", lemma) for lemma in nouns if "_" in lemma or "-" in lemma}
    pairs = [
        (lemma, form)
        for lemma, one in parts.items()
        if not words.isdisjoint(one)
        for form in {lemma.replace("_", " "), " ".join(one)}
    ]
    lemmas, phrases = [lemma for lemma, _ in pairs], [form for _, form in pairs]
    found = SynsetMatcher.load().match(phrases)
    return [
        phrase
        for row, (phrase, lemma) in enumerate(zip(phrases, lemmas, strict=True))
        if phrase not in words and len(found[row]) == 1 and found[row][0] in nouns[lemma].senses
    ]


def _plurals(word: str) -> list[str]:
    """A word and its regular plurals, by the rules that take them back."""
    forms = [
        word.removesuffix(stem) + ending
        for ending, stem in PLURAL_ENDINGS
        if word.endswith(stem) and (ending != "s" or not word.endswith(("s", "x", "z", "ch", "sh")))
    ]
    return list(dict.fromkeys([word, *forms]))


def _replaced(text: str, spans: Sequence[Span], by: Callable[[Span], str]) -> str:
    parts, end = [], 0
    for span in spans:
        parts += [text[end : span.start], by(span)]
        end = span.end
    return "".join([*parts, text[end:]])
