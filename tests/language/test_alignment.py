"""The table from Japanese nouns to synsets."""

import pytest

from synsight.language.alignment import FOLDER, Alignment
from synsight.language.synsets import SynsetMatcher
from synsight.language.wordnet import NounTable


@pytest.fixture(scope="module")
def alignment() -> Alignment:
    return Alignment.load()


PAIRS = {
    "犬": "dog", "猫": "cat", "車": "car", "自転車": "bicycle", "溶接": "welding", "ひび割れ": "crack",
    "錆": "rust", "家": "house", "木": "tree", "花": "flower", "写真": "photograph",
    "林檎": "apple", "旗": "flag", "医者": "doctor", "宇宙飛行士": "astronaut", "カーテン": "curtain",
}  # fmt: skip


@pytest.mark.parametrize("japanese", PAIRS)
def test_a_noun_and_its_english_word_name_one_synset(japanese: str, alignment: Alignment) -> None:
    synsets = alignment.lookup(japanese)
    assert synsets is not None
    assert [synsets[0][0]] == SynsetMatcher.load()(f"a {PAIRS[japanese]}")


def test_synonyms_among_the_glosses_settle_the_sense(alignment: Alignment) -> None:
    heads = {
        word: NounTable.load().head((alignment.lookup(word) or ())[0][0]) for word in ("銀行", "鶴", "基板")
    }
    assert heads["銀行"] == "depository_financial_institution"  # "bank" alone is a river bank
    assert NounTable.load().lexname((alignment.lookup("鶴") or ())[0][0]) == 5  # the bird, not the machine


def test_compounds_settle_the_sense_of_their_last_part(alignment: Alignment) -> None:
    heads = [NounTable.load().head(offset) for offset, _ in alignment.lookup("ボルト") or ()]
    assert heads == ["volt", "bolt"]  # and no thunderbolt


def test_colours_are_known_and_no_labels(alignment: Alignment) -> None:
    assert [alignment.lookup(word) for word in ("赤", "白", "黒", "緑")] == [()] * 4


def test_people_named_by_race_or_nation_are_persons_and_no_more(alignment: Alignment) -> None:
    person = SynsetMatcher.load()("a person")[0]
    for word in ("日本人", "黒人", "白人"):
        assert [offset for offset, _ in alignment.lookup(word) or ()] == [person]


def test_a_reading_tells_words_of_one_spelling_apart(alignment: Alignment) -> None:
    table = NounTable.load()
    sky, void = (alignment.lookup("空", reading=reading) for reading in ("そら", "から"))
    assert sky and void
    assert table.name(sky[0][0]) == "sky"
    assert table.name(void[0][0]) != "sky"


def test_an_unknown_word_is_none(alignment: Alignment) -> None:
    assert alignment.lookup("ホゲラホゲ") is None


def test_every_offset_is_a_noun_synset_once_and_confidences_are_shares(alignment: Alignment) -> None:
    known = set(NounTable.load().offsets.tolist())
    for lemma, synsets in alignment.synsets.items():
        offsets = [offset for offset, _ in synsets]
        assert known.issuperset(offsets), lemma
        assert len(set(offsets)) == len(offsets) <= 3, lemma
        assert 0 <= sum(confidence for _, confidence in synsets) <= 102, lemma


def test_the_table_is_small_and_carries_its_licence(alignment: Alignment) -> None:
    assert len(alignment) > 150_000
    assert (FOLDER / "nouns.parquet").stat().st_size < 3_000_000
    notice = (FOLDER / "NOTICE").read_text(encoding="utf-8")
    assert "Attribution-ShareAlike" in notice
    assert "Electronic Dictionary Research and Development Group" in (FOLDER / "COPYRIGHT").read_text()
