"""What may be said about a difference, in one plain word, when many were looked at."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from synsight.metrics import holm
from synsight.records import Result

Found = Literal["better", "worse", "no difference found"]

LEVEL = 0.05


def found_word(one: Result, p_value: float, *, level: float = LEVEL) -> Found:
    """Better, worse, or no difference found.

    Never "equal": what a test does not find may still be there. How small a difference would have been found
    is said beside it (`details["detectable"]`).

    Args:
        one: A difference in a metric of which more is better. Where its interval holds zero nothing is found,
            whatever the p-value, so that a page does not contradict itself.
        p_value: Corrected for the number of comparisons.
        level: How often, at most, a difference may be found that is none.
    """
    low = one.value if one.ci_low is None else one.ci_low
    high = one.value if one.ci_high is None else one.ci_high
    if p_value >= level or low <= 0 <= high:
        return "no difference found"
    return "better" if low > 0 else "worse"


def corrected(differences: Sequence[Result], *, level: float = LEVEL) -> list[Result]:
    """Records of differences with `details["p_holm"]` and `details["found"]` over all of them.

    The family that Holm's correction counts is every difference of one metric in the list. Two metrics are
    two readings of the same answers, so each has its own family.

    Args:
        differences: Records with `details["p_value"]`; those of several calls may be put together first.
        level: How often, at most, a family may hold a difference that is none.
    """
    metrics = dict.fromkeys(one.metric for one in differences)
    found: dict[int, Result] = {}
    for metric in metrics:
        places = [place for place, one in enumerate(differences) if one.metric == metric]
        raised = holm([differences[place].details["p_value"] for place in places])
        for place, p_holm in zip(places, raised.tolist(), strict=True):
            one = differences[place]
            word = found_word(one, p_holm, level=level)
            details = {
                **one.details,
                "p_holm": float(f"{p_holm:.4g}"),
                "comparisons": len(places),
                "found": word,
            }
            found[place] = replace(one, details=details)
    return [found[place] for place in range(len(differences))]
