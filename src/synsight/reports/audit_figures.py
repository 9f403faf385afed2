"""The overview of an audit: a bar for each finding, in the colour of what it is about."""

from collections.abc import Mapping

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from synsight.records import AuditSummary, Finding
from synsight.reports.chart import ACCENT, SERIES, Chart, finish_share_bars
from synsight.reports.svg import INK, SETTINGS
from synsight.reports.text import shortened

KINDS: Mapping[str, tuple[str, str, str]] = {
    "image": ("Images", SERIES[0][0], ""),
    "split": ("Splits", SERIES[2][0], "xxx"),
    "caption": ("Captions", ACCENT, "///"),
    "pair": ("Images and captions together", SERIES[3][0], "..."),
}
"""Kind of a finding -> its title, colour and hatch (which a greyscale print keeps), in the page's order."""


def findings_chart(summary: AuditSummary) -> Chart | None:
    """Share of the rows that bear each flag, by kind and then by frequency.

    Returns:
        None when nothing was found.
    """
    found = by_kind(summary)
    if not found:
        return None
    with mpl.rc_context({**SETTINGS, "hatch.linewidth": 0.6}):
        figure = Figure(figsize=(8.2, 1.15 + 0.27 * len(found)), layout="constrained")
        axes = figure.subplots()
        for place, one in enumerate(found):
            _, colour, hatch = KINDS[one.kind]
            bar = axes.barh(
                place, 100 * one.share, color=colour, height=0.66, hatch=hatch, edgecolor=INK, linewidth=0
            )
            axes.bar_label(bar, [f"{one.rows:,}"], padding=4, fontsize=8.5)
        names = [shortened(one.flag, most=28) for one in found]
        longest = max(1.0, 112 * max(one.share for one in found))
        finish_share_bars(axes, names, longest=longest, rows=summary.rows)
        kinds = dict.fromkeys(one.kind for one in found)
        handles = [Patch(facecolor=KINDS[kind][1], hatch=KINDS[kind][2], edgecolor=INK) for kind in kinds]
        if len(handles) > 1:
            titles = [KINDS[kind][0] for kind in kinds]
            figure.legend(handles, titles, loc="outside upper left", ncols=len(titles), fontsize=9)
    return Chart(
        "findings",
        figure,
        f"Rows with each of {len(found)} findings; a row may have several.",
        ("finding", "kind", "rows", "share"),
        tuple((one.flag, one.kind, one.rows, one.share) for one in found),
    )


def by_kind(summary: AuditSummary) -> list[Finding]:
    """What some row bears, by kind and then by rows, most first."""
    order = list(KINDS)
    found = [one for one in summary.details if one.rows]
    return sorted(found, key=lambda one: (order.index(one.kind), -one.rows))
