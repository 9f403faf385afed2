"""New captions for chosen rows by a captioner: a stage, so that a stopped run goes on where it was."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synsight.curation.repair.diversity import refuse_one_for_all
from synsight.curation.repair.row_source import RowSource, spool_of
from synsight.data.catalog import Catalog
from synsight.data.column_stage import ColumnSpool
from synsight.errors import DataError
from synsight.language.texts import sentences
from synsight.models.captioners import Captioner
from synsight.stages import Runner

TRIAL = 48
"""Rows that are captioned first; a captioner that says the same of all of them is refused before it has
cost hours."""


@dataclass(frozen=True)
class RecaptionStage:
    """Images to the columns `text` (string; null: none), `reason` (why there is none), `image_key`."""

    captioner: Captioner
    context_columns: tuple[str, ...] = ()
    """Text columns that the captioner is shown; empty: it sees the image alone."""

    name = "recaption"
    version = "1"

    @property
    def settings(self) -> Mapping[str, object]:
        """See `Stage.settings`."""
        return {"captioner": self.captioner.identity, "context_columns": list(self.context_columns)}

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """See `Stage`."""
        images = batch.column("image").to_pylist()
        contexts: list[str | None] = [None] * len(images)
        if self.context_columns:
            contexts = [text or None for text in sentences(batch, self.context_columns)]
        answers = self.captioner(images, contexts)
        keys = [hashlib.blake2b(image, digest_size=8).hexdigest() for image in images]
        return pa.record_batch(
            {
                "text": pa.array([one.caption for one in answers], pa.string()),
                "reason": pa.array([one.reason or None for one in answers], pa.string()),
                "image_key": pa.array(keys, pa.string()),
            }
        )


@dataclass(frozen=True)
class Recaptions:
    """What a captioner said."""

    texts: Mapping[int, str]
    """Position -> caption, of the rows for which there is one."""
    asked: int
    reasons: Mapping[str, int]
    """Why there is none for the others -> rows."""
    spool: ColumnSpool
    """Where the answers lie until they are part of the catalog."""


def recaption(
    catalog: Catalog,
    captioner: Captioner,
    positions: NDArray[np.int64],
    *,
    runner: Runner,
    rows_per_chunk: int,
    context_columns: Sequence[str] = (),
) -> Recaptions:
    """Caption the images at these positions.

    Stopped or killed at any moment, the same call goes on where it was. First 48 images from all over the
    catalog are tried.

    Args:
        catalog: Only read.
        captioner: Says what they show.
        positions: Which rows, int64 [N].
        runner: Where the stage runs.
        rows_per_chunk: Rows whose answers a kill may cost.
        context_columns: Text columns whose text the captioner is shown; empty: none.

    Raises:
        DataError: The captioner says the same of everything, or nothing of anything.
        ModelError: It fails.
    """
    stage = RecaptionStage(captioner, tuple(context_columns))
    if len(positions) > 2 * TRIAL:
        spread = positions[np.linspace(0, len(positions) - 1, TRIAL).astype(np.int64)]
        _judge(
            _answers(catalog, stage, spread, runner, rows_per_chunk, "try the captioner")[0], captioner.name
        )
    answers, spool = _answers(catalog, stage, positions, runner, rows_per_chunk, "recaption")
    _judge(answers, captioner.name)
    texts = answers["text"].to_pylist()
    return Recaptions(
        texts={int(place): text for place, text in zip(positions, texts, strict=True) if text},
        asked=len(positions),
        reasons=dict(Counter(one for one in answers["reason"].to_pylist() if one).most_common()),
        spool=spool,
    )


def _answers(
    catalog: Catalog,
    stage: RecaptionStage,
    positions: NDArray[np.int64],
    runner: Runner,
    rows_per_chunk: int,
    description: str,
) -> tuple[pa.Table, ColumnSpool]:
    columns = list(dict.fromkeys(["image", *stage.context_columns]))
    source = RowSource(catalog, columns, positions, rows_per_chunk=rows_per_chunk)
    spool = spool_of(catalog, stage, source)
    with catalog.ledger() as ledger:
        runner.run(stage, source, spool, ledger=ledger, description=description, total=source.rows)
    return pa.Table.from_batches(spool.batches()), spool


def _judge(answers: pa.Table, name: str) -> None:
    texts = answers["text"].to_pylist()
    if not any(texts):
        reasons = Counter(answers["reason"].to_pylist()).most_common(1)
        raise DataError(
            f"the captioner {name} gave no usable caption for any of {len(texts)} images (most often: "
            f"{reasons[0][0]}); use another captioner or prompt it to answer in one plain line."
        )
    refuse_one_for_all(texts, answers["image_key"].to_pylist(), name=name)
