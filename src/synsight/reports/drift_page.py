"""The page of a monitor: the verdict, what changed in words, and what to do; English or Japanese."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import unescape
from importlib import resources
from typing import Any

from synsight.reports.audit_page import inline_picture
from synsight.reports.decision_page import SCREEN_FONTS
from synsight.reports.drift_figures import periods_chart, words_chart
from synsight.reports.drift_records import ClassShare, DriftSummary, Moved
from synsight.reports.drift_sentences import DriftWords, change_text, plain, share, signed
from synsight.reports.page import render_template
from synsight.reports.page_fonts import JAPANESE_FAMILY, japanese_face
from synsight.reports.text import shortened, visible

TONES: Mapping[str, str] = {"none": "good", "watch": "open", "drift": "bad"}
MOST_CLASSES = 20
"""Rows of the class table."""


@dataclass(frozen=True)
class _Shown:
    title: str
    created_at: str


@dataclass(frozen=True)
class Rows:
    """A table: head, and rows of cells with a tone each."""

    head: Sequence[str]
    rows: Sequence[Sequence[tuple[str, str]]]


def drift_page(summary: DriftSummary, *, locale: str = "en") -> str:
    """The page's HTML, under the same security policy as every report, with its letters inside.

    Args:
        summary: What was found.
        locale: `en` or `ja`.

    Raises:
        UsageError: There is no such locale.
    """
    values = _values(summary, DriftWords.of(locale))
    style = _style()
    drawn = render_template("drift.html.j2", more_style=style, embeds_font=False, **values)
    face = japanese_face(
        visible(unescape(drawn)) + values["words"].say("footer.font"), only_japanese=locale != "ja"
    )
    # A browser loads embedded letters for certain only where they stand first or nothing else is at hand.
    families = [SCREEN_FONTS[locale], f'"{JAPANESE_FAMILY}"'] if face else [SCREEN_FONTS[locale]]
    if locale != "ja":
        families.reverse()
    screen = f"html {{ font-family: {', '.join(families)}, sans-serif; }}\n"
    return render_template(
        "drift.html.j2", more_style=style + face + screen, embeds_font=bool(face), **values
    )


def _style() -> str:
    return resources.files("synsight.reports").joinpath("templates/decision.css").read_text(encoding="utf-8")


def _values(summary: DriftSummary, words: DriftWords) -> dict[str, Any]:
    names = {
        "current": shortened(summary.current.catalog, most=60),
        "reference": shortened(summary.reference.catalog, most=60),
    }
    return {
        "page": _Shown(words.say("title", **names), summary.created_at),
        "words": words,
        "say": words.say,
        "summary": summary,
        "tone": TONES[summary.verdict],
        "share": share,
        "picture": inline_picture,
        "words_chart": words_chart(summary, words),
        "periods_chart": periods_chart(summary, words),
        "tests": Rows(
            words.say("tests.head").split("|"),
            [
                [
                    (words.say(f"test.{one.name}"), ""),
                    (f"{one.value:.3f}", ""),
                    (f"{one.p_value:.3f}", "bad" if one.p_value <= summary.alpha else ""),
                ]
                for one in summary.tests
            ],
        ),
        "classes": _classes(summary, words),
        "flags": _moved_table(summary.quality, "quality.head", words, alpha=summary.alpha),
        "measures": _moved_table(summary.measures, "quality.measures_head", words, alpha=summary.alpha),
        "most_classes": MOST_CLASSES,
        "earlier": Rows(
            words.say("earlier.head").split("|"),
            [
                [
                    (one.created_at[:16].replace("T", " "), ""),
                    (words.say(f"verdict.{one.verdict}"), TONES[one.verdict]),
                    (f"{one.p_value:.3f}", ""),
                    (f"{one.auc:.2f}", ""),
                ]
                for one in reversed(summary.earlier)
            ],
        ),
    }


def _moved_table(moved: Sequence[Moved], head: str, words: DriftWords, *, alpha: float) -> Rows | None:
    if not moved:
        return None
    as_share = head == "quality.head"
    rows = []
    for one in moved:
        changed = one.q_value <= alpha
        means = [share(value) if as_share else plain(value) for value in (one.reference, one.current)]
        change = change_text(one)
        if as_share:
            change = _points(one.difference, one.low, one.high, words)
        rows.append(
            [
                (words.locale.named("flag", one.name), ""),
                (means[0], ""),
                (means[1], ""),
                (change, "bad" if changed else "soft"),
            ]
        )
    return Rows(words.say(head).split("|"), rows)


def _classes(summary: DriftSummary, words: DriftWords) -> Rows | None:
    if summary.labels is None:
        return None
    with_truth = bool(summary.labels.method)
    head = words.say("labels.head_truth" if with_truth else "labels.head").split("|")
    return Rows(head, [_class_row(one, words, with_truth) for one in summary.labels.classes[:MOST_CLASSES]])


def _class_row(one: ClassShare, words: DriftWords, with_truth: bool) -> list[tuple[str, str]]:
    change = one.predicted_current - one.predicted_reference
    cells = [
        (shortened(one.name, most=60), ""),
        (share(one.predicted_reference), ""),
        (share(one.predicted_current), ""),
        (_points(change, one.low, one.high, words), "bad" if one.moved else "soft"),
    ]
    if not with_truth:
        return cells
    truth = "" if one.true_reference is None else share(one.true_reference)
    estimate = ""
    if one.estimate is not None and one.estimate_low is not None and one.estimate_high is not None:
        estimate = words.interval(one.estimate, one.estimate_low, one.estimate_high)
    return [*cells, (truth, ""), (estimate, "")]


def _points(value: float, low: float, high: float, words: DriftWords) -> str:
    """A difference of shares in points with its interval."""
    between = words.say("interval", low=signed(100 * low, digits=1), high=signed(100 * high, digits=1))
    return f"{signed(100 * value, digits=1)} ({between})"
