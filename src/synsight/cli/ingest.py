"""`synsight ingest`."""

from collections.abc import Iterator
from pathlib import Path

from rich.console import RenderableType

from synsight.cli.console import Flag, Json, count_text, show
from synsight.records import IngestSummary, as_json


def ingest(
    source: str,
    *,
    out: Path,
    image_column: str | None = None,
    caption_column: str | None = None,
    keywords_column: str | None = None,
    label_column: str | None = None,
    group_column: str | None = None,
    split_column: str | None = None,
    split_by: str | None = None,
    time_column: str | None = None,
    strict: Flag = False,
    runner: str = "local",
    address: str | None = None,
    json: Json = False,
) -> None:
    """Read images and their texts into a catalog.

    Run it again after an interruption: it goes on where it was.

    Args:
        source: A folder of images (with metadata.csv or .jsonl, if there is one), a table (CSV, TSV, JSONL,
            Parquet), WebDataset tars (a-{000..099}.tar), COCO annotations (.json), or a saved Hugging Face
            data set.
        out: Folder of the catalog, or a URL of an object store, as s3://bucket/cat.
        image_column: Column with paths or bytes; guessed from its name unless given, as are the others.
        caption_column: Column with the captions.
        keywords_column: Column with the keywords.
        label_column: Column with the labels.
        group_column: Column whose rows belong together (lot, patient, camera) and never straddle splits.
        split_column: Column that says train, val or test.
        split_by: Part the rows anew: hash, time (the newest are the test) or stratified (by the label).
        time_column: Column that --split-by time goes by; captured_at unless given.
        strict: Stop at the first broken row instead of counting it.
        runner: Where the work is done: local (this process), processes (one a core) or ray (a cluster).
        address: Of the Ray cluster; that of RAY_ADDRESS unless given, else one on this machine.
        json: Print one JSON object.
    """
    from synsight import stages
    from synsight.data.ingestion import ingest as run

    summary = run(
        source,
        out=out,
        image_column=image_column,
        caption_column=caption_column,
        keywords_column=keywords_column,
        label_column=label_column,
        group_column=group_column,
        split_column=split_column,
        split_by=split_by,
        time_column=time_column,
        strict=strict,
        runner=stages.runner(runner, address=address),
    )
    show_ingest(summary, as_json=json)


def show_ingest(summary: IngestSummary, *, as_json: bool) -> None:
    """Print what was read."""
    show(_json(summary), as_json=as_json, table=lambda: _table(summary))


def _json(summary: IngestSummary) -> dict[str, object]:
    return as_json(summary)


def _table(summary: IngestSummary) -> Iterator[RenderableType]:
    from synsight.data.splits import ORDER
    from synsight.reports import fact_table

    facts: dict[str, object] = {
        "catalog": summary.catalog,
        "rows": summary.rows,
        "rejected": summary.rejected,
    }
    if summary.reasons:
        facts["reasons"] = f"{count_text(summary.reasons)} (listed in rejected.parquet)"
    facts["splits"] = count_text(summary.splits)
    facts["columns"] = ", ".join(
        name if name == origin else f"{name} from {origin}" for name, origin in summary.columns.items()
    )
    if summary.ignored:
        facts["passed over"] = f"{summary.ignored:,} (neither images nor captions)"
    yield fact_table(facts)
    if others := [name for name in summary.splits if name not in ORDER]:
        yield (
            f"Rows of the split {', '.join(map(repr, others))} are in the catalog, but training and "
            f"evaluation read {', '.join(ORDER)} only. To have them read, rename the split in your table, or "
            "take --split-by hash."
        )
    if summary.unread_tables:
        names = ", ".join(summary.unread_tables)
        yield f"Not read: {names}. If it describes these images, name it in place of the folder."
