import math
from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synsight.deployment.drift_verdict import advice, verdict_of
from synsight.deployment.estimated_accuracy import (
    difference_of_confidences,
    estimated_accuracy,
    labels_needed,
    thresholded_confidence,
)
from synsight.deployment.label_shift import Answers, black_box_shares, expected_shares, label_shift
from synsight.deployment.monitoring import Evidence, find_drift
from synsight.deployment.novel_images import Novelty, most_novel, periods
from synsight.deployment.prometheus_text import prometheus_text, write_prometheus
from synsight.deployment.watched_rows import WatchedRows, moment_of
from synsight.deployment.word_drift import SeenWords, moved
from synsight.errors import ConfigError, ShapeError
from synsight.metrics.drift import DriftTest
from synsight.reports.drift_records import AccuracyEstimate, DriftResult, DriftSummary, Moved, SampleFacts


def facts(name="cat"):
    return SampleFacts(catalog=name, version=3, where=None, rows=9, looked_at=9, groups=9)


def rows_of(features, *, groups=None, moments=None, name="cat"):
    size = len(features)
    own = [f"{name} {one}" for one in range(size)] if groups is None else groups
    return WatchedRows(
        facts=facts(name),
        positions=np.arange(size),
        ids=np.array([f"{name}{one}" for one in range(size)], object),
        groups=np.array(own, object),
        features=features.astype(np.float32),
        labels=np.full(size, None, object),
        moments=np.array([None] * size if moments is None else moments, object),
        measures=None,
    )


def classified(shares, size, *, seed):
    """Labels of a mix and calibrated probabilities: x ~ N(class mean, 1) in two dimensions, mix 1/3 each."""
    rng = np.random.default_rng(seed)
    means = np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0]])
    labels = rng.choice(3, size=size, p=shares)
    x = means[labels] + rng.normal(size=(size, 2))
    scores = np.exp(-((x[:, None] - means[None]) ** 2).sum(-1) / 2)
    return labels, (scores / scores.sum(1, keepdims=True)).astype(np.float32)


EVEN, SKEWED = (1 / 3, 1 / 3, 1 / 3), (0.1, 0.2, 0.7)


def sides(*, seed=0, size=2000):
    labels, before = classified(EVEN, size, seed=seed)
    truth, after = classified(SKEWED, size, seed=seed + 1000)
    reference = Answers(before, np.arange(size), labels)
    return reference, Answers(after, np.arange(size, 2 * size)), truth


def test_shares_that_explain_the_predictions_are_found_exactly():
    confusion = np.array([[0.8, 0.1, 0.0], [0.2, 0.7, 0.3], [0.0, 0.2, 0.7]])
    truth = np.array([0.5, 0.2, 0.3])
    np.testing.assert_allclose(black_box_shares(confusion, confusion @ truth), truth, atol=1e-9)


def test_both_ways_find_a_changed_class_mix_that_the_predictions_understate():
    reference, current, _ = sides()
    found = {one.name: one for one in label_shift("abc", reference, current, predicted_by="model").classes}
    for name, true in zip("abc", SKEWED, strict=True):
        assert found[name].estimate == pytest.approx(true, abs=0.03)
    assert found["c"].predicted_current < 0.64
    assert found["c"].moved
    by_em = expected_shares(current.probabilities, np.array(EVEN))
    np.testing.assert_allclose(by_em, SKEWED, atol=0.03)


def test_intervals_of_class_shares_hold_the_truth():
    held = 0
    for seed in range(20):
        reference, current, truth = sides(seed=seed, size=400)
        shift = label_shift("abc", reference, current, predicted_by="model")
        assert shift.method == "bbse"
        for one in shift.classes:
            held += one.estimate_low <= np.mean(truth == "abc".index(one.name)) <= one.estimate_high
    assert held >= 52  # of 60; P(fewer | 95%) = 0.6%


def test_where_confusions_cannot_be_solved_for_expectation_and_maximisation_answers():
    reference, current, _ = sides(size=300)
    flat = np.full_like(reference.probabilities, 0.3) + np.array([0.1, 0, 0], np.float32)
    found = label_shift("abc", replace(reference, probabilities=flat), current, predicted_by="model")
    assert found.method == "em"
    assert sum(one.estimate for one in found.classes) == pytest.approx(1)


def test_without_labels_only_predictions_are_compared():
    reference, current, _ = sides(size=300)
    found = label_shift("abc", replace(reference, labels=None), current, predicted_by="model")
    assert found.method == ""
    assert all(one.estimate is None and one.true_reference is None for one in found.classes)


def test_confidence_above_the_threshold_and_its_difference_by_hand():
    confidences, hits = np.array([0.9, 0.8, 0.6, 0.5]), np.array([True, True, False, True])
    asked = np.array([0.95, 0.7, 0.55, 0.4])
    assert thresholded_confidence(confidences, hits, asked) == 0.75  # one is wrong: above 0.5
    assert difference_of_confidences(confidences, hits, asked) == pytest.approx(0.75 - 0.7 + 0.65)
    with pytest.raises(ShapeError, match="same n >= 1"):
        thresholded_confidence(confidences, hits[:2], asked)


@pytest.mark.parametrize("compute", [thresholded_confidence, difference_of_confidences])
def test_the_reference_itself_is_estimated_at_its_own_accuracy(compute):
    rng = np.random.default_rng(0)
    confidences = rng.random(500)
    hits = rng.random(500) < confidences
    assert compute(confidences, hits, confidences) == pytest.approx(hits.mean())


def test_a_changed_class_mix_is_estimated_within_the_stated_error():
    within = 0
    for seed in range(20):
        reference, current, truth = sides(seed=seed, size=500)
        found = estimated_accuracy(reference, current, drifted=False, seed=seed)
        assert found.reliable
        within += found.low <= np.mean(current.predictions == truth) <= found.high
    assert within >= 17  # P(fewer | 95%) = 1.6%


def test_doubts_are_said():
    reference, current, _ = sides(size=150)
    found = estimated_accuracy(reference, current, drifted=True, trained_on=0.4)
    assert not found.reliable
    assert found.doubts == ["drift", "few_labels", "trained_on"]
    unknown = replace(reference, labels=np.full(150, -1))
    assert estimated_accuracy(unknown, current, drifted=False) is None


def test_outside_of_what_the_reference_covers_there_is_no_estimate():
    reference, current, _ = sides(size=300)
    for far in ({"apart": 0.93}, {"novel": 0.6}):
        found = estimated_accuracy(reference, current, drifted=True, **far)
        assert (found.value, found.low, found.high) == (None, None, None)
        assert found.doubts == ["outside"]
        assert found.labels_needed == 385  # whatever it is
        by_chance = estimated_accuracy(reference, current, drifted=False, **far)
        assert by_chance.reliable  # with few images the two may well be told apart by chance
    near = estimated_accuracy(reference, current, drifted=True, apart=0.9, novel=0.5)
    assert near.low <= near.value <= near.high


def test_labels_that_stand_by_themselves_are_counted_each_above_a_half_and_not_corrected():
    before = np.repeat([[0.9, 0.6], [0.1, 0.6]], 50, axis=0)
    after = np.repeat([[0.9, 0.6], [0.9, 0.4]], 50, axis=0)
    codes = np.arange(100), np.arange(100, 200)
    asked = (
        Answers(before.astype(np.float32), codes[0], np.zeros(100, np.int64), one_of=False),
        Answers(after.astype(np.float32), codes[1], one_of=False),
    )
    found = label_shift(("rust", "crack"), *asked, predicted_by="model")
    told = {one.name: one for one in found.classes}
    assert not found.one_of
    assert found.method == ""
    assert (told["rust"].predicted_reference, told["rust"].predicted_current) == (0.5, 1.0)
    assert (told["crack"].predicted_reference, told["crack"].predicted_current) == (1.0, 0.5)
    assert told["rust"].moved
    assert told["rust"].low > 0 > told["crack"].high
    assert estimated_accuracy(*asked, drifted=False) is None


def test_labels_needed_for_five_points():
    assert labels_needed(0.5) == math.ceil(1.959964**2 * 0.25 / 0.05**2) == 385
    assert labels_needed(0.99) == 139


WORDS = ("rust", "steel", "sky")


def seen(shift, *, n=300, m=200, seed=0):
    rng = np.random.default_rng(seed)
    before, after = (np.clip(rng.normal(0.4, 0.1, size=(one, 3)), 0, 1) for one in (n, m))
    after[:, 0] += shift
    after[:, 1] -= shift / 2
    return SeenWords(WORDS, before.astype(np.float32), after.astype(np.float32), "model")


def compared(shift, *, seed=0, alpha=0.05, **more):
    rng = np.random.default_rng(seed + 50)
    reference, current = rng.normal(size=(300, 6)), rng.normal(size=(200, 6)) + shift
    words = seen(shift, seed=seed)
    return find_drift(
        rows_of(reference, name="a"),
        rows_of(current, name="b"),
        Evidence(words=words),
        model="m",
        alpha=alpha,
        exchanges=99,
        **more,
    )


def test_words_that_moved_are_named_with_intervals_that_hold_the_change():
    found = compared(0.12).summary
    assert found.verdict == "drift"
    assert [one.name for one in found.words] == ["rust", "steel"]
    rust, steel = found.words
    assert rust.low <= 0.12 <= rust.high
    assert rust.low > 0.05
    assert steel.low <= -0.06 <= steel.high < 0
    assert rust.difference == pytest.approx(rust.current - rust.reference)


def test_without_drift_no_word_is_named_and_nothing_is_to_be_done():
    found = compared(0.0, seed=1).summary
    assert found.verdict == "none"
    assert not found.words
    assert [one.kind for one in found.advice] == ["nothing"]
    assert found.words_tested == 3


def test_settings_that_could_never_ring_are_refused():
    with pytest.raises(ConfigError, match="alpha must be between 0 and 1; got 0"):
        compared(0.0, alpha=0)
    with pytest.raises(ConfigError, match=r"exchanges must be at least 1000 for alpha 0\.001; got 99"):
        compared(0.0, alpha=0.001)


def test_words_not_found_come_last_with_intervals_of_their_own():
    words = seen(0.12)
    codes = np.arange(300), np.arange(300, 500)
    every = moved(WORDS, words.reference, words.current, codes, alpha=0.05, only_found=False)
    assert [one.name for one in every] == ["rust", "steel", "sky"]
    assert every[2].low <= 0 <= every[2].high


def test_few_groups_give_a_watch_and_the_advice_to_compare_more():
    rng = np.random.default_rng(0)
    before = rows_of(rng.normal(size=(40, 4)), groups=["lot 1"] * 20 + ["lot 2"] * 20)
    after = rows_of(rng.normal(size=(20, 4)) + 3, groups=["lot 3"] * 20)
    found = find_drift(before, after, Evidence(), model="m").summary
    assert found.verdict == "watch"
    assert found.least_p_value == pytest.approx(1 / 3)
    assert found.p_value >= 1 / 3
    assert [one.kind for one in found.advice] == ["finer_groups"]


def test_the_verdict_follows_the_p_values():
    rings = {"mmd": DriftTest(np.append(9.0, np.arange(8.0).repeat(20)))}
    silent = {"mmd": DriftTest(np.append(4.0, np.arange(8.0).repeat(20)))}
    assert verdict_of(0.04, silent, alpha=0.05, least_p_value=0.001) == "drift"
    assert verdict_of(0.2, rings, alpha=0.05, least_p_value=0.001) == "watch"
    assert verdict_of(0.2, silent, alpha=0.05, least_p_value=0.001) == "none"
    assert verdict_of(0.2, silent, alpha=0.05, least_p_value=0.2) == "watch"


def dark(change=0.4):
    return Moved(
        name="dark", difference=change, low=0.3, high=0.5, q_value=0.001, reference=0.01, current=0.41
    )


def test_what_to_do_follows_from_what_was_found():
    estimate = AccuracyEstimate(
        reference=0.9,
        reference_low=0.87,
        reference_high=0.93,
        value=0.7,
        low=0.65,
        high=0.75,
        error=0.05,
        method="doc",
        labelled_rows=500,
        reliable=False,
        labels_needed=323,
    )
    every = {"alpha": 0.05, "least_p_value": 0.001, "labels": None, "to_collect": 40, "images": 5000}
    found = advice("drift", novel=0.3, accuracy=estimate, flags=[dark()], measures=[], **every)
    assert [one.kind for one in found] == ["check_camera", "roll_back", "collect", "relabel", "readapt"]
    assert found[3].values["labels"] == 323
    calm = advice("drift", novel=0.06, accuracy=None, flags=[], measures=[], **every)
    assert [one.kind for one in calm] == ["relabel", "readapt"]
    assert [one.kind for one in advice("watch", novel=0, accuracy=None, flags=[], measures=[], **every)] == [
        "look_again"
    ]


def test_the_most_novel_images_are_one_of_each_group_and_furthest_first():
    found = Novelty(np.arange(100.0), np.array([10.0, 500.0, 300.0, 400.0, 99.0, np.nan]))
    groups = np.array([0, 1, 1, 2, 3, 4])
    assert found.limit == pytest.approx(94.05)
    assert most_novel(found, groups, most=10).tolist() == [1, 3, 4]
    assert most_novel(found, groups, most=1).tolist() == [1]
    assert found.ranks[:2].tolist() == [0.1, 1.0]


def test_novel_images_are_counted_by_the_month_they_came():
    moments = [datetime(2026, month, day) for month in range(1, 6) for day in range(1, 29, 3)]
    before, after = (rows_of(np.zeros((len(some), 1)), moments=some) for some in (moments[:30], moments[30:]))
    distances = Novelty(np.arange(30) / 100, np.array([1.0] * 7 + [0.0] * 13))
    found = periods(distances, before, after, (np.arange(30), np.arange(30, 50)))
    assert [(one.name, one.sample, one.rows) for one in found] == [
        ("2026-01", "reference", 10),
        ("2026-02", "reference", 10),
        ("2026-03", "reference", 10),
        ("2026-04", "current", 10),
        ("2026-05", "current", 10),
    ]
    assert [one.novel for one in found[3:]] == [0.7, 0.0]
    assert found[3].low < 0.7 < found[3].high


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026:03:14 09:30:00", datetime(2026, 3, 14, 9, 30)),
        ("2026-03-14T09:30:00Z", datetime(2026, 3, 14, 9, 30)),
        ("2026-03-14", datetime(2026, 3, 14)),
        ("yesterday", None),
        (17, None),
    ],
)
def test_times_are_read_as_cameras_and_people_write_them(text, moment):
    assert moment_of(text) == moment


def summary(name="m", *, words=()):
    return DriftSummary(
        verdict="drift",
        p_value=0.002,
        words=words,
        alpha=0.05,
        least_p_value=0.001,
        tests=[DriftResult(name="mmd", value=0.1, p_value=0.001)],
        auc=0.9,
        novel=0.3,
        novel_low=0.2,
        novel_high=0.4,
        reference=facts(),
        current=facts("now"),
        model=name,
        words_from="model",
        words_tested=3,
        quality=[dark()],
        created_at="2026-03-14T09:30:00+00:00",
    )


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=20), st.text(min_size=1, max_size=20))
def test_prometheus_reads_the_text_back_whatever_names_say(model, word):
    parser = pytest.importorskip("prometheus_client.parser")
    text = prometheus_text(summary(model, words=[replace(dark(0.25), name=word)]))
    found = {one.name: one.samples for one in parser.text_string_to_metric_families(text)}
    (sample,) = found["synsight_drift_word_difference_ratio"]
    assert sample.value == 0.25
    assert found["synsight_drift_verdict"][0].value == 2
    assert found["synsight_drift_p_value"][0].labels["current"] == "now"
    assert found["synsight_drift_last_run_timestamp_seconds"][0].value == 1773480600
    assert [one.value for one in found["synsight_drift_flagged_images_ratio"]] == [0.01, 0.41]


def test_an_accuracy_that_is_not_estimated_has_no_series():
    reference, current, _ = sides(size=200)
    for far, told in ((0.95, False), (0.6, True)):
        estimate = estimated_accuracy(reference, current, drifted=True, apart=far)
        text = prometheus_text(replace(summary(), accuracy=estimate))
        assert ("estimated_accuracy" in text) == told
        assert "reference_accuracy" in text
        assert "None" not in text


def test_quotes_backslashes_and_lines_survive(tmp_path):
    parser = pytest.importorskip("prometheus_client.parser")
    write_prometheus(tmp_path / "drift.prom", summary('a"b\\c\nd'))
    families = parser.text_string_to_metric_families((tmp_path / "drift.prom").read_text())
    assert next(iter(families)).samples[0].labels["model"] == 'a"b\\c\nd'
    assert [one.name for one in tmp_path.iterdir()] == ["drift.prom"]
