"""A folder of images: flat, in class folders, with or without splits, with sidecar captions."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import PurePosixPath

import pyarrow as pa

from synsight.data.sources.roots import Entry, PlaceError, Root, shown
from synsight.data.sources.rows import BYTES_PER_CHUNK, ROWS_PER_CHUNK, Row, clean, read_chunk
from synsight.data.splits import is_split_name
from synsight.errors import DataError
from synsight.stages import Chunk, chunk_key

READ_ENDINGS = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".dib", ".tif", ".tiff", ".gif"}
)
FOREIGN_ENDINGS = frozenset(
    {
        ".heic",
        ".heif",
        ".avif",
        ".jp2",
        ".j2k",
        ".jxl",
        ".svg",
        ".ico",
        ".psd",
        ".dds",
        ".exr",
        ".hdr",
        ".qoi",
    }
)
"""Images that are not read; a file of theirs is listed as rejected and not passed over in silence."""

TABLE_ENDINGS = frozenset({".csv", ".tsv", ".jsonl", ".parquet", ".json"})

MOST_CAPTION_BYTES = 64_000

SCHEMA = {
    "caption": pa.string(),
    "label": pa.string(),
    "split": pa.string(),
    "file_name": pa.string(),
}


class ImageFolderSource:
    """All images below a folder.

    `train/CLASS/x.png` gives split and label, `CLASS/x.png` the label (with at least two classes), and a text
    file `x.txt` beside `x.png` the caption. Below the class's folder may be more folders.

    Args:
        root: The folder.
        identity: Changes when any file's name, size or time changes.
    """

    def __init__(self, root: Root, *, identity: str) -> None:
        self.root, self.identity = root, identity

    @cached_property
    def rows(self) -> int:
        """Number of images."""
        return self._survey.images

    @property
    def ignored(self) -> int:
        """Files that are neither images nor captions: hidden ones, Thumbs.db, notes."""
        return self._survey.ignored

    @property
    def unread_tables(self) -> Sequence[str]:
        """Tables beside the images; one called `metadata` would have been read in place of the names."""
        return self._survey.tables

    @property
    def columns(self) -> Mapping[str, str]:
        """See `TableSource.columns`."""
        places = {"image": "files", "file_name": "paths of the files"}
        survey = self._survey
        if survey.captions:
            places["caption"] = "sidecar .txt files"
        if survey.has_labels:
            places["label"] = "names of the class folders"
        if survey.splits:
            places["split"] = "names of the split folders"
        return places

    @cached_property
    def schema(self) -> pa.Schema:
        """See `TableSource.schema`."""
        return pa.schema([pa.field(name, kind) for name, kind in SCHEMA.items() if name in self.columns])

    def chunks(self) -> Iterator[Chunk]:
        """See `stages.Source`."""
        if not self.rows:
            raise DataError(
                f"{self.root.name}: expected images, found none among {self.ignored:,} other files; choose "
                "the folder that holds them."
            )
        start, entries, size = 0, list[Entry](), 0
        for entry in self._images():
            if entries and (len(entries) == ROWS_PER_CHUNK or size + entry.size > BYTES_PER_CHUNK):
                yield self._chunk(start, entries)
                start, entries, size = start + len(entries), [], 0
            entries.append(entry)
            size += entry.size
        if entries:
            yield self._chunk(start, entries)

    @cached_property
    def _survey(self) -> "_Survey":
        survey = _Survey()
        for entry in self.root.entries():
            survey.see(entry)
        return survey

    def _images(self) -> Iterator[Entry]:
        return (entry for entry in self.root.entries() if is_image(entry))

    def _chunk(self, start: int, entries: list[Entry]) -> Chunk:
        stop = start + len(entries)
        return Chunk(
            key=chunk_key(self.identity, start, stop),
            rows=len(entries),
            read=partial(_read, self.root, entries, self.schema),
            name=f"images {start + 1:,} to {stop:,} of {self.root.name}",
        )


class _Survey:
    """What a folder looks like, by names alone."""

    def __init__(self) -> None:
        self.images = self.captions = self.ignored = 0
        self.splits: set[str] = set()
        self.tables: list[str] = []
        self._classes: set[str] = set()

    @property
    def has_labels(self) -> bool:
        """One folder named `images` is no class."""
        return len(self._classes) > 1

    def see(self, entry: Entry) -> None:
        """Take one more file into account."""
        if is_image(entry):
            self.images += 1
            split, label = split_and_label(entry.path)
            if split:
                self.splits.add(split)
            if label and len(self._classes) < 2:
                self._classes.add(label)
        elif entry.path.lower().endswith(".txt"):
            self.captions += 1
        else:
            self.ignored += 1
            path = PurePosixPath(entry.path)
            is_hidden = path.name.startswith(".")
            if path.suffix.lower() in TABLE_ENDINGS and len(path.parts) == 1 and not is_hidden:
                self.tables.append(shown(entry.path))


def is_image(entry: Entry) -> bool:
    """Whether a file should be an image, by its name; links that leave the folder are to be reported."""
    path = PurePosixPath(entry.path)
    return not path.name.startswith(".") and (
        entry.link_outside or path.suffix.lower() in READ_ENDINGS | FOREIGN_ENDINGS
    )


def split_and_label(path: str) -> tuple[str | None, str | None]:
    """The split and the class that a file's folders name."""
    folders = list(PurePosixPath(path).parts[:-1])
    split = folders.pop(0) if folders and is_split_name(folders[0]) else None
    return split, folders[0] if folders else None


def _read(root: Root, entries: list[Entry], schema: pa.Schema) -> pa.RecordBatch:
    return read_chunk(root, [_row(root, entry, schema.names) for entry in entries], schema)


def _row(root: Root, entry: Entry, columns: list[str]) -> Row:
    split, label = split_and_label(entry.path)
    name = shown(entry.path)
    row = Row(name, entry.path, {"split": split, "label": label and clean(label), "file_name": name})
    if entry.link_outside:
        row.reason = "outside_source"
        row.message = f"{name}: expected a file, found a link that leaves {root.name}; copy the file there."
    elif "caption" in columns:
        row.values["caption"] = _sidecar(root, entry.path)
    return row


def _sidecar(root: Root, path: str) -> str | None:
    """The text beside an image; None when there is none, or it is empty."""
    try:
        text = root.read(str(PurePosixPath(path).with_suffix(".txt")), most=MOST_CAPTION_BYTES)
    except PlaceError:
        return None
    return text[:MOST_CAPTION_BYTES].decode("utf-8-sig", "replace").strip() or None
