"""Which files outside a catalog show its rows: notes that the verbs which wrote them leave in the catalog.

    CATALOG/_synsight/reports/<16 hex>.json      a folder, the verb that wrote there, and its files

Ids, captions and small pictures of single rows stand in these files, which are the user's own: a purge names
them and leaves them, unless it is told to take them away.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from synsight.data.lineage import now
from synsight.files import disk_errors, read_json, remove, write_json

if TYPE_CHECKING:
    from synsight.data.catalog import Catalog


def note_report(catalog: "Catalog", folder: Path, *, verb: str, names: Sequence[str]) -> None:
    """Remember that files with rows of this catalog were written; before they are, so that none is missed.

    Args:
        catalog: Whose rows they show.
        folder: Where they are.
        verb: Who wrote them, as "audit".
        names: Of the files in the folder, and of folders that are written whole.

    Raises:
        StorageError: The disk refused.
    """
    where = str(Path(folder).absolute())
    said = " ".join([verb, where, *names]).encode("utf-8", "surrogateescape")
    key = hashlib.blake2b(said, digest_size=8).hexdigest()
    note = {
        "folder": where.encode("utf-8", "replace").decode(),
        "verb": verb,
        "files": list(names),
        "noted_at": now(),
    }
    write_json(_folder(catalog) / f"{key}.json", note)


def written_reports(catalog: "Catalog") -> tuple[Path, ...]:
    """Files that were noted and are still there, ascending; who moved them must look after them."""
    notes = (read_json(path) for path in _folder(catalog).glob("*.json"))
    files = (Path(note["folder"]) / name for note in notes for name in note["files"])
    return tuple(sorted({file for file in files if file.exists()}))


def remove_reports(catalog: "Catalog") -> tuple[Path, ...]:
    """Take those files away; nothing else in their folders is touched.

    Returns:
        What was removed.

    Raises:
        StorageError: The disk refused; the next call goes on.
    """
    found = written_reports(catalog)
    for file in found:
        with disk_errors(file):
            remove(file)
    return found


def _folder(catalog: "Catalog") -> Path:
    return catalog.work_folder / "reports"
