"""The first step of `repair`: the clean captions, and what was taken out of each."""

import json
from collections import Counter
from collections.abc import Iterable

import pyarrow as pa

from synsight.curation.repair.cleaning import (
    AS_SPELT,
    CLEAN,
    REMOVED,
    ROWS_PER_CHUNK,
    CleanStage,
    find_templates,
)
from synsight.curation.repair.spelling import find_spelling
from synsight.data.catalog import Catalog, Commit
from synsight.errors import DataError
from synsight.stages import Runner, ThreadRunner, chunk_key

_REMOVED_COUNTS = "synsight.removed"


def clean_captions(
    catalog: Catalog,
    text_columns: tuple[str, ...],
    *,
    spelling: bool = False,
    own_words: Iterable[str] = (),
    runner: Runner | None = None,
) -> None:
    """Add two columns in one commit, unless they are there: `caption_clean` (string; null: nothing is left)
    and `caption_removed` (list<string>; see `Cleaned.removed`).

    Args:
        catalog: Gets the columns.
        text_columns: Which are cleaned, and become one caption.
        spelling: Put misspelt words right.
        own_words: Of the company, in lower case; they are right.
        runner: Where the stages run; None: threads of this process.
    """
    own_words = sorted(own_words)
    read = list(dict.fromkeys([*text_columns, *(["group"] if "group" in catalog.columns else [])]))
    provenance = {
        "synsight.stage": chunk_key(CleanStage.name, CleanStage.version, text_columns, spelling, own_words),
        "synsight.input": catalog.fingerprint(read),
    }
    if all(catalog.is_current(name, provenance) for name in (CLEAN, REMOVED)):
        return
    if not catalog.count_rows():
        raise DataError(f"{catalog.path}: there are no captions to repair; ingest some rows first.")
    words = find_spelling(catalog, text_columns, own_words=own_words, runner=runner) if spelling else AS_SPELT
    stage = CleanStage(text_columns, find_templates(catalog, text_columns, runner=runner), words)
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
    schema = pa.schema(
        [
            pa.field(CLEAN, pa.string(), metadata=metadata),
            pa.field(REMOVED, pa.list_(pa.string()), metadata=provenance),
        ]
    )
    catalog.add_columns(
        schema,
        (batch.select([CLEAN, REMOVED]) for batch in spool.batches()),
        commit=Commit(
            verb="repair",
            config={"text_columns": list(text_columns), "spelling": spelling},
            counts=dict(removed),
        ),
    )
    spool.clear()


def removed_counts(catalog: Catalog) -> dict[str, int]:
    """What was taken out of how many captions when the column was made."""
    metadata = catalog.schema.field(CLEAN).metadata or {}
    found: dict[str, int] = json.loads(metadata.get(_REMOVED_COUNTS.encode(), b"{}"))
    return found
