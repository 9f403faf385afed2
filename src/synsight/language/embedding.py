"""Sentence embeddings of the captions, kept as a column: what neighbours and soft targets are made of."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synsight.data.catalog import Catalog, Commit
from synsight.data.column_stage import CatalogSource, ColumnSpool
from synsight.errors import DataError
from synsight.language.texts import check_text_columns, sentences
from synsight.records import CaptionEmbeddings, as_json
from synsight.stages import Runner, ThreadRunner

COLUMN = "caption_embedding"
SUMMARY = "synsight.summary"
"""Metadata of a column: what its verb says of it, as JSON."""
ROWS_PER_CHUNK = 2048
"""Work that a kill may cost: some seconds of a processor."""


class CaptionEncoder(Protocol):
    """A frozen text encoder; equal names mean equal encoders."""

    @property
    def name(self) -> str:
        """What the user calls it, as "minilm"."""

    def __call__(self, texts: Sequence[str], /) -> NDArray[np.float32]:
        """N texts -> [N, E], of any length."""


@dataclass(frozen=True)
class EmbeddingStage:
    """Text columns to unit vectors."""

    text_columns: tuple[str, ...]
    encoder: CaptionEncoder

    name = "caption_embedding"
    version = "1"

    @property
    def settings(self) -> Mapping[str, object]:
        """See `Stage.settings`."""
        return {"text_columns": list(self.text_columns), "encoder": self.encoder.name}

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Column `caption_embedding` (fixed-size list of float16), zeros where a row has no text.

        Raises:
            DataError: The encoder gives something else than a finite vector for each text.
        """
        texts = sentences(batch, self.text_columns)
        places = np.flatnonzero([bool(text) for text in texts])
        # A chunk without any text needs the width all the same.
        found = np.asarray(self.encoder([texts[place] for place in places] or ["a"]), np.float32)
        if found.ndim != 2 or len(found) != max(len(places), 1) or not np.isfinite(found).all():
            raise DataError(
                f"the text encoder {self.encoder.name!r} was given {max(len(places), 1)} captions, expected "
                f"finite numbers of as many rows, found shape {list(found.shape)}; use another encoder."
            )
        lengths = np.linalg.norm(found, axis=1, keepdims=True)
        rows = np.zeros((len(texts), found.shape[1]), np.float16)
        rows[places] = (found / np.maximum(lengths, np.finfo(np.float32).tiny))[: len(places)]
        values = pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1)), rows.shape[1])
        return pa.record_batch([values], [COLUMN])


def embed_captions(
    catalog: Catalog,
    encoder: CaptionEncoder,
    *,
    text_columns: Sequence[str] = ("caption",),
    runner: Runner | None = None,
) -> CaptionEmbeddings:
    """Add the column `caption_embedding` (fixed-size list of float16, length 1) in one commit.

    A row's texts are joined by commas; a row without text has a zero vector. Stopped or killed at any moment,
    the catalog is as before and the same call goes on where it was; a finished call does nothing.

    Args:
        catalog: Moves on to the version made.
        encoder: Gives each text a vector.
        text_columns: String or list-of-string columns to read.
        runner: Where the stage runs; None: one thread of this process, as an encoder uses all cores by
            itself.

    Raises:
        DataError: A text column is missing or holds no text, or the encoder fails.
        ConfigError: No text column is named.
    """
    check_text_columns(catalog, text_columns)
    stage, source, spool = _work(catalog, encoder, text_columns)
    if is_embedded(catalog, encoder, text_columns=text_columns):
        summary = caption_embeddings(catalog)
        assert summary is not None
        return summary
    if not source.rows:
        raise DataError(f"{catalog.path}: there are no rows to embed; ingest some first.")
    with catalog.ledger() as ledger:
        (runner or ThreadRunner(workers=1)).run(
            stage, source, spool, ledger=ledger, description="embed captions", total=source.rows
        )
    first = next(spool.batches()).schema.field(COLUMN).type
    rows_with_text = sum(_rows_with_text(batch) for batch in spool.batches())
    summary = CaptionEmbeddings(
        encoder=encoder.name,
        text_columns=tuple(text_columns),
        dimensions=first.list_size,
        rows=source.rows,
        rows_with_text=rows_with_text,
    )
    metadata = {
        **spool.provenance,
        "synsight.settings": json.dumps(stage.settings, sort_keys=True),
        SUMMARY: json.dumps(as_json(summary), ensure_ascii=False),
    }
    schema = pa.schema([pa.field(COLUMN, first, metadata=metadata)])
    commit = Commit(verb="words", config=stage.settings, counts={"rows_with_text": rows_with_text})
    catalog.add_columns(schema, spool.batches(), commit=commit)
    spool.clear()
    return summary


def is_embedded(catalog: Catalog, encoder: CaptionEncoder, *, text_columns: Sequence[str]) -> bool:
    """Whether `embed_captions` has nothing to do; does not call the encoder."""
    check_text_columns(catalog, text_columns)
    return catalog.is_current(COLUMN, _work(catalog, encoder, text_columns)[2].provenance)


def caption_embeddings(catalog: Catalog) -> CaptionEmbeddings | None:
    """What the column `caption_embedding` of a catalog was made from; None where there is none of ours."""
    if COLUMN not in catalog.columns:
        return None
    stored = (catalog.schema.field(COLUMN).metadata or {}).get(SUMMARY.encode())
    return None if stored is None else _from_json(json.loads(stored))


def embedding_rows(column: pa.Array) -> NDArray[Any]:
    """A batch of the column as an array [N, E]; zeros where it is null."""
    present = column.is_valid().to_numpy(zero_copy_only=False)
    values: NDArray[Any] = column.flatten().to_numpy(zero_copy_only=False)
    values = values.reshape(-1, column.type.list_size)
    if present.all():
        return values
    rows = np.zeros((len(column), column.type.list_size), values.dtype)
    rows[present] = values
    return rows


def _work(
    catalog: Catalog, encoder: CaptionEncoder, text_columns: Sequence[str]
) -> tuple[EmbeddingStage, CatalogSource, ColumnSpool]:
    stage = EmbeddingStage(tuple(text_columns), encoder)
    source = catalog.source(list(dict.fromkeys(text_columns)), rows_per_chunk=ROWS_PER_CHUNK)
    return stage, source, catalog.spool(stage, source)


def _rows_with_text(batch: pa.RecordBatch) -> int:
    return int(embedding_rows(batch.column(COLUMN)).any(axis=1).sum())


def _from_json(stored: Mapping[str, Any]) -> CaptionEmbeddings:
    return CaptionEmbeddings(**{**stored, "text_columns": tuple(stored["text_columns"])})
