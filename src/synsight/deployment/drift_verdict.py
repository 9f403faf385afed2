"""From tests to one verdict, and from what was found to what should be done."""

from collections.abc import Mapping, Sequence

from synsight.metrics.drift import DriftTest
from synsight.metrics.exchanges import combined_p_value
from synsight.reports.drift_records import (
    AccuracyEstimate,
    Advice,
    LabelShift,
    Moved,
    TestName,
    Verdict,
)

DOUBLE = 2
"""Times the usual share of novel images from which on they are worth collecting."""
USUAL = 0.05
"""Share of the reference's own images that count as novel."""


def overall(tests: Mapping[TestName, DriftTest]) -> float:
    """The p-value of all tests together; see `metrics.exchanges.combined_p_value`."""
    return combined_p_value([one.drawn for one in tests.values()])


def verdict_of(
    p_value: float, tests: Mapping[TestName, DriftTest], *, alpha: float, least_p_value: float
) -> Verdict:
    """`drift`: all tests together speak against chance; `watch`: one by itself would, or none could.

    Where nothing has changed, `drift` comes in at most a share alpha of the runs; `watch`, which rings no
    bell, comes more often, as several tests are looked at.
    """
    if p_value <= alpha:
        return "drift"
    if least_p_value > alpha or any(one.p_value <= alpha for one in tests.values()):
        return "watch"
    return "none"


def advice(
    verdict: Verdict,
    *,
    alpha: float,
    least_p_value: float,
    novel: float,
    to_collect: int,
    images: int,
    labels: LabelShift | None,
    accuracy: AccuracyEstimate | None,
    flags: Sequence[Moved],
    measures: Sequence[Moved],
) -> list[Advice]:
    """What to do, most urgent first.

    Args:
        verdict: Of the tests.
        alpha: Below which a p-value rings.
        least_p_value: What the number of groups allows.
        novel: Share of the current images that are novel.
        to_collect: Images in the list of those worth a label.
        images: Of the current side, all that match.
        labels: The class mix, if classes are predicted.
        accuracy: The estimate, if there is one.
        flags: Flags of the audit that more, or fewer, images have than by chance.
        measures: Measures of images that moved.
    """
    if least_p_value > alpha:
        return [Advice(kind="finer_groups", values={"least": least_p_value})]
    if verdict == "none":
        return [Advice(kind="nothing")]
    if verdict == "watch":
        return [Advice(kind="look_again")]
    found = []
    worse = [one.name for one in flags if one.difference > 0]
    if worse or measures:
        found.append(Advice(kind="check_camera", values={"names": [*worse, *(one.name for one in measures)]}))
    if accuracy is not None and accuracy.high is not None and accuracy.high < accuracy.reference_low:
        found.append(
            Advice(kind="roll_back", values={"value": accuracy.value, "reference": accuracy.reference})
        )
    if to_collect and novel > DOUBLE * USUAL:
        found.append(Advice(kind="collect", values={"images": to_collect, "novel": novel}))
    needed = accuracy.labels_needed if accuracy is not None else 0
    found.append(Advice(kind="relabel", values={"labels": needed, "images": images}))
    moved = [one.name for one in labels.classes if one.moved] if labels is not None else []
    found.append(Advice(kind="readapt", values={"classes": moved}))
    return found
