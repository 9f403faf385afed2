"""What the search found, as records in the order in which they are told."""

import numpy as np

from synsight.data.catalog import Catalog
from synsight.deployment.slice_examples import missed_examples
from synsight.deployment.slice_parts import Parts
from synsight.deployment.slice_rows import JudgedRows
from synsight.deployment.slice_search import Pairs, Singles
from synsight.metrics.small_samples import EffectiveRows, wilson
from synsight.reports.slice_records import Part, Slice

SHOWN = 12
"""Slices of the summary, besides those found; slices.json has all."""
MOST_SHOWN = 100
WITH_EXAMPLES = 8
"""Slices whose examples a page shows."""


def single_records(
    parts: Parts, same: list[list[Part]], found: Singles, false_discovery_rate: float
) -> list[Slice]:
    """All slices; those found first, then by p-value."""
    tests = found.tests
    order = np.lexsort((-tests.rates, tests.p_values)) if len(parts) else np.array([], np.int64)
    records = []
    for one in order.tolist():
        accuracy = 1 - float(tests.rates[one])
        low, high = wilson(EffectiveRows(float(tests.effective_rows[one]), accuracy))
        records.append(
            Slice(
                parts=[parts.names[one]],
                rows=int(tests.rows[one]),
                accuracy=accuracy,
                ci_low=low,
                ci_high=high,
                others=1 - float(tests.other_rates[one]),
                expected=float(found.expected[one]),
                shrunk=float(found.shrunk[one]),
                p_value=float(tests.p_values[one]),
                q_value=float(found.q_values[one]),
                found=bool(found.q_values[one] <= false_discovery_rate),
                same_rows=same[one],
            )
        )
    return records


def pair_records(parts: Parts, found: Pairs, false_discovery_rate: float) -> list[Slice]:
    """All pairs that were tested, by p-value."""
    tests = found.tests
    records = []
    for one in np.argsort(tests.p_values, kind="stable").tolist():
        first, second = found.parts[one]
        accuracy = 1 - float(tests.rates[one])
        low, high = wilson(EffectiveRows(float(tests.effective_rows[one]), accuracy))
        records.append(
            Slice(
                parts=[parts.names[first], parts.names[second]],
                rows=int(tests.rows[one]),
                accuracy=accuracy,
                ci_low=low,
                ci_high=high,
                others=1 - float(tests.other_rates[one]),
                expected=None,
                shrunk=None,
                p_value=float(tests.p_values[one]),
                q_value=float(found.q_values[one]),
                found=bool(found.q_values[one] <= false_discovery_rate),
            )
        )
    return records


def shown(found: list[Slice]) -> list[Slice]:
    """Those found, and some more that are below the others, worst first."""
    below = [one for one in found if one.found or one.accuracy < one.others]
    return below[: min(MOST_SHOWN, max(SHOWN, sum(one.found for one in found)))]


def with_examples(
    rows: JudgedRows, catalog: Catalog, parts: Parts, chosen: list[Slice], count: int, seed: int
) -> list[Slice]:
    """The first found ones with pictures of what was answered wrongly."""
    filled = []
    for number, one in enumerate(chosen):
        if one.found and number < WITH_EXAMPLES and count:
            inside = np.arange(len(rows))
            for part in one.parts:
                inside = np.intersect1d(inside, parts.rows_of(parts.names.index(part)))
            pictures = missed_examples(rows, catalog, inside, count=count, seed=seed)
            one = Slice(**{**vars(one), "examples": pictures})
        filled.append(one)
    return filled
