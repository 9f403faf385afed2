"""What lies in a table's folder, and how a commit gets to the disk: the table library itself never syncs.

PATH/    data/ _versions/ _transactions/ _deletions/
"""

from collections.abc import Iterable
from pathlib import Path

from synsight.data.table_errors import table_errors
from synsight.files import remove, sync_file, sync_folder

FOLDERS = frozenset({"data", "_versions", "_transactions", "_deletions", "_indices", "_refs"})
"""What the table library puts into a table's folder."""


def holds_table(path: Path) -> bool:
    """Whether a table was made there; a half-made one is none."""
    return any((path / "_versions").glob("*.manifest"))


def sync_data(path: Path, names: Iterable[str]) -> None:
    """Push data files of these names to the disk, and that they are there."""
    with table_errors(path):
        for name in names:
            sync_file(path / "data" / name)
        if (path / "data").is_dir():
            sync_folder(path / "data")


def sync_version(path: Path, version: int, *, transaction: str | None, deletes: bool) -> None:
    """Push what a commit wrote beside the data to the disk.

    Args:
        path: The table's folder.
        version: The version that the commit made.
        transaction: Name of the transaction's file without its ending; None: it has none.
        deletes: Whether it wrote lists of deleted rows.
    """
    files = [path / "_versions" / f"{2**64 - 1 - version:020d}.manifest"]
    if transaction is not None:
        files.append(path / "_transactions" / f"{transaction}.txn")
    if deletes:
        files.extend((path / "_deletions").glob("*"))
    with table_errors(path):
        for file in files:
            sync_file(file)
        for name in ("", "_versions", "_transactions", "_deletions"):
            if (path / name).is_dir():
                sync_folder(path / name)


def drop_detached(path: Path) -> None:
    """Delete manifests of versions that no reader sees; left behind they would never be cleaned up."""
    for manifest in (path / "_versions").glob("d*.manifest"):
        remove(manifest)


def sync_removal(path: Path) -> None:
    """Push to the disk that files of former versions are gone."""
    for name in ("data", "_versions", "_transactions"):
        sync_folder(path / name)
