"""Personal data in captions: what is found, what is left alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synsight.curation.privacy import comparable, masked, private_parts, reason_of


def found(text: str) -> dict[str, list[str]]:
    plain = comparable(text)
    return {
        flag: [plain[start:stop] for start, stop in spans] for flag, spans in private_parts(plain).items()
    }


@pytest.mark.parametrize(
    ("text", "flag", "parts"),
    [
        (
            "jean.balin@mail.example and x [at] foo [dot] org",
            "email",
            ["jean.balin@mail.example", "x [at] foo [dot] org"],
        ),
        ("連絡先：ｂｏｂ＠ｅｘａｍｐｌｅ．ｃｏｍ", "email", ["bob@example.com"]),
        ("(555) 234-5678 or 03-1234-5678", "phone", ["(555) 234-5678", "03-1234-5678"]),
        ("電話 1234567", "phone", ["電話 1234567"]),
        ("www.example.org and example.com/x", "url", ["www.example.org", "example.com/x"]),
        ("Part of it (Wed Aug 25 23:29:46 2004)", "date", ["Aug 25 23:29:46 2004"]),
        (
            "25/08/2004, 3rd of March 1999, 2024年3月1日, 令和5年",
            "date",
            ["25/08/2004", "3rd of March 1999", "2024年3月1日", "令和5年"],
        ),
        ("Clipart by Nicu Buculei - pear", "person-name", ["by Nicu Buculei"]),
        ("John Smith at work", "person-name", ["John Smith"]),
        ("johann garcia and kenji nakamura", "person-name", ["kenji nakamura"]),
        ("Pedro A. Fajardo in Spain", "person-name", ["Pedro A. Fajardo"]),
        ("担当者：鈴木 傷あり", "person-name", ["担当者:鈴木"]),
        ("田中様の机", "person-name", ["田中様"]),
        ("佐藤 太郎の写真", "person-name", ["佐藤 太郎"]),
        ("佐藤 太郎", "person-name", ["佐藤 太郎"]),
        ("Tanaka-san smiles", "person-name", ["Tanaka-san"]),
    ],
)
def test_what_is_private_is_found_where_it_stands(text, flag, parts):
    assert found(text).get(flag, []) == parts


@pytest.mark.parametrize(
    "text",
    [
        "George Washington Bridge",
        "Albert Einstein",
        "Santa Maria church",
        "Saint Vincent Valley",
        "can of Dr. Pepper",
        "photo by Open Clip Art Library",
        "Georgia, Virginia and Victoria",
        "a rose by the lake",
        "mary and john",
        "お客様へ、同様の仕様です",
        "赤ちゃんとお母さん",
        "山口県 萩市",
        "ISBN 978-3-16-148410-0",
        "page 12-34, 1/2 inch, 3.5.1",
        "12:30 in Berlin, 1945",
        "logo.de and file.txt",
        "ratio 1:2, @home",
        "M20 10 10 bolt",
    ],
)
def test_what_only_looks_alike_is_left_alone(text):
    assert found(text) == {}


def test_what_belongs_to_an_address_is_nothing_else():
    assert found("https://example.com/2004-08-25/03-1234-5678") == {
        "url": ["https://example.com/2004-08-25/03-1234-5678"]
    }


def test_a_reason_does_not_repeat_what_was_found():
    assert reason_of("email", 1) == "1 e-mail address"
    assert reason_of("url", 2) == "2 web addresses"
    assert reason_of("person-name", 3) == "3 names of a person"


def test_masking_leaves_the_rest():
    text = "pear. bob@example.com, 2004-08-25"
    parts = private_parts(text)
    assert masked(text, [*parts["email"], *parts["date"]]).split() == ["pear.", ","]


@given(st.text(max_size=200))
def test_spans_lie_within_any_text_and_in_order(text):
    plain = comparable(text)
    for spans in private_parts(plain).values():
        assert spans == sorted(spans)
        assert all(0 <= start < stop <= len(plain) for start, stop in spans)
