"""What the verbs share: results on stdout, as a table for people or as one JSON object for programs."""

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any

from cyclopts import Parameter
from rich.console import Console, RenderableType

from synsight.errors import UsageError

Flag = Annotated[bool, Parameter(show_default=False)]
"""Off unless given."""

Json = Annotated[bool, Parameter(name="--json", show_default=False)]
"""The flag that every verb has."""


def show(value: Any, *, as_json: bool, table: Callable[[], Iterable[RenderableType | str]]) -> None:
    """Print a verb's result.

    Args:
        value: What `--json` prints: plain values only.
        as_json: Whether to.
        table: Makes what people see; called only when needed.
    """
    if as_json:
        print(json.dumps(value, ensure_ascii=False, allow_nan=False))
        return
    console = Console(file=sys.stdout, highlight=False)
    if not console.is_terminal:
        console = Console(file=sys.stdout, highlight=False, width=120)
    for part in table():
        console.print(part, markup=False)


def names(text: str | None) -> tuple[str, ...]:
    """The names of a list with commas between, as "caption,keywords"."""
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


def counts(text: str, *, flag: str) -> tuple[int, ...]:
    """The whole numbers of a list with commas between, as "1,5,10".

    Raises:
        UsageError: A part is no number above zero.
    """
    parts = names(text)
    if not parts or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise UsageError(f"{flag}: expected numbers above zero with commas between, as 1,5,10; got {text!r}.")
    return tuple(int(part) for part in parts)


def count_text(pairs: Mapping[str, int] | Sequence[tuple[str, int]]) -> str:
    """Names with their counts on one line, as "train 3,790, val 543"."""
    items = pairs.items() if isinstance(pairs, Mapping) else pairs
    return ", ".join(f"{name} {count:,}" for name, count in items)
