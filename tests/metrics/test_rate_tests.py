"""Which part of the rows has more of something: exact tests, by hand and by simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scipy.stats import false_discovery_control, fisher_exact

from synsight.errors import ShapeError
from synsight.metrics.rate_tests import intra_group_correlation, more_often, shrunk


def drawn_members(rng, rows, parts, *, share=0.1):
    return csr_array((rng.random((rows, parts)) < share).astype(np.float64))


@given(st.integers(0, 2**32 - 1))
def test_for_rows_without_groups_the_p_value_is_fishers(seed):
    rng = np.random.default_rng(seed)
    events, members = rng.random(40) < 0.3, drawn_members(rng, 40, 4, share=0.4)
    found = more_often(events, members, np.arange(40))
    for part, member in enumerate(members.toarray().T > 0):
        table = [
            [(events & member).sum(), (~events & member).sum()],
            [(events & ~member).sum(), (~events & ~member).sum()],
        ]
        expected = fisher_exact(table, alternative="greater").pvalue if member.any() else 1
        assert found.p_values[part] == pytest.approx(expected, abs=1e-9)
    np.testing.assert_array_equal(found.effective_rows, found.rows)


def test_every_row_three_times_in_a_group_says_what_the_row_says_once():
    rng = np.random.default_rng(0)
    events, members = rng.random(60) < 0.3, drawn_members(rng, 60, 5, share=0.3)
    once = more_often(events, members, np.arange(60))
    copied = more_often(
        np.repeat(events, 3), csr_array(np.repeat(members.toarray(), 3, axis=0)), np.repeat(np.arange(60), 3)
    )
    np.testing.assert_allclose(copied.rows, 3 * once.rows)
    np.testing.assert_allclose(copied.effective_rows, once.rows)
    np.testing.assert_allclose(copied.p_values, once.p_values)


def test_the_correlation_within_groups_is_that_of_the_analysis_of_variance():
    # Groups {1, 3}, {5, 7}, {9}: overall mean 5, between = (2*9 + 2*1 + 1*16) / 2 = 18, within = 4 / 2 = 2,
    # size = (5 - 9/5) / 2 = 1.6, correlation = (18 - 2) / (18 + 0.6 * 2).
    values, groups = np.array([1.0, 3, 5, 7, 9]), np.array([4, 4, 0, 0, 9])
    assert intra_group_correlation(values, groups) == pytest.approx(16 / 19.2)
    assert intra_group_correlation(values, np.arange(5)) == 0
    assert intra_group_correlation(np.ones(5), groups) == 0


def test_the_effective_rows_of_a_part_count_its_own_groups():
    members = csr_array(np.array([[1, 0], [1, 0], [0, 1], [0, 1]]))  # one group of two; two groups of one
    found = more_often(np.array([1, 0, 1, 0], bool), members, np.array([0, 0, 1, 2]), correlation=0.5)
    np.testing.assert_allclose(found.effective_rows, [2 / 1.5, 2])


def test_with_nothing_planted_the_worst_of_500_parts_is_found_in_at_most_5_percent_of_cases():
    false_finds, looks = 0, 300
    for seed in range(looks):
        rng = np.random.default_rng(seed)
        groups = np.repeat(np.arange(300), 3)
        chances = rng.beta(4, 1, 300)[groups]  # rows of one group are alike
        misses = rng.random(900) >= chances
        words = drawn_members(rng, 300, 500, share=rng.uniform(0.02, 0.3)).toarray()[groups]
        members = csr_array(words[:, words.sum(axis=0) >= 20])
        p_values = more_often(misses, members, groups).p_values
        false_finds += bool((false_discovery_control(p_values) <= 0.05).any())
    # 300 looks at a true 5% give at most 24 in 99% of cases.
    assert false_finds <= 24


def test_without_the_groups_the_same_simulation_would_cry_wolf():
    false_finds = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        groups = np.repeat(np.arange(300), 3)
        misses = rng.random(900) >= rng.choice([0.1, 1.0], 300, p=[0.2, 0.8])[groups]
        members = csr_array(drawn_members(rng, 300, 500).toarray()[groups])
        p_values = more_often(misses, members, np.arange(900)).p_values
        false_finds += bool((false_discovery_control(p_values) <= 0.05).any())
    assert false_finds > 12  # over 20%


def test_a_planted_part_among_500_is_found():
    found = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        members = drawn_members(rng, 1500, 500, share=0.05)
        planted = members.toarray()[:, 7] > 0
        misses = rng.random(1500) < np.where(planted, 0.5, 0.2)
        corrected = false_discovery_control(more_often(misses, members, np.arange(1500)).p_values)
        found += bool(corrected[7] <= 0.05 and corrected.argmin() == 7)
    assert found >= 38


def test_shrinking_takes_the_luck_out_of_the_largest_difference():
    raw_bias, shrunk_bias = [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        truth = np.where(rng.random(400) < 0.05, rng.normal(0, 0.2, 400), 0.0)
        errors = rng.uniform(0.03, 0.1, 400)
        measured = truth + errors * rng.normal(size=400)
        expected = shrunk(measured, errors)
        worst = int(measured.argmin())
        raw_bias.append(measured[worst] - truth[worst])
        shrunk_bias.append(expected[worst] - truth[worst])
    assert np.mean(raw_bias) < -0.06
    assert abs(np.mean(shrunk_bias)) < 0.02


def test_what_is_shrunk_lies_between_zero_and_what_was_measured_and_a_sure_difference_stays():
    rng = np.random.default_rng(1)
    errors = np.full(200, 0.05)
    measured = 0.05 * rng.normal(size=200)
    measured[3] = -0.6
    expected = shrunk(measured, errors)
    assert (np.abs(expected) <= np.abs(measured)).all()
    assert (expected * measured >= 0).all()
    assert expected[3] == pytest.approx(-0.6, abs=0.03)
    assert np.abs(np.delete(expected, 3)).max() < 0.03
    assert len(shrunk(np.array([]), np.array([]))) == 0


def test_events_of_another_length_are_refused():
    with pytest.raises(ShapeError, match=r"must be \[4\]"):
        more_often(np.ones(3, bool), csr_array(np.ones((4, 1))), np.arange(4))
