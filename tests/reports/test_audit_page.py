import base64
import re

import pages
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_page import HOSTILE, PARTS, Shape, drawn_apart

from synsight.records import AuditSummary, Finding, FindingExample
from synsight.reports.audit_figures import by_kind, findings_chart
from synsight.reports.audit_page import audit_page, inline_picture, share

PICTURE = "data:image/webp;base64," + base64.b64encode(pages.picture()).decode()


def summary(text: str = "", *, thumbnail: str = PICTURE, verdict: str = "unlikely") -> AuditSummary:
    def finding(flag: str, kind: str, rows: int) -> Finding:
        example = FindingExample(
            id=text + "id1", score=0.87, reason=text + "why", caption=text + "words", thumbnail=thumbnail
        )
        return Finding(
            flag=flag,
            kind=kind,
            rows=rows,
            share=rows / 1000,
            meaning=text + "It means.",
            advice=text + "Do this.",
            examples=[example],
        )

    return AuditSummary(
        rows=1000,
        findings={"blurred": 12, "dark": 0, "leak": 3, "boilerplate": 525, "mismatch": 40},
        effective_captions=412.4,
        verdict=verdict,
        reasons=[text + "61% of the rows share a caption."],
        details=[
            finding("boilerplate", "caption", 525),
            finding("mismatch", "pair", 40),
            finding("blurred", "image", 12),
            finding("leak", "split", 3),
        ],
        numbers={text + "words_per_caption": 2.5},
        out=text,
        report=text,
    )


def test_the_page_says_the_verdict_why_and_what_was_found():
    html = audit_page(summary())
    for part in (
        '<h1 class="bad">Language guidance is unlikely',
        "61% of the rows share a caption.",
        "<b>412</b>",
        "41% of the rows",
        "<b>4</b><span>kinds of findings of 5 looked for",
        "Looked for and not found: dark.",
        "It means. <b>Do this.</b>",
        "525 rows, 52%",
        "why",
        "score 0.87",
        "words_per_caption",
    ):
        assert part in html
    assert html.count("<svg") == 1
    assert html.count('<img src="data:image/webp') == 4
    assert re.findall('<h2 class="kind">(.*)</h2>', html) == [
        "Images",
        "Splits",
        "Captions",
        "Images and captions together",
    ]


@pytest.mark.parametrize(
    ("verdict", "kind"), [("likely", "good"), ("uncertain", "open"), ("unlikely", "bad")]
)
def test_the_headline_has_the_verdicts_colour(verdict, kind):
    assert f'<h1 class="{kind}">Language guidance' in audit_page(summary(verdict=verdict))


def test_an_audit_that_found_nothing_is_a_page():
    clean = AuditSummary(rows=5, findings={"dark": 0}, effective_captions=5.0, verdict="likely")
    html = audit_page(clean)
    assert "Nothing: no row is dark." in html
    assert "<svg" not in html
    assert findings_chart(clean) is None


def test_the_chart_has_a_bar_for_each_finding_by_kind_and_its_numbers_beside_it():
    chart = findings_chart(summary())
    assert [one.flag for one in by_kind(summary())] == ["blurred", "leak", "boilerplate", "mismatch"]
    assert chart.csv.splitlines()[:2] == ["finding,kind,rows,share", "blurred,image,12,0.012"]
    assert len(chart.figure.axes[0].patches) == 4


def test_the_page_loads_nothing_and_names_no_place_outside_itself():
    html = audit_page(summary())
    assert "default-src &#39;none&#39;; img-src data:" in html or "default-src 'none'; img-src data:" in html
    assert all(one.startswith(("data:image/", "#")) for one in Shape(html).addresses)
    assert " style=" not in html
    assert "<script" not in html


@pytest.mark.parametrize("first", range(0, len(HOSTILE), 3))
def test_hostile_text_in_every_field_makes_no_element(first):
    html = audit_page(summary(" ".join(HOSTILE[first : first + 3])))
    assert Shape(drawn_apart(html)).elements == Shape(drawn_apart(audit_page(summary()))).elements
    assert not re.search("[\u202a-\u202e\u2066-\u2069\x00\x1b]", html)
    html.encode("utf-8")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.one_of(st.sampled_from(PARTS), st.text(max_size=20)), min_size=1, max_size=4).map("".join))
def test_no_element_of_the_page_comes_from_a_caption(text):
    def shown(words: str) -> Shape:
        example = FindingExample(id=words, score=1, reason=words, caption=words, thumbnail=words)
        finding = Finding(
            flag="x", kind="image", rows=1, share=1, meaning=words, advice=words, examples=[example]
        )
        found = AuditSummary(rows=1, findings={}, effective_captions=1, verdict="likely", details=[finding])
        return Shape(drawn_apart(audit_page(found)))

    assert shown("x" + text).elements == shown("x").elements


@pytest.mark.parametrize(
    "address",
    [
        "",
        "https://example.com/x.png",
        "data:image/svg+xml;base64,PHN2Zz4=",
        "data:text/html,<script>alert(1)</script>",
        "data:image/png;base64,PHN2Zz4=",
        'data:image/png;base64,iVBORw0KGgo=" onerror="alert(1)',
        "data:image/png;base64,x",
    ],
)
def test_what_is_no_small_picture_of_a_known_format_is_not_shown(address):
    assert inline_picture(address) is None
    assert "<img" not in audit_page(summary(thumbnail=address))


def test_shares_are_said_in_few_digits():
    assert [share(rows, 1000) for rows in (0, 0.5, 4, 10, 525, 1000)] == [
        "0%",
        "under 0.1%",
        "0.4%",
        "1%",
        "52%",
        "100%",
    ]
