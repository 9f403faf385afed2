"""A run's readings on one axis of steps: small multiples, the peak marked in each."""

from collections.abc import Iterable

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from synsight.records import RunSummary
from synsight.reports.chart import ACCENT, SERIES, Chart
from synsight.reports.svg import INK, SETTINGS

MONITORS = {
    "knn_acc1": ("k-NN acc1", "share right"),
    "fewshot_acc1": ("few-shot acc1", "share right"),
    "zeroshot_acc1": ("zero-shot acc1", "share right"),
    "rankme": ("RankMe", "effective rank"),
    "lidar": ("LiDAR", "effective rank"),
    "feature_spread": ("feature spread", "0 point, 1 even"),
    "alignment": ("alignment", "squared distance"),
    "uniformity": ("uniformity", "log mean potential"),
}
"""Reading -> its name and unit, in the order of the panels."""

LOWER_IS_BETTER = frozenset({"alignment", "uniformity"})

STANDARD_ERROR = "standard_error"
"""Of the deciding reading, in the same row."""

CHANCE = "_chance"
"""Ending of what a reading would be without features, in the same row."""

TIMED = ("_seconds", "_per_second", "_bytes")
"""Endings of numbers that are no reading."""

Line = list[tuple[int, float]]


def monitors_chart(run: RunSummary, *, number: int = 0) -> Chart | None:
    """Every reading of a run's monitor, then its loss, with the wall time on top.

    Args:
        run: With the rows of its metrics.jsonl.
        number: Place of the run on the page; makes the drawing's ids unique.

    Returns:
        None when the run logged nothing.
    """
    lines = readings(run)
    if not lines:
        return None
    across = (
        min((3, 4), key=lambda columns: (-len(lines) % columns, columns)) if len(lines) > 3 else len(lines)
    )
    down = -(-len(lines) // across)
    with mpl.rc_context(SETTINGS):
        figure = Figure(figsize=(9.2, 0.7 + 1.75 * down), layout="constrained")
        panels = list(figure.subplots(down, across, sharex=True, squeeze=False).flat)
        for empty in panels[len(lines) :]:
            empty.set_axis_off()
        for number, (panel, (name, line)) in enumerate(zip(panels, lines.items(), strict=False)):
            _draw(panel, run, name, line)
            if number < across:
                _time_axis(panel, run)
            if number >= len(lines) - across:
                panel.tick_params(labelbottom=True)
            if number >= across * (down - 1):
                panel.set_xlabel("step")
        panels[0].set_xlim(left=0)
        panels[0].xaxis.set_major_locator(MaxNLocator(5, integer=True))
    return Chart(
        f"monitors{number}",
        figure,
        _description(run, lines),
        ("step", "reading", "value"),
        tuple((step, name, value) for name, line in lines.items() for step, value in line),
    )


def readings(run: RunSummary) -> dict[str, Line]:
    """Reading -> its (step, value) pairs; those we know first, the training loss last."""
    found: dict[str, Line] = {name: [] for name in MONITORS}
    loss: Line = []
    for row in run.curve:
        step = int(row["step"])
        if row.get("kind") == "train" and "loss" in row:
            loss.append((step, row["loss"]))
        if row.get("kind") == "monitor":
            for name, value in row.items():
                if _is_reading(name, value):
                    found.setdefault(name, []).append((step, value))
    return {name: line for name, line in [*found.items(), ("loss", loss)] if line}


def _is_reading(name: str, value: object) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and name not in ("step", STANDARD_ERROR) and not name.endswith((CHANCE, *TIMED))


def _draw(panel: Axes, run: RunSummary, name: str, line: Line) -> None:
    title, unit = MONITORS.get(name, ("training loss" if name == "loss" else name, ""))
    deciding = name == run.monitor
    panel.set_title(title)
    panel.set_ylabel(unit)
    panel.yaxis.set_major_locator(MaxNLocator(4))
    panel.grid(axis="y", color=INK, alpha=0.12, linewidth=0.6)
    panel.axvline(run.best_step, color=INK, alpha=0.45, linewidth=0.9, linestyle=":")
    if name == "loss":
        panel.plot(*zip(*line, strict=True), color=INK, alpha=0.75, linewidth=1.1)
        return
    if (chance := _chance(run, name)) is not None:
        panel.axhline(chance, color=INK, alpha=0.6, linewidth=1.0, linestyle=(0, (5, 3)))
        panel.annotate(
            f"chance {chance:.2f}",
            (0.98, chance),
            xycoords=panel.get_yaxis_transform(),
            xytext=(0, 2),
            textcoords="offset points",
            ha="right",
            va="bottom",
            fontsize=7.5,
            color=INK,
            alpha=0.8,
        )
    steps, lows, highs = _band(run, name)
    colour = ACCENT if deciding else SERIES[0][0]
    if steps:
        panel.fill_between(steps, lows, highs, color=colour, alpha=0.18, linewidth=0)
    panel.plot(*zip(*line, strict=True), color=colour, marker="o", markersize=3.2, linewidth=1.6)
    if deciding and run.best_value is not None:
        panel.plot([run.best_step], [run.best_value], marker="*", markersize=12, color=INK)
        panel.set_title(f"peak {run.best_value:.3f}", loc="right", fontsize=8.5, fontweight="normal")


def _band(run: RunSummary, name: str) -> tuple[list[int], list[float], list[float]]:
    """The 95% interval of the readings of the deciding monitor, from their standard errors."""
    rows = [row for row in run.curve if row.get("kind") == "monitor" and row.get(name) is not None]
    rows = [row for row in rows if name == run.monitor and row.get(STANDARD_ERROR) is not None]
    return (
        [row["step"] for row in rows],
        [row[name] - 1.96 * row[STANDARD_ERROR] for row in rows],
        [row[name] + 1.96 * row[STANDARD_ERROR] for row in rows],
    )


def _chance(run: RunSummary, name: str) -> float | None:
    """What the last look said that this reading is worth without features; None: older runs do not say."""
    found = [row[name + CHANCE] for row in run.curve if row.get(name + CHANCE) is not None]
    return float(found[-1]) if found else None


def _time_axis(panel: Axes, run: RunSummary) -> None:
    """Wall time above the panel: where the steps of round numbers of minutes lie."""
    timed = [
        (row["step"], row["elapsed_seconds"])
        for row in run.curve
        if row.get("kind") == "train" and row.get("elapsed_seconds") is not None
    ]
    if len(timed) < 2:
        return
    steps, seconds = np.array([(0, 0.0), *timed]).T
    unit, length = next((one for one in _UNITS if seconds[-1] >= 2 * one[1]), _UNITS[-1])
    longest = float(seconds[-1]) / length
    marks = np.asarray(MaxNLocator(4, steps=[1, 2, 5, 10]).tick_values(0, longest))
    marks = marks[(marks >= 0) & (marks <= longest)]
    above = panel.secondary_xaxis("top")
    above.set_xticks(np.interp(marks * length, seconds, steps), [f"{mark:g}" for mark in marks])
    above.tick_params(labelsize=8, length=2.5, pad=1)
    above.set_xlabel(unit, fontsize=8.5)


_UNITS = (("hours", 3600), ("minutes", 60), ("seconds", 1))


def _description(run: RunSummary, lines: Iterable[str]) -> str:
    said = "What the monitor read on validation images, by step."
    if run.best_value is not None:
        said += f" {run.monitor} decides: the star and the dotted lines mark its peak at step"
        said += f" {run.best_step:,}, whose weights are kept."
    low = [MONITORS[name][0] for name in lines if name in LOWER_IS_BETTER]
    if low:
        said += f" Lower is better for {' and '.join(low)}."
    if _band(run, run.monitor)[0]:
        said += " Band: 95% interval."
    if any(_chance(run, name) is not None for name in lines):
        said += " Dashed: chance; for k-NN the most frequent class, for few-shot one of the ways."
    return said
