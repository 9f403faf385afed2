"""Which rule reads which caption: English, Japanese, both or neither; and what is said of the rest."""

import random

import numpy as np
import pytest
from captions import make_catalog

from synsight.data.catalog import Catalog
from synsight.errors import MissingDependency, UsageError
from synsight.language import SynsetMatcher, find_words, label_space, labelling, load_vocabulary
from synsight.language.matches import Matches, unique_in_rows
from synsight.language.routing import Router, without_latin_words
from synsight.records import as_json

DOG, CAT = 2084071, 2121620
JAPANESE = {"犬": DOG, "猫": CAT}


class TwoWords:
    """A stand-in for the Japanese rule: it knows dogs and cats, and calls every run of katakana a noun."""

    def join(self, texts):
        return "。".join(text for text in texts if text)

    def match(self, captions):
        pairs = [
            (row, number)
            for row, text in enumerate(captions)
            for word, number in JAPANESE.items()
            if word in text
        ]
        flat = np.array(pairs, np.int64).reshape(-1, 2)
        unmatched = [["ゴーグル"] if "ゴーグル" in text else [] for text in captions]
        return Matches(*unique_in_rows(flat[:, 0], flat[:, 1], len(captions)), unmatched=unmatched)


@pytest.fixture
def japanese(monkeypatch):
    monkeypatch.setattr(label_space, "japanese_matcher", TwoWords)
    monkeypatch.setattr(label_space, "can_read_japanese", lambda: True)


@pytest.fixture
def no_japanese(monkeypatch):
    monkeypatch.setattr(label_space, "can_read_japanese", lambda: False)


ROWS = [
    {"caption": "a dog on the street"},
    {"caption": "犬と猫がいる"},
    {"caption": "犬です。a cat sleeping here"},
    {"caption": "un cane e un gatto nella strada della città"},
    {"caption": "собака"},
    {"caption": None},
    {"caption": "ゴーグルをつけた犬"},
    {"caption": "赤いゴーグルです"},
]
LANGUAGES = ["en", "ja", "mixed", "it", "ru", None, "ja", "ja"]


def keys(path) -> list[list[str]]:
    catalog = Catalog.open(path)
    names = load_vocabulary(catalog).names
    return [
        [names[one] for one in row] for row in catalog.table(["words_synset"])["words_synset"].to_pylist()
    ]


def test_each_caption_is_read_by_the_rule_for_its_language(tmp_path, japanese):
    make_catalog(tmp_path / "cat", ROWS)
    summary = find_words(tmp_path / "cat", min_count=1)
    found = keys(tmp_path / "cat")
    assert [sorted(row) for row in found] == [
        ["dog", "street"],
        ["cat", "dog"],
        ["cat", "dog"],
        [],
        [],
        [],
        ["dog", "ゴーグル"],
        ["ゴーグル"],
    ]
    assert Catalog.open(tmp_path / "cat").table(["language"])["language"].to_pylist() == LANGUAGES
    assert summary.languages == {"ja": 3, "en": 1, "mixed": 1, "it": 1, "ru": 1, "none": 1}
    assert summary.without_word == {"it": 1, "ru": 1, "none": 1}
    assert summary.unread == {"it": 1, "ru": 1}


def test_an_unknown_japanese_noun_is_a_class_of_its_own(tmp_path, japanese):
    make_catalog(tmp_path / "cat", [*ROWS, {"caption": "ゴーグル", "split": "test"}])
    find_words(tmp_path / "cat", min_count=2)
    table = load_vocabulary(Catalog.open(tmp_path / "cat")).table.to_pylist()
    assert {"word:ゴーグル": 2}.items() <= {row["key"]: row["count"] for row in table}.items()
    assert keys(tmp_path / "cat")[-1] == ["ゴーグル"]


def test_without_the_extra_japanese_is_counted_and_named_not_dropped(tmp_path, no_japanese):
    make_catalog(tmp_path / "cat", ROWS)
    summary = find_words(tmp_path / "cat", min_count=1)
    assert summary.unread == {"ja": 3, "it": 1, "ru": 1}
    assert keys(tmp_path / "cat")[1] == []
    assert "cat" in keys(tmp_path / "cat")[2]


def test_installing_the_extra_later_makes_the_same_command_read_japanese(tmp_path, monkeypatch):
    make_catalog(tmp_path / "cat", ROWS)
    with monkeypatch.context() as patch:
        patch.setattr(label_space, "can_read_japanese", lambda: False)
        find_words(tmp_path / "cat", min_count=1)
    monkeypatch.setattr(label_space, "japanese_matcher", TwoWords)
    monkeypatch.setattr(label_space, "can_read_japanese", lambda: True)
    find_words(tmp_path / "cat", min_count=1)
    assert keys(tmp_path / "cat")[1] == ["dog", "cat"]


def test_foreign_names_that_english_knows_are_read_in_english(tmp_path):
    rows = [{"caption": "flag: Côte d’Ivoire"}, {"caption": "il cane nella strada"}]
    make_catalog(tmp_path / "cat", rows)
    find_words(tmp_path / "cat", min_count=1)
    assert keys(tmp_path / "cat") == [["flag", "Ivory Coast"], []]
    assert Catalog.open(tmp_path / "cat").table(["language"])["language"].to_pylist() == ["fr", "it"]


def test_english_within_japanese_is_read_by_the_english_rule_alone():
    assert without_latin_words("犬と猫 a golden retriever, on the street") == "犬と猫 。"
    assert without_latin_words("M8ボルトとLEDライト dog") == "M8ボルトとLEDライト dog"


def test_one_concept_in_two_languages_is_one_class(tmp_path):
    pytest.importorskip("sudachidict_core")
    make_catalog(
        tmp_path / "cat", [{"caption": "犬の写真"}, {"caption": "a dog"}, {"caption": "犬 a dog runs"}]
    )
    find_words(tmp_path / "cat", min_count=3)
    assert keys(tmp_path / "cat") == [["dog"], ["dog"], ["dog"]]


def test_a_japanese_term_is_not_looked_for_inside_a_longer_known_word(tmp_path):
    pytest.importorskip("sudachidict_core")
    (tmp_path / "terms.csv").write_text("term\n動車\n打痕\n溶接スパッタ\n", encoding="utf-8")
    rows = [{"caption": "赤い自動車です"}, {"caption": "打痕あり、溶接スパッタです"}]
    make_catalog(tmp_path / "cat", rows)
    find_words(tmp_path / "cat", vocabulary=f"terms:{tmp_path / 'terms.csv'}", min_count=1)
    catalog = Catalog.open(tmp_path / "cat")
    names = load_vocabulary(catalog, "terms").names
    found = [[names[one] for one in row] for row in catalog.table(["words_terms"])["words_terms"].to_pylist()]
    assert "動車" not in names
    assert set(found[1]) >= {"打痕", "溶接スパッタ"}


def test_a_language_given_by_name_is_read_by_its_rule_whatever_the_text(tmp_path, japanese):
    make_catalog(tmp_path / "cat", ROWS)
    find_words(tmp_path / "cat", min_count=1, language="ja")
    assert keys(tmp_path / "cat")[:4] == [[], ["dog", "cat"], ["dog"], []]
    find_words(tmp_path / "cat", min_count=1, language="en")
    assert keys(tmp_path / "cat")[1:4] == [[], ["cat"], ["cane"]]


def test_japanese_by_name_without_the_extra_is_one_sentence_before_any_work(tmp_path, monkeypatch):
    from synsight.language import routing

    monkeypatch.setattr(routing, "can_read_japanese", lambda: False)
    routing.japanese_matcher.cache_clear()
    version = make_catalog(tmp_path / "cat", ROWS).version
    with pytest.raises(MissingDependency, match=r"pip install \"synsight\[ja\]\""):
        find_words(tmp_path / "cat", language="ja")
    assert Catalog.open(tmp_path / "cat").version == version


def test_another_language_is_one_sentence(tmp_path):
    make_catalog(tmp_path / "cat", ROWS)
    with pytest.raises(UsageError, match="there is no language 'jp' to read; did you mean 'ja'"):
        find_words(tmp_path / "cat", language="jp")


def test_english_captions_get_exactly_what_the_english_rule_gives(japanese):
    draw = random.Random(1)
    nouns = ["dog", "traffic lights", "orange cat", "drinks", "golden retriever", "white man", "xqzzy"]
    captions = [f"the {draw.choice(nouns)} and a {draw.choice(nouns)}" for _ in range(300)]
    rule = SynsetMatcher.load()
    words = Router(rule, "auto", TwoWords).read([[one] for one in captions])
    assert set(words.languages) == {"en"}
    assert words.matches.numbers.tolist() == rule.match(captions).numbers.tolist()
    both = Router(rule, "auto", TwoWords).read([[one] for one in [*captions, "犬"]])
    assert both.matches.bounds[:-1].tolist() == words.matches.bounds.tolist()
    assert both.matches.unmatched[:-1] == words.matches.unmatched


def test_languages_are_written_once_and_a_second_vocabulary_leaves_them(tmp_path, japanese, monkeypatch):
    make_catalog(tmp_path / "cat", ROWS)
    first = find_words(tmp_path / "cat", min_count=1)
    version = Catalog.open(tmp_path / "cat").version
    monkeypatch.setattr(labelling.WordStage, "__call__", None)
    assert as_json(find_words(tmp_path / "cat", min_count=1)) == as_json(first)
    assert Catalog.open(tmp_path / "cat").version == version


def test_frequent_unknown_english_words_are_classes_where_asked_for(tmp_path):
    rows = [{"caption": one} for one in ("a gramastar", "two gramastars", "gramastar 12 b4", "a dog")]
    make_catalog(tmp_path / "cat", rows)
    find_words(tmp_path / "cat", min_count=1)
    assert keys(tmp_path / "cat") == [[], [], [], ["dog"]]
    find_words(tmp_path / "cat", min_count=2, unknown_words=True)
    assert keys(tmp_path / "cat") == [["gramastar"], ["gramastar"], ["gramastar"], []]
    assert load_vocabulary(Catalog.open(tmp_path / "cat")).all_keys == [("word:gramastar", "word:gramastars")]


def test_words_that_a_bounded_count_forgot_in_between_are_still_counted_right(tmp_path, monkeypatch):
    from synsight.language import classes

    monkeypatch.setattr(classes, "MAX_UNMATCHED", 3)
    monkeypatch.setattr(labelling, "ROWS_PER_CHUNK", 4)
    rows = [{"caption": f"blorf qux{chr(97 + n % 26)}zy{chr(97 + n // 26)}p"} for n in range(40)]
    make_catalog(tmp_path / "cat", [{"caption": "dogs"}, *rows])
    find_words(tmp_path / "cat", min_count=30, unknown_words=True)
    table = load_vocabulary(Catalog.open(tmp_path / "cat")).table.to_pylist()
    assert [(row["key"], row["count"]) for row in table] == [("word:blorf", 40)]
