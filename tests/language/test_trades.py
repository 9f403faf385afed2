"""The company a word keeps decides whether it is meant as computing means it."""

import pytest

from synsight.language.nouns import Kind, NounReader
from synsight.language.synsets import SynsetMatcher
from synsight.language.trades import LEAVES, ROOTS, Trade
from synsight.language.wordnet import NounTable

TABLE = NounTable.load()
MATCHER = SynsetMatcher.load()


def sense(lemma: str, number: int) -> int:
    return TABLE.nouns[lemma].senses[number - 1]


@pytest.mark.parametrize(
    ("caption", "lemma", "number"),
    [
        ("Perl library", "library", 4),
        ("a library with old books", "library", 1),
        ("computer with a mouse", "mouse", 4),
        ("a mouse at the window", "mouse", 1),
        ("window of a house", "window", 1),
        ("a desk with a computer at the window", "window", 1),
        ("software module", "module", 4),
        ("a database server", "server", 3),
    ],
)
def test_a_word_has_the_sense_of_the_trade_only_in_its_company(caption, lemma, number):
    assert sense(lemma, number) in MATCHER(caption)


def test_a_snake_is_no_programming_language_and_the_language_is_no_snake():
    assert sense("python", 1) in MATCHER("a python in the grass")
    assert sense("python", 1) not in MATCHER("Python library for software tests")
    assert sense("java", 1) in MATCHER("the beaches of Java")
    assert sense("java", 3) in MATCHER("Java software library")


def test_no_word_is_evidence_for_its_own_sense():
    for lemma in ("library", "client", "module", "package", "server"):
        assert MATCHER(f"a {lemma}") == [sense(lemma, 1)]


def test_evidence_stays_in_its_caption():
    together = MATCHER.match(["computer software", "mouse", "XML database", "a window"])
    assert together[1] == [sense("mouse", 1)]
    assert together[3] == [sense("window", 1)]


@pytest.mark.parametrize(
    "caption", ["Perl library", "Python library for software tests", "a mouse at the window", "Java software"]
)
def test_what_is_explained_of_one_row_is_what_is_found_in_many(caption):
    words = caption.lower().split()
    reader, trade = NounReader(TABLE), Trade(TABLE)
    readings = [reader.read(word) for word in words]
    offsets = {one.offset for one in trade.applied(words, readings) if one.kinds & Kind.LABEL}
    assert offsets - {-1} == set(MATCHER(caption))


def test_every_root_is_in_the_trade_and_so_is_what_lies_below():
    trade = Trade(TABLE)
    for root in (*ROOTS, *LEAVES):
        lemma, _, number = root.rpartition(".")
        assert trade.holds(sense(lemma, int(number))), root
    assert trade.holds(sense("web_browser", 1))
    assert not trade.holds(sense("dog", 1))
    assert not trade.holds(sense("menu", 1))
