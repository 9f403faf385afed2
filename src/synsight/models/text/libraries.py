"""What the libraries of the extra `text` have in common: they may be missing, and they fail in many ways."""

from importlib import import_module
from typing import Any

from synsight.errors import MissingDependency


def optional_module(name: str, *, purpose: str) -> Any:
    """A module of an optional package.

    Args:
        name: Its import name, as "open_clip.tokenizer".
        purpose: What it is wanted for, as "cutting captions into sub-words".

    Raises:
        MissingDependency: The package is not installed.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise MissingDependency(error.name or name, extra="text", purpose=purpose) from None


def reason_of(error: Exception) -> str:
    """What a library's error says, in one line without a full stop."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(". ") if lines else type(error).__name__
