"""The compatible rule gives the label sets of the released code: by hand, by golden file, and live against
nltk.
"""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from released_rule import WORDNET, released_rule

import synsight.data
from synsight.language.corenet import CorenetMatcher, corenet_key, tokenise
from synsight.language.wordnet import NounTable

MATCHER = CorenetMatcher.load()
GOLDEN = json.loads((Path(__file__).parent / "corenet_labels.json").read_text(encoding="utf-8"))
needs_nltk = pytest.mark.skipif(
    not (WORDNET / "data.noun").exists(), reason="WordNet's files are not installed"
)


def keys(caption: str) -> list[str]:
    return sorted(corenet_key(offset) for offset in MATCHER(caption))


@pytest.mark.parametrize("caption", GOLDEN["labels"])
def test_labels_equal_those_stored_from_nltk(caption):
    assert keys(caption) == GOLDEN["labels"][caption]


@pytest.mark.parametrize(
    "word", ["photo", "bike", "automobile", "phone", "plane", "tv", "kid", "boy", "sneaker"]
)
def test_synonyms_are_dropped_as_released(word):
    assert MATCHER(word) == []


def test_adjectives_become_people_as_released():
    table = NounTable.load()
    (white,) = MATCHER("white")
    assert table.is_person(white)
    assert MATCHER("free") == [table.nouns["free"].senses[0]]


def test_keys_are_unpadded():
    assert corenet_key(5928118) == "n5928118"


def test_captions_read_together_have_the_labels_they_have_alone():
    captions = list(GOLDEN["labels"])
    together = MATCHER.match(captions)
    assert [together[row] for row in range(len(captions))] == [MATCHER(caption) for caption in captions]


@needs_nltk
def test_all_packaged_captions_have_the_labels_of_the_released_rule():
    folder = Path(synsight.data.__file__).parent / "sample_files"
    captions = {
        caption
        for path in folder.glob("*.parquet")
        for caption in pq.read_table(path, columns=["caption"])["caption"].to_pylist()
        if caption
    }
    captions = sorted(captions)[::4]
    assert len(captions) > 1000
    matches, rule = MATCHER.match(captions), released_rule()
    for row, caption in enumerate(captions):
        assert {corenet_key(offset) for offset in matches[row]} == rule.keys(caption), caption


@needs_nltk
def test_every_noun_lemma_alone_has_the_label_of_the_released_rule():
    lemmas = sorted(NounTable.load().nouns)[::97]
    matches, rule = MATCHER.match(lemmas), released_rule()
    for row, lemma in enumerate(lemmas):
        assert {corenet_key(offset) for offset in matches[row]} == rule.keys(lemma), lemma


WORDS = st.sampled_from(
    [
        "dog",
        "cat",
        "a",
        "b",
        "3",
        "3.5",
        "cannot",
        "gonna",
        "wanna",
        "dog's",
        "dogs'",
        "it's",
        "isn't",
        "they're",
        "'tis",
        "'twas",
        "more'n",
        "d'ye",
        "o.k",
        "u.s",
        "mr",
        "st",
        "men",
        "table_d'hote",
        "ice_cream",
        "t-shirt",
        "x-ray",
        "and/or",
        "é",
        "日本",
        "dog...",
        "etc",
        "gimme",
        "dog.cat",
    ]
)
MARKS = st.sampled_from(
    [
        "",
        " ",
        " ",
        " ",
        ". ",
        ".",
        ", ",
        ",",
        "; ",
        ": ",
        ":",
        "? ",
        "! ",
        "?",
        "(",
        ")",
        " (",
        ") ",
        '"',
        ' "',
        '" ',
        "'",
        " '",
        "' ",
        "''",
        "``",
        "--",
        " - ",
        "...",
        ".. ",
        "/",
        "*",
        "#",
        "@ ",
        "$",
        "%",
        "&",
        "[",
        "]",
        "{",
        "}",
        ">",
        "«",
        "»",
        "—",
        "–",
        ".)",
        '." ',
        ".' ",
        "!)",
        "n't",
        "'ll ",
        "~",
        "|",
    ]
)


@needs_nltk
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(MARKS, WORDS, MARKS), min_size=1, max_size=5))
def test_any_mixture_of_words_and_marks_has_the_labels_of_the_released_rule(parts):
    caption = "".join(before + word + after for before, word, after in parts)
    assert set(keys(caption)) == released_rule().keys(caption)


@needs_nltk
@pytest.mark.parametrize(
    "text",
    [
        "the col. of x. a dog.",
        "iron ore. a dog",
        "sen. smith and the reps. of q. dog",
        "q. 5 dogs",
        "(a dog.) the cat's.",
        'he said "dogs" then',
        "isn't it, 'tis",
        "a -- b ... c..",
        "1,000 dogs: 3.5 cats; x@y.z #tag",
        "we cannot wanna",
    ],
)
def test_tokens_equal_those_of_nltk_but_for_sentence_ends_that_change_no_label(text):
    ours, theirs = tokenise(text), released_rule().tokens(text)
    assert [word for one in ours if (word := one.strip("."))] == [
        word for one in theirs if (word := one.strip("."))
    ]
