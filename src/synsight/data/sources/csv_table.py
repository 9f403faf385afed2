"""CSV and TSV as people write them: any of four separators, any of three encodings, rows that do not fit."""

import codecs
import csv
import io
from collections import deque
from collections.abc import Iterator, Sequence
from functools import cached_property

from synsight.data.columns import distinct_names
from synsight.data.sources.column_types import TextColumn
from synsight.data.sources.records import MOST_COLUMNS, Record
from synsight.data.sources.roots import Root
from synsight.data.sources.surveyed import SurveyedTable
from synsight.errors import DataError

SEPARATORS = ",\t;|"
HEAD_BYTES = 1_000_000
MOST_LINE_CHARACTERS = 1_000_000


class CsvTable(SurveyedTable):
    """A text table whose first line names its columns.

    Args:
        root: The folder.
        path: The file below it.

    Raises:
        DataError: The file is empty.
    """

    unit = "line"
    cell_types = TextColumn

    def __init__(self, root: Root, path: str) -> None:
        super().__init__(root, path)
        with root.open(path) as file:
            head = file.read(HEAD_BYTES)
        self._encoding = encoding_of(head)
        first = next((one for one in self._lines() if one.strip()), "")
        if not first:
            raise DataError(
                f"{path} in {root.name}: expected a header and rows, found an empty file; fill it."
            )
        self._separator = (
            "\t" if path.lower().endswith((".tsv", ".tab")) else max(SEPARATORS, key=first.count)
        )
        if first.count(self._separator) >= MOST_COLUMNS:
            raise DataError(
                f"{path} in {root.name}: expected at most {MOST_COLUMNS:,} columns, found "
                f"{first.count(self._separator) + 1:,}; check the file."
            )

    @cached_property
    def columns(self) -> Sequence[str]:
        """See `Table.columns`."""
        _, header = next(self._rows(), (1, []))
        if not header:
            raise DataError(
                f"{self._path} in {self._root.name}: expected a header with names, found none in its first "
                "line; add it."
            )
        return distinct_names(header)

    @property
    def always(self) -> Sequence[str]:
        """See `SurveyedTable.always`."""
        return self.columns

    def records(self) -> Iterator[Record]:
        """See `Table.records`."""
        names = self.columns
        rows = self._rows(len(names))
        next(rows)
        for line, cells in rows:
            if len(cells) == len(names):
                yield Record(line, dict(zip(names, cells, strict=True)))
            else:
                yield Record(line, {}, f"expected {len(names)} cells as in the header, found {len(cells)}")

    def _rows(self, width: int | None = None) -> Iterator[tuple[int, list[str]]]:
        """(line, cells) of every row that is not blank.

        A stray quote would swallow the lines after it. So when a row of several lines does not fit the
        header, or has no end, only its first line counts as bad, and reading goes on with the second.
        """
        lines = _Lines(self._lines())
        while lines.more():
            lines.start_row()
            try:
                cells = next(csv.reader(lines, delimiter=self._separator))
            except (csv.Error, StopIteration):
                cells = ["" for _ in range((width or 0) + 1)]
            fits = len(cells) == width and not (lines.taken > 1 and not lines.more() and lines.has_no_end())
            if width is not None and not fits and lines.taken > 1:
                lines.give_back_all_but_first()
                cells = next(csv.reader([lines.first], delimiter=self._separator, quoting=csv.QUOTE_NONE))
                if len(cells) == width:
                    cells = [*cells, ""]  # it fits only by ignoring its quote
            if cells and (len(cells) > 1 or cells[0].strip()):
                yield lines.row_line, cells

    def _lines(self) -> Iterator[str]:
        with self._root.open(self._path) as file:
            text = io.TextIOWrapper(file, encoding=self._encoding, errors="replace", newline="")
            while line := text.readline(MOST_LINE_CHARACTERS):
                yield line


class _Lines:
    """An iterator of lines that can take back what the last row took."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._source = lines
        self._ahead: deque[str] = deque()
        self._row: list[str] = []
        self._line = 0
        self.row_line = 1

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self._ahead.popleft() if self._ahead else next(self._source)
        self._row.append(line)
        self._line += 1
        return line

    @property
    def taken(self) -> int:
        """Lines of the row so far."""
        return len(self._row)

    @property
    def first(self) -> str:
        """The row's first line."""
        return self._row[0]

    def more(self) -> bool:
        """Whether a line is left."""
        if not self._ahead:
            line = next(self._source, None)
            if line is not None:
                self._ahead.append(line)
        return bool(self._ahead)

    def start_row(self) -> None:
        """The next line begins a row."""
        self._row = []
        self.row_line = self._line + 1

    def has_no_end(self) -> bool:
        """Whether the row stops inside quotes."""
        try:
            list(csv.reader(self._row, strict=True))
        except csv.Error as error:
            return "unexpected end of data" in str(error)
        return False

    def give_back_all_but_first(self) -> None:
        """Read the other lines again."""
        rest = self._row[1:]
        self._ahead.extendleft(reversed(rest))
        self._line -= len(rest)


def encoding_of(head: bytes) -> str:
    """UTF-8 (with or without mark), UTF-16 with mark, or Windows' Japanese code page when only that fits.

    What fits none is read as UTF-8 with replacement characters.
    """
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    for encoding in ("utf-8-sig", "cp932"):
        try:
            codecs.getincrementaldecoder(encoding)().decode(head, final=False)
        except UnicodeDecodeError:
            continue
        return encoding
    return "utf-8-sig"
