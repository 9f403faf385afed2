"""The page of a repair: how many captions changed and how, what still says nothing, and examples."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from importlib import resources

import matplotlib as mpl
from matplotlib.figure import Figure

from synsight.records import RepairExample, RepairSummary
from synsight.reports.audit_page import inline_picture, share
from synsight.reports.chart import ACCENT, SERIES, Chart, finish_share_bars
from synsight.reports.page import render_template
from synsight.reports.svg import SETTINGS
from synsight.reports.text import shortened

SPELLING, CLEANED, DROPPED, CAPTIONER = "spelling", "cleaned", "dropped", "captioner:"
TITLES: Mapping[str, str] = {
    "original": "as found",
    CLEANED: "cleaned",
    SPELLING: "misspelt words put right",
    "keywords": "borrowed: the row's keywords",
    "near-image": "borrowed: the caption of the same picture",
    DROPPED: "dropped: tells nothing of its image",
}
"""Kind of a change -> what the page calls it; a captioner's are called by its name."""
REMOVED: Mapping[str, str] = {
    "template": "text that stands on many images",
    "url": "web addresses",
    "email": "e-mail addresses",
    "phone": "telephone numbers",
    "code": "codes and long numbers",
    "file-name": "parts of file names",
    "mark-up": "mark-up",
    SPELLING: "misspelt words, put right",
}
NO_CAPTION = "no caption"
MEASURES: Mapping[str, str] = {
    "distinct_share": "distinct captions",
    "effective": "effective number of captions",
    "distinct_2": "distinct pairs of words",
}
MOST_SHOWN = 160
"""Characters of a caption."""
MARKS = ".,;:!?"
"""Around a word they make no other word of it."""
LARGE = 0.2
"""A share of the rows that is worth a sentence."""

Pieces = list[tuple[str, bool]]
"""A text in parts, and whether the other text lacks each."""


@dataclass(frozen=True)
class Shown:
    """An example, as the template asks for it."""

    example: RepairExample
    picture: str | None
    before: Pieces
    after: Pieces


@dataclass(frozen=True)
class _Page:
    title: str
    created_at: str


def repair_page(
    summary: RepairSummary,
    *,
    pictures: Mapping[str, str] | None = None,
    title: str = "repair",
    created_at: str = "",
) -> str:
    """The page's HTML, under the same security policy as every report.

    Args:
        summary: What `repair` did.
        pictures: Id -> data URL of PNG, JPEG or WebP; others are not shown.
        title: Above the headline.
        created_at: ISO time; "": the page names none.
    """
    style = resources.files("synsight.reports").joinpath("templates/repair.css").read_text("utf-8")
    return render_template(
        "repair.html.j2",
        more_style=style,
        page=_Page(title, created_at),
        repair=summary,
        dropped=summary.origins.get(DROPPED, 0),
        share=share,
        overview=origins_chart(summary),
        removed=[(REMOVED.get(name, name), rows) for name, rows in summary.removed.items()],
        measures=_measures(summary),
        steps=list(next_steps(summary)),
        kinds=_kinds(summary, pictures or {}),
        is_scored=any(one.score is not None for one in summary.examples),
    )


def origins_chart(summary: RepairSummary) -> Chart | None:
    """Rows by the origin of their caption, most first; those without one last.

    Returns:
        None when there is no row.
    """
    rows = {title_of(origin): count for origin, count in summary.origins.items() if count}
    if summary.without_caption:
        rows[NO_CAPTION] = summary.without_caption
    if not rows:
        return None
    with mpl.rc_context(SETTINGS):
        figure = Figure(figsize=(8.2, 0.75 + 0.36 * len(rows)), layout="constrained")
        axes = figure.subplots()
        for place, (name, count) in enumerate(rows.items()):
            is_new = name not in (TITLES["original"], TITLES[DROPPED], NO_CAPTION)
            colour = ACCENT if is_new else SERIES[0][0]
            bar = axes.barh(place, 100 * count / summary.rows, color=colour, height=0.62)
            axes.bar_label(bar, [f"{count:,}"], padding=4, fontsize=8.5)
        names = [shortened(name, most=44) for name in rows]
        finish_share_bars(axes, names, longest=112 * max(rows.values()) / summary.rows, rows=summary.rows)
    return Chart(
        "origins",
        figure,
        "Where the captions to train on come from.",
        ("origin", "rows", "share"),
        tuple((name, count, count / summary.rows) for name, count in rows.items()),
    )


def title_of(kind: str) -> str:
    """What the page calls an origin, or a kind of change."""
    if kind.startswith(CAPTIONER):
        return f"written by {kind.removeprefix(CAPTIONER)}"
    return TITLES.get(kind, kind)


def kind_of(example: RepairExample) -> str:
    """Its origin; `spelling` where nothing but misspelt words made way."""
    is_spelt = example.origin == CLEANED and list(example.removed) == [SPELLING]
    return SPELLING if is_spelt else example.origin


def next_steps(summary: RepairSummary) -> Iterator[str]:
    """What remains to be done, as sentences; none where every caption says something."""
    has_captioner = bool(summary.settings.get("captioner"))
    useless, without = summary.kept_useless, summary.without_caption
    dropped = summary.origins.get(DROPPED, 0)
    if dropped:
        rows = "1 row has" if dropped == 1 else f"{dropped:,} rows have"
        yield (
            f"{rows} no caption any more: nothing of it was left, or the audit took it for another image's, "
            "and nothing better was found. Training on captions does without these rows; --drop none keeps "
            "them."
        )
    if useless:
        rows = "1 row keeps" if useless == 1 else f"{useless:,} rows keep"
        yield (
            f"{rows} a caption of which cleaning leaves nothing, as there is nothing better; "
            "--drop empty does without them."
        )
    if without:
        rows = "1 row has" if without == 1 else f"{without:,} rows have"
        yield f"{rows} no caption at all, and nothing to borrow one from."
    if (useless or without or dropped) and not has_captioner:
        yield (
            "A captioner can describe these images: run repair again with --captioner, or with --endpoint "
            "for a model that is served."
        )
    if summary.unusable_answers:
        reasons = ", ".join(f"{name} ({count:,})" for name, count in summary.unusable_answers.items())
        yield f"Answers of the captioner that were not taken: {reasons}."
    if has_captioner and not summary.scored:
        yield (
            "Nothing has compared the captioner's words with the images: read the examples, or add "
            "--score-model, which keeps the better of two captions."
        )
    keywords = summary.origins.get("keywords", 0)
    if keywords >= LARGE * summary.rows:
        yield (
            f"{share(keywords, summary.rows)} of the captions are lists of keywords: true, but no sentences; "
            "look at them below before you train on them."
        )


def _measures(summary: RepairSummary) -> list[tuple[str, list[str]]]:
    """Measure -> its values before, after, and of the captioner's own captions, where there are some."""
    sets = [summary.diversity[name] for name in ("before", "after", "captioner") if name in summary.diversity]
    return [
        (title, [f"{one[name]:,.0f}" if name == "effective" else f"{one[name]:.1%}" for one in sets])
        for name, title in MEASURES.items()
        if sets
    ]


def _kinds(summary: RepairSummary, pictures: Mapping[str, str]) -> list[tuple[str, list[Shown]]]:
    """Examples by kind; the kinds in the order of `TITLES`, captioners last."""
    order = list(TITLES)
    found: dict[str, list[Shown]] = {}
    for one in summary.examples:
        before, after = changes(one.before or "", one.after or "")
        shown = Shown(one, inline_picture(pictures.get(one.id, "")), before, after)
        found.setdefault(kind_of(one), []).append(shown)
    kinds = sorted(found, key=lambda kind: (order.index(kind) if kind in order else len(order), kind))
    return [(title_of(kind), found[kind]) for kind in kinds]


def changes(before: str, after: str) -> tuple[Pieces, Pieces]:
    """Both texts, shortened, in pieces: what the other has too, and what it has not. Two texts that have less
    than a third in common are shown whole.
    """
    one, two = (shortened(text, most=MOST_SHOWN).split(" ") for text in (before, after))
    bare = [[_bare(word) for word in some] for some in (one, two)]
    matcher = SequenceMatcher(None, bare[0], bare[1], autojunk=False)
    if matcher.ratio() < 1 / 3:
        return [(" ".join(one), False)], [(" ".join(two), False)]
    pieces: tuple[Pieces, Pieces] = [], []
    for tag, first, last, start, stop in matcher.get_opcodes():
        if last > first:
            pieces[0].append((" ".join(one[first:last]), tag != "equal"))
        if stop > start:
            pieces[1].append((" ".join(two[start:stop]), tag != "equal"))
    return pieces


def _bare(word: str) -> str:
    return word.strip(MARKS) or word
