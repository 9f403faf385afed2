"""The drawings of the drift page: which words moved, and since when images are unlike the reference."""

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from synsight.reports.chart import SERIES, Chart
from synsight.reports.drift_records import DriftSummary
from synsight.reports.drift_sentences import DriftWords, signed
from synsight.reports.locales import MINUS
from synsight.reports.page_fonts import measuring_fonts
from synsight.reports.svg import INK, SETTINGS
from synsight.reports.text import shortened

MOST_WORDS = 16
USUAL = 0.05
"""Share of novel images in the reference itself."""


def words_chart(summary: DriftSummary, words: DriftWords) -> Chart | None:
    """Change of each word with its interval, largest first; None where none moved."""
    shown = summary.words[:MOST_WORDS]
    if not shown:
        return None
    with mpl.rc_context({**SETTINGS, "font.family": measuring_fonts(words.locale.name)}):
        figure = Figure(figsize=(8.2, 0.9 + 0.3 * len(shown)), layout="constrained")
        axes = figure.subplots()
        for place, one in enumerate(shown):
            colour, marker, _ = SERIES[1] if one.difference > 0 else SERIES[0]
            axes.plot((one.low, one.high), (place, place), color=colour, linewidth=2.2, solid_capstyle="butt")
            axes.plot(one.difference, place, marker=marker, color=colour, markersize=6)
            axes.annotate(
                signed(one.difference),
                (max(one.high, 0), place),
                xytext=(6, 0),
                textcoords="offset points",
                va="center",
                fontsize=8.5,
            )
        axes.axvline(0, color=INK, linewidth=0.9, alpha=0.6, zorder=0.9)
        axes.set_yticks(range(len(shown)), [shortened(one.name, most=30) for one in shown])
        axes.set_ylim(len(shown) - 0.4, -0.6)
        least, most = min(0.0, *(one.low for one in shown)), max(0.0, *(one.high for one in shown))
        span = (most - least) or 1.0
        axes.set_xlim(least - 0.04 * span, most + 0.14 * span)
        axes.set_xlabel(words.say("fig.words.axis"))
        axes.xaxis.set_major_locator(MaxNLocator(6))
        axes.xaxis.set_major_formatter(
            FuncFormatter(lambda value, _: f"{value:+g}".replace("-", MINUS) if value else "0")
        )
        axes.grid(axis="x", color=INK, alpha=0.12, linewidth=0.6)
        axes.set_axisbelow(True)
        axes.tick_params(axis="y", length=0)
    return Chart(
        "words",
        figure,
        words.say("fig.words", n=len(shown)),
        ("word", "difference", "low", "high", "q_value", "reference", "current"),
        tuple(
            (one.name, one.difference, one.low, one.high, one.q_value, one.reference, one.current)
            for one in summary.words
        ),
    )


def periods_chart(summary: DriftSummary, words: DriftWords) -> Chart | None:
    """Share of novel images by period; None where fewer than two are known."""
    periods = summary.periods
    if len(periods) < 2:
        return None
    names = sorted({one.name for one in periods})
    place = {name: number for number, name in enumerate(names)}
    with mpl.rc_context({**SETTINGS, "font.family": measuring_fonts(words.locale.name)}):
        figure = Figure(figsize=(8.2, 2.9), layout="constrained")
        axes = figure.subplots()
        for sample, (colour, marker, _), shift in (
            ("reference", SERIES[0], -0.08),
            ("current", SERIES[1], 0.08),
        ):
            own = [one for one in periods if one.sample == sample]
            if not own:
                continue
            axes.errorbar(
                [place[one.name] + shift for one in own],
                [one.novel for one in own],
                yerr=(
                    [max(0.0, one.novel - one.low) for one in own],
                    [max(0.0, one.high - one.novel) for one in own],
                ),
                fmt=marker,
                color=colour,
                linewidth=1.6,
                markersize=6,
                label=words.say(f"sample.{sample}"),
            )
        axes.axhline(USUAL, color=INK, linewidth=0.9, linestyle=(0, (4, 3)), alpha=0.6)
        axes.set_xticks(range(len(names)), names, rotation=30 if len(names) > 6 else 0)
        axes.set_ylim(0, min(1.02, max(0.12, 1.08 * max(one.high for one in periods))))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f}%"))
        axes.set_ylabel(words.say("fig.periods.axis"))
        figure.legend(loc="outside upper left", ncols=2, fontsize=9.5)
    return Chart(
        "periods",
        figure,
        words.say("fig.periods"),
        ("period", "sample", "rows", "novel", "ci_low", "ci_high"),
        tuple((one.name, one.sample, one.rows, one.novel, one.low, one.high) for one in periods),
    )
