"""The page of slices: where a model is worse, what may mislead it, what repair does to captions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from synsight.reports.locales import SHARE, Locale
from synsight.reports.page import render_template
from synsight.reports.page_words import page_words, with_letters
from synsight.reports.slice_figures import slice_chart
from synsight.reports.slice_records import CaptionChange, Odds, Part, Slice, SliceSummary, SpuriousWord
from synsight.reports.text import shortened

VALUE_LENGTH = 48
"""Most characters of a column's value or a word in a table."""

STYLE = """
.slices td, .slices th { vertical-align: top; }
.slices th[scope="row"] { min-width: 11rem; }
.slices td { white-space: nowrap; min-width: 4.2rem; }
.slices thead th { vertical-align: bottom; overflow-wrap: break-word; }
.slices small { display: block; color: var(--soft); font-size: 0.8rem; font-weight: 400; }
.slices th[scope="row"] small { white-space: normal; }
.slices tr.found th[scope="row"], .slices tr.found td:nth-child(3) { color: var(--bad); font-weight: 600; }
.slices tr.found small { font-weight: 400; }
.card .wrong { margin: 0; color: var(--bad); }
.scroll:focus-visible { outline: 2px solid var(--accent); outline-offset: 3px; }
:lang(ja) { line-break: strict; }
"""


@dataclass(frozen=True, kw_only=True)
class _Page:
    """What the base template asks for."""

    title: str
    created_at: str


@dataclass(frozen=True, kw_only=True)
class _Row:
    """A line of a table: its name, a small line below, its cells with small lines below."""

    name: str
    more: str
    cells: Sequence[tuple[str, str]]
    found: bool


def slice_page(summary: SliceSummary, *, locale: str = "en", created_at: str = "") -> str:
    """The page's HTML, under the same security policy as every report.

    Raises:
        UsageError: There is no such locale.
    """
    words = page_words("slices", locale)
    values: dict[str, Any] = dict(  # noqa: C408  as the template names them
        page=_Page(title=words.say("title", model=words.name_of(summary.model)), created_at=created_at),
        locale=locale,
        say=words.say,
        summary=summary,
        headline=_headline(summary, words),
        lead=_lead(summary, words),
        percent=SHARE.bare,
        chart=slice_chart(summary, words, lambda one: slice_name(one, words)),
        worst=[_slice_row(one, words, single=True) for one in summary.worst],
        pairs=[_slice_row(one, words, single=False) for one in summary.pairs],
        spurious=[_spurious_row(one, words) for one in summary.spurious_words],
        spurious_found=sum(one.spurious for one in summary.spurious_words),
        captions=[_caption_row(one, words) for one in summary.caption_changes],
        captions_found=sum(one.found for one in summary.caption_changes),
        pictured=[
            (slice_name(one, words), one.examples) for one in (*summary.worst, *summary.pairs) if one.examples
        ],
        settings=_settings(summary, words),
    )

    def draw(style: str) -> str:
        return render_template("slices.html.j2", more_style=style, **values)

    return with_letters(draw, style=STYLE, locale=locale)


def slice_name(one: Slice, words: Locale) -> str:
    """What a slice's rows have in common, as "camera = B and “rust” in the caption"."""
    return words.words["both"].join(part_name(part, words) for part in one.parts)


def part_name(part: Part, words: Locale) -> str:
    """What the rows have in common, in a language."""
    value = shortened(part.value, most=VALUE_LENGTH) or "“”"
    return words.say(f"part.{part.kind}", column=shortened(part.column, most=VALUE_LENGTH), value=value)


def _headline(summary: SliceSummary, words: Locale) -> tuple[str, str]:
    """Colour and sentence."""
    if not summary.found:
        return "good", words.words["head.none"]
    of = f"{summary.slices_tested + summary.pairs_tested:,}"
    return "bad", words.say("head.one" if summary.found == 1 else "head.some", n=f"{summary.found:,}", of=of)


def _lead(summary: SliceSummary, words: Locale) -> str:
    return words.say(
        "lead",
        model=words.name_of(summary.model),
        label=words.name_of(summary.label),
        dataset=words.name_of(summary.dataset),
        accuracy=SHARE.bare(summary.accuracy),
        rows=f"{summary.rows:,}",
    )


def _slice_row(one: Slice, words: Locale, *, single: bool) -> _Row:
    same = words.listed(part_name(part, words) for part in one.same_rows[:3])
    cells = [
        (f"{one.rows:,}", ""),
        (SHARE.bare(one.accuracy), _ends(one.ci_low, one.ci_high, words)),
        (SHARE.bare(one.others), ""),
    ]
    if single:
        cells += [("" if value is None else SHARE.bare(value), "") for value in (one.expected, one.shrunk)]
    cells.append((_probability(one.q_value), ""))
    return _Row(
        name=slice_name(one, words),
        more=words.say("same", parts=same) if one.same_rows else "",
        cells=cells,
        found=one.found,
    )


def _spurious_row(one: SpuriousWord, words: Locale) -> _Row:
    place = words.words["place.split"]
    if one.place != "split":
        place = words.say("place.column", column=shortened(one.place, most=VALUE_LENGTH))
    odds = [_odds(found, words) for found in (one.training, one.elsewhere, one.followed)]
    return _Row(
        name=shortened(one.word, most=VALUE_LENGTH),
        more="",
        cells=[
            (shortened(one.label, most=VALUE_LENGTH), ""),
            (f"{one.rows:,}", ""),
            (place, ""),
            *odds,
            (_probability(one.q_value), ""),
        ],
        found=one.spurious,
    )


def _caption_row(one: CaptionChange, words: Locale) -> _Row:
    part = Part(kind="column", column=one.column, value=one.value)
    return _Row(
        name=words.say(f"change.{one.change}", word=shortened(one.word, most=VALUE_LENGTH)),
        more="",
        cells=[
            (part_name(part, words) if one.column else words.words["captions.all"], ""),
            (f"{one.rows:,}", ""),
            (SHARE.bare(one.rate), _ends(one.ci_low, one.ci_high, words)),
            ("" if one.other_rate is None else SHARE.bare(one.other_rate), ""),
            ("" if one.q_value is None else _probability(one.q_value), ""),
        ],
        found=one.found,
    )


def _odds(found: Odds | None, words: Locale) -> tuple[str, str]:
    if found is None:
        return "–", ""
    if found.low is None or found.high is None:
        return f"{found.ratio:.3g}", ""
    return f"{found.ratio:.3g}", words.say("interval", low=f"{found.low:.2g}", high=f"{found.high:.2g}")


def _ends(low: float, high: float, words: Locale) -> str:
    return words.say("interval", low=SHARE.bare(low), high=SHARE.bare(high))


def _probability(value: float) -> str:
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def _settings(summary: SliceSummary, words: Locale) -> list[tuple[str, Any]]:
    def told(value: Any) -> str:
        if isinstance(value, bool):
            return words.words["yes" if value else "no"]
        if value == "auto":
            return words.words["auto"]
        return ", ".join(
            shortened(str(one), most=60) for one in (value if isinstance(value, list) else [value])
        )

    pairs = [(words.words[f"set.{name}"], told(value)) for name, value in summary.settings.items()]
    return [*pairs, (words.words["set.catalog"], told(summary.catalog_version))]
