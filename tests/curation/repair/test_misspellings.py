"""Which words are taken for misspelt, and what was meant: by hand, by a table of distances, by properties."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synsight.curation.repair import misspellings as rule
from synsight.curation.repair.edits import are_variants, forms, is_one_edit, slips_of
from synsight.curation.repair.misspellings import is_word, misspellings

NOTES = {
    "scratch": 40,
    "surface": 38,
    "housing": 12,
    "crack": 9,
    "colour": 30,
    "music": 50,
    "printer": 20,
    "coated": 25,
    "viti": 60,
    "vitronic": 14,
    "form": 30,
    "from": 60,
}
WORDS = st.text("abcde", min_size=1, max_size=7)


def distance(one: str, other: str) -> int:
    """Damerau's distance by the usual table: letters lost, added, changed, and neighbours swapped."""
    table = [[max(i, j) if not i * j else 0 for j in range(len(other) + 1)] for i in range(len(one) + 1)]
    for i in range(1, len(one) + 1):
        for j in range(1, len(other) + 1):
            cost = one[i - 1] != other[j - 1]
            table[i][j] = min(table[i - 1][j] + 1, table[i][j - 1] + 1, table[i - 1][j - 1] + cost)
            if i > 1 and j > 1 and one[i - 2 : i] == other[j - 2 : j][::-1]:
                table[i][j] = min(table[i][j], table[i - 2][j - 2] + 1)
    return table[-1][-1]


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("scrach", "scratch"),  # a letter lost
        ("suface", "surface"),
        ("surfacce", "surface"),  # doubled
        ("housnig", "housing"),  # swapped
        ("hoxsing", "housing"),  # changed
        ("crakc", "crack"),  # short, but a slip of the hand
        ("crrack", "crack"),
        ("vitroniic", "vitronic"),  # in no dictionary, but frequent here
    ],
)
def test_a_rare_unknown_word_one_edit_from_a_frequent_one_is_misspelt(word, meant):
    assert misspellings({**NOTES, word: 1}) == {word: meant}


@pytest.mark.parametrize(
    "word",
    [
        "clock",  # known
        "cracks",  # known as a plural
        "printing",  # a form of a verb
        "firetruck",  # joined of two words
        "crxck",  # short, and no slip of the hand
        "musica",  # the last letter alone: another language
        "kcratch",  # another first letter
        "srtach",  # two edits
        "vitronics",  # a plural of a word that no dictionary has
        "vito",
        "suraces" * 5,
        "xqzvwkj",
    ],
)
def test_what_is_known_short_foreign_or_far_from_everything_stays(word):
    assert misspellings({**NOTES, word: 1}) == {}


@pytest.mark.parametrize(
    ("word", "other"),
    [
        ("colourised", "colorised"),
        ("colourised", "colourized"),
        ("travelling", "traveling"),
        ("analysed", "analyzed"),
        ("sulfurre", "sulfurer"),
        ("widget", "widgets"),
        ("paediatric", "pediatric"),
    ],
)
def test_british_and_american_spellings_and_plurals_are_both_right(word, other):
    assert are_variants(word, other) and are_variants(other, word)
    assert is_one_edit(word, other)


def test_a_word_in_many_captions_is_the_catalogs_own():
    assert misspellings({"surface": 20, "suface": 2}) == {"suface": "surface"}
    assert misspellings({"surface": 20, "suface": 3}) == {}
    assert misspellings({"surface": 30, "suface": 3}) == {"suface": "surface"}
    assert misspellings({"surface": 2, "suface": 1}) == {}  # too few to be sure
    assert misspellings({"vitronic": 9, "vitrnic": 1}) == {}  # unknown, and not frequent


def test_of_two_words_that_may_be_meant_none_is():
    assert misspellings({"hearing": 20, "heading": 10, "heaxing": 1}) == {}
    assert misspellings({"hearing": 60, "heading": 10, "heaxing": 1}) == {"heaxing": "hearing"}
    # "spotts" is a slip for "spots", which the catalog need not hold.
    assert misspellings({"sports": 50, "spotts": 1}) == {}


def test_what_was_meant_is_no_misspelling_itself():
    counts = {"surface": 500, "suface": 50, "sufacce": 1}  # one edit from the misspelling, two from the word
    assert misspellings(counts) == {"suface": "surface"}
    assert misspellings({**counts, "surrface": 1}) == {"suface": "surface", "surrface": "surface"}


def test_the_companys_words_are_known_and_their_plurals_too():
    counts = {"surface": 40, "surfaces": 40, "sulface": 1, "sulfaces": 1}
    assert set(misspellings(counts)) == {"sulface", "sulfaces"}
    assert misspellings(counts, ["sulface"]) == {}
    assert misspellings({"gewindex": 3, "gewnidex": 1}, ["gewindex"]) == {"gewnidex": "gewindex"}


@given(WORDS, WORDS)
def test_one_edit_is_what_the_table_of_distances_says(one, other):
    assert is_one_edit(one, other) == (distance(one, other) == 1)


@given(WORDS, WORDS)
def test_words_one_edit_apart_share_a_form(one, other):
    if one[0] == other[0] and is_one_edit(one, other):
        assert set(forms(one)) & set(forms(other))


@given(st.text("abcde", min_size=2, max_size=7))
def test_a_slip_is_one_edit_and_can_be_undone(word):
    for other in slips_of(word):
        assert other[0] == word[0]
        assert is_one_edit(word, other)
        assert word in slips_of(other)


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from([*NOTES, "scrach", "suface", "sufface", "crakc", "form", "fomr", "clock"]),
        st.integers(1, 900),
    )
)
def test_no_known_word_changes_and_nothing_changes_twice(counts):
    found = misspellings(counts)
    assert not any(map(is_word, found))
    assert not found.keys() & set(found.values())
    assert all(counts[meant] > counts[word] for word, meant in found.items())


def test_the_work_grows_with_the_number_of_words_and_not_with_its_square(monkeypatch):
    compared = []
    monkeypatch.setattr(rule, "is_one_edit", lambda one, other: compared.append(1) or is_one_edit(one, other))
    draw = random.Random(0)
    words = ["".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=9)) for _ in range(4000)]
    misspellings({word: 1 + 20 * (place % 2) for place, word in enumerate(words)})
    assert len(compared) < len(words)
