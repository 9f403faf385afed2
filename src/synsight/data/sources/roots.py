"""The folder that a source may read from, and nothing outside it.

Paths in tables and names in folders are hostile: `../`, absolute paths, links, pipes. A local file is opened
step by step from the root's own handle, never through a link, so that no path can name anything else.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Protocol

import fsspec

from synsight.errors import DataError

READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a pipe must not block us


class PlaceError(DataError):
    """A path that cannot be read from here.

    Attributes:
        reason: `outside_source`, `missing_file` or `unreadable`.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class Entry:
    """One file below a root."""

    path: str
    """Relative to the root, with slashes; undecodable bytes as surrogates."""
    size: int
    stamp: str
    """Changes when the file changes: modification time, or the store's own tag."""
    link_outside: bool = False
    """A link that leaves the root, or to a folder; not read."""


class Root(Protocol):
    """A folder, wherever it is. Picklable."""

    @property
    def name(self) -> str:
        """How messages call it."""

    def entries(self) -> Iterator[Entry]:
        """All files below, in an order that depends on their names alone."""

    def entry(self, path: str) -> Entry:
        """What is known of one file; of size 0 when it cannot be read."""

    def read(self, path: str, *, most: int) -> bytes:
        """A file's bytes, up to `most` + 1 of them (one more than allowed shows that there are more).

        Raises:
            PlaceError: The path leaves the root, names no file, or cannot be read.
        """

    def open(self, path: str) -> BinaryIO:
        """A file for reading; raises as `read`."""


@dataclass(frozen=True)
class LocalRoot:
    """A folder of this machine."""

    folder: Path

    @property
    def name(self) -> str:
        """The folder's path."""
        return str(self.folder)

    def entries(self) -> Iterator[Entry]:
        """See `Root.entries`."""
        yield from _walk(self.folder, os.path.realpath(self.folder), "")

    def entry(self, path: str) -> Entry:
        """See `Root.entry`."""
        try:
            about = (self.folder / path).stat()
        except (OSError, ValueError):
            return Entry(path, 0, "")
        return Entry(path, about.st_size, str(about.st_mtime_ns))

    def read(self, path: str, *, most: int) -> bytes:
        """See `Root.read`."""
        with self.open(path) as file:
            return file.read(most + 1)

    def open(self, path: str) -> BinaryIO:
        """See `Root.open`."""
        try:
            return os.fdopen(_open_below(self.folder, self._parts(path)), "rb")
        except FileNotFoundError:
            raise PlaceError(
                "missing_file", f"{shown(path)}: there is no such file in {self.folder}; add it."
            ) from None
        except OSError as error:
            raise PlaceError(
                "unreadable", f"{shown(path)}: could not be read ({error.strerror}); mend its rights."
            ) from None

    def _parts(self, path: str) -> tuple[str, ...]:
        """The names from the root to a file, links resolved; all of them inside the root."""
        if "\0" in path:
            raise PlaceError("missing_file", f"{shown(path)}: expected a file name, found a zero byte in it.")
        root = os.path.realpath(self.folder)
        below = os.path.relpath(os.path.realpath(os.path.join(root, path)), root)  # noqa: PTH118  as the system does
        parts = PurePosixPath(below).parts
        if not parts or ".." in parts or (".." in PurePosixPath(path).parts):
            raise _outside(path, self.name)
        return parts


@dataclass(frozen=True)
class RemoteRoot:
    """A folder of any store that fsspec knows; only ever one that the user named."""

    url: str

    @property
    def name(self) -> str:
        """The folder's URL."""
        return self.url

    def entries(self) -> Iterator[Entry]:
        """See `Root.entries`."""
        store, folder = fsspec.core.url_to_fs(self.url)
        found: dict[str, dict[str, Any]] = store.find(folder, detail=True)
        for full, about in sorted(found.items()):
            yield _remote_entry(full.removeprefix(folder).lstrip("/"), about)

    def entry(self, path: str) -> Entry:
        """See `Root.entry`."""
        try:
            store, full = self._place(path)
            return _remote_entry(path, store.info(full))
        except (OSError, PlaceError, ValueError):
            return Entry(path, 0, "")

    def read(self, path: str, *, most: int) -> bytes:
        """See `Root.read`."""
        with self.open(path) as file:
            return file.read(most + 1)

    def open(self, path: str) -> BinaryIO:
        """See `Root.open`."""
        store, full = self._place(path)
        try:
            file: BinaryIO = store.open(full, "rb")
        except FileNotFoundError:
            raise PlaceError(
                "missing_file", f"{shown(path)}: there is no such file in {self.url}; add it."
            ) from None
        except (OSError, ValueError) as error:
            raise PlaceError(
                "unreadable", f"{shown(path)}: could not be read ({error}); try again."
            ) from None
        return file

    def _place(self, path: str) -> tuple[Any, str]:
        pure = PurePosixPath(path)
        if pure.is_absolute() or ".." in pure.parts or "://" in path or "::" in path or not pure.parts:
            raise _outside(path, self.url)
        store, folder = fsspec.core.url_to_fs(self.url)
        return store, f"{folder.rstrip('/')}/{pure}"


def root_of(place: str | Path) -> Root:
    """The root for a folder's path or URL."""
    return RemoteRoot(str(place).rstrip("/")) if is_url(place) else LocalRoot(Path(place))


def is_url(place: str | Path) -> bool:
    """Whether a place names a store by URL."""
    return "://" in str(place)


def shown(path: str) -> str:
    """A path as it may be printed: no control characters, no broken text, not endless."""
    text = path.encode("utf-8", "backslashreplace").decode()
    text = "".join(one if one.isprintable() else f"\\x{ord(one):02x}" for one in text)
    return text if len(text) <= 200 else f"{text[:120]}...{text[-60:]}"


def _outside(path: str, root: str) -> PlaceError:
    return PlaceError(
        "outside_source",
        f"{shown(path)}: expected a path inside {root}, found one that leaves it; copy the file there.",
    )


STAMPS = ("ETag", "etag", "mtime", "LastModified", "created")
"""What stores call the thing that changes with a file."""


def _remote_entry(path: str, about: dict[str, Any]) -> Entry:
    stamp = next((str(about[key]) for key in STAMPS if about.get(key)), "")
    return Entry(path, int(about.get("size") or 0), stamp)


def _walk(folder: Path, root: str, prefix: str) -> Iterator[Entry]:
    """Depth first, by the names' bytes; links to files inside the root count as files."""
    with os.scandir(folder) as found:
        below = sorted(found, key=lambda one: os.fsencode(one.name))
    for one in below:
        path = prefix + one.name
        if one.is_symlink():
            target = os.path.realpath(one.path)
            inside = target.startswith(root + os.sep) and os.path.isfile(target)  # noqa: PTH113
            if inside:
                about = os.stat(target)  # noqa: PTH116
                yield Entry(path, about.st_size, str(about.st_mtime_ns))
            else:
                yield Entry(path, 0, os.readlink(one.path), link_outside=True)  # noqa: PTH115
        elif one.is_dir():
            if not one.name.startswith("."):
                yield from _walk(folder / one.name, root, f"{path}/")
        else:
            about = one.stat(follow_symlinks=False)
            yield Entry(path, about.st_size, str(about.st_mtime_ns))


def _open_below(folder: Path, parts: tuple[str, ...]) -> int:
    """Open a regular file by one name after the other, following no link."""
    with _descriptor(os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)) as handle:
        for part in parts[:-1]:
            inner = os.open(
                part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=handle[-1]
            )
            handle.append(inner)
        file = os.open(parts[-1], READ_FLAGS, dir_fd=handle[-1])
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise OSError(0, "it is not a regular file")
    return file


@contextmanager
def _descriptor(first: int) -> Iterator[list[int]]:
    handles = [first]
    try:
        yield handles
    finally:
        for one in handles:
            os.close(one)
