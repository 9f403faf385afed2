"""A chart: a figure, what it shows in words, and its data.

Series differ in lightness as well as in hue, and each has its own marker and dash, so that a greyscale print
tells them apart.
"""

import csv
import io
from dataclasses import dataclass

from markupsafe import Markup
from matplotlib.figure import Figure

from synsight.reports.svg import inline_svg

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
