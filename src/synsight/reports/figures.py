"""Figures: functions from records to a chart with its data beside it.

What is context (axes, chance, baselines) is drawn in the page's ink; units stand on the axes.
"""

from collections.abc import Sequence

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

from synsight.records import Result, RunSummary, WordsSummary
from synsight.reports.chart import ACCENT, SERIES, Chart
from synsight.reports.summary import result_table
from synsight.reports.svg import INK, SETTINGS
from synsight.reports.text import shortened


def result_chart(results: Sequence[Result], *, metric: str = "acc1") -> Chart | None:
    """Every model's value with its 95% interval, one panel a question, chance as a dashed line.

    Returns:
        None when no result has the metric.
    """
    table = result_table(results, metric=metric)
    if not table.rows:
        return None
    names = [shortened(row.model, most=34) for row in table.rows]
    with mpl.rc_context(SETTINGS):
        across = len(table.columns) if len(table.columns) <= 4 else 3
        down = -(-len(table.columns) // across)
        figure = Figure(figsize=(9.2, down * (0.75 + 0.42 * len(names))), layout="constrained")
        panels = list(figure.subplots(down, across, sharey=True, sharex=True, squeeze=False).flat)
        for empty in panels[len(table.columns) :]:
            empty.set_axis_off()
        for number, (panel, column) in enumerate(zip(panels, table.columns, strict=False)):
            best = table.best(number)
            for place, row in enumerate(table.rows):
                if cell := row.cells[number]:
                    _dot(panel, cell, place, strong=cell.value == best)
            chance_line(panel, table.chance[number])
            panel.set_title(column.title)
            panel.margins(x=0.1)
            panel.xaxis.set_major_locator(MaxNLocator(5))
            panel.tick_params(labelbottom=True)
            panel.grid(axis="x", color=INK, alpha=0.12, linewidth=0.6)
            panel.spines["left"].set_visible(False)
            panel.tick_params(axis="y", length=0)
            if number >= len(table.columns) - across:
                panel.set_xlabel(f"{metric} (share right)")
        panels[0].set_yticks(range(len(names)), names)
        panels[0].set_ylim(len(names) - 0.5, -0.6)
    cells = [cell for row in table.rows for cell in row.cells if cell]
    return Chart(
        "results",
        figure,
        f"{metric} of each model with 95% intervals; the dashed line is chance.",
        ("model", "task", "n_labels", "value", "ci_low", "ci_high", "n_test", "seed"),
        tuple(
            (c.model, c.task, _all(c.n_labels), c.value, c.ci_low, c.ci_high, c.n_test, c.seed) for c in cells
        ),
    )


def label_curve(
    results: Sequence[Result], *, metric: str = "acc1", first: Sequence[str] = ()
) -> Chart | None:
    """Quality against training labels per class, one line a model, bars for the 95% intervals.

    Args:
        results: Few-label results among any others.
        metric: Which of their metrics.
        first: Models that take the first colours, so that they look alike on all charts of a page.

    Returns:
        None when fewer than two numbers of labels were tried.
    """
    chosen = [one for one in results if one.metric == metric and one.n_labels is not None]
    table = result_table(chosen, metric=metric)
    if len(table.columns) < 2:
        return None
    rows: list[tuple[object, ...]] = []
    with mpl.rc_context(SETTINGS):
        figure = Figure(figsize=(9.2, 4.2), layout="constrained")
        axes = figure.subplots()
        order = list(dict.fromkeys([*first, *(row.model for row in table.rows)]))
        for row in table.rows:
            colour, marker, dash = SERIES[order.index(row.model) % len(SERIES)]
            cells = [cell for cell in row.cells if cell]
            places = [cell.n_labels or 0 for cell in cells]
            axes.errorbar(
                places,
                [cell.value for cell in cells],
                yerr=whiskers(cells),
                color=colour,
                marker=marker,
                linestyle=dash,
                linewidth=1.8,
                elinewidth=1.1,
                capsize=3,
                label=shortened(row.model, most=34),
            )
            rows += [(c.model, c.n_labels, c.value, c.ci_low, c.ci_high, c.n_test, c.seed) for c in cells]
        chance_line(axes, table.chance[0], across=True)
        _label_axis(axes, [column.n_labels or 0 for column in table.columns])
        axes.set_ylabel(f"{metric} (share right)")
        axes.grid(axis="y", color=INK, alpha=0.12, linewidth=0.6)
        axes.legend(loc="upper left", fontsize=9)
    return Chart(
        "labels",
        figure,
        f"{metric} against labels a class, with 95% intervals; the dashed line is chance.",
        ("model", "n_labels", "value", "ci_low", "ci_high", "n_test", "seed"),
        tuple(rows),
    )


def training_chart(run: RunSummary, *, number: int = 0) -> Chart | None:
    """A run's monitor with its marked peak, over its loss, on one axis of steps.

    Args:
        number: Place of the run on the page; makes the drawing's ids unique.

    Returns:
        None when the run logged no loss.
    """
    losses = [(row["step"], row["loss"]) for row in run.curve if row.get("kind") == "train" and "loss" in row]
    monitored = [
        (row["step"], row[run.monitor])
        for row in run.curve
        if row.get("kind") == "monitor" and row.get(run.monitor) is not None
    ]
    if not losses:
        return None
    colour, marker, _ = SERIES[number % len(SERIES)]
    with mpl.rc_context(SETTINGS):
        figure = Figure(figsize=(5.2, 3.9), layout="constrained")
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
        if monitored:
            upper.plot(
                *zip(*monitored, strict=True), color=colour, marker=marker, markersize=4, linewidth=1.8
            )
        if run.best_value is not None:
            upper.plot([run.best_step], [run.best_value], marker="*", markersize=14, color=INK)
            peak = f"peak {run.best_value:.3f} at step {run.best_step:,}"
            upper.set_title(peak, loc="right", fontsize=9)
        lower.plot(*zip(*losses, strict=True), color=INK, alpha=0.75, linewidth=1.1)
        upper.set_ylabel(f"{run.monitor} (val)")
        lower.set_ylabel("training loss")
        lower.set_xlabel("step")
        lower.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        for panel in (upper, lower):
            panel.axvline(run.best_step, color=INK, alpha=0.35, linewidth=0.8, linestyle=":")
            panel.grid(axis="y", color=INK, alpha=0.12, linewidth=0.6)
            panel.yaxis.set_major_locator(MaxNLocator(4))
    return Chart(
        f"run{number}",
        figure,
        f"{run.monitor} on validation images and training loss by step; the peak is at step {run.best_step}.",
        ("step", "kind", "value"),
        tuple((step, "train loss", value) for step, value in losses)
        + tuple((step, f"{run.monitor} (val)", value) for step, value in monitored),
    )


def vocabulary_chart(words: WordsSummary, *, most: int = 20) -> Chart | None:
    """The most frequent classes of the vocabulary and how many images carry each.

    Returns:
        None when the vocabulary is empty.
    """
    top = [(shortened(name, most=28), count) for name, count in words.top[:most]]
    if not top:
        return None
    with mpl.rc_context(SETTINGS):
        figure = Figure(figsize=(5.2, 0.6 + 0.21 * len(top)), layout="constrained")
        axes = figure.subplots()
        bars = axes.barh(range(len(top)), [count for _, count in top], color=SERIES[0][0], height=0.68)
        axes.bar_label(bars, fmt="{:,.0f}", padding=3, fontsize=8.5)
        axes.set_yticks(range(len(top)), [name for name, _ in top])
        axes.set_ylim(len(top) - 0.5, -0.5)
        axes.set_xlabel("training images with the word")
        axes.margins(x=0.12)
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.tick_params(axis="y", length=0)
    return Chart(
        "vocabulary",
        figure,
        f"The {len(top)} most frequent of {words.vocabulary_size:,} words found in the captions.",
        ("word", "images"),
        tuple(words.top[:most]),
    )


def _dot(panel: Axes, result: Result, place: int, *, strong: bool) -> None:
    colour = ACCENT if strong else INK
    panel.errorbar(
        result.value,
        place,
        xerr=whiskers([result]),
        color=colour,
        marker="D" if strong else "o",
        markersize=6.5 if strong else 5.5,
        capsize=3,
        linewidth=1.8 if strong else 1.2,
    )
    panel.annotate(
        f"{result.value:.3f}",
        (result.value, place),
        xytext=(0, 6),
        textcoords="offset points",
        ha="center",
        fontsize=8.5,
        color=colour,
        fontweight="bold" if strong else "normal",
    )


def whiskers(results: Sequence[Result]) -> list[list[float]] | None:
    """Distances to the interval's ends, as `errorbar` wants them; none when any interval is missing."""
    lows, highs = [], []
    for one in results:
        if one.ci_low is None or one.ci_high is None:
            return None
        lows.append(max(0.0, one.value - one.ci_low))
        highs.append(max(0.0, one.ci_high - one.value))
    return [lows, highs]


def chance_line(axes: Axes, value: float | None, *, across: bool = False) -> None:
    if value is None:
        return
    draw = axes.axhline if across else axes.axvline
    draw(value, color=INK, alpha=0.6, linewidth=1, linestyle=(0, (4, 3)))
    where = (1.0, value) if across else (value, 0.0)
    axes.annotate(
        "chance",
        where,
        xycoords=axes.get_yaxis_transform() if across else axes.get_xaxis_transform(),
        xytext=(-2, 3) if across else (3, 3),
        textcoords="offset points",
        ha="right" if across else "left",
        fontsize=8,
        alpha=0.75,
    )


def _label_axis(axes: Axes, counts: Sequence[int]) -> None:
    axes.set_xscale("log")
    axes.set_xticks(counts, [str(count) for count in counts])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("training labels a class (log scale)")


def _all(n_labels: int | None) -> object:
    return "all" if n_labels is None else n_labels
