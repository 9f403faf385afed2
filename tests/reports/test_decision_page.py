import re
import subprocess
import sys
import time
import zlib
from dataclasses import replace

import decisions
import pytest
from browser import Browser, needs_browser
from test_page import Shape

from synsight.reports import decision_page
from synsight.reports.decision_figures import arrow_text, drivers_chart, savings_chart
from synsight.reports.decision_page import decision_html, install_hints, write_decision_page
from synsight.reports.decision_records import Estimate
from synsight.reports.decision_sentences import meeting
from synsight.reports.locales import locale_of
from synsight.reports.pdf import why_no_pdf

EN, JA = locale_of("en"), locale_of("ja")
BOTH = pytest.mark.parametrize("locale", ["en", "ja"])


def plain(html):
    """What a reader sees, on one line."""
    text = re.sub(r"<(style|svg).*?</\1>", " ", html, flags=re.DOTALL)
    return " ".join(re.sub("<[^>]+>", " ", text).split())


@pytest.mark.parametrize(
    ("make", "english", "japanese"),
    [
        (decisions.adopt, "Adopt", "導入可"),
        (decisions.conditions, "Adopt with conditions", "条件付き導入"),
        (decisions.do_not, "Do not adopt", "見送り"),
    ],
)
def test_the_verdict_stands_first_in_both_languages(make, english, japanese):
    for locale, said in (("en", english), ("ja", japanese)):
        html = decision_html(make(), locale=locale)
        assert f'<html lang="{locale}">' in html
        assert f'<span class="answer">{said}</span>' in re.search("<h1.*?</h1>", html, re.DOTALL)[0]


@BOTH
def test_sections_stand_in_the_order_of_a_meeting(locale):
    words = locale_of(locale).words
    keys = "rule savings accuracy costs payback errors uncertainty assumptions measured warnings sentences"
    wanted = [words[f"h.{key}"] for key in [*keys.split(), "appendix"]]
    assert re.findall("<h2>(.*?)</h2>", decision_html(decisions.adopt(), locale=locale)) == wanted


def test_the_three_reasons_are_the_gain_the_labels_and_the_payback():
    html = decision_html(decisions.adopt())
    said = re.findall("<li>(.*?)</li>", re.search('<ol class="three.*?</ol>', html, re.DOTALL)[0])
    assert said == [
        "+13.7 points in accuracy on the same 1,130 test images, 95% interval +10.6 to +16.8.",
        "60 labels do the work of 198 labels (132 to 286).",
        "Payback: 1.8 months (1.1 to 3.2). Net gain over 24 months: €11,700 (€5,830 to €17,600).",
    ]
    html = decision_html(decisions.adopt(scale=160, currency="JPY"), locale="ja")
    said = re.findall("<li>(.*?)</li>", re.search('<ol class="three.*?</ol>', html, re.DOTALL)[0])
    assert said == [
        "同じテスト画像1,130枚で比べると、正解率が13.7ポイント向上（95%信頼区間 +10.6～+16.8ポイント）。",
        "ラベル60枚で、従来の198枚（132～286枚）に相当。",
        "投資回収期間は1.8か月（1.1～3.2か月）。24か月間の正味効果は188万円（93.3万円～282万円）。",
    ]


def test_the_arrow_says_how_the_curves_are_read():
    saving = decisions.adopt().case.saving
    assert arrow_text(saving, EN) == "60 labels do the work of 198"
    assert arrow_text(saving, JA) == "ラベル60枚で198枚分"
    beyond = replace(saving, against_labels=Estimate(value=300.0, value_sign=">"))
    assert arrow_text(beyond, EN) == "60 labels do the work of more than 300"
    never = replace(saving, against_labels=Estimate(value=None, value_sign="never"))
    assert arrow_text(never, EN) == "the other never reaches what 60 labels give here"


@BOTH
@pytest.mark.parametrize("narrow", [False, True])
def test_the_arrow_runs_from_the_candidates_labels_to_the_others(locale, narrow):
    decision = decisions.adopt()
    chart = savings_chart(decision, decision.case, locale_of(locale), narrow=narrow)
    axes = chart.figure.axes[0]
    (arrow,) = [one for one in axes.texts if one.arrow_patch is not None]
    assert arrow.xyann == (60, pytest.approx(0.668))
    assert arrow.xy == (198.0, pytest.approx(0.668))
    assert "198 (132 to 286)" in axes.get_title("left") or "198枚分（132～286枚）" in axes.get_title("left")
    assert chart.csv.splitlines()[0].startswith("model,labels,labels_per_class,accuracy")
    assert len(chart.rows) == 12


def test_an_arrow_beyond_the_measured_labels_runs_to_the_edge():
    decision = decisions.conditions()
    axes = savings_chart(decision, decision.case, EN).figure.axes[0]
    (arrow,) = [one for one in axes.texts if one.arrow_patch is not None]
    assert arrow.xy[0] == axes.get_xlim()[1]


def test_drivers_are_bars_from_the_lowest_to_the_highest_net_gain():
    decision = decisions.adopt()
    bars = drivers_chart(decision, decision.case, EN).figure.axes[0].patches
    assert (bars[0].get_x(), bars[0].get_width()) == (4_120, 13_180)
    assert len(bars) == 4


def test_what_was_not_measured_or_given_is_said_and_not_drawn():
    html = decision_html(decisions.nothing_in_common())
    text = plain(html)
    assert "<svg" not in html
    for key in ("savings.none", "plan.none", "errors.none", "drivers.none", "assumptions.none"):
        assert EN.words[key] in text
    assert "Nothing was compared." in text
    assert EN.words["said.saving.unknown"].format(candidate=decisions.OURS) in text


def test_a_comparison_of_different_images_is_never_called_one_of_the_same():
    text = plain(decision_html(decisions.do_not()))
    assert "the same 1,130 test images" not in text
    assert "4.3 points worse" in text
    assert "unpaired" in text
    assert "同じテスト画像1,130枚" not in plain(decision_html(decisions.do_not(), locale="ja"))


@BOTH
@pytest.mark.parametrize("make", decisions.ALL)
def test_there_are_sentences_for_the_meeting_and_each_is_filled(make, locale):
    said = meeting(make(), locale_of(locale))
    assert len(said) >= 4
    assert len(set(said)) == len(said)
    for sentence in said:
        assert sentence.endswith("." if locale == "en" else "。")
        assert not re.search("[{}]|None|nan", sentence)


def test_negative_results_have_their_sentences():
    said = " ".join(meeting(decisions.do_not(), EN))
    assert "do not adopt" in said
    assert "needs more labels, not fewer: its 60 labels do the work of only 36 labels (24 to 54)" in said
    assert "The answer would change if, with its whole interval, accuracy rose by more than 0 points" in said
    said = " ".join(meeting(decisions.conditions(), EN))
    assert "no difference in accuracy" in said
    assert "That is no proof that they are equal." in said
    assert "the interval also allows that no label is saved" in said
    assert "a loss cannot be ruled out" in said
    assert "may also never pay back" in said


def test_an_interval_without_zero_that_the_correction_undoes_is_explained():
    whole = decisions.conditions()
    difference = replace(whole.case.difference, difference=Estimate(value=0.07, low=0.01, high=0.13))
    decision = replace(whole, cases=[replace(whole.case, difference=difference)])
    assert EN.words["said.corrected"] in meeting(decision, EN)
    assert EN.words["said.corrected"] not in meeting(whole, EN)


def test_conditions_in_japanese_are_filled_from_their_values():
    text = plain(decision_html(decisions.conditions(), locale="ja"))
    assert "精度の差（+2.1ポイント）が確実かどうか。95%信頼区間は−1.3～+5.5ポイント" in text
    assert "現在は18グループで、30グループ以上が必要です。" in text


def test_three_points_are_written_with_their_peak():
    page = decisions.adopt()
    first, *others = page.assumptions
    page = replace(page, assumptions=[replace(first, text="0.3..0.5..0.8", value=0.5), *others])
    assert "0.3 to 0.8 minutes, most likely 0.5" in plain(decision_html(page))
    assert "0.3～0.8分（最も見込まれる値は0.5）" in plain(decision_html(page, locale="ja"))


def test_no_letter_of_a_drawing_can_be_seen_through_since_paper_would_leave_it_out():
    html = decision_html(decisions.adopt())
    letters = re.findall("<text[^>]*>", html)
    assert letters and not [one for one in letters if "opacity" in one]


def test_other_candidates_have_a_line_each():
    html = decision_html(decisions.several())
    assert EN.words["h.others"] in html
    assert '<td class="bad">Do not adopt</td>' in html


@BOTH
def test_the_page_obeys_its_policy_and_can_be_read_aloud(locale):
    html = decision_html(decisions.adopt(), locale=locale)
    shape = Shape(html)
    assert "font-src data:" in html
    assert "<script" not in html and " style=" not in html
    assert all(address.startswith("#") for address in shape.addresses)
    assert html.count('role="img" aria-label=') == html.count("<svg") == 4
    for head in re.findall("<thead>.*?</thead>", html, re.DOTALL):
        assert "<th>" not in head and 'scope="col"' in head
    ids = re.findall(r' id="([^"]+)"', html)
    assert len(ids) == len(set(ids))


@BOTH
def test_the_same_records_give_the_same_bytes(locale, tmp_path):
    decision = decisions.nothing_in_common()
    first, second = (write_decision_page(decision, tmp_path / name, locale=locale) for name in "ab")
    assert [one.name for one in first] == ["decision.html", "decision.pdf"]
    time.sleep(1.1)  # a time stamp of whole seconds would differ
    write_decision_page(decision, tmp_path / "b", locale=locale)
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
    whole = decisions.adopt()
    assert decision_html(whole, locale=locale) == decision_html(whole, locale=locale)


def test_the_pdf_brings_its_japanese_letters(tmp_path):
    _, pdf = write_decision_page(decisions.nothing_in_common(), tmp_path, locale="ja")
    data = pdf.read_bytes()
    assert data.startswith(b"%PDF-")
    objects = [zlib.decompress(one) for one in re.findall(rb"stream\n(x.*?)\nendstream", data, re.DOTALL)]
    assert b"Page-Japanese" in b"".join(objects)
    assert b"CreationDate" not in data


def test_a_written_pdf_leaves_the_process_as_strict_with_images_as_it_was():
    told = "from synsight.reports.pdf import why_no_pdf; assert why_no_pdf() is None\n"
    asked = "from PIL import ImageFile; raise SystemExit(int(ImageFile.LOAD_TRUNCATED_IMAGES))"
    assert subprocess.run([sys.executable, "-c", told + asked], timeout=120).returncode == 0


def test_without_weasyprint_the_page_is_html_only_and_says_why(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "weasyprint", None)
    written = write_decision_page(decisions.nothing_in_common(), tmp_path)
    assert [one.name for one in written] == ["decision.html"]
    assert not (tmp_path / "decision.pdf").exists()
    assert install_hints() == [str(why_no_pdf())]
    assert 'pip install "synsight[report]"' in install_hints()[0]


def test_without_the_japanese_font_the_page_says_what_to_install(monkeypatch):
    from synsight.reports import page_fonts

    for module in (page_fonts, decision_page):
        monkeypatch.setattr(module, "japanese_font", lambda: None)
    html = decision_html(decisions.nothing_in_common(), locale="ja")
    assert "@font-face" not in html and "font-src" not in html
    assert JA.words["footer.font"] not in html
    assert any('pip install "synsight[report]"' in hint for hint in install_hints("ja"))


@needs_browser
def test_a_telephone_needs_no_sideways_scrolling_and_every_letter_is_drawn(tmp_path):
    with Browser(tmp_path / "profile") as browser:
        for locale in ("en", "ja"):
            path = tmp_path / f"{locale}.html"
            path.write_text(decision_html(decisions.adopt(), locale=locale), encoding="utf-8")
            seen = browser.visit(path, width=400, fonts="h1, h2, p, li, tbody th, text")
            assert (seen.dialogs, seen.requests, seen.console) == ([], [], [])
            assert seen.found["width"] <= 400
            embedded = seen.fonts["IPAexGothic (embedded)"]
            assert embedded >= (1_000 if locale == "ja" else 4)  # the class names 良品 and キズ


def test_episodes_and_few_labels_are_two_questions_and_a_task_without_labels_is_named_by_itself():
    made = decisions.adopt()
    few = next(one for one in made.differences if one.task == "fewshot" and one.n_labels)
    more = [
        replace(few, task=task, against_task=task, n_labels=n)
        for task, n in (("episodes", 5), ("evidence", 0))
    ]
    html = plain(decision_html(replace(made, differences=[*made.differences, *more])))
    assert "5 labels a class, episodes" in html
    assert "no labels (evidence)" in html
    assert "0 labels a class" not in html.replace("10 labels", "").replace("20 labels", "").replace(
        "50 labels", ""
    )
