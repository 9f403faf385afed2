"""Noun lemmas of several words ("traffic light", "golden retriever"), found in lists of word numbers.

A phrase is a tuple of word numbers, one number for all forms of a word, so "traffic lights" and "T-shirts"
are found too. A table of hashed pairs says at once that almost no pair of neighbours begins a phrase; the
few left are looked up.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from synsight.language.nouns import DETERMINERS, NounReader, regular_singulars

PARTICLES = frozenset(
    ("up", "off", "in", "out", "on", "down", "over", "away", "back", "by", "around", "about", "through", "to")
)
"""Ends of phrasal verbs: "set up" is no "set-up"; such a lemma is a phrase only where the caption has the
hyphen.
"""

ARTICLES = frozenset(("a", "an", "the"))
"""A lemma that begins with one would take its noun from every caption: "the street" is Wall Street."""

SHORTEST_PART = 3
"""Letters of either part of a word that captions may part."""

_SEPARATORS = re.compile(r"[_-]")
_NUMBER_BITS = 32
_NO_PHRASE = -2
_PAIR_SLOTS = 1 << 22
_MIXER = 0x9E3779B1  # 2^32 / golden ratio: neighbouring numbers land far apart


@dataclass(frozen=True)
class Phrases:
    """The phrases found in a row of tokens.

    Attributes:
        starts: Their first tokens, [F].
        offsets: Their synsets, [F]; -1: the phrase names nothing, and neither do its words.
        covered: All their tokens, [G].
    """

    starts: np.ndarray
    offsets: np.ndarray
    covered: np.ndarray


class PhraseBook:
    """All noun phrases of a table.

    Attributes:
        numbers: Word -> its number, from 1; words outside every phrase have none.
    """

    def __init__(self, reader: NounReader) -> None:
        self.numbers: dict[str, int] = {}
        self._table = reader.table
        self._offsets: dict[tuple[int, ...], int] = {}
        for lemma, noun in self._table.nouns.items():
            words = phrase_words(lemma)
            if words is None:
                continue
            offset = reader.best_sense(noun)
            begins_with_adjective = words[0] not in DETERMINERS and reader.is_adjective(words[0])
            if begins_with_adjective and offset >= 0 and not self._is_one_thing(words[-1], lemma, offset):
                continue
            if offset >= 0 and reader.is_mostly_adjective(noun, offset):
                offset = -1
            numbers = tuple(self._number(word) for word in words)
            if self._offsets.get(numbers, -1) < 0:
                self._offsets[numbers] = offset
        self._add_parted_words(reader)
        self._pairs: dict[int, tuple[int, int]] = {}
        """First two words of a phrase, as one number -> words of the longest that begins so, what the two
        name by themselves.
        """
        for numbers in self._offsets:
            pair = numbers[0] << _NUMBER_BITS | numbers[1]
            longest = max(self._pairs.get(pair, (0, 0))[0], len(numbers))
            self._pairs[pair] = longest, self._offsets.get(numbers[:2], _NO_PHRASE)
        self._may_begin = np.zeros(_PAIR_SLOTS, bool)
        self._may_begin[_slots(np.array(list(self._pairs), np.int64))] = True

    def _is_one_thing(self, last: str, lemma: str, offset: int) -> bool:
        """Whether an adjective and a noun mean this synset and not what they say, as "brown bear" does.

        "Black cat" is a marten, but who says so? It must have been counted, bear that name, or be a kind of
        what the noun names. It never is a kind of people: "white man", "old man".
        """
        table = self._table
        noun = table.nouns.get(last)
        if table.is_person(offset):
            return False
        if sum(table.nouns[lemma].counts) > 0 or table.head(offset) == lemma or noun is None:
            return True
        return offset in noun.senses or not table.ancestors(offset).isdisjoint(noun.senses)

    def _add_parted_words(self, reader: NounReader) -> None:
        """Add words that captions part ("sun flower"), where the whole is a kind of what its second part
        names.
        """
        nouns = self._table.nouns
        for lemma, noun in nouns.items():
            if len(lemma) < 2 * SHORTEST_PART or not lemma.isalpha():
                continue
            for cut in range(SHORTEST_PART, len(lemma) - SHORTEST_PART + 1):
                first, second = lemma[:cut], lemma[cut:]
                if first not in nouns or second not in nouns:
                    continue
                offset = reader.best_sense(noun)
                heads = nouns[second].senses
                if offset >= 0 and (offset in heads or not self._table.ancestors(offset).isdisjoint(heads)):
                    self._offsets.setdefault((self._number(first), self._number(second)), offset)

    def number(self, word: str) -> int:
        """The number of a word in any of its forms; 0 when no phrase holds it."""
        return self.numbers.get(self.base(word), 0)

    def base(self, word: str) -> str:
        """One spelling for all forms of a noun; only used to compare words with each other."""
        irregular = self._table.plurals.get(word)
        if irregular is not None:
            return irregular[0]
        bases = [base for base in regular_singulars(word) if base in self._table.nouns]
        return min(bases, key=len) if bases else word

    def find(self, numbers: np.ndarray) -> Phrases:
        """The phrases in a row of word numbers, from the left, the longest first; they do not overlap.

        Args:
            numbers: [N] int64, 0 for a word (or a mark) that no phrase holds.
        """
        pairs = numbers[:-1] << _NUMBER_BITS | numbers[1:]
        candidates = np.flatnonzero(self._may_begin[_slots(pairs)])
        starts, lengths, offsets, end = [], [], [], 0
        for start, pair in zip(candidates.tolist(), pairs[candidates].tolist(), strict=True):
            begun = self._pairs.get(pair)
            if begun is None or start < end:
                continue
            longest, offset = begun
            length = 2
            if longest > 2:
                length, offset = self._longer(numbers[start : start + longest].tolist(), offset)
            if offset != _NO_PHRASE:
                end = start + length
                starts.append(start)
                lengths.append(length)
                offsets.append(offset)
        firsts = np.array(starts, np.int64)
        sizes = np.array(lengths, np.int64)
        places = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        return Phrases(firsts, np.array(offsets, np.int64), np.repeat(firsts, sizes) + places)

    def _longer(self, window: list[int], offset: int) -> tuple[int, int]:
        """The words of the longest phrase that begins a window, and what it names; its pair: `offset`."""
        for length in range(len(window), 2, -1):
            longer = self._offsets.get(tuple(window[:length]))
            if longer is not None:
                return length, longer
        return 2, offset

    def _number(self, word: str) -> int:
        return self.numbers.setdefault(self.base(word), len(self.numbers) + 1)


def phrase_words(lemma: str) -> Sequence[str] | None:
    """The words of a lemma as a tokeniser cuts them; None for a single word or one that would mislead.

    Periods go ("st._bernard"), hyphens are blanks ("t-shirt"). Phrases that no caption spells out (with
    other marks) are left out, and so are nouns made of a verb and its particle with a hyphen, and names
    that begin with an article.
    """
    words = [word.replace(".", "") for word in _SEPARATORS.split(lemma)]
    if len(words) < 2 or not all(re.fullmatch(r"[a-z0-9]+(?:'[a-z]+)?", word) for word in words):
        return None
    if words[0] in ARTICLES or ("-" in lemma and words[-1] in PARTICLES):
        return None
    return words


def _slots(pairs: np.ndarray) -> np.ndarray:
    slots: np.ndarray = (((pairs >> _NUMBER_BITS) * _MIXER) ^ (pairs * 31)) & (_PAIR_SLOTS - 1)
    return slots
