"""Transfer against what a sweep's models are and cost: width, effective rank, wall time."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, NullFormatter, NullLocator

from synsight.records import Result, SweepRun
from synsight.reports.chart import SERIES, Chart
from synsight.reports.figures import chance_line, whiskers
from synsight.reports.summary import Column, result_table
from synsight.reports.svg import INK, SETTINGS
from synsight.reports.text import shortened

UNTRAINED = "random"
"""Recipe of a run that trained nothing."""

PROJECTION = "method.projection_dim"


@dataclass(frozen=True)
class Axis:
    """Something of a run that transfer may depend on."""

    title: str
    of: Callable[[SweepRun], float | None]
    setting: str = ""
    """The setting that chooses it. Its values are doubled, so the scale is a log, and points that differ in
    nothing else are joined."""
    from_zero: bool = False


def axes_of(runs: Sequence[SweepRun]) -> list[Axis]:
    """What to draw transfer against; a width that all runs share is left out."""
    widths = [
        Axis("embedding dimension", lambda run: run.embedding_dim, "encoder"),
        Axis("projection dimension", lambda run: run.axes.get(PROJECTION), PROJECTION),
    ]
    return [
        *(axis for axis in widths if len({axis.of(run) for run in runs} - {None}) > 1),
        Axis("effective rank (RankMe)", lambda run: run.rankme),
        Axis("pretraining minutes", lambda run: run.seconds / 60 if run.steps else None, from_zero=True),
    ]


def transfer_chart(
    results: Sequence[Result],
    runs: Sequence[SweepRun],
    *,
    name: str = "transfer",
    metric: str = "acc1",
) -> Chart | None:
    """Every model's mean over seeds with its 95% interval, one row of panels a question, one column an axis.

    Args:
        results: Means of one probe; `details["seed_values"]` are drawn as small points.
        runs: The runs they are of.
        name: Unique on the page.
        metric: Which of the results.

    Returns:
        None when no result has the metric.
    """
    table = result_table(results, metric=metric)
    finished = [run for run in runs if not run.failure]
    if not table.rows or not finished:
        return None
    axes, looks = axes_of(finished), _looks(finished)
    columns = [number for number, column in enumerate(table.columns) if column.n_labels is None]
    columns += [number for number, column in enumerate(table.columns) if column.n_labels is not None][-2:]
    rows: list[tuple[object, ...]] = []
    with mpl.rc_context(SETTINGS):
        figure = Figure(figsize=(9.2, 0.9 + 2.7 * len(columns)), layout="constrained")
        panels = figure.subplots(len(columns), len(axes), sharex="col", sharey="row", squeeze=False)
        for number, row in zip(columns, panels, strict=True):
            column = table.columns[number]
            cells = {line.model: line.cells[number] for line in table.rows}
            for axis, panel in zip(axes, row, strict=True):
                points = list(_points(axis, cells, finished))
                _baselines(panel, cells, finished)
                _draw(panel, points, looks)
                chance_line(panel, table.chance[number], across=True)
                panel.grid(axis="y", color=INK, alpha=0.12, linewidth=0.6)
                panel.yaxis.set_major_locator(MaxNLocator(5))
                rows += [_row(column, axis, point) for point in points]
            row[0].set_ylabel(f"{column.title}\n(share right)")
        for axis, below in zip(axes, panels.T, strict=True):
            below[-1].set_xlabel(axis.title)
            for panel in below:
                _scale(panel, axis, finished)
        handles, labels = _legend(looks)
        figure.legend(handles, labels, loc="outside upper left", ncols=min(len(labels), 5), fontsize=9)
    return Chart(
        name,
        figure,
        _description(finished),
        ("question", "against", "model", "recipe", "x", "value", "ci_low", "ci_high", "seed_values"),
        tuple(rows),
    )


@dataclass(frozen=True)
class _Point:
    """One model in one panel."""

    recipe: str
    family: str
    """Points of one family differ in nothing but x."""
    result: Result
    x: float
    seed_x: tuple[float, ...]
    """One a seed, in the order of `seed_values`."""


def _points(axis: Axis, cells: Mapping[str, Result | None], runs: Sequence[SweepRun]) -> Iterator[_Point]:
    for model, result in cells.items():
        own = [run for run in runs if run.model == model]
        seen = [float(value) for run in own if (value := axis.of(run)) is not None]
        if result is not None and own and len(seen) == len(own):
            others = {path: value for path, value in own[0].axes.items() if path != axis.setting}
            family = ", ".join(map(str, others.values())) if axis.setting else model
            yield _Point(own[0].recipe, family, result, sum(seen) / len(seen), tuple(seen))


def _looks(runs: Sequence[SweepRun]) -> dict[str, dict[str, Any]]:
    """Recipe -> how it is drawn: colour and marker, hollow from the seventh on; what is untrained in ink."""
    recipes = dict.fromkeys(run.recipe for run in runs if run.recipe != UNTRAINED)
    looks: dict[str, dict[str, Any]] = {}
    for number, recipe in enumerate(recipes):
        colour, marker, dash = SERIES[number % len(SERIES)]
        hollow = {"markerfacecolor": "none"} if number >= len(SERIES) else {}
        looks[recipe] = {"color": colour, "marker": marker, "linestyle": dash, **hollow}
    if any(run.recipe == UNTRAINED for run in runs):
        looks = {UNTRAINED: {"color": INK, "marker": "x", "linestyle": ":"}, **looks}
    return looks


def _draw(panel: Axes, points: Sequence[_Point], looks: Mapping[str, Mapping[str, Any]]) -> None:
    families = dict.fromkeys((point.recipe, point.family) for point in points)
    several = len({family for _, family in families}) > 1
    ends: list[tuple[_Point, str]] = []
    for recipe, family in families:
        own = [point for point in points if (point.recipe, point.family) == (recipe, family)]
        own.sort(key=lambda point: point.x)
        joined = len({point.x for point in own}) > 1
        for point in own:
            values = point.result.details.get("seed_values", ())
            if len(values) == len(point.seed_x) > 1:
                small = {"color": looks[recipe]["color"], "alpha": 0.55, "markersize": 4, "zorder": 1.5}
                panel.plot(point.seed_x, values, ".", **small)
        panel.errorbar(
            [point.x for point in own],
            [point.result.value for point in own],
            yerr=whiskers([point.result for point in own]),
            linewidth=1.2,
            elinewidth=1.0,
            markersize=6,
            capsize=2.5,
            **looks[recipe],
        )
        if joined and several:
            ends.append((own[-1], looks[recipe]["color"]))
    _name_lines(panel, ends)


def _name_lines(panel: Axes, ends: Sequence[tuple[_Point, str]]) -> None:
    """What tells the lines of a panel apart, at their right ends, one above the other."""
    low, high = panel.get_ylim()
    gap, last = 0.04 * (high - low), -math.inf
    for point, colour in sorted(ends, key=lambda end: end[0].result.value):
        last = max(point.result.value, last + gap)
        panel.annotate(
            shortened(point.family, most=16),
            (point.x, last),
            xytext=(7, -2.5),
            textcoords="offset points",
            fontsize=7.5,
            color=colour,
        )


def _baselines(panel: Axes, cells: Mapping[str, Result | None], runs: Sequence[SweepRun]) -> None:
    for model in dict.fromkeys(run.model for run in runs if run.recipe == UNTRAINED):
        if cell := cells.get(model):
            panel.axhline(cell.value, color=INK, alpha=0.5, linewidth=0.9, linestyle=":")


def _scale(panel: Axes, axis: Axis, runs: Sequence[SweepRun]) -> None:
    if axis.setting:
        values = sorted({value for run in runs if (value := axis.of(run)) is not None})
        panel.set_xscale("log", base=2)
        panel.set_xticks(values, [f"{value:g}" for value in values])
        panel.xaxis.set_minor_locator(NullLocator())
        panel.xaxis.set_minor_formatter(NullFormatter())
    else:
        panel.xaxis.set_major_locator(MaxNLocator(4))
    panel.margins(x=0.15)
    if axis.from_zero:
        panel.set_xlim(left=0)
    if axis.from_zero and panel.dataLim.x1 > 0:  # else nothing is drawn here
        panel.set_xlim(right=1.1 * panel.dataLim.x1)  # where all took equally long, no margin would be left


def _legend(looks: Mapping[str, Mapping[str, Any]]) -> tuple[list[Line2D], list[str]]:
    """One entry a recipe, whichever panel it is in."""
    names = {UNTRAINED: "random encoder"}
    handles = [Line2D([], [], **{**look, "linestyle": "none"}) for look in looks.values()]
    return handles, [shortened(names.get(recipe, recipe), most=30) for recipe in looks]


def _row(column: Column, axis: Axis, point: _Point) -> tuple[object, ...]:
    one = point.result
    seeds = " ".join(f"{value:g}" for value in one.details.get("seed_values", ()))
    return (
        column.title,
        axis.title,
        one.model,
        point.recipe,
        round(point.x, 4),
        one.value,
        one.ci_low,
        one.ci_high,
        seeds,
    )


def _description(runs: Sequence[SweepRun]) -> str:
    seeds = len({run.seed for run in runs})
    small = "; small points: single seeds" if seeds > 1 else ""
    rows = max(run.rank_rows for run in runs)
    of = f"Mean of {seeds} training seeds" if seeds > 1 else "One training seed"
    return (
        f"{of}, with 95% intervals over test images{small}. "
        "Dashed: chance; dotted: the untrained encoder. Effective rank: of the features of "
        f"{rows:,} test images."
    )
