"""Progress bars on stderr; silent when stderr is no terminal."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


class Bar(Protocol):
    """What the work may tell its bar."""

    def advance(self, steps: float = 1) -> None:
        """Move on by so many steps."""

    def describe(self, text: str) -> None:
        """Replace the words before the bar."""


class _RichBar:
    def __init__(self, progress: Progress, description: str, total: float | None) -> None:
        self._progress = progress
        self._task = progress.add_task(description, total=total)

    def advance(self, steps: float = 1) -> None:
        self._progress.advance(self._task, steps)

    def describe(self, text: str) -> None:
        self._progress.update(self._task, description=text)


@contextmanager
def progress_bar(description: str, *, total: float | None = None, shown: bool = True) -> Iterator[Bar]:
    """Show a bar on stderr while the block runs.

    Args:
        description: The words before the bar, as "ingest".
        total: How many steps there are; None when nobody knows.
        shown: False hides it on a terminal too.
    """
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    hidden = not (shown and console.is_terminal)
    with Progress(*columns, console=console, transient=True, disable=hidden) as progress:
        yield _RichBar(progress, description, total)
