"""The worst slices as intervals beside the accuracy on all images."""

from collections.abc import Callable

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from synsight.reports.chart import ACCENT, SERIES, Chart
from synsight.reports.locales import Locale
from synsight.reports.slice_records import Slice, SliceSummary
from synsight.reports.svg import INK, SETTINGS
from synsight.reports.text import shortened

MOST = 12
"""Slices of the figure."""


def slice_chart(summary: SliceSummary, words: Locale, name_of: Callable[[Slice], str]) -> Chart | None:
    """The slices that are least likely by chance, each with its interval.

    Returns:
        None where there is none.
    """
    shown = list(summary.worst[:MOST])
    if not shown:
        return None
    with mpl.rc_context(SETTINGS):
        figure = Figure(figsize=(8.2, 0.9 + 0.3 * len(shown)), layout="constrained")
        axes = figure.subplots()
        axes.axvline(100 * summary.accuracy, color=INK, linewidth=0.9, linestyle=":")
        for place, one in enumerate(shown):
            colour = ACCENT if one.found else SERIES[0][0]
            axes.plot([100 * one.ci_low, 100 * one.ci_high], [place, place], color=colour, linewidth=1.8)
            axes.plot(100 * one.accuracy, place, "o" if one.found else "s", color=colour, markersize=6)
            if one.shrunk is not None:
                (ring,) = axes.plot(100 * one.shrunk, place, "o", color=INK, markersize=9)
                ring.set(markerfacecolor="none", markeredgewidth=0.8)
        axes.set_yticks(range(len(shown)), [shortened(name_of(one), most=38) for one in shown])
        axes.set_ylim(len(shown) - 0.4, -0.6)
        axes.set_xlim(-2, 102)
        axes.set_xlabel(words.words["chart.x"])
        axes.xaxis.set_major_locator(MaxNLocator(6))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}%"))
        axes.grid(axis="x", color=INK, alpha=0.12, linewidth=0.6)
        axes.tick_params(axis="y", length=0)
    return Chart(
        "slices",
        figure,
        words.words["chart"],
        ("slice", "rows", "accuracy", "ci_low", "ci_high", "others", "shrunk", "q_value"),
        tuple(
            (
                name_of(one),
                one.rows,
                one.accuracy,
                one.ci_low,
                one.ci_high,
                one.others,
                one.shrunk,
                one.q_value,
            )
            for one in shown
        ),
    )
