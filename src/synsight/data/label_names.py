"""What the values of a label column are called: one spelling, whoever reads them.

A class is written into a model's folder, into predictions and on pages, and is compared there with the column
again; so that `True` in one place is not `true` in another, nobody else turns a label into text.
"""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from synsight.data.sources.rows import as_text
from synsight.errors import DataError


def label_name(value: Any) -> str | None:
    """One label as text; None, NaN and "" are no label.

    Whole numbers have no point: a column of integers with gaps, which pandas keeps as 1.0, 2.0, NaN, has the
    classes "1" and "2". Truth values are "True" and "False", as `ingest` writes them.
    """
    return as_text(value)


def label_names(column: pa.Array | pa.ChunkedArray, *, where: str) -> pa.ChunkedArray:
    """A column's labels as strings, null where there is none.

    Args:
        column: Strings, integers, truth values, or numbers of which each is whole; also as a dictionary, or
            in lists of one.
        where: Catalog and column, for messages.

    Raises:
        DataError: It holds something else.
    """
    kind = column.type.value_type if pt.is_dictionary(column.type) else column.type
    if pt.is_list(kind) or pt.is_large_list(kind) or pt.is_fixed_size_list(kind):
        return label_names(_only_ones(column, where, kind), where=where)
    known = (pt.is_string, pt.is_large_string, pt.is_integer, pt.is_boolean, pt.is_floating, pt.is_null)
    if not any(one(kind) for one in known):
        raise DataError(f"{where} holds {kind}; labels must be strings or integers; choose another column.")
    values = column if isinstance(column, pa.ChunkedArray) else pa.chunked_array([column])
    coded = values.combine_chunks().dictionary_encode()
    if isinstance(coded, pa.ChunkedArray):  # of no chunk
        coded = pa.array([], pa.string()).dictionary_encode()
    if pt.is_floating(kind):
        _check_whole(coded.dictionary, where, kind)
    names = pa.array([label_name(one) for one in coded.dictionary.to_pylist()], pa.string())
    return pa.chunked_array([names.take(coded.indices)])


def _only_ones(column: pa.Array | pa.ChunkedArray, where: str, kind: pa.DataType) -> pa.Array:
    rows = column.to_pylist()
    if several := next((one for one in rows if one is not None and len(one) > 1), None):
        raise DataError(
            f"{where} holds {kind}, where one label a row is expected, and a row has {len(several)} "
            f"({several[0]!r}, {several[1]!r}); choose another column, or ask for several labels a row with "
            "the task multilabel: --tasks multilabel --keywords-column."
        )
    return pa.array([one[0] if one else None for one in rows], kind.value_type)


def _check_whole(values: pa.Array, where: str, kind: pa.DataType) -> None:
    numbers = pc.cast(values, pa.float64()).drop_null()
    whole = pc.and_(pc.is_finite(numbers), pc.equal(pc.floor(numbers), numbers))
    broken = numbers.filter(pc.invert(pc.or_(whole, pc.is_nan(numbers))))
    if len(broken):
        raise DataError(
            f"{where} holds {kind}; labels must be strings or integers, and {broken[0].as_py():.6g} is a "
            "measurement; choose another column, or cut it into classes first."
        )
