"""`synsight audit`."""

from collections.abc import Iterator
from pathlib import Path

from rich.console import RenderableType

from synsight.cli.console import Json, names, show
from synsight.records import AuditSummary, as_json


def audit(
    catalog: Path,
    *,
    out: Path,
    text_columns: str = "caption",
    model: str | None = None,
    checks: str = "images,duplicates,captions,mismatch",
    seed: int = 0,
    runner: str = "local",
    address: str | None = None,
    json: Json = False,
) -> None:
    """Look for what is wrong with images, captions and splits, and judge what the captions are worth.

    Args:
        catalog: The catalog's folder.
        out: Folder for report.html, audit.json and findings.parquet.
        text_columns: Columns to read, with commas between, as caption,keywords.
        model: A CLIP-like model that tells whether captions match their images; without one they are compared
            with their neighbours.
        checks: Which to make, with commas between.
        seed: Of what is drawn by chance.
        runner: Where rows are looked at: local (this process), processes (one a core) or ray (a cluster).
        address: Of the Ray cluster; that of RAY_ADDRESS unless given, else one on this machine.
        json: Print one JSON object.
    """
    from synsight import stages
    from synsight.curation.audit.auditing import audit as run

    summary = run(
        catalog,
        out=out,
        text_columns=names(text_columns),
        model=model,
        checks=names(checks),
        seed=seed,
        runner=stages.runner(runner, address=address),
    )
    show(_plain(summary), as_json=json, table=lambda: _table(summary))


def _plain(summary: AuditSummary) -> dict[str, object]:
    """Without the examples, which are in audit.json."""
    value = as_json(summary)
    for finding in value["details"]:
        del finding["examples"]
    return value


def _table(summary: AuditSummary) -> Iterator[RenderableType]:
    from synsight.reports import fact_table

    found = {
        one.flag: f"{one.rows:,} {'row' if one.rows == 1 else 'rows'} ({one.share:.1%}): {one.meaning}"
        for one in summary.details
        if one.rows
    }
    clean = [flag for flag, rows in summary.findings.items() if not rows]
    yield fact_table({"rows": summary.rows, **found, "not found": ", ".join(clean)})
    yield fact_table(
        {
            "effective captions": f"{summary.effective_captions:,.0f}",
            "language guidance": f"{summary.verdict} to pay"
            if summary.verdict != "uncertain"
            else "uncertain",
        }
    )
    yield from (f"- {reason}" for reason in summary.reasons)
    yield f"report: {summary.report}"
