"""S4: what comes from outside stays text, in a real browser, on every page that shows it."""

from dataclasses import replace

import decisions
import hostile
import pages
import pytest
from browser import Browser, needs_browser
from test_audit_page import PICTURE
from test_page import Shape, drawn_apart

from synsight.records import (
    AuditSummary,
    Example,
    Finding,
    FindingExample,
    RepairExample,
    RepairSummary,
)
from synsight.reports import ReportPage, write_report, write_sweep_report
from synsight.reports.audit_page import audit_page
from synsight.reports.decision_page import decision_html
from synsight.reports.decision_records import ErrorPair, Estimate, LeftOut, Note
from synsight.reports.repair_page import repair_page

TEXTS = hostile.texts()


def gallery(path):
    examples = [
        Example(id=one, thumbnail=pages.picture(), caption=one, words=[one], label=one) for one in TEXTS
    ]
    return write_report(path, ReportPage(title="hostile", examples=examples))


def audit(path):
    examples = [
        FindingExample(id=one, score=1, reason=one, caption=one, thumbnail=PICTURE if number % 2 else one)
        for number, one in enumerate(TEXTS)
    ]
    finding = Finding(
        flag="mismatch", kind="pair", rows=1, share=1, meaning=TEXTS[0], advice=TEXTS[1], examples=examples
    )
    summary = AuditSummary(
        rows=1000,
        findings={TEXTS[2]: 1},
        effective_captions=1,
        verdict="likely",
        reasons=TEXTS[:20],
        details=[finding],
    )
    path.write_text(audit_page(summary, title=TEXTS[3]), encoding="utf-8")
    return path


def repaired(path):
    examples = [
        RepairExample(
            id=one,
            before=one,
            after=one[::-1] if number % 2 else f"{one} x",
            origin=f"captioner:{one}" if number < 10 else "cleaned",
            removed=[one],
        )
        for number, one in enumerate(TEXTS)
    ]
    summary = RepairSummary(
        rows=1000,
        changed=1000,
        origins={TEXTS[0]: 900, f"captioner:{TEXTS[1]}": 100},
        removed={TEXTS[2]: 1},
        unusable_answers={TEXTS[3]: 1},
        examples=examples,
        settings={TEXTS[4]: TEXTS[5]},
    )
    pictures = {one: PICTURE if number % 2 else one for number, one in enumerate(TEXTS)}
    path.write_text(repair_page(summary, pictures=pictures, title=TEXTS[6]), encoding="utf-8")
    return path


def decision(path, locale="en"):
    """A thousand names of models, classes, files and notes."""
    whole = decisions.adopt(TEXTS[0])
    result, difference = whole.results[0], whole.differences[0]
    pairs = [
        ErrorPair(
            truth=one,
            predicted=one[::-1],
            cost=Estimate(value=1.0),
            baseline_rate=0.1,
            candidate_rate=0.1,
            baseline_per_year=Estimate(value=1.0),
            candidate_per_year=Estimate(value=1.0),
        )
        for one in TEXTS[:300]
    ]
    hostile_decision = replace(
        whole,
        cases=[replace(whole.case, error_pairs=pairs), *(_case(whole, one) for one in TEXTS[300:350])],
        results=[
            *whole.results,
            *(replace(result, model=one, task=one, metric=one, details={one: one}) for one in TEXTS[350:600]),
        ],
        differences=[
            *whole.differences,
            *(replace(difference, against=one, task=one, metric=one) for one in TEXTS[600:700]),
        ],
        sources=[replace(whole.sources[0], path=one, dataset=one, models=[one]) for one in TEXTS[700:800]],
        left_out=[LeftOut(key=one, flags=[one], text=one) for one in TEXTS[800:850]],
        notes=[
            Note(key="unpaired" if number % 2 else one, text=one, values={"models": [one], "reason": one})
            for number, one in enumerate(TEXTS[850:])
        ],
        command=TEXTS[1],
        currency=TEXTS[2],
        version=TEXTS[3],
    )
    path.write_text(decision_html(hostile_decision, locale=locale, created_at=TEXTS[4]), encoding="utf-8")
    return path


def _case(whole, text):
    return replace(whole.case, model=text, against=text)


def test_there_are_a_thousand_of_many_kinds():
    assert len(set(TEXTS)) == 1_000
    for part in ("<script", "onerror=", "<svg", "data:", "@import", "{%", "\u202e", "javascript:", "\ud800"):
        assert sum(part in one for one in TEXTS) >= 5, part


@pytest.mark.parametrize("locale", ["en", "ja"])
def test_hostile_names_make_no_element_of_the_decision_page(locale):
    plain = Shape(drawn_apart(decision_html(decisions.do_not("a "), locale=locale))).elements
    for text in TEXTS[::300]:
        shape = Shape(drawn_apart(decision_html(decisions.do_not(text), locale=locale)))
        assert shape.elements == plain, text
        assert all(address.startswith("#") for address in shape.addresses)


@needs_browser
def test_a_thousand_hostile_texts_do_nothing_in_a_browser(tmp_path):
    """0 dialogs, 0 requests, 0 lines of the console; nothing that a text made is an element."""
    made = {
        "gallery": gallery(tmp_path / "gallery.html"),
        "audit": audit(tmp_path / "audit.html"),
        "repair": repaired(tmp_path / "repair.html"),
        "sweep": write_sweep_report(tmp_path / "sweep.html", pages.sweep_page(" ".join(TEXTS[:40]))),
        "decision": decision(tmp_path / "decision.html"),
        "decision-ja": decision(tmp_path / "decision-ja.html", "ja"),
    }
    with Browser(tmp_path / "profile") as browser:
        for name, path in made.items():
            seen = browser.visit(path)
            assert (seen.dialogs, seen.requests, seen.console) == ([], [], []), name
            assert seen.found["policy"], name
            assert seen.found["bad"] == [], name
            assert seen.found["odd"] == [], name
            assert "alert(" in seen.found["text"], name  # shown, as text


@needs_browser
def test_the_browser_sees_a_page_that_misbehaves(tmp_path):
    """Else the zeros above would prove nothing."""
    bad, barred = tmp_path / "bad.html", tmp_path / "barred.html"
    body = "<script>console.error(1); alert(2)</script><img src=http://127.0.0.1:9/x onerror=alert(3)>"
    bad.write_text(body + "<p onmouseover=alert(4)>x")
    policy = "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'\">"
    barred.write_text(policy + "<script>alert(1)</script><p onmouseover=alert(4)>x")
    with Browser(tmp_path / "profile") as browser:
        seen = browser.visit(bad)
        assert {"2", "3", "4"} == set(seen.dialogs)
        assert "http://127.0.0.1:9/x" in seen.requests
        assert seen.console
        assert seen.found["bad"] and seen.found["odd"]
        seen = browser.visit(barred)
        assert seen.dialogs == []
        assert any("Content Security Policy" in line for line in seen.console)
