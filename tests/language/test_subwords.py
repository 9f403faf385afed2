"""Sub-words as classes: the set of a caption's tokens, counted on train, with unique readable names."""

import pytest
from captions import make_catalog, many_captions

from synsight.data.catalog import Catalog
from synsight.errors import ConfigError, UsageError
from synsight.language import SubwordMatcher, find_words, load_vocabulary
from synsight.language.subwords import subword_names

ROWS = [
    {"caption": "a dog and a Dog", "keywords": ["puppy"]},
    {"caption": "a cat"},
    {"caption": None},
    {"caption": "a zebra", "split": "val"},
]


class WholeWords:
    """Cuts at blanks; a word's id is its place in a list."""

    words = ("a", "and", "cat", "dog", "puppy", "zebra", "dog")

    def token_ids(self, text: str) -> list[int]:
        return [self.words.index(word) for word in text.lower().split()]

    def token_text(self, token_id: int) -> str:
        return self.words[token_id]


def classes(catalog):
    keys = load_vocabulary(catalog, "subword").keys
    return [[keys[one] for one in row] for row in catalog.table(["words_subword"])[0].to_pylist()]


def test_a_caption_has_each_of_its_sub_words_once():
    matches = SubwordMatcher(WholeWords()).match(["a dog and a dog", "", "cat a"])
    assert [matches[row] for row in range(3)] == [[0, 1, 3], [], [0, 2]]
    assert matches.unmatched == [[], [], []]


def test_tokens_that_no_train_row_has_are_no_classes_and_none_is_too_rare(tmp_path):
    catalog = make_catalog(tmp_path / "cat", ROWS)
    summary = find_words(catalog, vocabulary="subword", tokeniser=WholeWords())
    assert load_vocabulary(catalog, "subword").keys == ["bpe:0", "bpe:1", "bpe:2", "bpe:3"]
    assert classes(catalog) == [["bpe:0", "bpe:1", "bpe:3"], ["bpe:0", "bpe:2"], [], ["bpe:0"]]
    assert (summary.vocabulary, summary.vocabulary_size, summary.captions) == ("subword", 4, 4)
    assert next(iter(summary.top)) == ("a", 2)
    assert summary.settings["min_count"] == 1


def test_the_threshold_and_other_columns_hold_for_sub_words_too(tmp_path):
    catalog = make_catalog(tmp_path / "cat", ROWS)
    find_words(catalog, vocabulary="subword", tokeniser=WholeWords(), min_count=2)
    assert load_vocabulary(catalog, "subword").names == ["a"]
    find_words(catalog, vocabulary="subword", tokeniser=WholeWords(), text_columns=("caption", "keywords"))
    assert "bpe:4" in classes(catalog)[0]


def test_synsets_and_sub_words_stand_side_by_side(tmp_path):
    catalog = make_catalog(tmp_path / "cat", ROWS)
    find_words(catalog, min_count=1)
    find_words(catalog, vocabulary="subword", tokeniser=WholeWords())
    opened = Catalog.open(tmp_path / "cat")
    assert {"words_synset", "words_subword"} <= set(opened.columns)
    assert load_vocabulary(opened, "synset").numbers == load_vocabulary(opened).numbers
    assert load_vocabulary(opened, "synset").keys[0].startswith("wn30:")


def test_names_that_are_shared_get_their_number():
    assert subword_names([0, 3, 6], WholeWords()) == ["a", "dog [3]", "dog [6]"]


def test_a_finished_call_does_nothing(tmp_path):
    catalog = make_catalog(tmp_path / "cat", ROWS)
    first = find_words(catalog, vocabulary="subword", tokeniser=WholeWords())
    version = catalog.version
    assert find_words(catalog, vocabulary="subword", tokeniser=WholeWords()) == first
    assert catalog.version == version


@pytest.mark.parametrize(
    ("arguments", "error", "sentence"),
    [
        ({}, ConfigError, "needs a tokeniser"),
        ({"tokeniser": WholeWords(), "compat": "corenet"}, UsageError, "is a rule for synsets"),
        ({"tokeniser": WholeWords(), "hypernyms": True}, UsageError, "leave hypernyms out"),
    ],
)
def test_what_sub_words_do_not_have_is_refused(tmp_path, arguments, error, sentence):
    catalog = make_catalog(tmp_path / "cat", ROWS)
    with pytest.raises(error, match=sentence):
        find_words(catalog, vocabulary="subword", **arguments)


def test_the_classes_are_the_tokens_of_open_clip(tmp_path):
    open_clip = pytest.importorskip("open_clip")
    from synsight.models.text import TextTokeniser

    rows = [*many_captions(40), {"caption": "naïve café, über-groß: 猫が好き 🐱 <b>it's</b> 3.14 &amp; more"}]
    catalog = make_catalog(tmp_path / "cat", rows)
    find_words(catalog, vocabulary="subword", tokeniser=TextTokeniser.load())
    train = catalog.table(["caption", "split"]).to_pylist()
    encode = open_clip.SimpleTokenizer().encode
    seen = {token for row in train if row["split"] == "train" for token in encode(row["caption"])}
    expected = [sorted(set(encode(row["caption"])) & seen) for row in train]
    found = [sorted(int(key.removeprefix("bpe:")) for key in row) for row in classes(catalog)]
    assert found == expected
    names = load_vocabulary(catalog, "subword").names
    assert "dog" in names
    assert len(set(names)) == len(names)
