"""SIGINT and SIGTERM as a wish that the loop grants after the step it is in."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass
class Stop:
    """Whether somebody asked the run to end."""

    signal_name: str | None = None


@contextmanager
def stop_signals() -> Iterator[Stop]:
    """Turn the first SIGINT or SIGTERM inside the block into a wish; a second one acts as it did before."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # only the main thread may handle signals
        return
    former: dict[int, Any] = {}

    def restore() -> None:
        for number, handler in former.items():
            signal.signal(number, handler)

    def wish(number: int, _: object) -> None:
        stop.signal_name = signal.Signals(number).name
        restore()

    for number in (signal.SIGINT, signal.SIGTERM):
        former[number] = signal.signal(number, wish)
    try:
        yield stop
    finally:
        restore()
