import re

import pytest
from test_audit_page import PICTURE
from test_page import HOSTILE, Shape, drawn_apart

from synsight.records import RepairExample, RepairSummary
from synsight.reports.repair_page import changes, next_steps, origins_chart, repair_page


def example(text: str = "", **fields: object) -> RepairExample:
    given = {"id": text + "id1", "before": text + "scrach on steel", "after": text + "scratch on steel"}
    return RepairExample(**{**given, "origin": "cleaned", "removed": ["spelling"], **fields})


def summary(text: str = "", **fields: object) -> RepairSummary:
    measured = {"captions": 1000.0, "distinct_share": 0.5, "effective": 420.4, "distinct_2": 0.25}
    given = {
        "rows": 1000,
        "changed": 300,
        "origins": {"original": 690, "keywords": 200, "cleaned": 98, f"captioner:{text}blip": 2},
        "removed": {"template": 60, "spelling": 12, text + "odd": 1},
        "kept_useless": 30,
        "without_caption": 10,
        "diversity": {"before": measured, "after": measured},
        "examples": [
            example(text),
            example(text, removed=["url"], score=0.75, score_before=0.5),
            example(text, before=None, origin="keywords", removed=[], after=text + "tool, steel"),
            example(text, origin=f"captioner:{text}blip", removed=[]),
        ],
        "settings": {"spelling": True, "captioner": None, text + "x": text},
    }
    return RepairSummary(**{**given, **fields})


def test_the_page_says_how_many_captions_changed_how_and_what_remains():
    html = repair_page(summary(), pictures={"id1": PICTURE}, title="notes")
    for part in (
        '<h1 class="open">300 of 1,000 captions changed.',
        "<b>30</b><span>keep a caption that says nothing",
        "text that stands on many images",
        "misspelt words, put right",
        "30 rows keep a caption of which cleaning leaves nothing",
        "10 rows have no caption at all",
        "--captioner",
        "20% of the captions are lists of keywords",
        "<del>scrach</del> on steel",
        "<ins>scratch</ins> on steel",
        "0.750",
        "0.500 before",
        "not scored",
        "50.0%",
        'synsight pilot <span class="whole">--repair</span>',
    ):
        assert part in html, part
    assert html.count('<img src="data:image/webp') == 4
    assert html.count("<svg") == 1
    assert re.findall("<h3>(.*)</h3>", html) == [
        "Cleaned",
        "Misspelt words put right",
        "Borrowed: the row&#39;s keywords",
        "Written by blip",
    ]


def test_a_dropped_caption_is_shown_as_gone():
    gone = example(after=None, origin="dropped", removed=["template", "spelling"])
    html = repair_page(summary(examples=[gone], origins={"original": 880, "dropped": 120}, kept_useless=0))
    assert "<b>120</b><span>captions dropped" in html
    assert "keep a caption that says nothing" not in html
    assert "Dropped: tells nothing of its image" in html
    assert (
        '<span class="none">no caption</span><span class="label">dropped: template, spelling</span>' in html
    )
    assert "120 rows have no caption any more" in html
    assert "--drop none keeps them" in html
    only_spelt = example(after=None, origin="dropped", removed=["spelling"])
    assert "Misspelt words put right" not in repair_page(summary(examples=[only_spelt]))


def test_the_same_record_is_the_same_page():
    assert repair_page(summary()) == repair_page(summary())


def test_a_repair_that_changed_nothing_is_a_page():
    html = repair_page(RepairSummary(rows=5, changed=0, origins={"original": 5}))
    assert '<h1 class="good">No caption was changed.' in html
    assert "Every row has a caption that says something." in html
    assert "<h2>Examples</h2>" not in html
    unscored = repair_page(summary(examples=[example()]))
    assert "scratch" in unscored
    assert "score</th>" not in unscored
    assert origins_chart(RepairSummary(rows=0, changed=0, origins={})) is None


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"settings": {"captioner": "blip"}}, "add --score-model"),
        ({"unusable_answers": {"several lines": 3}}, "several lines (3)"),
        ({"kept_useless": 1, "without_caption": 1}, "1 row keeps"),
        ({"kept_useless": 1, "without_caption": 1}, "1 row has"),
        ({"origins": {"original": 5, "dropped": 1}}, "1 row has no caption any more"),
        ({"origins": {"original": 5, "dropped": 2}, "kept_useless": 0, "without_caption": 0}, "--captioner"),
    ],
)
def test_what_to_do_next_follows_from_the_record(fields, sentence):
    assert any(sentence in one for one in next_steps(summary(**fields)))
    assert list(next_steps(RepairSummary(rows=5, changed=0, origins={"original": 5}))) == []


def test_what_changed_is_marked_and_two_unlike_texts_are_not():
    assert changes("a red_01 dot", "a red dot") == (
        [("a", False), ("red_01", True), ("dot", False)],
        [("a", False), ("red", True), ("dot", False)],
    )
    assert changes("a red dot. By me", "a red dot")[0] == [("a red dot.", False), ("By me", True)]
    assert changes("IMG 1", "tool, steel") == ([("IMG 1", False)], [("tool, steel", False)])
    assert changes("", "x") == ([("", False)], [("x", False)])


@pytest.mark.parametrize("first", range(0, len(HOSTILE), 3))
def test_hostile_text_in_every_field_makes_no_element(first):
    text = " ".join(HOSTILE[first : first + 3])
    # Marks of changes are elements of ours, and depend on the words.
    shape = Shape(drawn_apart(_unmarked(repair_page(summary(text), pictures={text + "id1": text}))))
    plain = Shape(drawn_apart(_unmarked(repair_page(summary("a "), pictures={}))))
    assert shape.elements == plain.elements
    assert not re.search("[\u202a-\u202e\u2066-\u2069\x00\x1b]", repair_page(summary(text)))
    assert all(one.startswith(("data:image/", "#")) for one in shape.addresses)


def _unmarked(html: str) -> str:
    return re.sub("</?(?:ins|del)>", "", html)
