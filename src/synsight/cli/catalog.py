"""`synsight catalog versions | delete | export`."""

from dataclasses import asdict
from pathlib import Path
from typing import Literal

from cyclopts import App
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from synsight.cli.console import Json, count_text, names, show
from synsight.records import Version, as_json

app = App(
    name="catalog",
    help="Look into a catalog, purge rows from it, take it along.",
    help_format="plaintext",
    sort_key=10,
)


@app.command
def versions(catalog: Path, *, json: Json = False) -> None:
    """List the versions with the verb that made each.

    Args:
        catalog: The catalog's folder.
        json: Print one JSON object.
    """
    from synsight.data.catalog import Catalog

    found = Catalog.open(catalog).versions()
    value = {"catalog": str(catalog), "versions": [as_json(one) for one in found]}
    show(value, as_json=json, table=lambda: [_version_table(found)])


@app.command
def delete(catalog: Path, *, where: str, reports: bool = False, json: Json = False) -> None:
    """Delete rows for good: from all versions, with a search of the disk as proof.

    Args:
        catalog: The catalog's folder.
        where: SQL condition, as "id = 'patient-17'".
        reports: Remove the files that other verbs wrote elsewhere and that show rows of this catalog: pages,
            predictions, features.
        json: Print one JSON object.
    """
    from synsight.data.catalog import Catalog
    from synsight.data.written_reports import remove_reports, written_reports

    opened = Catalog.open(catalog)
    proof = {"catalog": str(catalog), **asdict(opened.purge(where))}
    files = [str(path) for path in (remove_reports if reports else written_reports)(opened)]
    proof["reports_removed" if reports else "reports_left"] = files

    def table() -> list[RenderableType]:
        from synsight.reports import fact_table

        facts = {name: value for name, value in proof.items() if not name.startswith("reports_")}
        return [fact_table(facts), *_reports_said(files, removed=reports)]

    show(proof, as_json=json, table=table)


@app.command
def export(
    catalog: Path,
    *,
    out: Path,
    format: Literal["parquet", "webdataset", "coco"] = "parquet",
    columns: str | None = None,
    where: str | None = None,
    json: Json = False,
) -> None:
    """Write the catalog as one Parquet file, as WebDataset tars, or as COCO captions.

    Args:
        catalog: The catalog's folder.
        out: The Parquet file, or a new folder for the others.
        format: parquet, webdataset or coco.
        columns: Columns to write (Parquet only), with commas between; all unless given.
        where: SQL condition on the rows; all unless given.
        json: Print one JSON object.
    """
    from synsight.data.catalog import Catalog
    from synsight.data.export import export_coco, export_parquet, export_webdataset

    opened = Catalog.open(catalog)
    if format == "parquet":
        export_parquet(opened, out, columns=names(columns) or None, where=where)
        files = [str(out)]
    else:
        write = export_coco if format == "coco" else export_webdataset
        files = [str(path) for path in write(opened, out, where=where)]
    value = {"files": files, "rows": opened.count_rows(where), "version": opened.version}

    def table() -> list[RenderableType]:
        from synsight.reports import fact_table

        return [fact_table({**value, "files": ", ".join(files)})]

    show(value, as_json=json, table=table)


def _reports_said(files: list[str], *, removed: bool) -> list[RenderableType]:
    if not files:
        return []
    listed = [Text(f"  {file}") for file in files]
    if removed:
        return [Text("removed, since they could show deleted rows:"), *listed]
    return [
        Text("these files may still show deleted rows (ids, captions, pictures, features):"),
        *listed,
        Text("run the same command with --reports to remove them, or run again what wrote them."),
    ]


def _version_table(found: list[Version]) -> Table:
    table = Table(box=None, padding=(0, 3, 0, 0))
    for title in ("version", "made by", "rows", "when", "counts"):
        table.add_column(title)
    for one in found:
        row = (str(one.version), one.verb, f"{one.rows:,}", one.created_at, count_text(one.counts))
        table.add_row(*map(Text, row))
    return table
