"""The page and the figure of `adaptation_domains.py`, from the answers that it keeps."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from turns import machine

from synsight.records import Result

SHOWN = {
    "logistic": ("#222222", "-", "o"),
    "auto": ("#0b7285", "-", "s"),
    "projector": ("#c2410c", "--", "^"),
    "projector (paper)": ("#c2410c", ":", "v"),
    "lda": ("#5f3dc4", "-.", "D"),
    "tip-adapter": ("#868e96", "--", "x"),
    "prototypes": ("#2b8a3e", ":", "P"),
    "words, 8 a class": ("#b08900", "-", "*"),
}
"""Lines of the figure: colour, dashes, marker."""


def page_of(out: Path, *, source_labels: int, draws: int, held_out: Sequence[str], baseline: str) -> str:
    """The page of all answers below `out`; beside it the figure is written.

    Args:
        out: Folder of the experiment.
        source_labels: Labels of each class that were known of the old domain.
        draws: Draws of the labels of the new one.
        held_out: Classes that no space learnt from when retention was measured.
        baseline: The estimator whose interval the figure shows.
    """
    told, results = {}, []
    for path in sorted((out / "units").glob("*.json")):
        if path.name.startswith("retention"):
            continue
        found = json.loads(path.read_text())
        told[found["results"][0]["dataset"]] = found["told"]
        results += [Result(**one) for one in found["results"]]
    lines = [
        machine("synsight", "torch", "scikit-learn", threads=1),
        "",
        f"Of the old domain {source_labels} labels of each class are known, of the new one k; "
        f"{draws} draws. Mean accuracy over the draws; in brackets the 95% interval that draws the "
        "test groups again. Bold: better than logistic regression by more than the interval of the paired "
        "difference; struck through: worse.",
        "",
    ]
    for shift, encoder in dict.fromkeys((one.dataset, one.model) for one in results):
        mine = [one for one in results if (one.dataset, one.model) == (shift, encoder)]
        lines += [f"### {shift}, {encoder}", "", told[shift] + ".", "", *_table(mine), ""]
    lines += _retention_lines(out, held_out)
    _figure(results, out / "figure.svg", baseline)
    return "\n".join(lines)


def _table(results: Sequence[Result]) -> Iterator[str]:
    sizes = sorted({one.n_labels for one in results})
    yield "| | " + " | ".join(f"k = {size}" for size in sizes) + " | seconds a fit, k = 16 |"
    yield "|---|" + "--:|" * (len(sizes) + 1)
    baseline = next(one.baseline for one in results if one.metric == "acc1")
    yield f"| most frequent class | {' | '.join([f'{baseline:.3f}'] * len(sizes))} | |"
    values = {(one.task, one.n_labels): one for one in results if one.metric == "acc1"}
    gained = {(one.task, one.n_labels): one for one in results if one.metric == "acc1_difference"}
    for name in dict.fromkeys(task for task, _ in values):
        cells = [_cell(values.get((name, size)), gained.get((name, size))) for size in sizes]
        timed = values.get((name, 16))
        seconds = "" if timed is None else f"{timed.seconds / timed.details.get('draws', 1):.2f}"
        yield f"| {name} | " + " | ".join(cells) + f" | {seconds} |"


def _cell(one: Result | None, gain: Result | None) -> str:
    if one is None:
        return ""
    text = f"{one.value:.3f} [{one.ci_low:.3f}, {one.ci_high:.3f}]"
    if gain is not None and gain.ci_low is not None and gain.ci_low > 0:
        return f"**{text}**"
    if gain is not None and gain.ci_high is not None and gain.ci_high < 0:
        return f"~~{text}~~"
    return text


def _retention_lines(out: Path, held_out: Sequence[str]) -> list[str]:
    found = {
        path.stem.split("-", 1)[1]: json.loads(path.read_text())
        for path in (out / "units").glob("retention-*")
    }
    if not found:
        return []
    lines = [
        "### What the adapted space still tells of classes it has not learnt from",
        "",
        f"Adapted without {' and '.join(held_out)}; then 5-way 5-shot episodes over their sub-classes, "
        "nearest class mean. Means over the draws; in brackets the lowest and the highest change of a draw.",
        "",
        "| encoder | space | frozen | adapted | change |",
        "|---|---|--:|--:|--:|",
    ]
    for encoder, rows in sorted(found.items()):
        for row in rows:
            before, after = np.array(row["before"]), np.array(row["after"])
            change = after - before
            lines.append(
                f"| {encoder} | {row['name']} | {before.mean():.3f} | {after.mean():.3f} | "
                f"{change.mean():+.3f} [{change.min():+.3f}, {change.max():+.3f}] |"
            )
    return [*lines, ""]


def _figure(results: Sequence[Result], path: Path, baseline: str) -> None:
    """Accuracy over labels of the new domain, a panel for each shift and encoder; the band is the baseline's
    interval.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    panels = list(dict.fromkeys((one.dataset, one.model) for one in results))
    if not panels:
        return
    matplotlib.rcParams["svg.hashsalt"] = "adaptation"
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    figure, axes = pyplot.subplots(rows, columns, figsize=(4 * columns, 3.2 * rows), squeeze=False)
    for panel, (shift, encoder) in zip(axes.flat, panels, strict=False):
        _draw(panel, [one for one in results if (one.dataset, one.model) == (shift, encoder)], baseline)
        panel.set_title(f"{shift}, {encoder}", fontsize=10)
    for panel in axes.flat[len(panels) :]:
        panel.set_visible(False)
    named = {
        text: line
        for panel in axes.flat
        for line, text in zip(*panel.get_legend_handles_labels(), strict=True)
    }
    figure.tight_layout(rect=(0, 0.06, 1, 1))
    figure.legend(
        named.values(), named.keys(), ncols=len(named), fontsize=8, frameon=False, loc="lower center"
    )
    figure.savefig(path, metadata={"Date": None})


def _draw(panel: Any, results: Sequence[Result], baseline: str) -> None:
    sizes = sorted({one.n_labels for one in results if one.n_labels is not None})
    values: Mapping[tuple[str, int | None], Result] = {
        (one.task, one.n_labels): one for one in results if one.metric == "acc1"
    }
    for name, (colour, dashes, marker) in SHOWN.items():
        line = [values[name, size] for size in sizes if (name, size) in values]
        if not line:
            continue
        places = [sizes.index(one.n_labels or 0) for one in line]
        panel.plot(
            places,
            [one.value for one in line],
            color=colour,
            linestyle=dashes,
            marker=marker,
            markersize=4,
            linewidth=1.3,
            label=name,
        )
        if name == baseline:
            ends = [[getattr(one, end) for one in line] for end in ("ci_low", "ci_high")]
            panel.fill_between(places, *ends, color=colour, alpha=0.12, linewidth=0)
    panel.axhline(
        next(one.baseline for one in results if one.metric == "acc1"), color="#999999", linewidth=0.8
    )
    panel.set_xticks(range(len(sizes)), [str(size) for size in sizes])
    panel.set_xlabel("labels of each class, new domain", fontsize=8)
    panel.set_ylabel("accuracy", fontsize=8)
    panel.tick_params(labelsize=8)
