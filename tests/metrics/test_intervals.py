import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import bootstrap

from synsight.errors import ConfigError, ShapeError
from synsight.metrics import (
    Scores,
    acc1,
    bootstrap_interval,
    mean_per_class_recall,
    paired_difference,
)


def micro(hits, groups=None):
    hits = np.asarray(hits, bool)
    groups = np.arange(len(hits)) if groups is None else np.asarray(groups)
    return Scores(hits, np.zeros(len(hits), int), groups)


def grouped_hits(rng, *, groups=60, rows=4, spread=0.35):
    """Rows of a group succeed or fail together more often than not; the true mean is 0.6."""
    levels = np.clip(0.6 + spread * rng.choice([-1, 1], size=groups), 0, 1)
    return rng.random((groups, rows)) < levels[:, None], np.repeat(np.arange(groups), rows)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 9)), min_size=1, max_size=40))
def test_value_is_the_metric_itself(rows):
    labels, predictions, groups = np.array(rows).T
    hits = labels == predictions
    assert bootstrap_interval([micro(hits, groups)], resamples=20).value == pytest.approx(
        acc1(labels, predictions)
    )
    assert bootstrap_interval([Scores(hits, labels, groups)], resamples=20).value == pytest.approx(
        mean_per_class_recall(labels, predictions)
    )


def test_interval_without_groups_equals_scipys():
    hits = np.random.default_rng(0).random(400) < 0.7
    ours = bootstrap_interval([micro(hits)], resamples=20_000)
    theirs = bootstrap(
        (hits.astype(float),), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.004)


def test_macro_interval_equals_plain_resampling():
    rng = np.random.default_rng(0)
    labels, groups = rng.integers(0, 3, 150), rng.integers(0, 40, 150)
    predictions = np.where(rng.random(150) < 0.6, labels, rng.integers(0, 3, 150))
    slow = []
    for _ in range(4000):
        rows = np.concatenate([np.flatnonzero(groups == one) for one in rng.integers(0, 40, 40)])
        slow.append(mean_per_class_recall(labels[rows], predictions[rows]))
    fast = bootstrap_interval([Scores(labels == predictions, labels, groups)], resamples=4000)
    assert (fast.low, fast.high) == pytest.approx(np.quantile(slow, [0.025, 0.975]), abs=0.012)


def test_ninety_five_of_a_hundred_experiments_hold_the_truth_only_when_groups_are_drawn():
    rng = np.random.default_rng(0)
    held = {"groups": 0, "rows": 0}
    for _ in range(400):
        hits, groups = grouped_hits(rng)
        for kind, codes in (("groups", groups), ("rows", np.arange(hits.size))):
            found = bootstrap_interval([micro(hits.ravel(), codes)], resamples=400)
            held[kind] += found.low <= 0.6 <= found.high
    assert 0.92 <= held["groups"] / 400 <= 0.98
    assert held["rows"] / 400 < 0.88, "rows that belong together are not independent"


def test_paired_interval_holds_the_truth_and_is_narrower_than_an_unpaired_one():
    rng = np.random.default_rng(1)
    held, narrower = 0, 0
    for _ in range(300):
        worse, groups = grouped_hits(rng)
        better = worse | (rng.random(worse.shape) < 0.25)  # true difference: 0.25 of the 0.4 misses
        found = paired_difference(
            [micro(better.ravel(), groups)], [micro(worse.ravel(), groups)], resamples=400
        )
        held += found.low <= 0.1 <= found.high
        apart = [bootstrap_interval([micro(one.ravel(), groups)], resamples=400) for one in (better, worse)]
        narrower += found.high - found.low < np.hypot(*(one.high - one.low for one in apart))
    assert 0.91 <= held / 300 <= 0.98
    assert narrower == 300


def test_difference_from_itself_is_exactly_zero():
    hits, groups = grouped_hits(np.random.default_rng(2))
    same = [micro(hits.ravel(), groups)]
    found = paired_difference(same, same)
    assert (found.value, found.low, found.high) == (0, 0, 0)


def test_draws_see_the_same_groups_so_copies_of_one_draw_leave_the_interval_as_it_is():
    hits, groups = grouped_hits(np.random.default_rng(3))
    once = bootstrap_interval([micro(hits.ravel(), groups)])
    thrice = bootstrap_interval([micro(hits.ravel(), groups)] * 3)
    assert (thrice.low, thrice.high) == pytest.approx((once.low, once.high))


def test_sides_may_have_different_numbers_of_draws_and_different_rows():
    first = [micro([1, 1, 0], [5, 6, 7]), micro([1, 1], [5, 6])]
    second = [micro([0, 1], [7, 5])]
    assert paired_difference(first, second).value == pytest.approx((2 / 3 + 1) / 2 - 1 / 2)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**20))
def test_interval_lies_in_the_unit_range_holds_the_value_and_repeats(seed):
    rng = np.random.default_rng(seed)
    hits, groups = rng.random(80) < rng.random(), rng.integers(0, 30, 80)
    found = bootstrap_interval([micro(hits, groups)], resamples=200, seed=seed)
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found == bootstrap_interval([micro(hits, groups)], resamples=200, seed=seed)


def test_a_single_group_gives_an_interval_of_no_width_and_perfect_answers_too():
    one = bootstrap_interval([micro([1, 0, 1], [4, 4, 4])])
    assert one.low == one.high == one.value
    perfect = bootstrap_interval([micro(np.ones(50))])
    assert (perfect.low, perfect.high) == (1, 1)


def test_two_thousand_resamples_of_two_thousand_rows_take_well_under_a_second():
    hits, labels = np.ones(2000, bool), np.arange(2000) % 10
    began = time.process_time()
    bootstrap_interval([Scores(hits, labels, np.arange(2000))])
    assert time.process_time() - began < 1


def test_what_cannot_be_drawn_again_is_refused():
    with pytest.raises(ShapeError, match="at least one score"):
        bootstrap_interval([])
    with pytest.raises(ShapeError, match="at least one row"):
        micro([])
    with pytest.raises(ShapeError, match=r"\(2,\), \(2,\) and \(3,\)"):
        micro([1, 0], [1, 2, 3])
    with pytest.raises(ConfigError, match="resamples"):
        bootstrap_interval([micro([1])], resamples=0)
