"""Types of a user's columns: what a table says of them, or what all of its cells allow."""

import re
from collections.abc import Callable, Iterable
from typing import Any

import pyarrow as pa
import pyarrow.types as pt

from synsight.data.sources.rows import as_json_text, as_text

_WHOLE = re.compile(r"[+-]?(?:0|[1-9]\d{0,17})")
_NUMBER = re.compile(r"[+-]?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d{1,3})?")

Reader = Callable[[Any], Any]


class TextColumn:
    """A column of a CSV file: whole numbers if every cell is one, then numbers, else text.

    `007` and `+49 30` are text. An empty cell is null.
    """

    def __init__(self) -> None:
        self._pattern: re.Pattern[str] | None = _WHOLE
        self._seen = False

    def see(self, cell: str) -> None:
        """Take one more cell into account."""
        if cell and self._pattern is not None:
            self._seen = True
            while self._pattern is not None and not self._pattern.fullmatch(cell):
                self._pattern = _NUMBER if self._pattern is _WHOLE else None

    def result(self) -> tuple[pa.DataType, Reader]:
        """The type, and what reads a cell into it."""
        if self._pattern is _WHOLE and self._seen:
            return pa.int64(), lambda cell: int(cell) if cell else None
        if self._pattern is _NUMBER:
            return pa.float64(), lambda cell: float(cell) if cell else None
        return pa.string(), as_text


class JsonColumn:
    """A column of a JSONL file: the one type all of its values have; mixed ones become text, objects JSON."""

    def __init__(self) -> None:
        self._kinds: set[str] = set()

    def see(self, value: Any) -> None:
        """Take one more value into account."""
        if value is not None:
            self._kinds.add(_kind(value))

    def result(self) -> tuple[pa.DataType, Reader]:
        """The type, and what reads a value into it."""
        kinds = self._kinds
        if kinds == {"bool"}:
            return pa.bool_(), lambda value: value
        if kinds == {"int"}:
            return pa.int64(), lambda value: value
        if kinds and kinds <= {"int", "float"}:
            return pa.float64(), lambda value: None if value is None else float(value)
        if kinds == {"texts"}:
            return pa.list_(pa.string()), lambda value: value and [as_text(one) for one in value]
        if kinds and kinds <= {"object", "texts"}:
            return pa.string(), as_json_text
        return pa.string(), as_text


def stored_type(given: pa.DataType) -> tuple[pa.DataType, Reader]:
    """The catalog's type for a Parquet column, and what reads a value into it.

    Dictionaries and views are unpacked; structs, maps, lists of them and decimals become text.
    """
    if pt.is_dictionary(given):
        return stored_type(given.value_type)
    if pt.is_string(given) or pt.is_large_string(given) or given == pa.string_view():
        return pa.string(), as_text
    if pt.is_binary(given) or pt.is_large_binary(given) or pt.is_fixed_size_binary(given):
        return pa.binary(), lambda value: value
    if pt.is_null(given):
        return pa.string(), as_text
    if pt.is_list(given) or pt.is_large_list(given) or pt.is_fixed_size_list(given):
        inner, _ = stored_type(given.value_type)
        if inner == given.value_type or pt.is_string(inner):
            return pa.list_(inner), lambda value: value
        return pa.string(), as_json_text
    if pt.is_boolean(given) or pt.is_integer(given) or pt.is_floating(given):
        return given, lambda value: value
    if pt.is_date(given) or pt.is_timestamp(given) or pt.is_time(given):
        return given, lambda value: value
    return pa.string(), as_json_text


def names_of(rows: Iterable[dict[str, Any]]) -> list[str]:
    """All keys of JSON objects, in the order they first come."""
    names: dict[str, None] = {}
    for row in rows:
        names.update(dict.fromkeys(row))
    return list(names)


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int" if -(2**63) <= value < 2**63 else "text"
    if isinstance(value, float):
        return "float"
    if isinstance(value, str):
        return "text"
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return "texts"
    return "object"
