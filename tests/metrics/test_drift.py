import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.covariance import LedoitWolf
from sklearn.metrics import roc_auc_score

from synsight.errors import ConfigError, DataError, ShapeError
from synsight.metrics.drift import distance_tests, domain_classifier, novelty, standardised
from synsight.metrics.exchanges import combined_p_value, draw_exchanges, p_values
from synsight.metrics.mean_differences import discoveries, largest_difference, mean_differences


def samples(n=60, m=40, d=6, *, shift=0.0, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)), rng.normal(size=(m, d)) + shift


def alone(n, m, **more):
    return draw_exchanges(np.arange(n), np.arange(n, n + m), **more)


def loops_mmd(rows, first, scale):
    kernel = np.exp(-((rows[:, None] - rows[None]) ** 2).sum(-1) / scale)
    x, y = np.flatnonzero(first), np.flatnonzero(~first)
    within = [np.mean([kernel[i, j] for i, j in itertools.permutations(one, 2)]) for one in (x, y)]
    return sum(within) - 2 * kernel[np.ix_(x, y)].mean()


def test_mmd_is_the_mean_over_pairs_for_the_truth_and_for_every_exchange():
    rows = standardised(*samples(25, 17, shift=0.4))
    dealt = alone(25, 17, exchanges=19)
    squared = ((rows[:, None].astype(float) - rows[None]) ** 2).sum(-1)
    scale = np.median(squared[np.triu_indices(len(rows), 1)])
    found = distance_tests(rows, dealt).mmd.drawn
    expected = [loops_mmd(rows.astype(float), one, scale) for one in dealt.in_first]
    np.testing.assert_allclose(found, expected, atol=2e-6)


def test_the_energy_distance_is_scipys_squared():
    first, second = samples(70, 50, 1, shift=0.5)
    rows = standardised(first, second)
    found = distance_tests(rows, alone(70, 50, exchanges=9)).energy.value
    assert found == pytest.approx(stats.energy_distance(rows[:70, 0], rows[70:, 0]) ** 2, rel=1e-4)


def test_distances_do_not_depend_on_the_tile(monkeypatch):
    rows, dealt = standardised(*samples(90, 60)), alone(90, 60, exchanges=9)
    whole = distance_tests(rows, dealt)
    monkeypatch.setattr("synsight.metrics.drift.TILE", 7)
    parts = distance_tests(rows, dealt)
    np.testing.assert_allclose(parts.mmd.drawn, whole.mmd.drawn, atol=1e-6)
    np.testing.assert_allclose(parts.energy.drawn, whole.energy.drawn, atol=1e-5)


def test_the_classifier_is_a_shrunk_discriminant_on_groups_it_has_not_seen():
    first, second = samples(80, 50, shift=0.5)
    rows, dealt = standardised(first, second), alone(80, 50, exchanges=5)
    found = domain_classifier(rows, dealt, folds=3, seed=1)
    fold_of = np.random.default_rng(1).permutation(130) % 3
    for number in (0, 3):
        second_side = ~dealt.in_first[number]
        won = pairs = 0.0
        for fold in range(3):
            train, held = fold_of != fold, fold_of == fold
            x = rows[train].astype(float)
            sides = second_side[train] - second_side[train].mean()
            direction = np.linalg.solve(LedoitWolf().fit(x).covariance_, (x - x.mean(0)).T @ sides)
            count = second_side[held].sum() * (~second_side[held]).sum()
            won += roc_auc_score(second_side[held], rows[held] @ direction) * count
            pairs += count
        assert found.auc.drawn[number] == pytest.approx(won / pairs, abs=1e-3)
    assert found.scores[80:].mean() > found.scores[:80].mean() + 0.2


def test_p_values_are_shares_of_the_dealings_that_are_as_large():
    np.testing.assert_allclose(p_values(np.array([3.0, 1, 3, 2])), [0.5, 1, 0.5, 0.75])


def test_one_of_several_tests_that_is_extreme_makes_the_whole_small_but_pays_for_the_others():
    rng = np.random.default_rng(0)
    tests = [np.append(9.0, rng.normal(size=999)), *rng.normal(size=(4, 1000))]
    alone_, together = combined_p_value(tests[:1]), combined_p_value(tests)
    assert alone_ == pytest.approx(0.001)
    assert 0.001 < together < 0.01
    assert combined_p_value([tests[0]] * 5) == pytest.approx(0.001)  # saying the same costs nothing
    with pytest.raises(ShapeError, match="same dealings"):
        combined_p_value([tests[0], tests[1][:10]])


def test_the_combination_is_the_harmonic_mean_among_those_of_the_dealings_by_hand():
    one, other = np.array([3.0, 1, 2, 0]), np.array([2.0, 3, 0, 1])
    # p-values of the dealings: 1/4 3/4 2/4 4/4 and 2/4 1/4 4/4 3/4; sums of 1/p: 6, 16/3, 3, 7/3.
    assert combined_p_value([one, other]) == pytest.approx(1 / 4)
    assert combined_p_value([np.roll(one, 1), np.roll(other, 1)]) == pytest.approx(4 / 4)


def test_sides_with_the_same_rows_do_not_differ_by_what_sums_are_rounded():
    rows = np.random.default_rng(0).random((40, 3)).astype(np.float32) * 255
    same = draw_exchanges(np.arange(40), np.arange(40), exchanges=50)
    found = largest_difference(np.concatenate([rows, rows]), same)
    assert (found.value, found.p_value) == (0, 1)


def test_several_nearly_certain_tests_add_up_where_few_dealings_tie_the_smallest_p_values():
    rng = np.random.default_rng(3)
    null = np.argsort(rng.random((6, 199)), axis=1).astype(float)  # ranks, as independent tests have them
    tests = [np.append(196.5, row) for row in null]  # the third smallest p-value in each
    assert [p_values(one)[0] for one in tests] == [pytest.approx(0.015)] * 6
    smallest = np.min([p_values(one) for one in tests], axis=0)
    assert p_values(-smallest)[0] > 0.05
    assert combined_p_value(tests) <= 0.01


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=25), st.lists(st.integers(3, 9), min_size=1, max_size=25)
)
def test_groups_are_dealt_whole_and_shared_groups_keep_their_share(first, second):
    dealt = draw_exchanges(np.array(first), np.array(second), exchanges=20, seed=1)
    both = np.array(first + second)
    truth = dealt.in_first[0]
    assert truth.tolist() == [True] * len(first) + [False] * len(second)
    for group in set(both.tolist()):
        own = both == group
        if group in first and group in second:
            assert (dealt.in_first[:, own].sum(axis=1) == truth[own].sum()).all()
        else:
            assert (dealt.in_first[:, own].all(axis=1) | ~dealt.in_first[:, own].any(axis=1)).all()
    only = [one for one in set(both.tolist()) if not (one in first and one in second)]
    counts = [sum(bool(row[both == one].all()) for one in only) for row in dealt.in_first]
    assert len(set(counts)) == 1


def test_the_least_p_value_says_what_so_few_groups_can_prove():
    two_by_two = draw_exchanges(np.array([0, 0, 1]), np.array([2, 3, 3]), exchanges=999)
    assert two_by_two.least_p_value == pytest.approx(1 / 6)
    assert draw_exchanges(np.array([0]), np.array([1, 1])).least_p_value == pytest.approx(1 / 2)
    shared = draw_exchanges(np.array([0, 0]), np.array([0, 0]))
    assert shared.least_p_value == pytest.approx(1 / 6)
    assert alone(50, 50).least_p_value == pytest.approx(1 / 1000)


def drift_p(first, second, groups=None, *, seed=0):
    codes = groups or (np.arange(len(first)), np.arange(len(first), len(first) + len(second)))
    dealt = draw_exchanges(*codes, exchanges=99, seed=seed)
    rows = standardised(first, second)
    distances = distance_tests(rows, dealt)
    tests = [distances.mmd, distances.energy, domain_classifier(rows, dealt).auc]
    return combined_p_value([one.drawn for one in tests]), [one.p_value for one in tests]


def test_without_drift_it_rings_in_one_of_twenty_cases():
    rang = sum(drift_p(*samples(50, 30, 8, seed=seed), seed=seed)[0] <= 0.05 for seed in range(300))
    assert rang <= 25  # P(more | 5%) = 0.5%


def test_groups_that_differ_are_no_drift_but_rows_taken_for_independent_would_ring():
    rang, fooled = 0, 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        rows = np.repeat(rng.normal(size=(16, 5)), 6, axis=0) + 0.3 * rng.normal(size=(96, 5))
        codes = np.repeat(np.arange(16), 6)
        rang += drift_p(rows[:54], rows[54:], (codes[:54], codes[54:]), seed=seed)[0] <= 0.05
        fooled += drift_p(rows[:54], rows[54:], seed=seed)[0] <= 0.05
    assert rang <= 6  # P(more | 5%) = 0.3%
    assert fooled >= 30


def test_a_shift_of_three_tenths_of_a_deviation_is_found():
    for seed in range(4):
        first, second = samples(500, 300, 128, shift=0.3, seed=seed)
        together, (mmd, energy, classifier) = drift_p(first, second, seed=seed)
        assert max(together, mmd, energy, classifier) <= 0.05


def test_concepts_that_both_sides_show_are_compared_with_themselves():
    rng = np.random.default_rng(3)
    concepts = 3 * rng.normal(size=(60, 4))
    first = concepts + 0.1 * rng.normal(size=(60, 4))
    second = concepts + 0.1 * rng.normal(size=(60, 4)) + 0.15
    codes = np.arange(60)
    assert drift_p(first, second, (codes, codes))[0] <= 0.05
    assert drift_p(first, second)[0] > 0.2


def test_the_largest_difference_is_in_units_of_its_spread_over_the_dealings():
    rows, dealt = np.random.default_rng(0).normal(size=(30, 4)), alone(18, 12, exchanges=30)
    differences = np.array([rows[~one].mean(0) - rows[one].mean(0) for one in dealt.in_first])
    expected = np.abs(differences / differences.std(axis=0)).max(axis=1)
    np.testing.assert_allclose(largest_difference(rows, dealt).drawn, expected, rtol=1e-4)
    flat = np.concatenate([rows, np.ones((30, 600))], axis=1)  # a column that never varies says nothing
    np.testing.assert_allclose(largest_difference(flat, dealt).drawn, expected, rtol=1e-4)


def test_without_groups_mean_differences_are_welchs():
    first, second = samples(30, 20, 3, shift=0.4)
    found = mean_differences(first, second, first_groups=np.arange(30), second_groups=np.arange(30, 50))
    welch = stats.ttest_ind(second, first, equal_var=False)
    np.testing.assert_allclose(found.p_values, welch.pvalue, rtol=1e-9)
    ends = welch.confidence_interval(0.9)
    np.testing.assert_allclose(found.value - found.half_widths(0.9), ends.low, rtol=1e-9)


def test_pairs_have_the_error_of_paired_differences():
    first, second = samples(40, 40, 2, shift=0.1)
    second = second + 5 * first
    codes = np.arange(40)
    found = mean_differences(first, second, first_groups=codes, second_groups=codes)
    expected = (second - first).std(axis=0, ddof=1) / np.sqrt(40)
    np.testing.assert_allclose(found.error, expected, rtol=1e-9)


def test_a_side_of_one_group_proves_nothing():
    first, second = samples(30, 10, 2, shift=9.0)
    found = mean_differences(first, second, first_groups=np.arange(30), second_groups=np.full(10, 99))
    assert np.isinf(found.error).all()
    assert (found.p_values == 1).all()


def test_false_discoveries_are_held_down_and_intervals_agree_with_them():
    rng = np.random.default_rng(5)
    first, second = rng.normal(size=(200, 300)), rng.normal(size=(200, 300))
    second[:, :20] += 0.8
    found = mean_differences(first, second, first_groups=np.arange(200), second_groups=np.arange(200, 400))
    told = discoveries(found.p_values)
    assert told.found[:20].all()
    assert told.found[20:].sum() <= 2
    np.testing.assert_allclose(told.q_values, stats.false_discovery_control(found.p_values, method="by"))
    excludes_zero = np.abs(found.value) > found.half_widths(told.level)
    np.testing.assert_array_equal(excludes_zero, told.found)
    with pytest.raises(ConfigError, match="alpha must be between 0 and 1; got 2"):
        discoveries(found.p_values, alpha=2)


def test_novelty_is_the_mean_distance_to_the_nearest_of_other_groups():
    first, second = samples(30, 8, 3, shift=1.0)
    groups, others = np.arange(30) // 2, np.array([0, 1, 99, 98, 97, 96, 95, 94])
    found = novelty(first, second, known_groups=groups, groups=others, neighbours=3)
    scaled = [(one - first.mean(0)) / first.std(0) for one in (first, second)]
    for row, group, value in zip(scaled[1], others, found, strict=True):
        distances = np.sort(np.linalg.norm(scaled[0][groups != group] - row, axis=1))
        assert value == pytest.approx(distances[:3].mean(), rel=1e-4)


def test_bad_arrays_are_refused():
    first, second = samples()
    with pytest.raises(ShapeError, match="one dimension"):
        standardised(first, second[:, :3])
    second[0, 0] = np.nan
    with pytest.raises(DataError, match="finite"):
        standardised(first, second)
    with pytest.raises(ShapeError, match="two samples need rows"):
        draw_exchanges(np.arange(3), np.arange(0))


def test_a_flag_that_all_have_and_none_had_is_no_matter_of_chance():
    first, second = np.zeros((30, 2)), np.column_stack([np.ones(20), np.zeros(20)])
    found = mean_differences(first, second, first_groups=np.arange(30), second_groups=np.arange(30, 50))
    assert found.p_values[0] < 1e-6
    assert 0 < found.half_widths()[0] < 0.2
    assert found.p_values[1] == 1
