"""What the benchmarks share: variants that take turns, and what a figure is printed with."""

import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

Step = Callable[[], object]


def take_turns(
    steps: Mapping[str, Step],
    *,
    turns: int,
    warm_up: int = 2,
    clock: Callable[[], float] = time.process_time,
) -> dict[str, list[float]]:
    """Seconds of each variant, a value a turn; the order is reversed from turn to turn, so that nobody
    always follows the same one.
    """
    for step in steps.values():
        for _ in range(warm_up):
            step()
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(turns):
        for name in list(steps) if turn % 2 else list(reversed(steps)):
            began = clock()
            steps[name]()
            seconds[name].append(clock() - began)
    return seconds


def ratio(numerator: Sequence[float], denominator: Sequence[float]) -> str:
    """Median of the ratios within a turn, with their range."""
    ratios = [above / below for above, below in zip(numerator, denominator, strict=True)]
    return f"{statistics.median(ratios):.2f} [{min(ratios):.2f} to {max(ratios):.2f}]"


def machine(*packages: str, threads: int) -> str:
    """The processor and the versions that a figure depends on."""
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    return f"{processor()}, {threads} thread(s); {versions}"


def processor() -> str:
    """The processor's own name."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    named = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor()
