"""Where a person is told how things stand and asked whether to go on; on stderr, like all progress."""

import sys

from rich.console import Console
from rich.prompt import Confirm
from rich.text import Text

from synsight.errors import UsageError
from synsight.records import Gate
from synsight.reports.text import shortened


class Desk:
    """Shows gates, and asks unless it was told yes beforehand.

    Raises:
        UsageError: There is nobody to ask.
    """

    def __init__(self, *, yes: bool) -> None:
        if not yes and not sys.stdin.isatty():
            raise UsageError(
                "the pilot asks at its gates, but there is no terminal to answer from; give --yes (yes=True)."
            )
        self._yes = yes
        self._console = Console(stderr=True, highlight=False)

    def tell(self, sentence: str) -> None:
        """Say one thing."""
        self._console.print(Text(sentence))

    def show(self, number: int, gate: Gate) -> None:
        """Show a gate's verdict with what it rests on."""
        colour = "green" if gate.go else "red"
        self._console.print(Text(f"\nGate {number}, {gate.name}: {gate.sentence}", style=f"bold {colour}"))
        for what, found, well in gate.checks:
            mark = Text("  ✓ " if well else "  ! ", style="green" if well else "red")
            self._console.print(mark + Text(f"{what}: {shortened(found, most=200)}"))

    def agrees(self, question: str) -> bool:
        """Ask, and tell whether the answer was yes."""
        return self._yes or Confirm.ask(question, console=self._console, default=True)
