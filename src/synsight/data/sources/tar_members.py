"""Tars read in place: where each member's bytes lie, and a root whose files are members.

A tar is never extracted: headers are walked, and an image is read by its range when its turn comes, so
that no name in a tar becomes a path. Links, devices and folders are passed over. Headers are parsed by the
standard library through a file that refuses to be read by the megabyte: a header's own length is not to be
trusted.
"""

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from synsight.data.sources.roots import Entry, PlaceError, Root, shown

MOST_HEADER_BYTES = 1_000_000

_MARK = "@"
"""Parts a tar's path from a member's range: "shards/a.tar@1536+8123"."""


@dataclass(frozen=True, slots=True)
class Member:
    """One regular file of a tar."""

    name: str
    """As the tar has it: hostile."""
    offset: int
    size: int

    def address(self, tar: str) -> str:
        """What `MemberRoot` reads it by."""
        return f"{tar}{_MARK}{self.offset}+{self.size}"


class BrokenTarError(Exception):
    """A tar that cannot be read on; says why."""


def members(root: Root, path: str) -> Iterator[Member | None]:
    """The members of a tar, in its order, from the headers alone; None for what is passed over.

    Raises:
        BrokenTarError: The tar ends too early, or is none.
    """
    with root.open(path) as file:
        whole = file.seek(0, 2)
        file.seek(0)
        try:
            with tarfile.open(fileobj=_Headers(file), mode="r:") as tar:
                for info in tar:
                    tar.members = []  # type: ignore[attr-defined]  # else every header would stay in memory
                    if info.isreg() and not info.sparse:
                        if info.offset_data + info.size > whole:
                            raise BrokenTarError("it ends in the middle of a member; copy it again")
                        yield Member(info.name, info.offset_data, info.size)
                    else:
                        yield None
        except (tarfile.TarError, EOFError, OSError, ValueError, OverflowError) as error:
            raise BrokenTarError(
                f"{error or type(error).__name__}; write it again as an uncompressed tar"
            ) from None


class _Headers:
    """A file for reading that gives headers and nothing as large as data."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= MOST_HEADER_BYTES:
            raise tarfile.ReadError(f"a header of {size:,} bytes")
        return self._file.read(size)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


@dataclass(frozen=True)
class MemberRoot:
    """A root whose files are also the members of its tars, by their addresses."""

    root: Root

    @property
    def name(self) -> str:
        """See `Root.name`."""
        return self.root.name

    def entries(self) -> Iterator[Entry]:
        """See `Root.entries`."""
        return self.root.entries()

    def entry(self, path: str) -> Entry:
        """See `Root.entry`."""
        found = _range_of(path)
        return self.root.entry(path) if found is None else Entry(path, found[2], "")

    def read(self, path: str, *, most: int) -> bytes:
        """See `Root.read`."""
        found = _range_of(path)
        if found is None:
            return self.root.read(path, most=most)
        tar, offset, size = found
        with self.root.open(tar) as file:
            file.seek(offset)
            data = file.read(min(size, most + 1))
        if len(data) < min(size, most + 1):
            raise PlaceError(
                "unreadable", f"{shown(path)}: the tar has changed while it was read; try again."
            )
        return data

    def open(self, path: str) -> BinaryIO:
        """See `Root.open`; of files, not of members."""
        return self.root.open(path)


def _range_of(path: str) -> tuple[str, int, int] | None:
    tar, mark, numbers = path.rpartition(_MARK)
    offset, plus, size = numbers.partition("+")
    if not (mark and plus and offset.isdecimal() and size.isdecimal()):
        return None
    return tar, int(offset), int(size)
