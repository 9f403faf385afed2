"""Which words of a catalog are misspelt, and what was meant: "scrach on suface".

A word that nobody knows and that is rare in the catalog is taken for a misspelling of a word that is far more
frequent there, if one edit leads from one to the other and no second word competes. What is rare and has no
such neighbour stays: it may be the name of something. No model, and no list of mistakes.

Candidates are found by deletions: words within one edit share a form with one letter less, so that looking
one up takes as many steps as it has letters. Time and memory are linear in the number of different words.

Reference: Garbe 2012 (SymSpell), https://github.com/wolfgarbe/SymSpell; here with one edit, of which the
first letter is no part: people seldom mistype it (Pollock and Zamora 1984, Automatic spelling correction in
scientific and scholarly text, https://doi.org/10.1145/358027.358048).
"""

from collections.abc import Collection, Mapping
from functools import cache

from synsight.curation.repair.edits import are_variants, forms, is_one_edit, slips_of
from synsight.language.nouns import Kind, NounReader, regular_bases
from synsight.language.wordnet import NounTable

LEAST_LETTERS, MOST_LETTERS = 4, 30
LEAST_SLIP, LEAST_EDIT = 5, 6
"""Letters of the longer of both words, where a slip of the hand explains the difference (two letters swapped,
one doubled), and where any other edit does: short words have too many neighbours ("boat", "goat", "coat")."""
LEAST_KNOWN, LEAST_UNKNOWN = 3, 10
"""Captions that a word must stand in to be what was meant: one that is known, and one that is not."""
MOST_RARE, TIMES_AS_FREQUENT = 2, 10
"""A misspelling stands in so few captions, or what was meant in so many times as many."""
TIMES_A_RIVAL = 4
"""What was meant stands in so many times as many captions as any other word within one edit."""
LEAST_PART = 4
"""Letters of either part of a word that is joined of two ("firetruck")."""


def misspellings(counts: Mapping[str, int], own_words: Collection[str] = ()) -> dict[str, str]:
    """The misspelt words among those of a catalog, and what was meant; no word meant is misspelt.

    Args:
        counts: Word in lower case -> captions that it stands in.
        own_words: Of the company, in lower case; they are known.
    """
    own = frozenset(own_words)

    def is_known(word: str) -> bool:
        return word in own or is_word(word) or not own.isdisjoint(regular_bases(word))

    def is_slip_for_another(word: str, meant: str) -> bool:
        return any(one in own or _is_in_wordnet(one) for one in slips_of(word) if one != meant)

    order = sorted(counts, key=lambda word: (-counts[word], word))
    index = _Index(counts)
    found: dict[str, str] = {}
    for word in order:  # the more frequent first, so that no misspelling is what another one meant
        count = counts[word]
        meant = index.meant(word) if LEAST_LETTERS <= len(word) <= MOST_LETTERS else None
        if meant and not is_known(word) and not is_slip_for_another(word, meant):
            found[word] = meant
        elif count >= LEAST_UNKNOWN or (count >= LEAST_KNOWN and is_known(word)):
            index.add(word)
    return dict(sorted(found.items()))


@cache
def _reader() -> NounReader:
    return NounReader(NounTable.load())


@cache
def _parts_of_phrases() -> frozenset[str]:
    return frozenset(part for lemma in NounTable.load().nouns if "_" in lemma for part in lemma.split("_"))


def is_word(word: str) -> bool:
    """Whether WordNet knows a word, in lower case: in any form, within a phrase ("San Francisco"), or joined
    of two.
    """
    places = range(LEAST_PART, len(word) - LEAST_PART + 1)
    return _is_in_wordnet(word) or any(
        _is_in_wordnet(word[:place]) and _is_in_wordnet(word[place:]) for place in places
    )


def _is_in_wordnet(word: str) -> bool:
    return word in _parts_of_phrases() or Kind.UNKNOWN not in _reader().read(word).kinds


class _Index:
    """The words that may be meant, by their forms with at most one letter less."""

    def __init__(self, counts: Mapping[str, int]) -> None:
        self._counts = counts
        self._by_form: dict[str, list[str]] = {}

    def add(self, word: str) -> None:
        """A word may be meant by those that come later."""
        for form in set(forms(word)):
            self._by_form.setdefault(form, []).append(word)

    def meant(self, word: str) -> str | None:
        """The one word that a misspelling stands for; None: none, or one of several."""
        near = {one for form in forms(word) for one in self._by_form.get(form, ())}
        near = {one for one in near if one[0] == word[0] and is_one_edit(one, word)}
        best, *others = sorted(near, key=lambda one: (-self._counts[one], one)) or [""]
        longest = max(len(best), len(word))
        if not best or longest < LEAST_SLIP or are_variants(word, best):
            return None
        if longest < LEAST_EDIT and best not in slips_of(word):
            return None
        count, most = self._counts[word], self._counts[best]
        is_rare = count <= MOST_RARE or count * TIMES_AS_FREQUENT <= most
        rivals = max((self._counts[one] for one in others), default=0)
        return best if is_rare and count < most and rivals * TIMES_A_RIVAL <= most else None
