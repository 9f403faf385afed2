"""Files that are whole or absent: written beside, synced, renamed, and only then spoken of.

None of Lance, torch.save and safetensors syncs to disk, so everything that a record will name goes
through here. All writes pass `_write_all`, the one place where a test makes the disk fail. A path may be one
in an object store (`stores.StorePath`), where an object is whole and durable as soon as it is there.
"""

import ctypes
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO

from synsight.errors import DataError, StorageError
from synsight.stores import StorePath, place


def _write_all(file: BinaryIO, data: bytes) -> None:
    file.write(data)
    file.flush()
    os.fsync(file.fileno())


def sync_file(path: Path) -> None:
    """Push one file's bytes to the disk."""
    if isinstance(path, StorePath):
        return
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Push a folder's names (renames, new files) to the disk."""
    if isinstance(path, StorePath):
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_bytes(path: Path, data: bytes) -> None:
    """Replace `path` by `data`, atomically and durably.

    Raises:
        StorageError: The disk refused; the former file, if any, is untouched.
    """
    with replacing(path, needed_bytes=len(data)) as temporary, temporary.open("wb") as file:
        _write_all(file, data)


def write_secret(path: Path, data: bytes) -> None:
    """Replace `path` by a key or token that its owner alone may read (mode 0600), atomically and durably.

    The file has this mode before a byte stands in it.

    Raises:
        StorageError: The disk refused; the former file, if any, is untouched.
    """
    with replacing(path, needed_bytes=len(data)) as temporary:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            _write_all(file, data)


def private_folder(path: Path) -> Path:
    """Make a folder that its owner alone may enter (mode 0700), for images and texts of people.

    A folder that is there keeps its mode: whoever made it has chosen it.

    Raises:
        StorageError: The disk refused.
    """
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=0o700, exist_ok=True)
    return path


def write_text(path: Path, text: str) -> None:
    """Replace `path` by `text` in UTF-8, atomically and durably."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Replace `path` by `value` as indented JSON (no NaN, keys in the order given)."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """The value of a JSON file.

    Raises:
        DataError: The file is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path}: expected a JSON file, found nothing; check the path.") from None
    except (ValueError, RecursionError) as error:  # no UTF-8, no JSON, absurd numbers or nesting
        raise DataError(
            f"{path}: expected JSON, found something else ({error}); delete it or write it again."
        ) from None


@contextmanager
def replacing(path: Path, *, needed_bytes: int | None = None) -> Iterator[Path]:
    """Yield a temporary path beside `path`; when the block ends well it is synced and takes the name.

    The block may write a file or a folder there. If it fails, nothing of it stays and `path` is as before.

    Raises:
        StorageError: The disk refused a write; names the path and, where known, the bytes needed.
    """
    path = place(path)
    if isinstance(path, StorePath):
        with TemporaryDirectory() as folder:
            yield Path(folder) / path.name
            path.write_from(Path(folder) / path.name)
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with disk_errors(path, needed_bytes=needed_bytes):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            remove(temporary)
            yield temporary
            if temporary.is_dir():
                sync_tree(temporary)
            else:
                sync_file(temporary)
            if path.is_dir() or (temporary.is_dir() and path.exists()):
                _exchange(temporary, path)
            else:
                os.replace(temporary, path)  # noqa: PTH105  the call that is atomic by name
            sync_folder(path.parent)
        finally:
            remove(temporary)


def _exchange(one: Path, other: Path) -> None:
    """Let two names change places; a rename cannot replace a folder that holds something.

    Atomic where the system can (Linux, macOS), so that a kill leaves a whole one under each name.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    here = -100  # AT_FDCWD
    if hasattr(libc, "renameat2"):
        failed = libc.renameat2(here, os.fsencode(one), here, os.fsencode(other), 2)  # RENAME_EXCHANGE
    elif hasattr(libc, "renamex_np"):
        failed = libc.renamex_np(os.fsencode(one), os.fsencode(other), 2)  # RENAME_SWAP
    else:
        failed = -1
    if failed:  # a file system that cannot: two steps, and back if the second is refused
        aside = other.with_name(f"{one.name}.old")
        os.replace(other, aside)  # noqa: PTH105
        try:
            os.replace(one, other)  # noqa: PTH105
        except OSError:
            os.replace(aside, other)  # noqa: PTH105
            raise
        os.replace(aside, one)  # noqa: PTH105


@contextmanager
def disk_errors(path: Path, *, needed_bytes: int | None = None) -> Iterator[None]:
    """Turn an operating system's write error inside the block into one clear sentence."""
    try:
        yield
    except OSError as error:
        size = f" ({needed_bytes:,} bytes)" if needed_bytes is not None else ""
        raise StorageError(
            f"{path}: could not be written{size}: {error.strerror or error}; "
            "nothing that was there before is lost. Free space or choose another folder, then run it again."
        ) from error


def sync_tree(folder: Path) -> None:
    """Push every file and folder below `folder` to the disk."""
    for root, _, names in os.walk(folder):
        for name in names:
            sync_file(Path(root) / name)
        sync_folder(Path(root))


def remove(path: Path) -> None:
    """Delete a file or a folder, if it is there."""
    if isinstance(path, StorePath):
        path.unlink(missing_ok=True)
    elif path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def append_json_line(path: Path, row: dict[str, Any]) -> None:
    """Append one JSON object as a line; flushed, so that a reader or a resume sees whole lines."""
    with disk_errors(path), path.open("ab") as file:
        file.write(json.dumps(row, ensure_ascii=False, allow_nan=False).encode() + b"\n")
        file.flush()


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """All whole lines of a JSON-lines file; a torn last line (a killed writer) is left out."""
    if not path.exists():
        return []
    rows = []
    for line in path.read_bytes().split(b"\n")[:-1]:
        try:
            rows.append(json.loads(line))
        except (ValueError, RecursionError):
            break
    return rows


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
