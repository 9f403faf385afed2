"""An input that may be uncertain: a number, a range or three points."""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from synsight.errors import UsageError
from synsight.evaluation.resampling import Drawn
from synsight.seeding import generator

BETWEEN = ".."


@dataclass(frozen=True)
class Amount:
    """A number with what is believed about it.

    "0.5" is sure; "0.3..0.8" is equally likely anywhere between; "0.3..0.5..0.8" is a triangle with its
    peak at 0.5. Its centre is the number, the middle of the range, or the peak.
    """

    low: float
    centre: float
    high: float
    triangle: bool = False

    @property
    def is_sure(self) -> bool:
        """Whether it is one number."""
        return self.low == self.high

    @property
    def text(self) -> str:
        """As a user types it."""
        points = (self.low, self.centre, self.high) if self.triangle else (self.low, self.high)
        return f"{self.centre:g}" if self.is_sure else BETWEEN.join(f"{one:g}" for one in points)

    def drawn(self, resamples: int, *, name: str) -> Drawn:
        """[R + 1]: the centre, then R draws that depend on the name and on nothing else."""
        values = np.full(resamples + 1, self.centre)
        if self.is_sure:
            return values
        drawer = generator("amount", name)
        if self.triangle:
            values[1:] = drawer.triangular(self.low, self.centre, self.high, size=resamples)
        else:
            values[1:] = drawer.uniform(self.low, self.high, size=resamples)
        return values


def sure(value: float) -> Amount:
    """One number."""
    return Amount(value, value, value)


def read_amount(given: str | float | Amount, *, name: str) -> Amount:
    """An amount from a number or from text as "0.3..0.8".

    Args:
        given: What the user gave.
        name: Of the flag, for the message.

    Raises:
        UsageError: It is no such number, is below zero, or its points do not rise.
    """
    if isinstance(given, Amount):
        return given
    parts = str(given).split(BETWEEN)
    try:
        points = [float(part) for part in parts]
    except ValueError:
        points = []
    rises = all(one <= other for one, other in pairwise(points))
    if not 1 <= len(points) <= 3 or not all(map(math.isfinite, points)) or points[0] < 0 or not rises:
        raise UsageError(
            f"{name}: expected a number not below zero, a range as 0.3..0.8 or three points as "
            f"0.3..0.5..0.8; got {given!r}."
        )
    low, high = points[0], points[-1]
    return Amount(low, points[1] if len(points) == 3 else (low + high) / 2, high, len(points) == 3)
