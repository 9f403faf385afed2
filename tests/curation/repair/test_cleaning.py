"""What cleaning takes out of a caption, what it leaves, and that it is done after one time."""

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from synsight.curation.passages import key_of
from synsight.curation.repair.cleaning import CleanStage, clean, joined


def templates(*texts: str) -> frozenset[int]:
    return frozenset(key_of(text) for text in texts)


@pytest.mark.parametrize(
    ("found", "left", "removed"),
    [
        ("a dog on the grass", "a dog on the grass", ()),
        ("mail me@firm.org, a red door", "a red door", ("email",)),
        ("A red door. Contact: (email: me@firm.org)", "A red door. Contact", ("email",)),
        ("blue chair, see https://shop.example.com/p?id=7", "blue chair", ("url",)),
        ("crack in weld, tel. 030-1234-5678", "crack in weld", ("phone",)),
        ("Thanksgiving Spread. HASH(0x850c64c)", "Thanksgiving Spread.", ("code",)),
        ("bolt 1234567", "bolt", ("code",)),
        ("jigsaw_red_10", "jigsaw red", ("file-name",)),
        ("help-books.svg", "help books", ("file-name",)),
        ("redHeart3.png", "red Heart", ("file-name",)),
        ("smiley111", "smiley", ("file-name",)),
        ("arrow1. uma seta", "arrow. uma seta", ("file-name",)),
        ("Boy symbol 01. A boy", "Boy symbol. A boy", ("file-name",)),
        ("BlueMan#306", "BlueMan", ("file-name",)),
        ("<b>dog</b> &amp; cat", "dog & cat", ("mark-up",)),
        ("<script>alert('dog')</script> a <STYLE>p {}</style >cat", "a cat", ("mark-up",)),
        ("a car, call 030-1234-5678 or mail me@firm.org", "a car", ("email", "phone")),
        ("a car. Phone: 030-1234-5678, fax: 030-1234-5679", "a car.", ("phone",)),
        ("a call or a visit", "a call or a visit", ()),
        ("cafÃ© au lait", "café au lait", ()),
        ("夕日の写真 https://a.example.com/1", "夕日の写真", ("url",)),
        ("a\u202edog\u0000 and\na cat", "adog and a cat", ()),
    ],
)
def test_what_says_nothing_goes_and_the_rest_stays_as_it_is_written(found, left, removed):
    assert (clean(found).text, clean(found).removed) == (left, removed)


@pytest.mark.parametrize(
    "text",
    [
        "mp3 player",
        "RTX4090 card",
        "a 10,000 m race at 08:30",
        "3D cube",
        "50% off",
        "black + white",
        "C++ and C#",
        "2 dead frogs",
        "Berlin 1945",
        "size 0.5 mm",
        "007",
        "ox",
        "犬",
        "گربه‌ها",
    ],
)
def test_numbers_and_marks_that_belong_to_the_thing_are_kept(text):
    left = clean(text)
    if text == "007":  # a serial number by itself is nothing
        assert left.text is None
    else:
        assert (left.text, left.removed) == (text, ())


@pytest.mark.parametrize("text", ["IMG_2031.JPG", "DSC00123.jpg", "P1010023", "https://a.org/x", "me@x.org"])
def test_a_caption_of_which_nothing_is_left_is_none_and_says_why(text):
    left = clean(text)
    assert left.text is None
    assert left.removed


@pytest.mark.parametrize("text", ["", "  ", "...", "\u200b\u200b", "---"])
def test_a_caption_without_a_letter_is_none(text):
    assert clean(text).text is None


def test_sentences_that_stand_on_many_images_go():
    known = templates("part of the flat icon collection", "clipart by somebody")
    assert clean("Clipart by Somebody - book_01", known).text == "book"
    assert clean("Squash. Part of the Flat Icon Collection", known).text == "Squash"
    assert clean("Part of the Flat Icon Collection", known) == type(clean(""))(None, ("template",))


PIECES = [
    *(
        "dog",
        "_",
        "red",
        "01",
        "#7",
        "a.png",
        "IMG_1.jpg",
        "me@x.org",
        "https://x.org/a",
        "%41",
        "%2541",
        "%",
    ),
    *("&lt;b&gt;", "<br>", "<", ";", "0x12ab", "(", ")", ".", ",", "-", "030-1234-5678", "Ã©", "犬", "ＡＢ"),
    *("tel", "part of the flat", "icon set", "@", "x.org"),
]


@settings(max_examples=500, deadline=None)
@given(
    st.one_of(
        st.text(max_size=60),
        st.lists(st.sampled_from(PIECES), max_size=8).map(" ".join),
        st.lists(st.sampled_from(PIECES), max_size=8).map("".join),
    )
)
@example("&amp;amp;amp;lt;b>")
@example("%252525252541")
def test_cleaning_twice_is_cleaning_once(text):
    known = templates("part of the flat icon set")
    once = clean(text, known).text
    assert once is None or clean(once, known).text == once
    assert once is None or ("\n" not in once and once == once.strip())


def test_a_hostile_caption_of_a_megabyte_is_cut_off_and_takes_no_time():
    for text in ("%25" * 400_000, "<" * 1_000_000, "a_" * 500_000, "(" * 1_000_000, "&amp;" * 200_000):
        assert len(clean(text).text or "") <= 4_000


def test_texts_of_several_columns_are_one_caption_said_once():
    stage = CleanStage(("title", "caption"), frozenset())
    rows = {"title": ["Dog_1", "cat", None], "caption": ["a dog.", "cat", None]}
    out = stage(pa.record_batch({name: pa.array(some, pa.string()) for name, some in rows.items()}))
    assert out.column("caption_clean").to_pylist() == ["Dog. a dog.", "cat", None]
    assert out.column("caption_found").to_pylist() == ["Dog_1. a dog.", "cat", None]
    assert joined([]) is None
