"""Japanese captions to synsets."""

import pickle
import sys
import unicodedata
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synsight.errors import MissingDependency
from synsight.language.japanese import JapaneseMatcher, normal_text
from synsight.language.synsets import SynsetMatcher
from synsight.language.wordnet import NounTable

pytest.importorskip("sudachipy")
pytest.importorskip("sudachidict_core")


def names(caption: str) -> list[str]:
    return sorted(NounTable.load().name(offset) for offset in JapaneseMatcher.load()(caption))


def unknown(caption: str) -> list[str]:
    return JapaneseMatcher.load().match([caption]).unmatched[0]


@pytest.mark.parametrize("japanese", ["犬", "いぬ", "イヌ", "ｲﾇ", "犬の写真を撮る"])
def test_inu_and_dog_are_one_class_however_it_is_written(japanese: str) -> None:
    assert SynsetMatcher.load()("dog")[0] in JapaneseMatcher.load()(japanese)


@pytest.mark.parametrize(
    ("caption", "found"),
    [
        ("溶接ひび割れ", ["crack", "welding"]),
        ("錆びたボルト", ["bolt"]),
        ("ボルトの錆", ["bolt", "rust"]),
        ("表面の傷", ["surface", "wound"]),
        ("異物混入", ["contamination"]),
        ("箱の異物", ["box", "substance"]),
        ("ナットとネジ", ["nut", "screw"]),
    ],
)
def test_words_of_a_factory_are_found(caption: str, found: list[str]) -> None:
    assert names(caption) == found


def test_full_width_digits_unit_signs_and_half_width_kana_are_read() -> None:
    assert names("２５㎝のﾎﾞﾙﾄ") == ["bolt"]
    assert names("ｶﾞﾗｽ") == names("ガラス") == ["glass"]
    assert names("カ-テン") == names("カーテン") == ["curtain"]


def test_units_and_counters_behind_a_number_are_no_labels() -> None:
    assert names("5メートルの棒") == ["pole"]
    assert names("100ボルト") == []
    assert names("M8ボルト") == ["bolt"]
    assert names("２匹の猫") == ["cat"]
    assert names("25 cm の棒") == ["pole"]


def test_adjectives_and_verbs_are_no_labels() -> None:
    assert names("白い猫") == names("黒い猫") == names("元気な猫") == ["cat"]
    assert names("白") == names("赤と黒") == []
    assert names("回転するロボット") == names("ロボット")


def test_nobody_gets_a_race_or_a_name_for_a_label() -> None:
    assert names("黒人の医者") == ["doctor", "person"]
    assert names("白い服の日本人") == ["clothes", "person"]
    assert (names("田中さんの車"), unknown("田中さんの車")) == (["car"], [])


def test_compounds_are_found_whole_else_by_their_parts() -> None:
    assert names("女性宇宙飛行士") == ["astronaut", "woman"]
    assert names("サッカーボール") == ["soccer ball"]
    assert names("犬小屋") == ["doghouse"]
    assert names("はんだ付け") == names("半田付け") != []


def test_unknown_nouns_are_reported_whole_and_in_nfkc() -> None:
    assert unknown("ﾌｶﾞﾎｹﾞ装置の検査") == ["フガホゲ"]
    assert names("ﾌｶﾞﾎｹﾞ装置の検査") == ["equipment", "inspection"]
    assert unknown("No.3 と M8") == []
    assert unknown("右向きの人") == []


def test_mixed_captions_give_the_words_of_both_languages() -> None:
    assert names("dogの写真") == ["dog", "photograph"]
    assert names("LED照明") == ["light", "light-emitting diode"]


def test_markup_emoji_addresses_and_blanks_name_nothing() -> None:
    assert names("<b>猫</b>&amp;犬🐕‍🦺") == ["cat", "dog"]
    assert names("abc@example.com https://example.com/犬 の写真") == names("犬。写真")
    matches = JapaneseMatcher.load().match(["", " 　", "🐕", "123", "\0"])
    assert (len(matches), matches.numbers.tolist(), matches.unmatched) == (5, [], [[]] * 5)


def test_no_compound_reaches_from_one_text_into_the_next() -> None:
    matcher = JapaneseMatcher.load()
    assert names("消防") != names("消防車")
    fire, engine = matcher("消防"), matcher("車")
    assert matcher("消防", ["車"]) == sorted({*fire, *engine}) != matcher("消防車")


@given(st.lists(st.text(alphabet="犬猫の写真ボルト検査する5cm dog🐕<&\0", max_size=15), max_size=6))
def test_many_at_once_one_by_one_and_anew_agree(captions: list[str]) -> None:
    matcher = JapaneseMatcher.load()
    together = matcher.match(captions)
    assert [together[row] for row in range(len(captions))] == [matcher(one) for one in captions]


@given(st.text(max_size=40))
def test_any_text_is_read_and_its_nfkc_form_alike(text: str) -> None:
    matcher = JapaneseMatcher.load()
    found = matcher.match([text])
    assert len(found) == 1
    assert normal_text(normal_text(text)) == normal_text(text) or "%" in text or "&" in text or "<" in text
    assert all(unicodedata.is_normalized("NFKC", word) for word in found.unmatched[0])


def test_a_very_long_caption_is_cut_and_read() -> None:
    assert names("犬" + "あ" * 100_000) == names("犬あ")


def test_it_may_be_pickled_and_shared_between_threads() -> None:
    matcher = pickle.loads(pickle.dumps(JapaneseMatcher()))
    captions = ["犬の写真", "溶接ひび割れ", "女性宇宙飛行士", "元気な猫"] * 50
    alone = [matcher(caption) for caption in captions]
    fresh = JapaneseMatcher()
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(fresh, captions)) == alone


def test_without_the_extra_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sudachipy", None)
    with pytest.raises(MissingDependency, match=r'reading Japanese captions needs .*"synsight\[ja\]"'):
        JapaneseMatcher()
