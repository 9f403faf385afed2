"""An edited vocabulary given back: which words are the classes, and which of them are one.

A copy of `vocabulary_<name>.csv` or `.parquet` (a catalog's or a model's), edited:

    a row removed           the class is dropped
    two rows, one name      they become one class, with the key of the first
    a name changed          the class is called so
    rows moved              the class numbers follow the order of the file

Only `key`, `name` and `also` are read; counts are made anew. A key that stands in no row of the catalog is
a class all the same, so that two catalogs, or a catalog and a model, can share one list of classes.
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

from synsight.errors import DataError
from synsight.language.table_files import BETWEEN_PARTS, read_table_rows
from synsight.language.terms import TERM_PREFIX
from synsight.language.vocabulary import WORD_PREFIX, Entry, check_key


def read_vocabulary_file(path: str | Path, *, number_of: Callable[[str], int]) -> list[Entry]:
    """The classes of an edited vocabulary, in their order.

    Args:
        path: CSV or Parquet.
        number_of: A key -> the number of a word of the wanted kind.

    Raises:
        DataError: The file is missing or wrong; names the line.
    """
    path = Path(path)
    rows = read_table_rows(path)
    header = [name.strip().lower() for name in next(rows)[1]]
    for column in ("key", "name"):
        if column not in header:
            found = ", ".join(name for name in header if name) or "none"
            raise DataError(
                f"{path}: expected a column {column!r}, found {found}; give back an edited copy of a "
                "vocabulary that `synsight words` made."
            )
    classes: dict[str, list[str]] = {}
    lines: dict[str, int] = {}
    for line, cells in rows:
        row = dict(zip(header, (cell.strip() for cell in cells), strict=False))
        if not any(row.values()):
            continue
        if not row.get("name"):
            raise DataError(f"{path}, line {line}: expected a name for {row.get('key')!r}; write one.")
        for key in [row.get("key", ""), *filter(None, row.get("also", "").split(BETWEEN_PARTS))]:
            _check(path, line, key, number_of)
            if key in lines:
                raise DataError(f"{path}, line {line}: {key} stands in line {lines[key]} too; keep one row.")
            lines[key] = line
            classes.setdefault(row["name"], []).append(key)
    if not classes:
        raise DataError(f"{path}: expected a row for each class, found none; leave some.")
    return [Entry(tuple(keys), name) for name, keys in classes.items()]


def entries_digest(entries: list[Entry]) -> str:
    """12 hex digits of what an edited vocabulary says."""
    value = [[one.keys, one.name] for one in entries]
    return hashlib.sha256(json.dumps(value, ensure_ascii=False).encode()).hexdigest()[:12]


def _check(path: Path, line: int, key: str, number_of: Callable[[str], int]) -> None:
    try:
        check_key(key)
        if not key.startswith(WORD_PREFIX):
            number_of(key)
    except DataError as error:
        hint = str(error)
        if key.startswith(TERM_PREFIX):
            hint = f"{key!r} is a term; say where it is defined, as --vocabulary terms:FILE."
        raise DataError(f"{path}, line {line}: {hint}") from None
