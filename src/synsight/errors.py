"""Every error that synsight raises on purpose, as one tree.

    SynsightError             exit code 1: one clear sentence
    ├── UsageError            exit code 2: an unknown name, flag or option
    ├── ConfigError           a setting out of its range
    ├── ShapeError            tensors or arrays that do not fit each other
    ├── DataError             a source, table or column that is not as expected
    │   ├── ImageError        bytes that are no image we accept; carries a short reason
    │   └── CatalogError      a catalog that cannot be opened, read or written
    ├── StorageError          the disk refused a write (full, read-only, broken)
    ├── ModelError            a model name or folder that cannot be used
    ├── TrainingError         a run that cannot go on (NaN, collapse, foreign checkpoint)
    ├── Interrupted           the user or the system stopped us; the work so far is saved
    └── MissingDependency     an optional package; carries the one-line install command

A message is one sentence: what was expected, what was found and where, what to do next.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import ClassVar


class SynsightError(Exception):
    """Anything wrong that the user can mend; printed as one sentence, without a traceback."""

    exit_code: ClassVar[int] = 1


class UsageError(SynsightError):
    """A name, flag or option that does not exist; the message lists the near ones."""

    exit_code = 2


class ConfigError(SynsightError):
    """A setting outside the range it accepts."""


class ShapeError(SynsightError):
    """Tensors or arrays whose shapes do not fit each other."""


class DataError(SynsightError):
    """A source, table or column that is not as expected."""


class ImageError(DataError):
    """Bytes that are no image we accept.

    Attributes:
        reason: A short stable word for counting: `empty`, `not_an_image`, `truncated`,
            `too_many_pixels`, `too_many_bytes`, `unsupported_format`, `corrupt`.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class CatalogError(DataError):
    """A catalog that cannot be opened, read or written."""


class ConflictError(CatalogError):
    """Another process changed the catalog between reading and writing; nothing was written."""


class StorageError(SynsightError):
    """The disk refused a write: full, read-only or failing."""


class ModelError(SynsightError):
    """A model name or folder that cannot be used."""


class TrainingError(SynsightError):
    """A run that cannot go on."""


class Interrupted(SynsightError):  # noqa: N818  it is no error, but it ends the program like one
    """The work was stopped from outside and is saved; the message says how to go on."""

    exit_code = 130


class MissingDependency(SynsightError):  # noqa: N818  reads as what it says
    """An optional package is not installed.

    Args:
        package: The import name that failed.
        extra: The synsight extra that brings it.
        purpose: What it was wanted for, as "reading Japanese captions".
    """

    def __init__(self, package: str, *, extra: str, purpose: str) -> None:
        super().__init__(
            f'{purpose} needs {package!r}, which is not installed; run: pip install "synsight[{extra}]"'
        )


LISTED = 30
"""Names in one sentence."""


def near_names(name: str, known: Iterable[str], *, most: int = 3) -> str:
    """Say which known names are near a wrong one; list them when none is, up to 30."""
    known = sorted(known)
    near = get_close_matches(name, known, n=most, cutoff=0.5)
    if near:
        return "did you mean " + " or ".join(repr(one) for one in near) + "?"
    more = f" and {len(known) - LISTED:,} more" if len(known) > LISTED else ""
    return f"known: {', '.join(known[:LISTED])}{more}"
