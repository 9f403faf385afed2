"""The page of explanations: what is seen in an image, what carried the answer, where, like what, why not."""

from collections.abc import Mapping
from dataclasses import dataclass
from html import unescape
from importlib import resources
from typing import Any

from synsight.reports.audit_page import inline_picture
from synsight.reports.decision_page import SCREEN_FONTS
from synsight.reports.explanation_figures import map_chart, score_bar, signed_bar, signed_bars
from synsight.reports.explanation_records import Contributions, ExplanationRecord, ExplanationSummary
from synsight.reports.explanation_words import say, words_of
from synsight.reports.page import render_template
from synsight.reports.page_fonts import JAPANESE_FAMILY, japanese_face
from synsight.reports.text import shortened, visible

MOST_ANSWERS = 5
LEAST = 0.005
"""What is smaller would be shown as 0.00."""


@dataclass(frozen=True)
class _Page:
    """What the base template asks for."""

    title: str
    created_at: str


@dataclass(frozen=True)
class _Wording:
    """The words of a locale, as the template asks for them."""

    locale: str

    def __call__(self, key: str, **values: object) -> str:
        return say(self.locale, key, **values)


def explanation_page(summary: ExplanationSummary, *, created_at: str = "") -> str:
    """The page's HTML, under the same security policy as every report.

    Args:
        summary: What `explain` found; pictures are data URLs of PNG, JPEG or WebP, others are not shown.
        created_at: ISO time; "": the page names none.

    Raises:
        UsageError: There is no such locale.
    """
    wording = _Wording(summary.locale)
    words_of(summary.locale)
    drawn = summary.map
    chart = None
    if drawn is not None:
        about = wording("map.note", catalog=shortened(drawn.catalog, most=60), method=drawn.method)
        chart = map_chart(drawn.points, drawn.names, description=about)
    style = resources.files("synsight.reports").joinpath("templates/explanation.css").read_text("utf-8")
    many = len(summary.explanations) != 1
    values: dict[str, Any] = {
        "page": _Page(wording("title.some" if many else "title.one"), created_at),
        "summary": summary,
        "wording": wording,
        "shown": [_shown(one, wording) for one in summary.explanations],
        "methods": list(dict.fromkeys(heat.method for one in summary.explanations for heat in one.heat)),
        "picture": inline_picture,
        "score_bar": score_bar,
        "chart": chart,
        "faithful": _faithful(summary.faithfulness, wording),
    }
    html = render_template("explanation.html.j2", more_style=style, **values)
    # Letters that are in the page travel with it, for machines without a Japanese font.
    face = japanese_face(visible(unescape(html)), only_japanese=summary.locale != "ja")
    if not face:
        return html
    first, last = SCREEN_FONTS[summary.locale], f'"{JAPANESE_FAMILY}"'
    families = [first, last] if summary.locale == "ja" else [last, first]
    screen = f"html {{ font-family: {', '.join(families)}, sans-serif; }}\n"
    return render_template("explanation.html.j2", more_style=style + face + screen, **values)


def _shown(one: ExplanationRecord, wording: _Wording) -> dict[str, Any]:
    """An explanation with its bars and sentences."""
    found = one.contributions
    verdict = ""
    if one.right is not None:
        verdict = "right" if one.right else "wrong"
    return {
        "record": one,
        "verdict": verdict,
        "answer": _answer(one, wording),
        "bars": _bars(found, wording) if found is not None else [],
        "note": _note(found, wording) if found is not None else "",
    }


def _answer(one: ExplanationRecord, wording: _Wording) -> str:
    """What stands above an explanation: the answer, else the words, else what the image is called."""
    if one.prediction is None:
        names = [shortened(word.name, most=40) for word in one.words[:3]] or [shortened(one.id, most=60)]
    else:
        names = [shortened(name, most=60) for name in one.answers[:MOST_ANSWERS]]
        names += ["…"] * (len(one.answers) > MOST_ANSWERS)
    return wording("comma").join(names) or wording("nothing_given")


def _bars(found: Contributions, wording: _Wording) -> list[tuple[str, str, Any, str]]:
    """(name, value, bar, kind) of the words, of all others, and of what no word says."""
    longest = max((abs(one.value) for one in found.words), default=0.0)
    longest = max(longest, abs(found.rest), abs(found.residual)) or 1.0
    rows = [
        (name, f"{value:+.2f}", bar, "word") for name, value, bar in signed_bars(found) if abs(value) >= LEAST
    ]
    for key, value in (("rest", found.rest), ("residual", found.residual)):
        if abs(value) >= LEAST:
            rows.append((wording(key), f"{value:+.2f}", signed_bar(value, longest), "other"))
    return rows


def _note(found: Contributions, wording: _Wording) -> str:
    return wording(
        f"carried.note.{found.method}",
        of=shortened(found.of, most=60),
        score=f"{found.score:.2f}",
        baseline=f"{found.baseline:.2f}",
        said=f"{100 * found.said:.0f}%",
        residual=f"{found.residual:+.2f}",
    )


def _faithful(found: Mapping[str, float], wording: _Wording) -> list[tuple[str, str, str]]:
    """(curve, area by the map, area by chance)."""
    return [
        (wording(name), f"{found[name]:.3f}", f"{found[f'{name}_random']:.3f}")
        for name in ("deletion", "insertion")
        if name in found
    ]
