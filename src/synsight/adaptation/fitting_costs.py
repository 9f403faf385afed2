"""How much work a fit of each estimator is, before it is made: N rows, D dimensions, C classes."""

from collections.abc import Callable, Mapping

_OVERHEAD = 1e7
"""Multiplications that the checks of a fit are worth."""
_OPERATIONS: Mapping[str, Callable[[int, int, int], float]] = {
    "prototypes": lambda n, d, c: 10 * n * d + n * d * c,
    "knn": lambda n, d, c: 10 * n * d + n * n * d / 4,
    "lda": lambda n, d, c: 2.5 * n * d * d + d**3 / 4,
    "lp++": lambda n, d, c: 160 * n * d * c + n * d * min(n, d) / 4,
    "tip-adapter": lambda n, d, c: 10 * n * d * min(n, d) + 200 * n * d * c,
    "clip-adapter": lambda n, d, c: 16 * n * d * d,
    "tip-adapter-f": lambda n, d, c: 10 * n * d * min(n, d) + 200 * n * d * c + 10 * n * n * d,
    "projector": lambda n, d, c: 4 * n * d * min(n, d) + 5e6 * n,
}
"""What one fit to N rows takes, in units that are alike for all; how long a unit is, is measured."""
_BASELINE_OPERATIONS = 12
"""Times N D min(N, D): five folds and the fit itself, most of it their principal axes."""


def operations(name: str, rows: int, dimension: int, classes: int) -> float:
    """Of one fit of a candidate of `auto`."""
    return _OPERATIONS[name](rows, dimension, classes) + _OVERHEAD


def baseline_operations(rows: int, dimension: int) -> float:
    """Of a tuned logistic regression, its folds included."""
    return _BASELINE_OPERATIONS * rows * dimension * min(rows, dimension) + _OVERHEAD
