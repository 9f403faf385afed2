"""Numbers as they are written: six digits, so that no rounding error of a sum changes a byte of a report."""

import math

from synsight.evaluation.resampling import Drawn, ends
from synsight.reports.decision_records import Estimate

DIGITS = 6


def rounded(value: float) -> float:
    """To six significant digits; no minus before zero."""
    if value == 0 or not math.isfinite(value):
        return 0.0 if value == 0 else value
    return float(f"{value:.{DIGITS}g}")


def estimate(drawn: Drawn) -> Estimate:
    """Value and 95% interval of the rows of a resampling; infinite reads "never"."""
    value, (low, high) = float(drawn[0]), ends(drawn)
    numbers = [rounded(one) if math.isfinite(one) else None for one in (value, low, high)]
    signs = ["=" if math.isfinite(one) else "never" for one in (value, low, high)]
    return Estimate(
        value=numbers[0],
        low=numbers[1],
        high=numbers[2],
        value_sign="never" if signs[0] == "never" else "=",
        low_sign="never" if signs[1] == "never" else "=",
        high_sign="never" if signs[2] == "never" else "=",
    )
