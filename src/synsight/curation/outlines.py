"""Captions as keys, by which what stands on many images is counted; and how the texts of a row become one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from synsight.curation.passages import key_of, passages, text_key
from synsight.language.texts import texts_of_rows

BETWEEN = "\n"
"""Between two texts of a row; no passage reaches across it."""
GROUP = "group"


@dataclass(frozen=True)
class OutlineStage:
    """Text columns to keys (`text`, `group`, `passages`, `affixes`; see `repetition.outline`)."""

    text_columns: tuple[str, ...]

    name = "caption-outline"
    version = "1"

    @property
    def settings(self) -> Mapping[str, object]:
        """See `Stage.settings`."""
        return {"text_columns": list(self.text_columns)}

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """See `Stage.__call__`."""
        texts = row_texts(batch, self.text_columns)
        cut = [[one for one in passages(text) if one.may_be_template] for text in texts]
        groups = batch.column(GROUP).to_pylist() if GROUP in batch.schema.names else [None] * len(texts)
        keys = pa.list_(pa.uint64())
        return pa.record_batch(
            {
                "text": pa.array(map(text_key, texts), pa.uint64()),
                "group": pa.array((0 if one is None else key_of(str(one)) for one in groups), pa.uint64()),
                "passages": pa.array(([key_of(one.plain) for one in row] for row in cut), keys),
                "affixes": pa.array(
                    ([key_of(part) for one in row for part in one.affixes()] for row in cut), keys
                ),
            }
        )


def row_texts(batch: pa.RecordBatch, columns: Sequence[str]) -> list[str]:
    """Each row's texts as one."""
    return [BETWEEN.join(row) for row in texts_of_rows(batch, columns)]
