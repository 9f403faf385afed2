"""Cleaning is idempotent, undoes what the web does to captions, and costs nothing where nothing is to do."""

import time

import ftfy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synsight.language.clean import MAX_CHARACTERS, clean_caption, is_plain

PIECES = st.sampled_from(
    [
        "%25",
        "%41",
        "%3Cb%3E",
        "%26amp;",
        "+",
        "&amp;",
        "&lt;",
        "&gt;",
        "&percnt;",
        "<b>",
        "<",
        ">",
        "\n",
        "\t",
        "  ",
        "\x00",
        "é",
        "Ã©",
        "ﬁ",
        "İ",
        "“",
        "…",
        "Dog",
        "cat",
        " ",
    ]
)


@settings(max_examples=1000, deadline=None)
@given(st.one_of(st.text(), st.lists(PIECES).map("".join)))
def test_cleaning_twice_is_cleaning_once(text):
    once = clean_caption(text)
    assert clean_caption(once) == once


@settings(max_examples=1000, deadline=None)
@given(st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126)))
def test_ftfy_is_skipped_only_where_it_changes_nothing(text):
    if is_plain(text):
        assert ftfy.fix_text(text) == text


@settings(max_examples=2000, deadline=None)
@given(st.text(alphabet="aBz 0.,:;'\"&%+<!?$^~‘’“”–—éÉàãßöÆÿÂÃœŒ°©»…\u0301\xa0€", max_size=12))
def test_the_short_way_gives_what_the_long_way_gives(text):
    assert clean_caption(text) == clean_caption("\n" + text)  # a line break is never short


@pytest.mark.parametrize("text", ["women’s room", "“here” button", "São Tomé & Príncipe", "Curaçao", "naïve"])
def test_single_marks_do_not_cost_a_search_for_wrong_encodings(text, monkeypatch):
    expected = clean_caption("\n" + text)
    monkeypatch.delattr("synsight.language.clean.fix_text")
    assert clean_caption(text) == expected


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("A  Dog\n on\tgrass ", "a dog on grass"),
        ("a%20dog+and%2520cat", "a dog and cat"),
        ("dog<br/>cat <b>bird</b>", "dog cat bird"),
        ("&lt;i&gt;dog&lt;/i&gt;", "dog"),
        ("CafÃ© “crème”", 'café "crème"'),
        ("100%", "100%"),
        ("", ""),
        ("salt & pepper", "salt & pepper"),
    ],
)
def test_what_the_web_did_is_undone(text, cleaned):
    assert clean_caption(text) == cleaned


def test_a_hostile_caption_takes_no_more_than_its_first_characters():
    hostile = "%26percnt;" * 200_000
    start = time.process_time()
    assert len(clean_caption(hostile)) <= MAX_CHARACTERS
    assert time.process_time() - start < 5
