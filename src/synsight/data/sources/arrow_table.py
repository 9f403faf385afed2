"""Saved Hugging Face data sets (`save_to_disk`): folders of Arrow streams, without the `datasets` library."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.types as pt

from synsight.data.sources.column_types import Reader, stored_type
from synsight.data.sources.parquet_table import holds_bytes, values_of
from synsight.data.sources.records import Record
from synsight.data.sources.roots import PlaceError, Root
from synsight.data.sources.rows import as_text
from synsight.errors import DataError

MOST_ABOUT_BYTES = 16_000_000
ROWS_AT_A_TIME = 64


class ArrowTable:
    """One Arrow file of a saved data set; class numbers become the names that `dataset_info.json` has.

    Args:
        root: The folder.
        path: The file below it.

    Raises:
        DataError: The file is no Arrow stream or file.
    """

    unit = "row"

    def __init__(self, root: Root, path: str) -> None:
        self._root, self._path = root, path
        with self._opened() as reader:
            self._schema = reader.schema

    @cached_property
    def columns(self) -> Sequence[str]:
        """See `Table.columns`."""
        return list(dict.fromkeys(self._schema.names))

    @cached_property
    def bytes_columns(self) -> Collection[str]:
        """See `Table.bytes_columns`."""
        return {name for name in self.columns if holds_bytes(self._schema.field(name).type)}

    @cached_property
    def types(self) -> Mapping[str, tuple[pa.DataType, Reader]]:
        """See `Table.types`."""
        return {
            name: (pa.string(), as_text)
            if name in self._classes
            else stored_type(self._schema.field(name).type)
            for name in self.columns
        }

    @cached_property
    def rows(self) -> int:
        """See `Table.rows`."""
        with self._opened() as reader:
            return sum(batch.num_rows for batch in reader)

    def records(self) -> Iterator[Record]:
        """See `Table.records`."""
        line = 0
        with self._opened() as reader:
            for whole in reader:
                for start in range(0, whole.num_rows, ROWS_AT_A_TIME):
                    batch = whole.slice(start, ROWS_AT_A_TIME)
                    cells = {name: self._cells(name, batch.column(name)) for name in self.columns}
                    for row in range(batch.num_rows):
                        line += 1
                        yield Record(line, {name: values[row] for name, values in cells.items()})

    def _cells(self, name: str, column: pa.Array) -> list[Any]:
        names = self._classes.get(name)
        values = values_of(column)
        if names is None:
            return values
        return [names[one] if isinstance(one, int) and 0 <= one < len(names) else one for one in values]

    @cached_property
    def _classes(self) -> Mapping[str, list[str]]:
        """Column -> names of its classes."""
        features = about(self._root, str(PurePosixPath(self._path).parent), "dataset_info.json").get(
            "features"
        )
        found = {}
        for name, feature in features.items() if isinstance(features, dict) else ():
            named = feature.get("names") if isinstance(feature, dict) else None
            numbered = name in self._schema.names and pt.is_integer(self._schema.field(name).type)
            if numbered and isinstance(named, list) and feature.get("_type") == "ClassLabel":
                found[name] = [str(one) for one in named]
        return found

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        with self._root.open(self._path) as file:
            try:
                try:
                    yield pa.ipc.open_stream(file)
                except pa.ArrowInvalid:
                    file.seek(0)
                    reader = pa.ipc.open_file(file)
                    yield _Batches(reader)
            except (pa.ArrowException, OSError) as error:
                raise DataError(
                    f"{self._path} in {self._root.name}: expected a saved data set's Arrow file, but it does "
                    f"not read ({str(error).splitlines()[0]}); save it again."
                ) from error


def saved_files(root: Root) -> list[tuple[str, str | None]]:
    """The Arrow files of a saved data set and the split of each; empty: the folder is none.

    Raises:
        DataError: It lists files that are not there.
    """
    whole = about(root, "", "dataset_dict.json").get("splits")
    folders = [(str(name), str(name)) for name in whole] if isinstance(whole, list) else [("", None)]
    files: list[tuple[str, str | None]] = []
    for folder, split in folders:
        listed = about(root, folder, "state.json").get("_data_files")
        for one in listed if isinstance(listed, list) else ():
            name = one.get("filename") if isinstance(one, dict) else None
            if not isinstance(name, str) or PurePosixPath(name).name != name:
                raise DataError(
                    f"{root.name}: expected names of Arrow files in {folder or '.'}/state.json, found {one!r}"
                    "; save the data set again."
                )
            files.append((f"{folder}/{name}" if folder else name, split))
    return files


def about(root: Root, folder: str, name: str) -> Mapping[str, Any]:
    """A small JSON object beside the data; empty when there is none."""
    path = name if folder in ("", ".") else f"{folder}/{name}"
    with suppress(PlaceError, ValueError, RecursionError):
        found = json.loads(root.read(path, most=MOST_ABOUT_BYTES))
        return found if isinstance(found, dict) else {}
    return {}


class _Batches:
    """An Arrow file read like a stream."""

    def __init__(self, reader: Any) -> None:
        self._reader, self.schema = reader, reader.schema

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        return (self._reader.get_batch(number) for number in range(self._reader.num_record_batches))
