"""The service and the watch name their numbers by one rule, as Prometheus' own parser reads them."""

import re

import pytest

from synsight.deployment.metric_names import LABELS, metric_name
from synsight.deployment.prometheus_text import prometheus_text
from synsight.reports.drift_records import (
    AccuracyEstimate,
    ClassShare,
    DriftResult,
    DriftSummary,
    LabelShift,
    Moved,
    SampleFacts,
)

parser = pytest.importorskip("prometheus_client.parser")


def families(text):
    return list(parser.text_string_to_metric_families(text))


def of_the_service():
    from synsight.deployment.serving.metrics import Metrics

    metrics = Metrics()
    metrics.requests.labels("/predict", "200").inc()
    metrics.seconds.labels("/predict").observe(0.1)
    metrics.confidence.labels("model").observe(0.9)
    metrics.feedback.labels("right").inc()
    return families(metrics.text().decode())


def of_the_watch():
    side = SampleFacts(catalog="cat", version=1, where=None, rows=9, looked_at=9, groups=9)
    moved = Moved(name="dark", difference=0.4, low=0.3, high=0.5, q_value=0.01, reference=0.0, current=0.4)
    kind = ClassShare(
        name="dog", predicted_reference=0.1, predicted_current=0.2, low=0, high=0.1, moved=False
    )
    accuracy = AccuracyEstimate(
        reference=0.9,
        reference_low=0.8,
        reference_high=1.0,
        value=0.8,
        low=0.7,
        high=0.9,
        error=0.1,
        method="doc",
        labelled_rows=9,
        reliable=True,
    )
    summary = DriftSummary(
        verdict="watch",
        p_value=0.02,
        words=[moved],
        alpha=0.05,
        least_p_value=0.001,
        tests=[DriftResult(name="mmd", value=0.1, p_value=0.001)],
        auc=0.9,
        novel=0.3,
        novel_low=0.2,
        novel_high=0.4,
        reference=side,
        current=side,
        model="m",
        words_from="model",
        words_tested=1,
        labels=LabelShift(predicted_by="model", method="", classes=[kind]),
        accuracy=accuracy,
        quality=[moved],
        created_at="2026-03-14T09:30:00+00:00",
    )
    return families(prometheus_text(summary))


@pytest.mark.parametrize("part", ["serve", "drift"])
def test_every_name_has_the_package_the_part_and_a_base_unit(part):
    found = of_the_service() if part == "serve" else of_the_watch()
    named = [one for one in found if not one.name.endswith("_created")]
    assert len(named) >= 7
    for one in named:
        assert re.fullmatch(rf"synsight_{part}(_[a-z0-9]+)+", one.name), one.name
        assert one.documentation.endswith(".")
        assert not re.search(r"_(share|percent|ms|millis\w*|milli\w*|total|count|sum|bucket)$", one.name)
        if one.type == "counter":
            assert {sample.name for sample in one.samples} >= {f"{one.name}_total"} or not one.samples
        shares = [sample.value for sample in one.samples if one.name.endswith("_ratio")]
        assert all(-1 <= value <= 1 for value in shares if one.type == "gauge")
    assert len({one.name for one in named}) == len(named)


def test_a_label_means_the_same_in_both():
    used = {name for one in (*of_the_service(), *of_the_watch()) for s in one.samples for name in s.labels}
    assert used - {"le"} == set(LABELS)  # `le` is a histogram's own


def test_no_number_of_one_is_taken_for_one_of_the_other():
    assert not {one.name for one in of_the_service()} & {one.name for one in of_the_watch()}


def test_a_name_is_made_of_its_parts():
    assert metric_name("serve", "requests", total=True) == "synsight_serve_requests_total"
    assert (
        metric_name("drift", "last_run", "timestamp_seconds") == "synsight_drift_last_run_timestamp_seconds"
    )
    with pytest.raises(AssertionError):
        metric_name("drift", "Share of x")
