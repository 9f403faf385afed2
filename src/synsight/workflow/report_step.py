"""The pilot's page, with whatever there is when the pilot ends."""

from collections.abc import Sequence
from pathlib import Path

from synsight.data import Catalog
from synsight.data.lineage import now
from synsight.data.written_reports import note_report
from synsight.language import load_vocabulary
from synsight.models import Model, load
from synsight.records import Example, Gate, Result
from synsight.reports import ReportPage, package_versions, write_report
from synsight.workflow.data_step import Data
from synsight.workflow.examples import examples
from synsight.workflow.pilot_copies import copy_facts
from synsight.workflow.pretraining_step import Runs
from synsight.workflow.proof_step import subject_of
from synsight.workflow.state import PilotState

REPORT = "report.html"


def write_pilot_page(
    out: Path,
    state: PilotState,
    *,
    gates: Sequence[Gate],
    data: Data,
    runs: Runs | None,
    results: Sequence[Result],
    command: str,
) -> Path:
    """Write OUT/report.html.

    Args:
        out: The pilot's folder.
        state: Its settings.
        gates: Those reached.
        data: The catalog and its words.
        runs: The finished runs; None before the second gate.
        results: Measured values and differences; empty before the third gate.
        command: What was typed.
    """
    catalog = Catalog.open(data.catalog)
    note_report(catalog, out, verb="pilot", names=[REPORT])
    settings = state.settings
    page = ReportPage(
        title=f"pilot on {settings['source']}, judged on {settings['label']}",
        subject=subject_of(settings["recipes"]),
        results=results,
        runs=runs.runs if runs is not None else (),
        ingest=data.ingest,
        words=data.words,
        examples=_examples(catalog, data, settings["label"], settings["seed"], runs),
        copies=copy_facts(out / "evaluation", catalog) if results else None,
        gates=gates,
        versions=catalog.versions(),
        settings=settings,
        command=command,
        created_at=now(),
        packages=package_versions(),
    )
    return write_report(out / REPORT, page)


def _examples(catalog: Catalog, data: Data, label: str, seed: int, runs: Runs | None) -> list[Example]:
    model: Model | None = load(runs.runs[-1].model) if runs is not None else None
    return examples(
        catalog,
        text_columns=data.text_columns,
        label=label,
        vocabulary=load_vocabulary(catalog) if data.words is not None else None,
        model=model,
        seed=seed,
    )
