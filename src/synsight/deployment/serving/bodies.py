"""The body of a request: read under limits, then taken apart. Nothing is written to disk."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from synsight.deployment.serving.limits import Limits, Problem

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

MOST_PARTS = 12
MOST_TEXT = 4_000
"""Bytes of a part that is no file."""
MOST_HEADER = 4_000
"""Bytes of a part's headers."""


@dataclass
class Form:
    """What a multipart body holds."""

    file: bytes | None = None
    """Of the part named `file`."""
    fields: dict[str, str] = field(default_factory=dict)


async def read_body(request: Request, limits: Limits, count: Callable[[int], None]) -> bytes:
    """The whole body.

    Args:
        request: Whose.
        limits: Its size and its time.
        count: Told of bytes before they are kept.

    Raises:
        Problem: 413, too many bytes, announced or not; 408, too slow; 400, the client left.
    """
    announced = request.headers.get("content-length", "0")
    if announced.isdecimal() and int(announced) > limits.body_bytes:
        raise _too_large(limits)
    chunks: list[bytes] = []
    try:
        async with asyncio.timeout(limits.body_seconds):
            await _gather(request.stream(), chunks, limits, count)
    except TimeoutError:
        raise Problem(
            408,
            f"expected the whole body within {limits.body_seconds:g} s, found a part of it; send it faster.",
            {"Connection": "close"},
        ) from None
    except ClientDisconnect:
        raise Problem(400, "expected a whole body, but the client left.") from None
    return b"".join(chunks)


async def _gather(
    stream: AsyncIterator[bytes], chunks: list[bytes], limits: Limits, count: Callable[[int], None]
) -> None:
    total = 0
    async for chunk in stream:
        total += len(chunk)
        if total > limits.body_bytes:
            chunks.clear()
            raise _too_large(limits)
        count(len(chunk))
        chunks.append(chunk)


def form_of(body: bytes, content_type: str) -> Form | None:
    """The parts of a multipart body; None when the type says that it is none.

    Raises:
        Problem: 422, it is not one that is whole and small, or has two files.
    """
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data":
        return None
    boundary = options.get(b"boundary", b"")
    if not boundary:
        raise _no_form("its header names no boundary")
    parts = _Parts()
    try:
        parser = MultipartParser(boundary, parts.callbacks())
        parser.write(body)
        parser.finalize()
    except FormParserError:
        raise _no_form("found something else") from None
    return parts.form


class _Parts:
    """Collects what the parser calls out."""

    def __init__(self) -> None:
        self.form = Form()
        self._count = 0
        self._name = ""
        self._is_file = False
        self._data: list[bytes] = []
        self._size = 0
        self._header: list[bytes] = [b"", b""]
        self._header_bytes = 0

    def callbacks(self) -> "MultipartCallbacks":
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._header_name,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_part_data": self._more,
            "on_part_end": self._end,
        }

    def _begin(self) -> None:
        self._count += 1
        if self._count > MOST_PARTS:
            raise _no_form(f"found more than {MOST_PARTS} parts")
        self._name, self._is_file, self._data, self._size, self._header_bytes = "", False, [], 0, 0

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._add_header(0, data[start:end])

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._add_header(1, data[start:end])

    def _add_header(self, place: int, data: bytes) -> None:
        self._header_bytes += len(data)
        if self._header_bytes > MOST_HEADER:
            raise _no_form("a part's header is too long")
        self._header[place] += data

    def _header_end(self) -> None:
        name, value = self._header
        self._header = [b"", b""]
        if name.lower() == b"content-disposition":
            _, options = parse_options_header(value)
            self._name = options.get(b"name", b"").decode("utf-8", "replace")
            self._is_file = b"filename" in options or self._name == "file"

    def _more(self, data: bytes, start: int, end: int) -> None:
        self._size += end - start
        if not self._is_file and self._size > MOST_TEXT:
            raise _no_form(f"the part {self._name!r:.80} has more than {MOST_TEXT:,} bytes and is no file")
        self._data.append(data[start:end])

    def _end(self) -> None:
        data = b"".join(self._data)
        if not self._is_file:
            self.form.fields[self._name] = data.decode("utf-8", "replace")
            return
        if self._name != "file" or self.form.file is not None:
            raise _no_form(f"found the file {self._name!r:.80}")
        self.form.file = data


def _too_large(limits: Limits) -> Problem:
    return Problem(
        413, f"expected a body of at most {limits.body_bytes:,} bytes, found more; shrink the image first."
    )


def _no_form(found: str) -> Problem:
    return Problem(
        422, f"expected a whole multipart form with one file named 'file', but {found}; send it again."
    )
