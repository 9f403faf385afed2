"""WebDataset tars: consecutive members with one key are one sample."""

import json
from collections.abc import Collection, Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

from synsight.data.sources.image_folder import FOREIGN_ENDINGS, READ_ENDINGS
from synsight.data.sources.records import Record
from synsight.data.sources.roots import PlaceError, Root, shown
from synsight.data.sources.surveyed import SurveyedTable
from synsight.data.sources.tar_members import BrokenTarError, Member, MemberRoot, members

MOST_TEXT_BYTES = 1_000_000

TEXTS = {"txt": "caption", "text": "caption", "caption": "caption", "cls": "label", "tags": "keywords"}
"""Ending of a member with text -> its column. Of other members JSON objects are read (their keys are
columns), and nothing else: `.pyd`, `.pth` and `.npy` are programs to those who decode them."""


class TarTable(SurveyedTable):
    """One tar: a record a sample, in the tar's order.

    As WebDataset has it, the key of `a/b.c/0001.seg.png` is `a/b.c/0001` and its ending `seg.png`; members of
    one key that do not follow one another are samples of their own. The image is the first member whose last
    ending is that of an image.

    Args:
        root: The folder, whose `read` knows members' addresses.
        path: The tar below it.
    """

    unit = "sample"

    def __init__(self, root: Root, path: str) -> None:
        super().__init__(MemberRoot(root), path)

    @property
    def always(self) -> Sequence[str]:
        """See `SurveyedTable.always`."""
        return ("image", "key")

    @property
    def bytes_columns(self) -> Collection[str]:
        """See `Table.bytes_columns`; what a tar holds goes before a file name in its JSON."""
        return {"image"}

    def records(self) -> Iterator[Record]:
        """See `Table.records`."""
        number, key, found = 0, None, list[tuple[str, Member]]()
        try:
            for member in members(self._root, self._path):
                if member is None:
                    continue
                its_key, ending = _parted(member.name)
                if ending == "":
                    continue
                if its_key != key and found:
                    number += 1
                    yield self._record(number, str(key), found)
                    found = []
                key = its_key
                found.append((ending, member))
            fault = None
        except BrokenTarError as error:
            fault = str(error)
        if found:
            number += 1
            yield self._record(number, str(key), found)
        if fault is not None:
            yield Record(number + 1, {}, fault)

    def _record(self, number: int, key: str, found: Sequence[tuple[str, Member]]) -> Record:
        cells: dict[str, Any] = {"key": shown(key)}
        for ending, member in found:
            last = ending.rpartition(".")[2]
            if f".{last}" in READ_ENDINGS | FOREIGN_ENDINGS:
                cells.setdefault("image", member.address(PurePosixPath(self._path).name))
            elif last == "json" or last in TEXTS:
                try:
                    self._read_text(cells, last, member)
                except (ValueError, RecursionError, PlaceError) as error:
                    return Record(number, {}, f"its .{last} cannot be read ({error})")
        return Record(number, cells)

    def _read_text(self, cells: dict[str, Any], ending: str, member: Member) -> None:
        if member.size > MOST_TEXT_BYTES:
            raise ValueError(f"expected at most {MOST_TEXT_BYTES:,} bytes, found {member.size:,}")
        data = self._root.read(member.address(self._path), most=MOST_TEXT_BYTES)
        text = data.decode("utf-8-sig", "replace")
        if ending != "json":
            cells[TEXTS[ending]] = text.strip()
            return
        value = json.loads(text)
        if not isinstance(value, dict):
            raise ValueError(f"expected a JSON object, found a {type(value).__name__}")
        for name, one in value.items():
            if name not in ("image", "key"):
                cells.setdefault(name, one)


def _parted(name: str) -> tuple[str, str]:
    """Key and ending of a member; the ending is "" for a hidden file or one without."""
    folder, _, last = name.rpartition("/")
    stem, _, ending = last.partition(".")
    if not stem:
        return name, ""
    return f"{folder}/{stem}" if folder else stem, ending.lower()
