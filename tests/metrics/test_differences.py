import numpy as np
import pytest
from scipy.stats import binom, norm
from scipy.stats import t as student
from simulations import coverage_benchmark

from synsight.errors import ConfigError
from synsight.metrics import Interval, Scores, difference_of_intervals, paired_difference, score_interval
from synsight.metrics.sign_flips import sign_flip_p_value
from synsight.metrics.small_samples import EffectiveRows, wilson


def micro(hits, groups=None):
    hits = np.asarray(hits, bool)
    groups = np.arange(len(hits)) if groups is None else np.asarray(groups)
    return Scores(hits, np.zeros(len(hits), int), groups)


def discordant(better, worse, same):
    """Rows that only the first side gets right, only the second, and both."""
    first = np.r_[np.ones(better), np.zeros(worse), np.ones(same)]
    second = np.r_[np.zeros(better), np.ones(worse), np.ones(same)]
    return [micro(first)], [micro(second)]


def test_the_value_is_the_difference_of_the_means():
    first = [micro([1, 1, 0], [5, 6, 7]), micro([1, 1], [5, 6])]
    second = [micro([0, 1], [7, 5])]
    assert paired_difference(first, second).value == pytest.approx((2 / 3 + 1) / 2 - 1 / 2)


@pytest.mark.parametrize(("better", "worse"), [(9, 2), (6, 5), (1, 0), (30, 12)])
def test_without_groups_the_p_value_is_mcnemars_mid_p(better, worse):
    few, total = min(better, worse), better + worse
    by_hand = 2 * binom.cdf(few, total, 0.5) - binom.pmf(few, total, 0.5)
    if better == worse:
        by_hand = 1 - binom.pmf(few, total, 0.5) / 2
    found = paired_difference(*discordant(better, worse, 50)).p_value
    assert found == pytest.approx(min(1, by_hand), abs=0.004)


def test_drawn_signs_agree_with_all_signs():
    sizes = np.random.default_rng(0).integers(-4, 6, 12).astype(float)
    every = sign_flip_p_value(sizes)
    signs = 2 * (np.arange(4096)[:, None] >> np.arange(12) & 1) - 1
    sums, found = np.abs(signs @ sizes), abs(sizes.sum())
    assert every == pytest.approx((np.sum(sums > found) + np.sum(sums == found) / 2) / 4096)
    padded = np.r_[sizes, [1e-3, -1e-3]]  # beyond what is enumerated
    assert sign_flip_p_value(padded) == pytest.approx(every, abs=0.02)


def test_a_side_against_itself_shows_nothing_but_proves_little():
    same = [micro(np.arange(50) % 5 > 0)]
    found = paired_difference(same, same)
    assert (found.value, found.p_value) == (0, 1)
    # Two imagined groups of 1/50 that differ: t of 49 degrees times sqrt(2) / 50.
    assert found.high == -found.low == pytest.approx(student.ppf(0.975, 49) * np.sqrt(2) / 50)
    assert "0 of which differ" in found.method


def test_sides_may_be_swapped():
    rng = np.random.default_rng(0)
    for groups in (20, 200):
        first, second = micro(rng.random(groups) < 0.9), micro(rng.random(groups) < 0.6)
        found, swapped = paired_difference([first], [second]), paired_difference([second], [first])
        assert (swapped.value, swapped.p_value) == pytest.approx((-found.value, found.p_value))
        assert (swapped.low, swapped.high) == pytest.approx((-found.high, -found.low), abs=0.006)
        assert swapped.detectable == pytest.approx(found.detectable)


def test_what_is_hard_for_both_cancels():
    rng = np.random.default_rng(1)
    groups = np.repeat(np.arange(60), 4)
    worse = rng.random(240) < np.repeat(rng.choice([0.2, 0.9], 60), 4)
    better = worse | (rng.random(240) < 0.25)
    found = paired_difference([micro(better, groups)], [micro(worse, groups)])
    apart = [score_interval([micro(one, groups)]) for one in (better, worse)]
    assert found.high - found.low < 0.7 * np.hypot(*(one.high - one.low for one in apart))
    assert found.p_value < 0.001


def test_the_detectable_difference_is_found_in_eighty_of_a_hundred_experiments():
    rng = np.random.default_rng(2)
    hard = rng.random((200, 150))
    first, second = (hard + rng.normal(0, 0.2, hard.shape) < level for level in (0.68, 0.6))
    gain = first.mean() - second.mean()  # over all experiments: the true one
    judged = [
        paired_difference([micro(ours)], [micro(theirs)], resamples=20)
        for ours, theirs in zip(first, second, strict=True)
    ]
    stated = np.mean([one.detectable for one in judged])
    power = norm.cdf(gain / stated * (norm.ppf(0.8) + norm.ppf(0.975)) - norm.ppf(0.975))
    assert np.mean([one.p_value < 0.05 for one in judged]) == pytest.approx(power, abs=0.06)


@pytest.mark.parametrize(("groups", "size", "likeness"), [(60, 4, 0.5), (40, 8, 0.8)])
def test_intervals_hold_the_truth_and_tests_find_nothing_where_nothing_is(groups, size, likeness):
    simulated = coverage_benchmark()
    none = simulated.judged_pairs(400, groups, size, likeness, (0.75, 0.75), seed=1)
    some = simulated.judged_pairs(250, groups, size, likeness, (0.85, 0.75), seed=2)
    assert 0.93 <= none.coverage <= 0.97
    assert 0.03 <= none.called <= 0.07
    assert 0.93 <= some.coverage <= 0.975
    assert none.differing >= 10


def test_where_hardly_a_group_differs_too_little_is_found_rather_than_too_much():
    simulated = coverage_benchmark()
    none = simulated.judged_pairs(300, 40, 1, 0.95, (0.9, 0.9), seed=1)
    assert none.differing < 10
    assert none.called < 0.05
    assert none.coverage > 0.95


def test_seeds_that_vary_are_counted():
    rng = np.random.default_rng(0)
    sides = [
        [micro(rng.random(300) < level) for level in levels] for levels in ((0.9, 0.7, 0.8), (0.7, 0.75, 0.6))
    ]
    seeds = {"first_seeds": (0, 1, 2), "second_seeds": (0, 1, 2)}
    groups_only, counted = paired_difference(*sides), paired_difference(*sides, **seeds)
    assert counted.value == groups_only.value
    assert counted.high - counted.low > 2 * (groups_only.high - groups_only.low)
    assert counted.p_value > 0.05 > groups_only.p_value
    assert counted.method == "t over 300 groups and 3 seeds"


def test_two_seeds_are_too_few_and_copies_of_one_seed_vary_by_nothing():
    rng = np.random.default_rng(0)
    first, second = (micro(rng.random(100) < level) for level in (0.9, 0.7))
    alone = paired_difference([first], [second])
    two = paired_difference([first] * 2, [second] * 2, first_seeds=(0, 1), second_seeds=(0, 1))
    copies = paired_difference([first] * 4, [second] * 4, first_seeds=range(4), second_seeds=range(4))
    for one in (two, copies):
        assert (one.low, one.high) == pytest.approx((alone.low, alone.high))


def test_a_draw_that_is_easy_for_both_sides_cancels_where_seeds_are_the_same():
    rng = np.random.default_rng(5)
    easy = [rng.random(400) < level for level in (0.5, 0.7, 0.9)]
    first = [micro(hits | (rng.random(400) < 0.3)) for hits in easy]
    second = [micro(hits) for hits in easy]
    paired = paired_difference(first, second, first_seeds=(0, 1, 2), second_seeds=(0, 1, 2))
    apart = paired_difference(first, second, first_seeds=(0, 1, 2), second_seeds=(5, 6, 7))
    assert paired.high - paired.low < apart.high - apart.low


def test_draws_of_one_training_seed_are_one_repetition():
    rng = np.random.default_rng(6)
    first = [micro(rng.random(200) < level) for level in (0.9, 0.9, 0.7, 0.7, 0.8, 0.8)]
    second = [micro(rng.random(200) < 0.6) for _ in range(6)]
    nested = paired_difference(first, second, first_seeds=(0, 0, 1, 1, 2, 2), second_seeds=(0, 0, 1, 1, 2, 2))
    assert nested.method == "t over 200 groups and 3 seeds"
    with pytest.raises(ConfigError, match="2 and 6 seeds for 12 scores"):
        paired_difference(first, second, first_seeds=(0, 1), second_seeds=range(6))


def test_training_seeds_that_vary_are_covered():
    simulated = coverage_benchmark()
    found = simulated.judged_seeds(200, 60, 4, 0.03, seed=1)
    assert 0.93 <= found.coverage <= 0.985
    assert found.called <= 0.07


@pytest.mark.parametrize(
    ("first", "second", "low", "high"),
    [
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((5, 56), (0, 29), -0.0381, 0.1926),
    ],
)
def test_an_unpaired_difference_equals_newcombes_published_examples(first, second, low, high):
    # Newcombe 1998, Statistics in Medicine 17:873, table II, method 10
    sides = [
        Interval(hits / rows, *wilson(EffectiveRows(rows, hits / rows))) for hits, rows in (first, second)
    ]
    found = difference_of_intervals(*sides)
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)
    assert (found.p_value < 0.05) == (low > 0)


def test_the_unpaired_p_value_is_five_per_cent_where_the_interval_ends_at_zero():
    found = difference_of_intervals(Interval(0.8, 0.77, 0.83), Interval(0.75, 0.71, 0.79))
    assert found.low == pytest.approx(0)
    assert found.p_value == pytest.approx(0.05)
    assert difference_of_intervals(Interval(0.8, 0.7, 0.9), Interval(0.8, 0.7, 0.9)).p_value == 1


def test_a_setting_out_of_range_is_refused():
    with pytest.raises(ConfigError, match="level"):
        paired_difference([micro([1])], [micro([0])], level=1.5)


def test_equal_answers_are_no_difference_however_many_draws_are_averaged():
    rng = np.random.default_rng(0)
    draws = [micro(rng.random(40) < 0.5, np.arange(40) // 3) for _ in range(3)]
    found = paired_difference(draws, draws[::-1])
    assert found.p_value == 1
    assert found.value == pytest.approx(0, abs=1e-12)
