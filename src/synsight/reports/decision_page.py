"""The page that a manager decides from: one HTML file and its PDF, in English or Japanese.

Everything on it comes from a `Decision`; a number that no record holds is on no page.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from html import unescape
from importlib import resources
from pathlib import Path
from typing import Any

from synsight.files import write_bytes, write_text
from synsight.reports import decision_tables as tables
from synsight.reports.decision_appendix import appendix
from synsight.reports.decision_figures import drivers_chart, savings_chart
from synsight.reports.decision_notes import horizon, note_text, reasons, result_in_use, unknown
from synsight.reports.decision_records import Case, Decision, LeftOut, Plan
from synsight.reports.decision_sentences import meeting
from synsight.reports.locales import PERIOD, SHARE, Locale, locale_of, money, payback_text
from synsight.reports.page import render_template
from synsight.reports.page_fonts import (
    JAPANESE_FAMILY,
    LATIN_FAMILY,
    japanese_face,
    japanese_font,
)
from synsight.reports.pdf import paper_style, pdf_of, why_no_pdf
from synsight.reports.text import shortened, visible

PAGE, PAPER = "decision.html", "decision.pdf"

SCREEN_FONTS: Mapping[str, str] = {
    "en": 'system-ui, -apple-system, "Segoe UI", "Noto Sans"',
    "ja": '"Hiragino Sans", "Yu Gothic UI", Meiryo, "Noto Sans JP", "Noto Sans CJK JP"',
}
"""What a screen shows if it has it; the embedded letters come after."""


def write_decision_page(
    decision: Decision, folder: str | Path, *, locale: str = "en", created_at: str = ""
) -> list[Path]:
    """Write decision.html and, where weasyprint is installed, decision.pdf.

    Args:
        decision: What was found.
        folder: Where to; both files are replaced.
        locale: `en` or `ja`.
        created_at: ISO time; "": the page names none, and the same records give the same bytes.

    Returns:
        What was written; `install_hints` says why a file is missing.

    Raises:
        UsageError: There is no such locale.
        StorageError: The disk refused.
    """
    html = decision_html(decision, locale=locale, created_at=created_at)
    written = [Path(folder) / PAGE]
    write_text(written[0], html)
    if why_no_pdf() is None:
        written.append(Path(folder) / PAPER)
        write_bytes(written[1], decision_pdf(html, locale=locale))
    return written


def install_hints(locale: str = "en") -> list[str]:
    """What this machine lacks for the page, a sentence each with the command that mends it."""
    missing = why_no_pdf()
    hints = [] if missing is None else [str(missing)]
    if locale == "ja" and japanese_font() is None:
        hints.append(
            "embedding Japanese letters needs 'matplotlib_fontja', which is not installed; the page uses the "
            'fonts of whoever opens it; run: pip install "synsight[report]"'
        )
    return hints


def decision_html(decision: Decision, *, locale: str = "en", created_at: str = "") -> str:
    """The page's HTML, under the same security policy as every report, with its letters inside."""
    words = locale_of(locale)
    values = _values(decision, words, created_at)
    style = _style()
    drawn = render_template("decision.html.j2", more_style=style, embeds_font=False, **values)
    text = visible(unescape(drawn)) + words.words["footer.font"]
    face = japanese_face(text, only_japanese=locale != "ja")
    # A browser loads embedded letters for certain only where they stand first or nothing else is at hand.
    families = [SCREEN_FONTS[locale], f'"{JAPANESE_FAMILY}"'] if face else [SCREEN_FONTS[locale]]
    if locale != "ja":
        families.reverse()
    screen = f"html {{ font-family: {', '.join(families)}, sans-serif; }}\n"
    return render_template(
        "decision.html.j2", more_style=style + face + screen, embeds_font=bool(face), **values
    )


def decision_pdf(html: str, *, locale: str = "en") -> bytes:
    """The page on paper; see `pdf_of`."""
    family = JAPANESE_FAMILY if locale == "ja" and japanese_font() else LATIN_FAMILY
    for opening in ("<svg ",):  # weasyprint's drawings do not inherit the page's fonts
        html = html.replace(opening, f'{opening}font-family="{family}, {LATIN_FAMILY}, {JAPANESE_FAMILY}" ')
    return pdf_of(html, style=paper_style(unescape(html), family=family))


@dataclass(frozen=True, kw_only=True)
class _Shown:
    """What every page's template asks for."""

    title: str
    created_at: str
    command: str
    version: str


def _values(decision: Decision, locale: Locale, created_at: str) -> dict[str, Any]:
    case = decision.case
    kind = case.verdict.kind
    names = {"candidate": locale.name_of(case.model), "baseline": locale.name_of(case.against)}
    return {
        "page": _Shown(
            title=locale.say("title", **names),
            created_at=locale.date(created_at),
            command=shortened(decision.command, most=2_000),
            version=decision.version,
        ),
        "words": locale,
        "say": locale.say,
        "names": names,
        "metric": locale.named("metric", decision.metric),
        "kind": kind,
        "tone": tables.TONES[kind],
        "lead": locale.say(
            f"lead.{kind}",
            question=locale.question(decision.labels_in_use),
            dataset=_dataset(decision, locale),
            **names,
        ),
        "reasons": reasons(decision, locale),
        "rule": tables.rule_table(decision, locale),
        "conditions": [note_text(one, locale, case.verdict.checks) for one in case.verdict.conditions],
        "against": [note_text(one, locale, case.verdict.checks) for one in case.verdict.reasons],
        "others": tables.cases_table(decision, locale),
        "savings_chart": _both_widths(savings_chart, decision, case, locale),
        "savings": tables.savings_table(case, locale),
        "accuracy": tables.accuracy_table(decision, case, locale),
        "compared": sum(one.metric == decision.metric for one in decision.differences),
        "plans": [
            (one, tables.plan_table(one, decision, case, locale))
            for one in sorted(case.plans, key=lambda plan: not plan.deciding)
        ],
        "left_out": [_left_out(one, locale) for one in decision.left_out],
        "payback": _payback(case.plan, decision, locale) if case.plan else [],
        "errors": tables.errors_table(decision, case, locale),
        "drivers_chart": _both_widths(drivers_chart, decision, case, locale),
        "assumptions": tables.assumptions_table(decision, locale),
        "measured": measured(decision, case, locale),
        "warnings": [note_text(one, locale) for one in decision.notes],
        "sentences": meeting(decision, locale),
        "appendix": [*filter(None, [tables.equal_labels_table(case, locale)]), *appendix(decision, locale)],
    }


def _style() -> str:
    return resources.files("synsight.reports").joinpath("templates/decision.css").read_text(encoding="utf-8")


def _both_widths(draw: Any, decision: Decision, case: Case, locale: Locale) -> Mapping[str, str] | None:
    wide = draw(decision, case, locale)
    if wide is None:
        return None
    narrow = draw(decision, case, locale, name=f"{wide.name}-narrow", narrow=True)
    return {"wide": wide.svg, "narrow": narrow.svg, "csv": wide.csv}


def _dataset(decision: Decision, locale: Locale) -> str:
    name = locale.name_of(decision.dataset)
    if decision.label is None:
        return name
    return locale.say("dataset_label", dataset=name, label=locale.name_of(decision.label))


def _left_out(one: LeftOut, locale: Locale) -> tuple[str, str]:
    """What is left out, and what to give to have it in."""
    flags = " ".join(one.flags)
    if locale.name == "en":
        return shortened(one.text, most=400), locale.say("give", flags=flags) if flags else ""
    return locale.named("left", one.key), locale.say("give", flags=flags) if flags else ""


def _payback(plan: Plan, decision: Decision, locale: Locale) -> list[tuple[str, str, str]]:
    """Name, number and interval of what decides about the money."""
    amount = money(decision.currency)
    found = []
    if not unknown(plan.payback_months):
        value = payback_text(locale, plan.payback_months)
        name = locale.words["plan.payback"]
        if plan.payback_months.value:
            interval = locale.interval(plan.payback_months, PERIOD)
            found.append((name, locale.value(plan.payback_months, PERIOD), interval))
        else:
            found.append((name, value, ""))
    said = horizon(decision, locale)
    for key, one in (("once", plan.once), ("per_month", plan.per_month), ("net", plan.net)):
        if not unknown(one):
            name = locale.say("plan.net", horizon=said) if key == "net" else locale.words[f"plan.{key}"]
            found.append((name, locale.value(one, amount), locale.interval(one, amount)))
    return found


def measured(decision: Decision, case: Case, locale: Locale) -> list[str]:
    """How the numbers came about: test rows, groups, draws, seeds, chance, curve, choice of the two."""
    total = decision.labels_in_use_total
    said = [
        locale.say(
            "measured.metric",
            metric=locale.named("metric", decision.metric),
            question=locale.question(decision.labels_in_use),
            total=locale.say("measured.total", labels=f"{total:,}") if total else "",
        )
    ]
    one = case.difference
    if one is not None:
        groups = locale.say("measured.groups", groups=f"{one.test_groups:,}") if one.test_groups else ""
        said.append(
            locale.say(
                "measured.test" if one.paired else "measured.test_unpaired",
                n=f"{one.n_test:,}",
                groups=groups,
            )
        )
    draws = {point.draws for point in decision.curve if not point.all_labels}
    if draws:
        least, most = min(draws), max(draws)
        between = f"{least}～{most}" if locale.name == "ja" else f"{least} to {most}"
        said.append(locale.say("measured.draws", draws=least if least == most else between))
    seeds = sorted({result.seed for result in decision.results})
    if seeds:
        said.append(locale.say("measured.seeds", seeds=locale.listed(map(str, seeds))))
    reached = result_in_use(decision, case.model)
    if reached is not None and reached.baseline is not None:
        said.append(locale.say("measured.chance", chance=SHARE.bare(reached.baseline)))
    if decision.curve:
        method = locale.words.get(f"text.{decision.curve_method}", decision.curve_method)
        said.append(locale.say("measured.curve", method=shortened(method, most=300)))
    names = {"candidate": locale.name_of(case.model), "baseline": locale.name_of(case.against)}
    said.append(locale.say(f"measured.baseline.{decision.baseline_reason}", **names))
    said.append(locale.say(f"measured.candidate.{decision.candidate_reason}", **names))
    return said
