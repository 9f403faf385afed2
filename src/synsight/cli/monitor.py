"""`synsight monitor`."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rich.console import RenderableType

from synsight.cli.console import Flag, Json, names, show

if TYPE_CHECKING:
    from synsight.reports.drift_records import DriftSummary

DRIFT = 3
"""Exit code where drift was found."""


def monitor(
    model: str,
    *,
    reference: Path,
    current: Path,
    out: Path,
    where: str | None = None,
    current_where: str | None = None,
    label: str | None = None,
    words: str = "",
    group_column: str = "group",
    alpha: float = 0.03,
    rows: int = 2000,
    exchanges: int = 999,
    collect: int = 100,
    prometheus: Path | None = None,
    locale: Literal["en", "ja"] = "en",
    seed: int = 0,
    quiet: Flag = False,
    json: Json = False,
) -> int:
    """Compare current images with a reference: what changed, in words, and what to do.

    Exit code 0: no drift; 3: drift.

    Args:
        model: MODEL folder or another name of a model.
        reference: The catalog of how it was.
        current: The catalog of how it is.
        out: Folder for report.html, drift.json and collect.parquet.
        where: SQL condition on the reference rows.
        current_where: SQL condition on the current rows.
        label: Column with classes in the reference, for class mix and estimated accuracy.
        words: To look for, two or more with commas between; for models that read text.
        group_column: Which rows belong together; "" for none.
        alpha: Largest share of false alarms.
        rows: Most rows of a side that are looked at.
        exchanges: Of the permutation tests.
        collect: Most images in collect.parquet.
        prometheus: File for node_exporter's textfile collector, as drift.prom.
        locale: Language of the page: en or ja.
        seed: Of what is drawn by chance.
        quiet: Print nothing where there is no drift.
        json: Print one JSON object.
    """
    from synsight.records import as_json
    from synsight.workflow.watching import monitor as run

    summary = run(
        model,
        reference=reference,
        current=current,
        out=out,
        where=where,
        current_where=current_where,
        label=label,
        words=names(words),
        group_column=group_column,
        alpha=alpha,
        rows=rows,
        exchanges=exchanges,
        collect=collect,
        prometheus=prometheus,
        locale=locale,
        seed=seed,
    )
    if not quiet or summary.verdict == "drift":
        value = as_json(summary)
        for image in value["novel_images"]:
            del image["thumbnail"]
        show(value, as_json=json, table=lambda: _table(summary))
    return DRIFT if summary.verdict == "drift" else 0


def _table(summary: "DriftSummary") -> Iterator[RenderableType | str]:
    from synsight.reports import fact_table
    from synsight.reports.drift_sentences import DriftWords

    said = DriftWords.of("en")
    yield said.headline(summary)
    yield fact_table(dict(said.facts(summary)))
    moved = said.words_line(summary)
    if moved:
        yield moved
    yield from (f"- {one}" for one in said.advice(summary))
    yield f"report: {summary.report}"
