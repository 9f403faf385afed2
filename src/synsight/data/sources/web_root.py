"""A folder on the web that the user named: a table and its images, each through the guarded fetch."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import BinaryIO
from urllib.parse import quote

from synsight.data.sources.roots import Entry, PlaceError, shown
from synsight.fetching import FetchError, fetch

MOST_TABLE_BYTES = 1_000_000_000
MOST_TABLE_SECONDS = 600.0


@dataclass(frozen=True)
class WebRoot:
    """What lies below an https address; a web server gives no list of files, so only a table can be a source.

    The user named the address, which is what allows fetching; where its redirects may lead is `fetch`'s rule.
    """

    url: str

    @property
    def name(self) -> str:
        """The address."""
        return self.url

    def entries(self) -> Iterator[Entry]:
        """See `Root.entries`.

        Raises:
            PlaceError: Always.
        """
        raise PlaceError(
            "unreadable",
            f"{self.url}: a web address has no list of files; give a table there, or a copy here.",
        )

    def entry(self, path: str) -> Entry:
        """See `Root.entry`; nothing is known before it is fetched."""
        return Entry(path, 0, "")

    def read(self, path: str, *, most: int) -> bytes:
        """See `Root.read`; more than `most` bytes are refused while they come."""
        return self._fetched(path, limit=most, seconds=60.0)

    def open(self, path: str) -> BinaryIO:
        """See `Root.open`."""
        return io.BytesIO(self._fetched(path, limit=MOST_TABLE_BYTES, seconds=MOST_TABLE_SECONDS))

    def _fetched(self, path: str, *, limit: int, seconds: float) -> bytes:
        pure = PurePosixPath(path)
        if pure.is_absolute() or ".." in pure.parts or not pure.parts or "://" in path:
            raise PlaceError(
                "outside_source",
                f"{shown(path)}: expected a path below {self.url}, found one that leaves it.",
            )
        try:
            return fetch(f"{self.url}/{quote(path)}", allow=True, limit_bytes=limit, timeout=seconds)
        except FetchError as error:
            raise PlaceError(
                "missing_file" if error.reason == "bad_status" else "unreadable", str(error)
            ) from None
