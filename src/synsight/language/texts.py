"""The text of a catalog's rows: which columns hold some, and several of them read as one."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.types as pt

from synsight.data.catalog import Catalog
from synsight.errors import ConfigError, DataError, near_names
from synsight.language.clean import MAX_CHARACTERS

SPLIT, TRAIN = "split", "train"
"""Column that says which rows may be learnt from, and its value for those; without the column all may."""

BETWEEN_TEXTS = ", "
"""Between two texts of a row in what a sentence encoder reads."""


def check_text_columns(catalog: Catalog, columns: Sequence[str]) -> None:
    """Check that columns hold text or lists of text.

    Raises:
        DataError: A column is missing or holds something else.
        ConfigError: No column is named.
    """
    if not columns:
        raise ConfigError("text_columns must name at least one column, as 'caption'; got none.")
    for name in columns:
        if name not in catalog.columns:
            known = [one for one in catalog.columns if _is_text(catalog.schema.field(one).type)]
            raise DataError(
                f"{catalog.path}: there is no column {name!r} to read words from; {near_names(name, known)}"
            )
        found = catalog.schema.field(name).type
        if not _is_text(found):
            raise DataError(
                f"{catalog.path}: expected text or lists of text in column {name!r}, found {found}; "
                "name another column."
            )


def texts_of_rows(batch: pa.RecordBatch, columns: Sequence[str]) -> list[list[str]]:
    """All texts of each row, in the order of the columns, without those that are missing or empty."""
    if len(columns) == 1 and pt.is_string(batch.schema.field(columns[0]).type):
        return [[text] if text else [] for text in batch.column(columns[0]).to_pylist()]
    lists = [_texts(batch.column(name)) for name in columns]
    return [[text for texts in row for text in texts if text] for row in zip(*lists, strict=True)]


def sentences(batch: pa.RecordBatch, columns: Sequence[str]) -> list[str]:
    """Each row's texts as one line, as a sentence encoder reads it, at most 4,000 characters; "" where there
    is none.
    """
    return [
        BETWEEN_TEXTS.join(line for text in row if (line := " ".join(text[:MAX_CHARACTERS].split())))[
            :MAX_CHARACTERS
        ]
        for row in texts_of_rows(batch, columns)
    ]


def _is_text(kind: pa.DataType) -> bool:
    if pt.is_list(kind) or pt.is_large_list(kind):
        kind = kind.value_type
    return bool(pt.is_string(kind) or pt.is_large_string(kind))


def _texts(column: pa.Array) -> list[list[str | None]]:
    """Each row's texts: of a string column one, of a list column any number."""
    values = column.to_pylist()
    if pt.is_list(column.type) or pt.is_large_list(column.type):
        return [value or [] for value in values]
    return [[value] for value in values]
