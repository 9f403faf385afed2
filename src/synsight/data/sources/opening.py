"""From what the user typed to a source: tables, tars, a saved data set, or a folder of images."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Protocol
from urllib.parse import unquote, urlsplit

import pyarrow as pa

from synsight.data.sources.arrow_table import saved_files
from synsight.data.sources.coco_table import ANNOTATIONS
from synsight.data.sources.image_folder import ImageFolderSource, is_image
from synsight.data.sources.roots import Root, is_url, root_of, shown
from synsight.data.sources.shards import shards
from synsight.data.sources.table_source import TABLES, TableFile, TableSource
from synsight.data.sources.tar_members import MemberRoot
from synsight.data.sources.web_root import WebRoot
from synsight.data.splits import is_split_name, normalised_split
from synsight.errors import DataError
from synsight.stages import Source

METADATA_NAMES = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
"""Hugging Face's names of the table that lies among the images it describes."""

MOST_BYTES_TO_HASH = 64_000_000

PICKLE_ENDINGS = frozenset({".npy", ".npz", ".pkl", ".pickle", ".pt", ".pth", ".pyd", ".joblib", ".h5"})


class ImageSource(Source, Protocol):
    """Where images and captions come from.

    Its batches have the columns `place`, `reject_reason`, `reject_message`, `image` and those of `schema`.
    """

    @property
    def identity(self) -> str:
        """Hash of what the source is now: names, sizes, times of its files, and the columns chosen."""

    @property
    def rows(self) -> int:
        """Rows, good and bad."""

    @property
    def ignored(self) -> int:
        """Files passed over."""

    @property
    def unread_tables(self) -> Sequence[str]:
        """Those of them that hold rows and lie beside the images: captions, perhaps."""

    @property
    def columns(self) -> Mapping[str, str]:
        """Column of the catalog -> where it comes from: the guess that was made."""

    @property
    def schema(self) -> pa.Schema:
        """Columns beside the image."""


def open_source(place: str | Path, *, chosen: Mapping[str, str | None] | None = None) -> ImageSource:
    """Find out what kind of source a path or URL is.

    Args:
        place: A table file, a folder, or tars ("a-{000..009}.tar", "a.tar::b.tar"); local, or any URL that
            fsspec knows.
        chosen: Role -> column that the user named; None: guess.

    Raises:
        DataError: There is nothing, or nothing that is read.
    """
    chosen = chosen or {}
    if str(place).startswith("file://"):
        place = unquote(urlsplit(str(place)).path)
    if (tars := shards(str(place))) is not None and not Path(place).exists():
        return _open_shards(tars, chosen)
    if is_url(place):
        return _open_url(str(place), chosen)
    path = Path(place)
    if path.is_dir():
        return _open_folder(root_of(path), chosen)
    if path.is_file():
        _check_ending(path.name, str(path))
        if path.suffix.lower() == ".json" and path.absolute().parent.name == ANNOTATIONS:
            above = root_of(path.absolute().parent.parent)
            return _table_source(above, [TableFile(f"{ANNOTATIONS}/{path.name}")], chosen)
        return _table_source(root_of(path.parent), [TableFile(path.name)], chosen)
    raise DataError(f"{path}: expected a folder of images or a table, found nothing; check the path.")


def _open_url(url: str, chosen: Mapping[str, str | None]) -> ImageSource:
    folder, _, name = url.rstrip("/").rpartition("/")
    is_table = PurePosixPath(name).suffix.lower() in TABLES
    if url.startswith(("http://", "https://")):
        web = WebRoot(folder if is_table else url)
        return _table_source(web, [TableFile(name)], chosen) if is_table else _open_folder(web, chosen)
    if is_table:
        return _table_source(root_of(folder), [TableFile(name)], chosen)
    return _open_folder(root_of(url), chosen)


def _open_shards(tars: list[str], chosen: Mapping[str, str | None]) -> ImageSource:
    """Several tars of one store; the folder that holds all of them is the root."""
    folder = "/".join(os.path.commonprefix([tar.split("/")[:-1] for tar in tars]))  # noqa: RUF071  of names
    if any(is_url(tar) for tar in tars) and "://" not in f"{folder}/":
        raise DataError(f"{tars[0]}: expected tars of one store, found several; ingest each store by itself.")
    root = root_of(folder or ("/" if tars[0].startswith("/") else "."))
    below = [tar[len(folder) :].lstrip("/") if folder else tar.lstrip("/") for tar in tars]
    for name in below:
        if not root.entry(name).size:
            raise DataError(f"{root.name}: expected the tar {shown(name)}, found none; check the range.")
    return _table_source(root, [TableFile(name, _split_of(name)) for name in below], chosen)


def _open_folder(root: Root, chosen: Mapping[str, str | None]) -> ImageSource:
    """A metadata table in the folder, or in its split folders, says more than the folders' names."""
    if saved := saved_files(root):
        return _table_source(root, [TableFile(path, split) for path, split in saved], chosen)
    tables: list[TableFile] = []
    tars: list[TableFile] = []
    has_images = False
    other_tables: list[str] = []
    state = hashlib.blake2b(digest_size=16)
    for entry in root.entries():
        path = PurePosixPath(entry.path)
        state.update(f"{entry.path}\0{entry.size}\0{entry.stamp}\0".encode("utf-8", "surrogateescape"))
        if path.name.lower() in METADATA_NAMES and len(path.parts) <= 2:
            tables.append(TableFile(entry.path, _split_of(entry.path)))
        elif path.suffix.lower() == ".tar" and len(path.parts) <= 2:
            tars.append(TableFile(entry.path, _split_of(entry.path)))
        elif is_image(entry):
            has_images = True
        elif path.suffix.lower() in TABLES and len(path.parts) == 1:
            other_tables.append(entry.path)
    if tables:
        return _table_source(root, tables, chosen)
    if tars and not has_images:
        return _table_source(root, tars, chosen)
    if any(chosen.values()):
        hint = (
            f"; did you mean the table {other_tables[0]}?"
            if other_tables
            else "; leave out the column names."
        )
        raise DataError(f"{root.name}: a folder of images has no columns to choose{hint}")
    source = ImageFolderSource(root, identity=state.hexdigest())
    if not source.rows and other_tables:
        raise DataError(
            f"{root.name}: expected images, found the table {other_tables[0]}; give the table as the source."
        )
    return source


def _split_of(path: str) -> str | None:
    """The split that a file's folder names."""
    parts = PurePosixPath(path).parts
    return normalised_split(parts[0]) if len(parts) == 2 and is_split_name(parts[0]) else None


def _table_source(root: Root, files: list[TableFile], chosen: Mapping[str, str | None]) -> TableSource:
    state = [_state(root, file.path) for file in files]
    text = repr((state, sorted((role, name) for role, name in chosen.items() if name is not None)))
    identity = hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
    if all(file.path.endswith(".tar") for file in files):
        root = MemberRoot(root)
    return TableSource(root, files, identity=identity, chosen=chosen)


def _state(root: Root, path: str) -> tuple[str, ...]:
    """What a table is now: by its content, or, when that is long to read, by size and time."""
    entry = root.entry(path)
    if entry.size > MOST_BYTES_TO_HASH:
        return (path, str(entry.size), entry.stamp)
    with root.open(path) as file:
        return (path, hashlib.blake2b(file.read(), digest_size=16).hexdigest())


def _check_ending(name: str, shown_path: str) -> None:
    ending = PurePosixPath(name).suffix.lower()
    if ending in TABLES:
        return
    if name.lower().endswith((".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")):
        raise DataError(
            f"{shown_path}: a compressed tar cannot be read in place; unpack the compression alone "
            f"(`gunzip {name}`), which leaves a tar."
        )
    if ending in PICKLE_ENDINGS:
        raise DataError(
            f"{shown_path}: such files can run code when they are read, so they are not read; write the "
            "images as files and the captions as CSV, JSONL or Parquet."
        )
    raise DataError(
        f"{shown_path}: expected a folder of images or a table ({', '.join(TABLES)}), "
        f"found {ending or 'no ending'!r}; convert it."
    )
