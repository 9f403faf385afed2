"""Figures of an explanation: bars of contributions, bars of words, the map of a catalog."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from unicodedata import east_asian_width

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.figure import Figure

from synsight import files
from synsight.reports.chart import SERIES, Chart
from synsight.reports.explanation_records import Contributions, MapPoint
from synsight.reports.svg import INK, SETTINGS
from synsight.reports.text import shortened

_MARKERS = "osD^vPX*<>p8hd"
SIZE = (8.2, 5.6)
"""Of the map, inches."""
LETTER = 7.5
"""Height of its letters, points."""
_LINES = (0, 1, -1, 2, -2, 3, -3)
"""By how many lines a name may be moved, the first that is free."""


def score_bar(value: float) -> Markup:
    """A bar for a probability, 0 to 1."""
    wide = max(0.0, min(1.0, value)) * 100
    return _bar(
        '<rect class="ground" width="100" height="6" rx="2"/>'
        f'<rect class="for" width="{wide:.1f}" height="6" rx="2"/>'
    )


def signed_bars(found: Contributions) -> list[tuple[str, float, Markup]]:
    """(name, value, bar) of each listed word, all on one scale: to the right what speaks for the class, to
    the left what speaks against.
    """
    longest = max((abs(one.value) for one in found.words), default=0.0)
    longest = max(longest, abs(found.rest), abs(found.residual)) or 1.0
    return [(one.name, one.value, signed_bar(one.value, longest)) for one in found.words]


def signed_bar(value: float, longest: float) -> Markup:
    """One such bar; the middle is zero."""
    wide = min(1.0, abs(value) / longest) * 50
    start = 50 if value >= 0 else 50 - wide
    kind = "for" if value >= 0 else "against"
    return _bar(
        f'<rect class="{kind}" x="{start:.1f}" width="{wide:.1f}" height="6"/>'
        '<rect class="zero" x="49.8" width="0.4" height="6"/>'
    )


def _bar(inside: str) -> Markup:
    svg = '<svg class="bar" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">'
    return Markup(f"{svg}{inside}</svg>")  # noqa: S704  numbers and names of our own


def map_chart(points: Sequence[MapPoint], names: Sequence[str], *, description: str) -> Chart | None:
    """The map, a colour and a marker a cluster, its name at its middle or a few lines above or below; where
    there is no room, the name of the smaller cluster is left out, and stands in the numbers beside the map.

    Returns:
        None without points.
    """
    if not points:
        return None
    with mpl.rc_context(SETTINGS):
        figure = Figure(figsize=SIZE, layout="constrained")
        axes = figure.subplots()
        called: list[tuple[float, float, str]] = []
        for number, name in enumerate(names):
            own = [one for one in points if one.cluster == number]
            if not own:
                continue
            xs, ys = [one.x for one in own], [one.y for one in own]
            colour = SERIES[number % len(SERIES)][0]
            marker = _MARKERS[number % len(_MARKERS)]
            axes.scatter(
                xs, ys, s=7, c=colour, marker=marker, linewidths=0, alpha=0.55, rasterized=len(points) > 2000
            )
            called.append((_middle(xs), _middle(ys), shortened(name, most=34)))
        for x, y, name in _apart(called, (*axes.get_xlim(), *axes.get_ylim())):
            axes.text(x, y, name, fontsize=LETTER, ha="center", va="center", color=INK, fontweight="bold")
        axes.set_axis_off()
    return Chart(
        "map",
        figure,
        description,
        ("cluster", "images"),
        tuple((name, sum(one.cluster == number for one in points)) for number, name in enumerate(names)),
    )


def write_drawing(path: Path, chart: Chart) -> None:
    """Write a chart as an SVG file of its own, on white, with text as text.

    Raises:
        StorageError: The disk refused.
    """
    with (
        mpl.rc_context({**SETTINGS, "svg.hashsalt": chart.name}),
        warnings.catch_warnings(),
        files.replacing(path) as temporary,
    ):
        # Who opens it draws the letters with fonts of their own; what matplotlib's lacks does not matter.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        chart.figure.savefig(temporary, format="svg", facecolor="white", metadata={"Date": None})


def _middle(values: Sequence[float]) -> float:
    ordered = sorted(values)
    return ordered[len(ordered) // 2]


def _apart(
    called: Sequence[tuple[float, float, str]], limits: tuple[float, float, float, float]
) -> list[tuple[float, float, str]]:
    """Names where none lies over another; the first of them come first.

    Args:
        called: x, y and name, in the units of the map.
        limits: Least and greatest x, least and greatest y of the map.
    """
    left, right, low, high = limits
    across, up = 72 * SIZE[0] / ((right - left) or 1), 72 * SIZE[1] / ((high - low) or 1)
    line = 1.35 * LETTER
    taken: list[tuple[float, float, float]] = []
    placed = []
    for x, y, name in called:
        # Letters are about half as wide as high, Japanese ones as wide.
        half = sum(1.0 if east_asian_width(letter) in "WF" else 0.6 for letter in name) * LETTER / 2
        for lines in _LINES:
            centre, level = x * across, y * up + lines * line
            if all(abs(level - b) >= line or abs(centre - a) >= half + c for a, b, c in taken):
                taken.append((centre, level, half))
                placed.append((x, level / up, name))
                break
    return placed
