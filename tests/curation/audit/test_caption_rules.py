"""What one caption says of itself, by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synsight.curation.audit.caption_rules import marks_of
from synsight.curation.audit.flags import CAPTION_FLAGS
from synsight.curation.codes import letters


def flags(text: str) -> set[str]:
    return {mark.flag for mark in marks_of(text)}


@pytest.mark.parametrize("text", ["", "   ", "...", "☃", "\n\t", "――"])
def test_a_text_without_letter_or_digit_is_empty_and_nothing_else(text):
    assert flags(text) == {"empty"}


@pytest.mark.parametrize(
    "text",
    [
        "a red apple on a table",
        "犬",
        "茶色の犬が走っている",
        "No.3 ｷｽﾞ 小",
        "flag: Côte d’Ivoire",
        "10,000 flowers in 2019",
        "Boeing 747 at 12:30",
        "screen of 1920x1080 pixels",
        "собака на траве",
        "iPhone 14 Pro",
        "5 kg bag, 3-5 mm",
    ],
)
def test_an_ordinary_caption_bears_no_flag(text):
    assert flags(text) == set()


@pytest.mark.parametrize(
    ("text", "flag"),
    [
        ("x", "too-short"),
        ("12", "too-short"),
        ("い", "too-short"),
        ("IMG_20230401_1234", "file-name"),
        ("DSC01234.JPG", "file-name"),
        ("red heart.png", "file-name"),
        ("shopping_cart", "file-name"),
        ("smiley111", "file-name"),
        ("スクリーンショット 2023", "file-name"),
        ("Untitled-1", "file-name"),
        ("Georgia. HASH(0x86d2470)", "id-like"),
        ("bolt AB-10442-C left", "id-like"),
        ("550e8400-e29b-41d4-a716-446655440000", "id-like"),
        ("item 88231907", "id-like"),
        ("cafÃ© in Paris", "mojibake"),
        ("縺薙ｌ縺ｯ迥ｬ縺ｧ縺吶ｃ", "mojibake"),
        ("broken \ufffd\ufffd text", "mojibake"),
        ("taken 2004-08-25", "date"),
        ("write to bob@example.com", "email"),
        ("call +81 3-1234-5678", "phone"),
        ("see https://example.com/a?b=c", "url"),
        ("portrait of Ms. Kowalski", "person-name"),
    ],
)
def test_each_defect_has_its_flag(text, flag):
    assert flag in flags(text)


def test_an_id_is_measured_by_its_share_of_the_caption():
    (short,), (long,) = marks_of("HASH(0x86d2470)"), marks_of("a dog in the park HASH(0x86d2470)")
    assert short.score == 1.0
    assert 0.4 < long.score < 0.5
    assert long.reason == "1 code, 45% of the caption"


def test_an_address_is_no_code_and_no_file_name():
    assert flags("http://example.com/12345678/picture.jpg") == {"url"}
    assert flags("mail 12345678@example.com") == {"email"}


def test_an_ideograph_counts_as_a_word_and_two_kana_do():
    assert letters("犬") == 3
    assert letters("いぬ") == 3
    assert letters("ab1") == 2


@given(st.text(max_size=300))
def test_no_text_makes_the_rules_fail(text):
    marks = marks_of(text)
    assert all(0 < mark.score <= 1 and mark.flag in CAPTION_FLAGS and mark.reason for mark in marks)
    assert len({mark.flag for mark in marks}) == len(marks)


@pytest.mark.parametrize("piece", ["a@", "1-", "(", "a_", "by A", "0", "縺", "x.", "＠", "+1 ", "Mr "])
def test_a_hostile_caption_of_any_length_is_read_in_linear_time(piece):
    marks_of(piece * 100_000)  # the test's timeout is the claim: a quadratic pattern takes minutes
