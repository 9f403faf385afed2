"""The drawings of the decision page: what labels buy, and where the uncertainty comes from."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from synsight.reports.chart import SERIES, Chart
from synsight.reports.decision_notes import horizon, input_name, result_in_use
from synsight.reports.decision_records import Case, CurvePoint, Decision, Saving
from synsight.reports.locales import COUNT, LABELS, SHARE, Locale, has_interval, is_point, spoken_money
from synsight.reports.page_fonts import measuring_fonts
from synsight.reports.svg import INK, SETTINGS
from synsight.reports.text import shortened

WIDE, NARROW = (8.6, 4.3), (4.4, 4.5)
"""Inches; the page shows the narrow drawing on a telephone."""

NEAR = 0.03
"""Ticks of the label axis nearer to each other than this share of it are not written."""


def savings_chart(
    decision: Decision, case: Case, locale: Locale, *, name: str = "savings", narrow: bool = False
) -> Chart | None:
    """Accuracy against labels, with an arrow from the candidate's labels to those that the other needs.

    Bands are 95% intervals; lines are the monotone curves that are read. What lies beyond the measured labels
    is an arrow to the edge.

    Args:
        decision: Holds the points.
        case: Whose curves.
        locale: Of the words.
        name: Unique on the page.
        narrow: For a telephone.

    Returns:
        None where one of the two has fewer than two points.
    """
    curves = {
        model: sorted(
            (one for one in decision.curve if one.model == model and one.labels > 0),
            key=lambda one: one.labels,
        )
        for model in (case.against, case.model)
    }
    if any(len(points) < 2 for points in curves.values()):
        return None
    with _drawing(locale):
        figure = Figure(figsize=NARROW if narrow else WIDE, layout="constrained")
        axes = figure.subplots()
        for look, (model, points) in zip((SERIES[0], SERIES[1]), curves.items(), strict=True):
            _curve(axes, points, look, label=shortened(model, most=30 if narrow else 48))
        shown = _scales(axes, [one for points in curves.values() for one in points], locale, narrow=narrow)
        axes.set_ylabel(locale.named("metric", decision.metric))
        _chance(axes, decision, case, locale)
        said = ""
        if case.saving is not None:
            said = _arrow(axes, case.saving, shown, locale)
        figure.legend(loc="outside upper left", ncols=1 if narrow else 2, fontsize=9.5)
    return Chart(
        name,
        figure,
        locale.say(
            "savings.alt",
            metric=locale.named("metric", decision.metric),
            candidate=locale.name_of(case.model),
            baseline=locale.name_of(case.against),
            said=said,
        ),
        ("model", "labels", "labels_per_class", "accuracy", "ci_low", "ci_high", "curve", "draws", "n_test"),
        tuple(_row(one) for points in curves.values() for one in points),
    )


def drivers_chart(
    decision: Decision, case: Case, locale: Locale, *, name: str = "drivers", narrow: bool = False
) -> Chart | None:
    """How far each uncertain input alone moves the net gain of the plan that decides.

    Returns:
        None where nothing moves it.
    """
    plan = case.plan
    if plan is None or not plan.drivers or plan.net.value is None:
        return None
    amount = spoken_money(decision.currency, locale)
    drivers = plan.drivers[:8]
    ends = [end for one in drivers for end in (one.low, one.high)] + [plan.net.value]
    span = (max(ends) - min(ends)) or 1.0
    with _drawing(locale):
        width = (NARROW if narrow else WIDE)[0]
        figure = Figure(figsize=(width, 1.0 + 0.5 * len(drivers)), layout="constrained")
        axes = figure.subplots()
        for place, one in enumerate(drivers):
            axes.barh(place, one.high - one.low, left=one.low, height=0.5, color=SERIES[0][0])
            for value, side, shift in ((one.low, "right", -4), (one.high, "left", 4)):
                axes.annotate(
                    amount.bare(value),
                    (value, place),
                    xytext=(shift, 0),
                    textcoords="offset points",
                    ha=side,
                    va="center",
                    fontsize=8.5,
                )
        axes.axvline(plan.net.value, color=INK, linewidth=1.1, alpha=0.55, zorder=0.9)
        if min(ends) < 0 < max(ends):
            axes.axvline(0, color=INK, linewidth=0.9, linestyle=(0, (4, 3)), alpha=0.6)
        names = [_wrapped(input_name(one.key, locale), 14 if narrow else 30, locale) for one in drivers]
        axes.set_yticks(range(len(drivers)), names)
        axes.set_ylim(len(drivers) - 0.5, -0.5)
        room = 0.5 if narrow else 0.22
        axes.set_xlim(min(ends) - room * span, max(ends) + room * span)
        axes.xaxis.set_major_locator(MaxNLocator(3 if narrow else 5))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: amount.bare(value)))
        axes.set_xlabel(locale.say("fig.net", horizon=horizon(decision, locale)))
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.grid(axis="x", color=INK, alpha=0.12, linewidth=0.6)
        axes.set_axisbelow(True)
    return Chart(
        name,
        figure,
        locale.words["drivers.alt"],
        ("input", "given", "net_low", "net_high"),
        tuple((one.key, one.input_text, one.low, one.high) for one in drivers),
    )


@contextmanager
def _drawing(locale: Locale) -> Iterator[None]:
    with mpl.rc_context({**SETTINGS, "font.family": measuring_fonts(locale.name)}):
        yield


def _curve(axes: Axes, points: Sequence[CurvePoint], look: tuple[str, str, str], *, label: str) -> None:
    colour, marker, dash = look
    places = [one.labels for one in points]
    band = [
        (one.labels, one.accuracy.low, one.accuracy.high)
        for one in points
        if one.accuracy.low is not None and one.accuracy.high is not None
    ]
    if len(band) > 1:
        axes.fill_between(
            [labels for labels, _, _ in band],
            [low for _, low, _ in band],
            [high for _, _, high in band],
            color=colour,
            alpha=0.17,
            linewidth=0,
        )
    axes.plot(places, [one.fitted for one in points], color=colour, linestyle=dash, linewidth=2, label=label)
    measured = [(one.labels, one.accuracy.value) for one in points if one.accuracy.value is not None]
    axes.plot(*zip(*measured, strict=True), color=colour, marker=marker, markersize=5.5, linestyle="none")


def _scales(axes: Axes, points: Sequence[CurvePoint], locale: Locale, *, narrow: bool) -> list[int]:
    """Set both axes; the numbers of labels that are written at their ticks."""
    axes.set_xscale("log")
    counts = sorted({one.labels for one in points})
    low, high = math.log(counts[0]), math.log(counts[-1])
    shown: list[int] = []
    near = NEAR * (4.0 if narrow else 1.8) * (high - low)
    for count in reversed(counts):
        if not shown or math.log(shown[-1]) - math.log(count) >= near:
            shown.append(count)
    axes.set_xlim(counts[0] * 0.9, counts[-1] * 1.22)
    axes.set_xticks(shown, [COUNT.bare(count) for count in shown])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel(locale.words["fig.labels"])
    axes.yaxis.set_major_locator(MaxNLocator(6))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g}%"))
    axes.grid(axis="y", color=INK, alpha=0.12, linewidth=0.6)
    return shown


def _arrow(axes: Axes, saving: Saving, shown: Sequence[int], locale: Locale) -> str:
    """Draw how the curves are read; what the arrow says."""
    height, needed = saving.accuracy.value, saving.against_labels
    left, right = axes.get_xlim()
    said = arrow_text(saving, locale)
    if height is None:
        return said
    never = needed.value_sign == "never"
    if needed.value is None and not never:
        return said
    beyond = never or needed.value_sign == ">"
    end = right if needed.value is None or beyond else needed.value
    ends = [one for one in (needed.low, needed.high) if one is not None]
    if ends:
        first = max(min(ends), left)
        last = right if needed.high is None or needed.high_sign != "=" else min(max(ends), right)
        axes.plot([first, last], [height, height], color=INK, alpha=0.22, linewidth=8, solid_capstyle="butt")
    axes.annotate(
        "",
        (end, height),
        (saving.labels, height),
        arrowprops={"arrowstyle": "-|>", "color": INK, "linewidth": 1.6, "shrinkA": 0, "shrinkB": 0},
    )
    drop: Mapping[str, Any] = {"color": INK, "alpha": 0.5, "linewidth": 0.9, "linestyle": ":"}
    bottom = axes.get_ylim()[0]
    axes.plot([saving.labels, saving.labels], [bottom, height], **drop)
    if not beyond:
        axes.plot([end, end], [bottom, height], **drop)
    axes.set_ylim(bottom=bottom)
    axes.set_title(
        said + _needed_ends(saving, locale),
        fontsize=11.5,
        fontfamily="DejaVu Sans" if locale.name == "en" else None,
        fontweight="bold" if locale.name == "en" else "normal",
        pad=10,
    )
    if not beyond:
        _tick(axes, end, shown, keep=saving.labels)
    return said


def _tick(axes: Axes, place: float, shown: Sequence[int], *, keep: int) -> None:
    """Write a number at the label axis in place of the ticks that it would cover."""
    left, right = axes.get_xlim()
    near = 2 * NEAR * math.log(right / left)
    if abs(math.log(place / keep)) >= near:
        kept = [one for one in shown if abs(math.log(place / one)) >= near]
        axes.set_xticks([*kept, place], [COUNT.bare(one) for one in (*kept, place)])


def arrow_text(saving: Saving, locale: Locale) -> str:
    """As "84 do the work of 310"."""
    needed = saving.against_labels
    labels = COUNT.bare(saving.labels)
    if needed.value_sign == "never":
        return locale.say("savings.arrow_never", labels=labels)
    if needed.value is None:
        return ""
    key = {"=": "savings.arrow", ">": "savings.arrow_more", "<": "savings.arrow_fewer"}[needed.value_sign]
    return locale.say(key, labels=labels, against=COUNT.bare(needed.value))


def _needed_ends(saving: Saving, locale: Locale) -> str:
    needed = saving.against_labels
    if needed.value is None or not has_interval(needed) or is_point(needed):
        return ""
    low, high = locale.ends(needed, LABELS)
    return f"（{low}～{high}）" if locale.name == "ja" else f" ({low} to {high})"


def _chance(axes: Axes, decision: Decision, case: Case, locale: Locale) -> None:
    result = result_in_use(decision, case.model)
    if result is None or result.baseline is None:
        return
    axes.axhline(result.baseline, color=INK, alpha=0.6, linewidth=1, linestyle=(0, (4, 3)))
    axes.annotate(
        f"{locale.words['fig.chance']} {SHARE.bare(result.baseline)}",
        (1.0, result.baseline),
        xycoords=axes.get_yaxis_transform(),
        xytext=(-2, 3),
        textcoords="offset points",
        ha="right",
        fontsize=8.5,  # without alpha: weasyprint leaves out letters that one can see through
    )


def _wrapped(text: str, most: int, locale: Locale) -> str:
    """On lines of at most `most` characters; Japanese breaks anywhere and counts double."""
    if locale.name == "ja":
        most = max(6, most // 2 + 1)
        return "\n".join(text[at : at + most] for at in range(0, len(text), most))
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + len(word) >= most:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines)


def _row(one: CurvePoint) -> tuple[object, ...]:
    return (
        one.model,
        one.labels,
        one.labels_per_class,
        one.accuracy.value,
        one.accuracy.low,
        one.accuracy.high,
        one.fitted,
        one.draws,
        one.n_test,
    )
