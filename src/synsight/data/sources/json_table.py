"""JSON lines: one object a line."""

import json
from collections.abc import Iterator

from synsight.data.sources.records import Record
from synsight.data.sources.surveyed import SurveyedTable

MOST_LINE_BYTES = 16_000_000


class JsonLinesTable(SurveyedTable):
    """A JSONL file; its columns are all keys of all objects.

    Args:
        root: The folder.
        path: The file below it.
    """

    unit = "line"

    def records(self) -> Iterator[Record]:
        """See `Table.records`."""
        for number, line in self._lines():
            if not line.strip():
                continue
            if len(line) > MOST_LINE_BYTES:
                yield Record(number, {}, f"expected a line of at most {MOST_LINE_BYTES:,} bytes")
                continue
            try:
                value = json.loads(line.decode("utf-8-sig", "replace"))
            except (ValueError, RecursionError) as error:
                yield Record(number, {}, f"expected a JSON object, found something else ({error})")
                continue
            if isinstance(value, dict):
                yield Record(number, value)
            else:
                yield Record(number, {}, f"expected a JSON object, found a {type(value).__name__}")

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        with self._root.open(self._path) as file:
            number = 0
            while line := file.readline(MOST_LINE_BYTES + 1):
                number += 1
                yield number, line
                while len(line) > MOST_LINE_BYTES and not line.endswith(b"\n"):
                    line = file.readline(MOST_LINE_BYTES + 1)
