"""An explanation says what the rules do, never something else."""

import json

import pyarrow.parquet as pq
import pytest
from captions import make_catalog

import synsight.data
from synsight.language import SynsetMatcher, find_words
from synsight.language.explaining import explain_caption
from synsight.language.label_space import label_space
from synsight.language.wordnet import key_of
from synsight.models.captions import explain_words
from synsight.records import as_json


def reasons(caption: str, **settings) -> dict[str, str]:
    return {one.text: one.reason for one in explain_words(caption, **settings).pieces}


@pytest.fixture(scope="module")
def captions() -> list[str]:
    from pathlib import Path

    folder = Path(synsight.data.__file__).parent / "sample_files"
    texts = [
        text
        for file in ("clipart", "emoji")
        for text in pq.read_table(folder / f"{file}.parquet", columns=["caption"])["caption"].to_pylist()
    ]
    return sorted({text for text in texts if text})[::12]


def test_bytes_of_a_console_that_are_no_text_are_shown_as_such():
    found = explain_words("caf\udce9 dog 犬")
    assert (found.caption, found.language) == ("caf? dog 犬", "mixed")


def test_the_pieces_that_name_a_word_are_what_the_rule_finds(captions):
    space, rule = label_space("synset", language="en"), SynsetMatcher.load()
    assert len(captions) > 300
    for caption in captions:
        found = explain_caption(caption, space)
        expected = {key_of(number) for number in rule(caption)}
        assert {one.key for one in found.pieces if one.key} == expected == {one.key for one in found.words}
        assert all(one.reason for one in found.pieces)


def test_every_decision_has_its_reason():
    found = reasons("The white dog and an orange cat: man drinks coffee at 7 blorf, two traffic lights")
    assert found["white"] == "met mostly as an adjective, so it names nothing"
    assert found["orange"] == "an adjective here: it stands before a noun"
    assert found["drinks"].startswith("a verb here")
    assert found["blorf"] == "no word of WordNet"
    assert found["7"] == "a number"
    assert found["and"] == "a function word"
    assert found["traffic lights"].startswith("a noun of several words")
    assert found["dog"] == "the most frequent of 7 senses, 42 of 42 counted uses"


def test_a_form_names_its_lemma_and_its_candidate_senses():
    piece = next(one for one in explain_words("two mice").pieces if one.text == "mice")
    assert piece.reason.startswith("a form of 'mouse'; the most frequent of")
    assert (piece.senses[0].name, piece.senses[0].kind_of) == ("mouse", "rodent")
    assert len(piece.senses) > 1 and piece.key == piece.senses[0].key


def test_terms_are_shown_as_the_caption_writes_them(tmp_path):
    (tmp_path / "terms.csv").write_text("term,synonyms\ngate valve,AC/DC relief\n", encoding="utf-8")
    found = explain_words("two Gate Valves, an AC/DC relief", vocabulary=f"terms:{tmp_path / 'terms.csv'}")
    terms = [one.text for one in found.pieces if one.kind == "term"]
    assert terms == ["gate valves", "ac/dc relief"]
    assert "zzterm" not in json.dumps(as_json(found))


def test_a_catalog_says_which_words_are_classes_and_which_are_too_rare(tmp_path):
    rows = [{"caption": "a dog"}, {"caption": "a dog and a zebra"}, {"caption": "a rose"}]
    make_catalog(tmp_path / "cat", rows)
    find_words(tmp_path / "cat", min_count=2)
    words = {one.name: one for one in explain_words("zebra, dog", catalog=tmp_path / "cat").words}
    assert (words["dog"].class_number, words["dog"].note) == (0, "")
    assert words["zebra"].class_number is None
    assert words["zebra"].note == "no class here: in fewer than 2 training rows"


def test_hypernyms_are_shown_with_their_weights(tmp_path):
    make_catalog(tmp_path / "cat", [{"caption": one} for one in ("dog", "cat", "rose", "tulip", "car")])
    find_words(tmp_path / "cat", min_count=1, hypernyms=True)
    found = explain_words("a dog", catalog=tmp_path / "cat", hypernyms=True)
    weights = {one.name: one.weight for one in found.words}
    assert weights["dog"] == 1 and weights["carnivore"] == pytest.approx(1 / 3)


def test_another_language_is_read_by_nothing_and_says_so():
    found = explain_words("un cane e un gatto nella strada della città")
    assert (found.language, list(found.rules), list(found.words)) == ("it", [], [])


def test_an_empty_caption_is_explained_too():
    assert explain_words("").words == []


def test_japanese_words_are_shown_by_the_words_that_name_them(tmp_path):
    pytest.importorskip("sudachidict_core")
    (tmp_path / "terms.csv").write_text("term,concept\nスパッタ,weld spatter\n", encoding="utf-8")
    found = explain_words(
        "白い犬と溶接のスパッタ, a dog on the street", vocabulary=f"terms:{tmp_path / 'terms.csv'}"
    )
    assert (found.language, list(found.rules)) == ("mixed", ["terms", "english", "japanese"])
    assert {one.text: one.name for one in found.pieces if one.key}.items() >= {
        "犬": "dog",
        "dog": "dog",
        "street": "street",
        "スパッタ": "weld spatter",
    }.items()
