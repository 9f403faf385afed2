"""The runs of a sweep gathered: means over the seeds, paired differences, and the page."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from synsight import files
from synsight.data.lineage import now
from synsight.evaluation import difference_results, mean_over_draws, read_predictions, read_results
from synsight.evaluation.storage import write_results
from synsight.evaluation.verdicts import corrected
from synsight.records import Result, SweepRun, as_json
from synsight.reports import SweepPage, choice, package_versions, write_sweep_report
from synsight.workflow.sweep_probes import Probe
from synsight.workflow.sweep_run import Work

RUNS_FILE = "runs.json"


def gather(works: Sequence[Work], runs: Sequence[SweepRun]) -> list[Result]:
    """Records of all runs that came to an end: means over the training seeds, then paired differences.

    The model whose monitor was best on validation images is compared with every other one; nothing is chosen
    on the test rows. `details` of a mean: `probe`, `training_seeds` and `seed_values` (one a seed).

    Args:
        works: All works of the sweep.
        runs: Their records, in the same order.
    """
    finished = [work for work, run in zip(works, runs, strict=True) if not run.failure]
    if not finished:
        return []
    chosen = choice(runs)
    found: list[Result] = []
    for probe in finished[0].asked.probes:
        found += _of_probe(probe, finished, chosen.model if chosen is not None else None)
    return sorted(found, key=lambda one: one.metric.endswith("_difference"))


def write_sweep(
    out: Path,
    runs: Sequence[SweepRun],
    results: Sequence[Result],
    *,
    settings: Mapping[str, Any],
    notes: Sequence[str],
    command: str,
) -> Path:
    """Write OUT/runs.json, results.json, results.parquet and report.html.

    Returns:
        The page.
    """
    files.write_json(out / RUNS_FILE, [as_json(run) for run in runs])
    write_results(out, results)
    page = SweepPage(
        title=f"sweep in {out.resolve().name}",
        runs=runs,
        results=results,
        notes=notes,
        settings=settings,
        command=command,
        created_at=now(),
        packages=package_versions(),
    )
    return write_sweep_report(out / "report.html", page)


def _of_probe(probe: Probe, works: Sequence[Work], judged: str | None) -> Iterator[Result]:
    results, predictions = _answers(probe, works)
    seeds = {
        title: list(dict.fromkeys(work.seed for work in works if work.title == title))
        for title in dict.fromkeys(work.title for work in works)
    }
    means = mean_over_draws(results, predictions)
    for one in means:
        values = [
            _mean_of_seed(one, results, seed, stride=works[0].asked.stride) for seed in seeds[one.model]
        ]
        yield replace(
            one,
            seed=seeds[one.model][0],
            details={
                **one.details,
                "probe": probe.name,
                "training_seeds": seeds[one.model],
                "seed_values": [round(value, 4) for value in values],
            },
        )
    if judged in seeds:
        differences = [
            one
            for rival in seeds
            if rival != judged
            for one in difference_results(
                means, predictions, model=judged, against=rival, stride=works[0].asked.stride
            )
        ]
        for one in corrected(differences):
            yield replace(one, seed=seeds[judged][0], details={**one.details, "probe": probe.name})


def _answers(probe: Probe, works: Sequence[Work]) -> tuple[list[Result], pa.Table]:
    """Records and predictions of all works, under the titles their models have today."""
    results: list[Result] = []
    tables = []
    for work in works:
        folder = work.answers / probe.folder
        results += [replace(one, model=work.title) for one in read_results(folder)]
        table = read_predictions(folder)
        names = pc.fill_null(pa.nulls(table.num_rows, pa.string()), work.title)
        tables.append(table.set_column(0, table.schema.field("model"), names))
    return results, pa.concat_tables(tables)


def _mean_of_seed(mean: Result, results: Sequence[Result], seed: int, *, stride: int) -> float:
    """The draws of one training seed, averaged."""
    values = [
        one.value
        for one in results
        if (one.model, one.task, one.metric, one.n_labels)
        == (mean.model, mean.task, mean.metric, mean.n_labels)
        and one.seed // stride == seed
    ]
    return sum(values) / len(values)
