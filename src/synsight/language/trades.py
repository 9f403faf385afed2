"""The sense of a word in its trade: beside other words of computing, a "library" is one of programs.

WordNet counts what novels and newspapers said in 1960, so a word's most frequent sense is not that of a
trade. Here the company decides, without glosses and without a model: words whose own sense lies below the
trade's synsets, and names that WordNet 3.0 lacks, are evidence for the trade; in a row with enough of it each
word takes its first sense in the trade, if it has one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from synsight.language.nouns import Reading
from synsight.language.wordnet import NounTable

ENOUGH = 2
"""Evidence that a row must have: one sure word, or two that hint."""
SURE, HINT = 2, 1
SEEN_KINDS = frozenset({5, 6, 8, 13, 20})
"""Lexicographer files of animals, artefacts, bodies, food and plants. Where a word's first sense is in one,
its sense in the trade is no hint: "mouse" and "window" stand together in a picture too."""

MOSTLY = 30
"""A thing that is seen, and was met so many times as often as the trade's, stays what it is: a desk with a
computer may stand at a window."""

ROOTS = """
software.1 computer.1 computer_network.1 code.3 data_structure.1 protocol.1 programming_language.1
markup_language.1 data_processing.1 algorithm.1 web_page.1 documentation.2 access.5
""".split()  # noqa: SIM905
"""Synsets that are computing's with all that lies below them, as lemma and number of the sense."""
LEAVES = """
library.4 module.4 object.5 interface.4 buffer.4 cache.3 processor.3 directory.2 window.8 mouse.4 string.5
tag.2 terminal.4 variable.4 desktop.2 bug.2 crash.5 partition.2 encryption.1 argument.6 capacity.6 packet.2
file.1 database.1 metadata.1 url.1
""".split()  # noqa: SIM905
"""Synsets that are computing's, while what lies below them need not be (a menu is a database to WordNet)."""

SURE_NAMES = frozenset(
    """
    perl php javascript typescript haskell ocaml erlang clojure scala fortran cobol lua sql mysql postgresql
    sqlite xml json yaml posix unix debian gnome kde gtk qt emacs git ssh ldap dns smtp imap wsgi
    django numpy npm unicode api apis plugin plugins middleware runtime backend frontend toolkit
    """.split()  # noqa: SIM905
)
"""Languages, systems, protocols and words of programmers that WordNet 3.0 lacks. Formats of images are not
among them: they end the names of files of anything."""
HINT_NAMES = frozenset(("library",))
"""A word whose first sense is seen in pictures, yet that programmers use more than others do."""
NAMES_ONLY = frozenset(("python", "ruby", "gnu"))
"""Words that hint, and that in the trade are names of what WordNet lacks."""


@dataclass(frozen=True, slots=True)
class TradeReading:
    """What a spelling is worth in computing."""

    offset: int
    """The synset it names there; -1 for none."""
    evidence: int
    """How much it tells that the row is about computing."""


class Trade:
    """Computing, over a noun table."""

    def __init__(self, table: NounTable) -> None:
        self._table = table
        self._below = {_sense(table, root): True for root in ROOTS}
        self._members = {_sense(table, leaf) for leaf in LEAVES}

    def read(self, word: str, lemma: str, offset: int) -> TradeReading:
        """What a word is worth here.

        Args:
            word: As it is spelt, in lower case.
            lemma: The noun lemma that it was read as; "" for none.
            offset: Its synset where nothing tells of the trade; -1 for none.
        """
        if word.rstrip("0123456789") in SURE_NAMES:
            return TradeReading(-1, SURE)
        noun = self._table.nouns.get(lemma)
        if offset < 0 or noun is None:
            return TradeReading(offset, 0)
        if self.holds(offset):
            return TradeReading(offset, SURE)
        if lemma in NAMES_ONLY:
            return TradeReading(-1, HINT)
        here = next((sense for sense in noun.senses if self.holds(sense)), None)
        if here is None:
            return TradeReading(offset, 0)
        counts = dict(zip(noun.senses, noun.counts, strict=True))
        is_seen = self._table.lexname(offset) in SEEN_KINDS
        if is_seen and counts[offset] > MOSTLY * (counts[here] + 1):
            return TradeReading(offset, 0)
        hints = lemma in HINT_NAMES or not is_seen
        return TradeReading(here, HINT if hints else 0)

    def applied(self, words: Sequence[str], readings: Sequence[Reading]) -> list[Reading]:
        """The readings of one row's words in the company they keep; offset -1: a name, and no label.

        To explain one row; `SynsetMatcher.match` does the same to many.
        """
        here = [self.read(word, one.lemma, one.offset) for word, one in zip(words, readings, strict=True)]
        if sum(one.evidence for one in here) < ENOUGH:
            return list(readings)
        return [replace(reading, offset=one.offset) for reading, one in zip(readings, here, strict=True)]

    def holds(self, offset: int) -> bool:
        """Whether a synset is one of the trade."""
        return offset in self._members or self._is_below(offset)

    def _is_below(self, offset: int) -> bool:
        """Whether a synset is a root or lies below one; each is looked at once."""
        known = self._below.get(offset)
        if known is None:
            above = self._table.hypernyms(offset)
            known = self._below[offset] = any(self._is_below(one) for one in above)
        return known


def _sense(table: NounTable, root: str) -> int:
    lemma, _, number = root.rpartition(".")
    return table.nouns[lemma].senses[int(number) - 1]
