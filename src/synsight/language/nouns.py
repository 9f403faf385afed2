"""Is this word a noun here, and which one? Decided from WordNet's own counts, one spelling at a time.

`NounReader.read` says what a spelling may be: the synset it would name, and the kinds of word it can be.
What depends on the neighbours (an adjective before a noun, a verb before an article) is decided by
`synsets.py` from these kinds. No tagger: counts of how often SemCor's readers tagged a spelling as noun,
verb, adjective or adverb.
"""

from dataclasses import dataclass
from enum import IntFlag

from synsight.language.wordnet import Noun, NounTable

PLURAL_ENDINGS = (
    ("s", ""), ("ses", "s"), ("ves", "f"), ("xes", "x"), ("zes", "z"),
    ("ches", "ch"), ("shes", "sh"), ("men", "man"), ("ies", "y"),
)  # fmt: skip
"""Regular endings and what they replace: the rules of WordNet's own morphology (morphy)."""

PAST_SHARE = 4
"""About a quarter of a verb's uses are its irregular past ("rose", "saw"); WordNet counts base forms only."""
GERUND_SHARE = 16
"""About a sixteenth of a verb's uses compete with the noun of the same spelling ("running", "painting")."""
NATURAL_KINDS = frozenset({5, 8, 13, 20})
"""Lexicographer files of animals, bodies, food and plants."""
NATURAL_MARGIN = 3
"""Their names lend themselves as adjectives of colour ("olive", "chestnut"); a few such uses prove nothing.
"""
MOSTLY = 30
"""A spelling met so many times as often as a verb ("go", "see") is no noun in a caption."""


ORIGINS = ("inhabitant", "person_of_color", "caucasian", "semite", "european", "asian", "african")
"""Lemmas of what people by origin and race are kinds of, in their first sense."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


class Kind(IntFlag):
    """What a spelling can be; one bit each."""

    LABEL = 1
    """It has a synset that may be a label."""
    ADJECTIVE_TOO = 2
    """A label, unless it stands before a noun: "orange cat", "orange"."""
    VERB_TOO = 4
    VERB_MOSTLY = 8
    """A label that is met more often as a verb."""
    ADJECTIVE = 16
    """Mostly an adjective, never a label: "white"."""
    DETERMINER = 32
    FUNCTION = 64
    """Preposition, conjunction, particle."""
    SUBJECT = 128
    """Pronoun, modal or `to`: what follows is a verb."""
    BREAK = 256
    """Punctuation, or the end of a caption."""
    UNKNOWN = 512
    """A word that WordNet does not know."""
    S_FORM = 1024
    """It ends in the s of a plural, or of a verb's third person."""
    CAPTION_END = 2048


DETERMINERS = _words(
    """
    a an the this that these those my your his her its our their some any no every each all both many much
    few several more most other another such what which whose zero one two three four five six seven eight
    nine ten eleven twelve twenty thirty forty fifty hundred thousand million billion
    """
)
FUNCTION_WORDS = _words(
    """
    of in on at by for from with without within into onto upon over under above below between among through
    during before after behind beside besides beyond against across along around about near off out up down
    as than like via per plus minus versus vs and or nor but so yet if because while when where why how then
    not no yes there here very too also just only even ever never again now is am are was were be been being
    has have had having etc eg ie et al de la le el les los das der die und il di del et en un una y re ve
    ll s t d m o www http https com org net html htm jpg jpeg png gif svg & 's
    """
)
"""English closed classes; the commonest articles of the languages that English captions are mixed with; and
the debris of web addresses and file names."""
SUBJECTS = _words(
    """
    something anything everything nothing none
    i you he she it we they me him us them who whom to can could will would shall should may might must do
    does did let please cannot myself yourself himself herself itself ourselves themselves someone anyone
    everyone
    """
)


@dataclass(frozen=True, slots=True)
class Reading:
    """What a spelling may be."""

    offset: int
    """The synset it names as a noun; -1 for none."""
    kinds: Kind
    lemma: str = ""
    """The noun lemma of that synset; "" for none."""


NOTHING = Reading(-1, Kind(0))


class NounReader:
    """Reads single spellings by a noun table."""

    def __init__(self, table: NounTable) -> None:
        self.table = table
        self._joined = {
            lemma.replace("_", ""): lemma
            for lemma in table.nouns
            if lemma.count("_") == 1 and lemma.replace("_", "").isalpha()
        }
        """Lemmas of two words as captions run them together: "meatgrinder"."""
        self._origins = {table.nouns[lemma].senses[0] for lemma in ORIGINS if lemma in table.nouns}

    def read(self, word: str) -> Reading:
        """What one lower-case word, as the tokeniser cuts it, may be."""
        closed = _closed_class(word)
        if closed is not None:
            return closed
        word = word.removesuffix("'s")
        if word not in self.table.nouns:
            word = word.rstrip("0123456789") or word  # "button1", as file names have it
            word = self._joined.get(word, word)
        readings = [(lemma, self._read_lemma(lemma, word)) for lemma in self.lemmas(word)]
        labels = [(lemma, reading) for lemma, reading in readings if reading.offset >= 0]
        if labels:
            # "games" is a lemma of its own (games, the event), but the plural of "game" far more often.
            lemma, reading = max(labels, key=lambda pair: sum(self.table.nouns[pair[0]].counts))
            kinds = reading.kinds
            if word.endswith("s") and lemma != word:
                kinds |= Kind.S_FORM
            if self.is_adjective(word) and self.table.is_person(reading.offset):
                kinds |= Kind.ADJECTIVE_TOO  # "scots" is a plural of "scot", and an adjective
            return Reading(reading.offset, kinds, lemma)
        if readings:
            return readings[0][1]
        return self._read_other(word)

    def lemmas(self, word: str) -> list[str]:
        """Noun lemmas a form may belong to, the form itself first: morphy's irregular forms, else its
        endings.
        """
        nouns = self.table.nouns
        irregular = self.table.plurals.get(word)
        bases = irregular if irregular is not None else regular_singulars(word)
        return [lemma for lemma in dict.fromkeys((word, *bases)) if lemma in nouns]

    def best_sense(self, noun: Noun) -> int:
        """The most frequent sense that is no single person; -1 when there is none.

        A surname in a caption is no evidence for the writer of that name, and a model should not name people.
        """
        table = self.table
        for offset in noun.senses:
            if not (table.is_person(offset) and table.is_instance(offset)):
                return offset
        return -1

    def _read_lemma(self, lemma: str, word: str) -> Reading:
        noun = self.table.nouns[lemma]
        as_noun, as_verb = sum(noun.counts), self._verb_count(noun, word)
        offset = self.best_sense(noun)
        if offset < 0 or self._is_foreign_abbreviation(lemma, offset, as_noun):
            return NOTHING
        if self.is_mostly_adjective(noun, offset):
            return Reading(-1, Kind.ADJECTIVE if noun.adjective >= 0 else Kind.FUNCTION)
        if as_verb > MOSTLY * (as_noun + 1) or self._gerund_count(word) > as_noun:
            return NOTHING
        kinds = Kind.LABEL
        # Half a count for each side: where nothing was counted, an adjective before a noun is an adjective.
        share = (max(noun.adjective, 0) + 0.5) / (max(noun.adjective, 0) + as_noun + 1)
        if noun.adjective >= 0 and (share >= 0.25 or self.table.is_person(offset)):
            kinds |= Kind.ADJECTIVE_TOO
        if self._is_people_by_origin(offset):
            kinds |= Kind.ADJECTIVE_TOO  # "an Arab horse": WordNet does not call every demonym an adjective
        if as_verb > 0 and as_verb * 10 >= as_noun:
            kinds |= Kind.VERB_TOO
        if as_verb > as_noun:
            kinds |= Kind.VERB_MOSTLY
        return Reading(offset, kinds)

    def is_mostly_adjective(self, noun: Noun, offset: int) -> bool:
        """Whether a spelling was met more often as adjective or adverb than as noun."""
        margin = NATURAL_MARGIN if self.table.lexname(offset) in NATURAL_KINDS else 0
        others = max(noun.adjective, 0) + max(noun.adverb, 0)
        return others > sum(noun.counts) + margin or self._is_adjectival_person(noun, offset)

    def is_adjective(self, word: str) -> bool:
        """Whether a spelling can be an adjective at all."""
        known = self.table.nouns.get(word) or self.table.others.get(word)
        return known is not None and known.adjective >= 0

    def _is_people_by_origin(self, offset: int) -> bool:
        """Whether a synset is people by where they or their forebears come from."""
        return self.table.is_person(offset) and not self._origins.isdisjoint(self.table.ancestors(offset))

    def _is_adjectival_person(self, noun: Noun, offset: int) -> bool:
        """Whether a label for people (by origin, faith, colour) would rest on a word that is as often an
        adjective.
        """
        return noun.adjective >= 0 and noun.adjective >= sum(noun.counts) and self.table.is_person(offset)

    def _is_foreign_abbreviation(self, lemma: str, offset: int, as_noun: int) -> bool:
        """One letter; or two that nobody counted and that name nothing by themselves ("la" is lanthanum)."""
        if len(lemma) == 2:
            return as_noun == 0 and self.table.head(offset) != lemma
        return len(lemma) < 2

    def _verb_count(self, noun: Noun, word: str) -> int:
        """Times the spelling was a verb: counted for the base form, estimated for "rose" and "running"."""
        pasts = [self._base_count(base) // PAST_SHARE for base in self.table.verb_forms.get(word, ())]
        return max(noun.verb, 0, self._gerund_count(word), *pasts)

    def _gerund_count(self, word: str) -> int:
        stem = word.removesuffix("ing")
        if stem == word or len(stem) < 2:
            return 0
        bases = (stem, stem + "e", stem[:-1] if stem[-1] == stem[-2] else stem)
        return max(self._base_count(base) for base in bases) // GERUND_SHARE

    def _base_count(self, base: str) -> int:
        known = self.table.nouns.get(base) or self.table.others.get(base)
        return max(known.verb, 0) if known is not None else 0

    def _read_other(self, word: str) -> Reading:
        """A word that is no noun: an adjective, a verb or adverb in any form, or unknown."""
        other = self.table.others.get(word)
        if other is not None:
            return Reading(-1, Kind.ADJECTIVE if other.adjective >= 0 else Kind(0))
        is_form = word in self.table.verb_forms or any(self._is_verb(base) for base in regular_bases(word))
        return NOTHING if is_form else Reading(-1, Kind.UNKNOWN)

    def _is_verb(self, base: str) -> bool:
        known = self.table.nouns.get(base) or self.table.others.get(base)
        return known is not None and (known.verb >= 0 or known.adjective >= 0)


def regular_singulars(word: str) -> list[str]:
    """What a word may be the regular plural of, in morphy's order; not checked against any list."""
    return [word[: -len(ending)] + new for ending, new in PLURAL_ENDINGS if word.endswith(ending)]


def regular_bases(word: str) -> list[str]:
    """What a word may be the regular third person, past, gerund, comparative or superlative of."""
    bases = regular_singulars(word)
    for ending in ("ed", "ing", "er", "est"):
        if word.endswith(ending) and len(word) > len(ending) + 2:
            stem = word[: -len(ending)]
            bases += [stem, stem + "e"]
            if stem[-1] == stem[-2]:
                bases.append(stem[:-1])
            if stem.endswith("i"):
                bases.append(stem[:-1] + "y")
    return bases


def _closed_class(word: str) -> Reading | None:
    if word.isdecimal():
        return NOTHING  # "circle 16" is no verb with its object
    if word in DETERMINERS:
        return Reading(-1, Kind.DETERMINER)
    if word in FUNCTION_WORDS:
        return Reading(-1, Kind.FUNCTION)
    if word in SUBJECTS or word.endswith(("n't", "'ll", "'ve", "'re", "'d", "'m")):
        return Reading(-1, Kind.SUBJECT)
    return None
