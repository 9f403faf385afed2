"""A chart: a figure, what it shows in words, and its data.

Series differ in lightness as well as in hue, and each has its own marker and dash, so that a greyscale print
tells them apart.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from synsight.reports.svg import INK, inline_svg

ACCENT = "#d9730d"

SERIES = (
    ("#3f7fbf", "s", "--"),
    (ACCENT, "o", "-"),
    ("#8a63b8", "D", "-."),
    ("#4a9d7c", "^", ":"),
    ("#b0508c", "v", "-"),
    ("#8d8a3a", "P", "--"),
)
"""Colour, marker, dash; mid-tones that stand out on white and on near-black."""


@dataclass(frozen=True)
class Chart:
    """A figure, what it shows in words, and its data."""

    name: str
    figure: Figure
    description: str
    header: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]

    @property
    def svg(self) -> Markup:
        """The figure as inline SVG in the page's ink."""
        return inline_svg(self.figure, name=self.name, description=self.description)

    @property
    def csv(self) -> str:
        """The data as CSV; cells that a spreadsheet would run are defused with a quote."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.header)
        writer.writerows([_safe_cell(cell) for cell in row] for row in self.rows)
        return text.getvalue()


def _safe_cell(cell: object) -> object:
    if isinstance(cell, str) and cell[:1] in {"=", "+", "-", "@", "\t", "\r"}:
        return f"'{cell}"
    return cell


def finish_share_bars(axes: Axes, names: Sequence[str], *, longest: float, rows: int) -> None:
    """Names, limits and axes of horizontal bars that are percentages of the rows, the first one on top.

    Args:
        axes: With a bar at 0, 1, ..., and the rows counted beside each.
        names: Of the bars.
        longest: Percentage that leaves room for the longest bar's count.
        rows: That 100% are.
    """
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(0, longest)
    axes.set_xlabel(f"share of the {rows:,} rows; beside the bars: rows")
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}%"))
    axes.grid(axis="x", color=INK, alpha=0.12, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)
