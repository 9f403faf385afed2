"""What the table library says to developers, put into one sentence for users; and its fork trap."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from synsight.errors import CatalogError, ConflictError, StorageError
from synsight.stores import StorePath, store_errors

_STORE_FAILED = ("HTTP error", "Server returned non-2xx")
"""What the table library says of a store that is not there, does not answer, or lets nobody in."""
_used_by: int | None = None
"""The process that used the table library first."""


def check_fork() -> None:
    """Refuse to go on in a fork of a process that used the table library: it would hang or die.

    Raises:
        CatalogError: This process is one.
    """
    global _used_by
    if _used_by is None:
        _used_by = os.getpid()
    elif _used_by != os.getpid():
        raise CatalogError(
            "a catalog cannot be read in a forked process, since its table library hangs there; "
            "start workers with the 'spawn' method."
        )


@contextmanager
def table_errors(path: Path, *, where: str | None = None, columns: list[str] | None = None) -> Iterator[None]:
    """Translate the table library's errors inside the block.

    Args:
        path: The catalog's folder.
        where: The user's condition, if one is at work.
        columns: What a condition may name.

    Raises:
        StorageError: The disk refused.
        ConflictError: Another process committed first.
        CatalogError: Anything else.
    """
    try:
        yield
    except (OSError, ValueError, RuntimeError) as error:
        check_store(path, error)
        text = plain_words(error)
        if _is_disk_error(error):
            raise StorageError(
                f"{path}: could not be written: {text}; nothing that was there before is lost. "
                "Free space or choose another folder, then run the same command again."
            ) from error
        if "commit conflict" in text.lower():
            raise ConflictError(
                f"{path}: another process changed the catalog meanwhile, and nothing was written; "
                "run the same command again."
            ) from error
        if where is not None:
            raise CatalogError(
                f"{path}: the condition {where!r} is not understood ({text}); "
                f"it is SQL over the columns {', '.join(columns or [])}."
            ) from error
        raise CatalogError(
            f"{path}: {text}; run the same command again, or see `synsight catalog versions`."
        ) from error


def check_store(path: Path, error: BaseException) -> None:
    """Raise a StorageError if what went wrong is a store that does not answer."""
    text = str(error)
    if (
        isinstance(path, StorePath)
        and "was not found" not in text
        and any(one in text for one in _STORE_FAILED)
    ):
        with store_errors(path):
            raise OSError(plain_words(error).split(": <?xml")[0]) from error


def plain_words(error: BaseException) -> str:
    """The message without places in the library's source code."""
    line = str(error).splitlines()[0] if str(error) else type(error).__name__
    return line.split(", /home/")[0].split(", rust/")[0].removeprefix("Invalid user input: ").rstrip(".")


def _is_disk_error(error: BaseException) -> bool:
    # Lance raises OSError for all sorts of things; the system's own carry a number, or "(os error 28)".
    return isinstance(error, OSError) and (error.errno is not None or "os error" in str(error))
