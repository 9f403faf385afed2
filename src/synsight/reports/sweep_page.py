"""The page of a sweep: which recipe and setting transfers best, and at what width, rank and time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from synsight.files import write_text
from synsight.records import Result, SweepRun
from synsight.reports.page import render_template
from synsight.reports.summary import CHANCE, DIFFERENCE, difference_table, differences, result_table
from synsight.reports.sweep_figures import UNTRAINED, transfer_chart


@dataclass(frozen=True, kw_only=True)
class SweepPage:
    """Everything a sweep's page shows."""

    title: str
    runs: Sequence[SweepRun]
    results: Sequence[Result]
    """Means over seeds and paired differences; `details["probe"]` says what was asked."""
    notes: Sequence[str] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    command: str = ""
    created_at: str = ""
    packages: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Choice:
    """The model whose monitor was best on validation images."""

    model: str
    monitor: str
    value: float
    """Mean over its seeds."""
    seeds: int


def choice(runs: Sequence[SweepRun]) -> Choice | None:
    """Choose by the monitors' means over seeds; None where the runs were not all monitored by one thing."""
    trained = [run for run in runs if not run.failure and run.recipe != UNTRAINED]
    values = {run.model: [one.best_value for one in trained if one.model == run.model] for run in trained}
    means = {
        model: sum(value for value in own if value is not None) / len(own)
        for model, own in values.items()
        if None not in own
    }
    if len({run.monitor for run in trained}) != 1 or len(means) < len(values):
        return None
    model = max(means, key=lambda name: means[name])
    return Choice(model, trained[0].monitor, means[model], len(values[model]))


def failed_models(runs: Sequence[SweepRun]) -> list[str]:
    """Models of which no run came to an end."""
    finished = {run.model for run in runs if not run.failure}
    return list(dict.fromkeys(run.model for run in runs if run.model not in finished))


def probes(results: Sequence[Result]) -> dict[str, list[Result]]:
    """What was asked -> its records, in the order of first appearance."""
    found: dict[str, list[Result]] = {}
    for one in results:
        found.setdefault(str(one.details.get("probe", one.dataset)), []).append(one)
    return found


def write_sweep_report(path: str | Path, page: SweepPage) -> Path:
    """Write the page as one HTML file, atomically.

    Raises:
        StorageError: The disk refused.
    """
    path = Path(path)
    write_text(path, render_sweep(page))
    return path


def render_sweep(page: SweepPage) -> str:
    """The page's HTML, under the same security policy as every report."""
    parts = []
    for number, (name, records) in enumerate(probes(page.results).items()):
        means = [one for one in records if not one.metric.endswith(DIFFERENCE)]
        parts.append(
            {
                "name": name,
                "table": result_table(means),
                "chart": transfer_chart(means, page.runs, name=f"transfer{number}"),
                "differences": difference_table(records),
                "judged": next((one.model for one in differences(records)), ""),
            }
        )
    return render_template(
        "sweep.html.j2",
        page=page,
        probes=parts,
        best=choice(page.runs),
        failed=[run for run in page.runs if run.failure],
        lost=failed_models(page.runs),
        untrained=UNTRAINED,
        chance=CHANCE,
    )
