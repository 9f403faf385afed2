"""The first step of `repair`: the column of clean captions."""

import json
from collections import Counter

import pyarrow as pa

from synsight.curation.repair.cleaning import CLEAN, REMOVED, ROWS_PER_CHUNK, CleanStage, find_templates
from synsight.data.catalog import Catalog, Commit
from synsight.errors import DataError
from synsight.stages import Runner, ThreadRunner, chunk_key

_REMOVED_COUNTS = "synsight.removed"


def clean_captions(catalog: Catalog, text_columns: tuple[str, ...], *, runner: Runner | None = None) -> None:
    """Add the column `caption_clean` (string; null: nothing is left) in one commit, unless it is there."""
    read = list(dict.fromkeys([*text_columns, *(["group"] if "group" in catalog.columns else [])]))
    provenance = {
        "synsight.stage": chunk_key(CleanStage.name, CleanStage.version, text_columns),
        "synsight.input": catalog.fingerprint(read),
    }
    if catalog.is_current(CLEAN, provenance):
        return
    if not catalog.count_rows():
        raise DataError(f"{catalog.path}: there are no captions to repair; ingest some rows first.")
    stage = CleanStage(text_columns, find_templates(catalog, text_columns, runner=runner))
    source = catalog.source(list(dict.fromkeys(text_columns)), rows_per_chunk=ROWS_PER_CHUNK)
    spool = catalog.spool(stage, source)
    with catalog.ledger() as ledger:
        (runner or ThreadRunner()).run(
            stage, source, spool, ledger=ledger, description="clean captions", total=source.rows
        )
    removed = Counter(
        one for batch in spool.batches() for some in batch.column(REMOVED).to_pylist() for one in some
    )
    metadata = {**provenance, _REMOVED_COUNTS: json.dumps(dict(removed.most_common()))}
    schema = pa.schema([pa.field(CLEAN, pa.string(), metadata=metadata)])
    catalog.add_columns(
        schema,
        (batch.select([CLEAN]) for batch in spool.batches()),
        commit=Commit(verb="repair", config={"text_columns": list(text_columns)}, counts=dict(removed)),
    )
    spool.clear()


def removed_counts(catalog: Catalog) -> dict[str, int]:
    """What was taken out of how many captions when the column was made."""
    metadata = catalog.schema.field(CLEAN).metadata or {}
    found: dict[str, int] = json.loads(metadata.get(_REMOVED_COUNTS.encode(), b"{}"))
    return found
