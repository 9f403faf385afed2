"""Small tables that people edit, as CSV or Parquet: rows of text with the line each stands in."""

import csv
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from synsight.errors import DataError

BETWEEN_PARTS = "|"
"""Between the parts of a cell that holds several."""


def read_table_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """(line, cells as text) of a CSV or Parquet file, the header first.

    Raises:
        DataError: The file is missing or neither; names the line.
    """
    is_parquet = path.suffix.lower() in (".parquet", ".pq")
    return _parquet_rows(path) if is_parquet else _csv_rows(path)


def _csv_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Of a CSV file; the separator is the header's."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"{path}: expected a CSV or Parquet file, found nothing; check the path.") from None
    except OSError as error:
        raise DataError(f"{path}: expected a CSV or Parquet file; {error.strerror}; name another.") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise DataError(
            f"{path}, line {line}: expected text in UTF-8, found the byte {error.object[error.start]:#04x}; "
            "save the file as CSV in UTF-8."
        ) from None
    lines = text.splitlines(keepends=True)
    separator = max(",;\t", key=lambda mark: lines[0].count(mark)) if lines else ","
    reader = csv.reader(lines, delimiter=separator, strict=True)
    empty = True
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            raise DataError(f"{path}, line {line}: expected CSV, found: {error}; mend the line.") from None
        empty = False
        yield line, cells
    if empty:
        yield 1, []


def _parquet_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Of a Parquet file; its rows count as lines from 1."""
    try:
        table = pq.read_table(path)
    except FileNotFoundError:
        raise DataError(f"{path}: expected a CSV or Parquet file, found nothing; check the path.") from None
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path}: expected a Parquet file, found something else ({error}).") from None
    yield 0, table.column_names
    for line, row in enumerate(table.to_pylist(), 1):
        yield line, [_cell(value) for value in row.values()]


def _cell(value: object) -> str:
    if isinstance(value, list):
        return BETWEEN_PARTS.join(str(one) for one in value if one)
    return "" if value is None else str(value)
