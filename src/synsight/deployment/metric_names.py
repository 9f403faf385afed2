"""What Prometheus calls the numbers of this package: one rule for the service and for the watch.

    synsight_<part>_<what>[_<unit>][_total]

`part` says who counts: `serve`, or `drift` for `synsight monitor`. The unit is a base unit, never a share
of one: `seconds`, and `ratio` for what lies between 0 and 1. What only grows ends in `_total`. A label
means the same wherever it stands.

Reference: https://prometheus.io/docs/practices/naming/
"""

import re
from typing import Literal

Part = Literal["serve", "drift"]
Unit = Literal["", "seconds", "timestamp_seconds", "ratio"]

LABELS = {
    "route": "path of the API",
    "status": "of HTTP",
    "head": "name under which a head is served",
    "verdict": "what a person said of a prediction: right or wrong",
    "model": "name of the model that is watched",
    "reference": "name of the catalog that is compared with",
    "current": "name of the catalog that is watched",
    "side": "reference or current",
    "test": "a test for drift",
    "word": "a word of the vocabulary",
    "flag": "a finding of the audit",
    "label": "a class",
}
"""Every label, and what its values are."""


def metric_name(part: Part, what: str, unit: Unit = "", *, total: bool = False) -> str:
    """The full name of a number.

    Args:
        part: Who counts.
        what: Lower case, words joined by `_`; plural for counts, as `requests`.
        unit: Of the value; "": a count, a state or a number without unit.
        total: It only grows.
    """
    assert re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", what), what
    return "_".join(["synsight", part, what, *([unit] if unit else []), *(["total"] if total else [])])
