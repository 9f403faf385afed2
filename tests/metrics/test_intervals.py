import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import bootstrap, norm
from scipy.stats import t as student
from simulations import coverage_benchmark

from synsight.errors import ConfigError, ShapeError
from synsight.metrics import Scores, acc1, mean_per_class_recall, score_interval
from synsight.metrics.bca import bca_ends, bootstrap_over_groups, expanded_level
from synsight.metrics.scores import mean_of
from synsight.metrics.small_samples import EffectiveRows, effective_rows, wilson


def micro(hits, groups=None):
    hits = np.asarray(hits, bool)
    groups = np.arange(len(hits)) if groups is None else np.asarray(groups)
    return Scores(hits, np.zeros(len(hits), int), groups)


def grouped_hits(rng, *, groups=60, rows=4, spread=0.35):
    """Rows of a group succeed or fail together more often than not; the true mean is 0.6."""
    levels = np.clip(0.6 + spread * rng.choice([-1, 1], size=groups), 0, 1)
    return rng.random((groups, rows)) < levels[:, None], np.repeat(np.arange(groups), rows)


def macro_example(seed=0, rows=150):
    rng = np.random.default_rng(seed)
    labels, groups = rng.integers(0, 3, rows), rng.integers(0, 40, rows)
    predictions = np.where(rng.random(rows) < 0.6, labels, rng.integers(0, 3, rows))
    return labels, predictions, groups


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 9)), min_size=1, max_size=40))
def test_value_is_the_metric_itself(rows):
    labels, predictions, groups = np.array(rows).T
    hits = labels == predictions
    assert score_interval([micro(hits, groups)]).value == pytest.approx(acc1(labels, predictions))
    assert score_interval([Scores(hits, labels, groups)]).value == pytest.approx(
        mean_per_class_recall(labels, predictions)
    )


def test_bca_ends_equal_scipys_on_scipys_own_resamples():
    levels = np.random.default_rng(3).beta(4, 1, 80)  # skewed
    theirs = bootstrap((levels,), np.mean, n_resamples=3000, method="BCa", rng=np.random.default_rng(1))
    left_out = (levels.sum() - levels) / (len(levels) - 1)
    ours = bca_ends(theirs.bootstrap_distribution, value=levels.mean(), left_out=left_out)
    assert ours == pytest.approx(tuple(theirs.confidence_interval), abs=1e-9)


def test_the_bootstrap_over_groups_of_one_size_equals_scipys_bca_over_group_means():
    hits, groups = grouped_hits(np.random.default_rng(0), groups=120)
    level = expanded_level(0.95, 120)
    ours = bootstrap_over_groups(mean_of([micro(hits.ravel(), groups)]), resamples=20_000)
    theirs = bootstrap(
        (hits.mean(axis=1),),
        np.mean,
        n_resamples=20_000,
        confidence_level=level,
        method="BCa",
        rng=np.random.default_rng(1),
    ).confidence_interval
    assert ours == pytest.approx((theirs.low, theirs.high), abs=0.004)


def test_the_expanded_level_gives_a_normal_interval_the_width_of_students():
    level = expanded_level(0.95, 15)
    narrow = np.sqrt(14 / 15)  # a bootstrap's deviation, as a share of the right one
    assert norm.ppf((1 + level) / 2) * narrow == pytest.approx(student.ppf(0.975, 14))
    assert expanded_level(0.95, 10**6) == pytest.approx(0.95, abs=1e-5)


@pytest.mark.parametrize("strata", [3, 50])
def test_resampling_and_leaving_out_by_sums_equal_plain_loops(strata):
    rng = np.random.default_rng(0)
    labels, groups = rng.integers(0, strata, 150), rng.permutation(np.arange(150) % 40)
    hits = rng.random(150) < 0.6
    scores = mean_of([Scores(hits, labels, groups)])
    drawn = rng.integers(0, 40, size=(20, 40))
    counts = np.stack([np.bincount(one, minlength=40) for one in drawn]).astype(float)

    def plain(rows):
        return mean_per_class_recall(labels[rows], np.where(hits[rows], labels[rows], -1))

    slow = [plain(np.concatenate([np.flatnonzero(groups == one) for one in some])) for some in drawn]
    assert scores.resampled(counts) == pytest.approx(slow)
    without = [plain(np.flatnonzero(groups != one)) for one in range(40)]
    assert scores.left_out() == pytest.approx(without)
    assert scores.contributions().sum() == pytest.approx(plain(np.arange(150)))


@pytest.mark.parametrize(
    ("hits", "rows", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilsons_interval_equals_newcombes_published_examples(hits, rows, low, high):
    # Newcombe 1998, Statistics in Medicine 17:857, table I, method 3
    assert wilson(EffectiveRows(rows, hits / rows)) == pytest.approx((low, high), abs=5e-5)


def test_rows_without_groups_get_wilsons_interval_of_their_own_number():
    found = score_interval([micro([1] * 36 + [0] * 4)])
    assert (found.low, found.high) == pytest.approx(wilson(EffectiveRows(40, 0.9)), abs=1e-4)
    assert found.method == "Wilson, 40 effective rows"


def test_forty_hits_of_forty_do_not_prove_that_there_is_no_miss():
    found = score_interval([micro(np.ones(40))])
    assert found.value == found.high == 1
    assert found.low == pytest.approx(40 / (40 + norm.ppf(0.975) ** 2))
    assert score_interval([micro(np.zeros(40))]).high == pytest.approx(1 - found.low)


def test_rows_of_a_group_that_always_agree_count_as_one_row():
    hits = np.random.default_rng(0).random(50) < 0.7
    alone = effective_rows(mean_of([micro(hits)]))
    copied = effective_rows(mean_of([micro(np.repeat(hits, 6), np.repeat(np.arange(50), 6))]))
    assert copied.count == pytest.approx(alone.count, rel=0.02)
    assert alone.count == pytest.approx(50)


def test_groups_of_unequal_size_without_a_miss_count_by_kishs_number():
    sizes = [1, 1, 2, 8]
    found = effective_rows(mean_of([micro(np.ones(12), np.repeat(np.arange(4), sizes))]))
    assert found.count == pytest.approx(12**2 / (1 + 1 + 4 + 64))


def test_a_single_group_says_as_much_as_one_row():
    found = score_interval([micro([1, 0, 1], [4, 4, 4])])
    assert found.low < 0.1 and found.high > 0.95
    assert found.value == pytest.approx(2 / 3)


def test_the_rule_asks_the_bootstrap_only_where_groups_and_misses_are_many():
    rng = np.random.default_rng(0)
    method = {
        (groups, share): score_interval([micro(rng.random(groups) < share)], resamples=50).method
        for groups in (50, 400)
        for share in (0.7, 0.97)
    }
    assert method[400, 0.7] == "BCa bootstrap over 400 groups"
    assert all(said.startswith("Wilson") for key, said in method.items() if key != (400, 0.7))


STATED = [
    (groups, size, correlation)
    for groups in (15, 40, 80)
    for size, correlation in ((1, 0), (8, 0.1), (8, 0.8))
]
"""Of the range that docs/statistics.md states; benchmarks/coverage.py looks at all of it."""


@pytest.mark.parametrize(("groups", "size", "correlation"), STATED)
def test_ninety_five_of_a_hundred_intervals_hold_the_truth(groups, size, correlation):
    simulated = coverage_benchmark()
    held = simulated.coverage(simulated.shares(500, groups, size, correlation, (0.5, 0.99), seed=11))
    assert 0.93 <= held <= 0.97


@pytest.mark.parametrize("accuracy", [(0.85, 0.95), (0.95, 0.99)])
def test_they_do_so_where_there_is_hardly_a_miss(accuracy):
    simulated = coverage_benchmark()
    held = [
        simulated.coverage(simulated.shares(350, groups, size, correlation, accuracy, seed=5))
        for groups in (20, 80)
        for size, correlation in ((1, 0), (4, 0.5))
    ]
    assert 0.93 <= np.mean(held) <= 0.97
    assert min(held) >= 0.92 and max(held) <= 0.985


def test_the_mean_recall_of_classes_is_covered_too():
    simulated = coverage_benchmark()
    held = simulated.coverage(simulated.recalls(500, 70, 6, 0.3, (0.6, 0.9), seed=2))
    assert 0.93 <= held <= 0.97


def test_rows_that_belong_together_are_not_independent():
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(300):
        hits, _ = grouped_hits(rng)
        found = score_interval([micro(hits.ravel())], resamples=200)
        held += found.low <= 0.6 <= found.high
    assert held / 300 < 0.88


def test_draws_see_the_same_groups_so_copies_of_one_draw_leave_the_interval_as_it_is():
    for groups in (20, 80):
        hits, codes = grouped_hits(np.random.default_rng(3), groups=groups)
        once = score_interval([micro(hits.ravel(), codes)])
        thrice = score_interval([micro(hits.ravel(), codes)] * 3)
        assert (thrice.low, thrice.high) == pytest.approx((once.low, once.high))
        assert thrice.method == once.method


def test_the_mean_over_independent_draws_has_a_narrower_interval_than_one_of_them():
    rng = np.random.default_rng(4)
    draws = [micro(rng.random(50) < 0.8) for _ in range(4)]
    one, mean = score_interval(draws[:1]), score_interval(draws)
    assert mean.value == pytest.approx(np.mean([draw.hits.mean() for draw in draws]))
    assert mean.high - mean.low < 0.7 * (one.high - one.low)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**20), st.sampled_from([1, 3]), st.sampled_from([5, 30, 90]))
def test_interval_lies_in_the_unit_range_holds_the_value_and_repeats(seed, classes, groups):
    rng = np.random.default_rng(seed)
    hits, strata = rng.random(100) < rng.random(), rng.integers(0, classes, 100)
    scores = [Scores(hits, strata, rng.integers(0, groups, 100))]
    found = score_interval(scores, resamples=200, seed=seed)
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found.low < found.high
    assert found == score_interval(scores, resamples=200, seed=seed)


def test_hits_and_misses_may_be_swapped():
    labels, predictions, groups = macro_example(rows=60)
    right, wrong = (
        score_interval([Scores(hits, labels, groups)])
        for hits in (labels == predictions, labels != predictions)
    )
    assert (wrong.low, wrong.high) == pytest.approx((1 - right.high, 1 - right.low))


def test_two_thousand_resamples_of_two_thousand_rows_take_well_under_a_second():
    hits, labels = np.arange(2000) % 7 > 0, np.arange(2000) % 10
    began = time.process_time()
    found = score_interval([Scores(hits, labels, np.arange(2000))])
    assert time.process_time() - began < 1
    assert found.method.startswith("BCa")


def test_what_cannot_be_measured_is_refused():
    with pytest.raises(ShapeError, match="at least one score"):
        score_interval([])
    with pytest.raises(ShapeError, match="at least one row"):
        micro([])
    with pytest.raises(ShapeError, match=r"\(2,\), \(2,\) and \(3,\)"):
        micro([1, 0], [1, 2, 3])
    with pytest.raises(ConfigError, match="resamples"):
        score_interval([micro([1])], resamples=0)
