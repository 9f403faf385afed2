"""Whether two facts come together, within strata and over groups: by hand, and what the intervals cover."""

import numpy as np
import pytest

from synsight.errors import ShapeError
from synsight.metrics.association import change_of, mantel_haenszel


def rows_of(tables):
    """Rows of 2x2 tables [[both, first], [second, neither]], one a stratum."""
    first, second, strata = [], [], []
    for number, ((both, one), (other, neither)) in enumerate(tables):
        for facts, count in (((1, 1), both), ((1, 0), one), ((0, 1), other), ((0, 0), neither)):
            first += [facts[0]] * count
            second += [facts[1]] * count
            strata += [number] * count
    return np.array(first, bool), np.array(second, bool), np.array(strata)


def test_for_one_stratum_it_is_the_odds_ratio_with_woolfs_error():
    first, second, _ = rows_of([((30, 10), (20, 40))])
    found = mantel_haenszel(first, second, np.arange(100))
    # Two rows are added: 0.4 of them have the first fact, half of them the second.
    assert found.log_odds == pytest.approx(np.log(30.4 * 40.6 / (10.4 * 20.6)))
    assert found.error == pytest.approx(np.sqrt(1 / 30.4 + 1 / 10.4 + 1 / 20.6 + 1 / 40.6), rel=0.03)
    assert found.odds_ratio == pytest.approx(6, rel=0.05)


def test_over_strata_it_is_mantel_and_haenszels_ratio():
    tables = [((40, 20), (15, 25)), ((60, 300), (10, 130))]
    first, second, strata = rows_of(tables)
    found = mantel_haenszel(first, second, np.arange(len(first)), strata)
    plain = (40 * 25 / 100 + 60 * 130 / 500) / (20 * 15 / 100 + 300 * 10 / 500)
    assert found.odds_ratio == pytest.approx(plain, rel=0.02)


def test_an_association_that_only_the_strata_make_is_gone_within_them():
    # Simpson: in each camera the word says nothing; the camera with the word has the defects.
    first, second, strata = rows_of([((81, 9), (9, 1)), ((1, 9), (9, 81))])
    together = mantel_haenszel(first, second, np.arange(len(first)))
    within = mantel_haenszel(first, second, np.arange(len(first)), strata)
    assert together.odds_ratio > 15
    assert within.odds_ratio == pytest.approx(1, abs=0.1)
    low, high = within.ends
    assert low < 1 < high
    change, error = change_of(together, within)
    assert change == pytest.approx(np.log(20), abs=0.1)  # 82 * 82 / (18 * 18) against 1
    assert change > 3 * error


def test_copies_of_rows_in_groups_add_nothing():
    first, second, _ = rows_of([((30, 10), (20, 40))])
    once = mantel_haenszel(first, second, np.arange(100))
    copied = mantel_haenszel(np.repeat(first, 4), np.repeat(second, 4), np.repeat(np.arange(100), 4))
    assert copied.error == pytest.approx(once.error, rel=0.05)


def test_an_empty_cell_gives_finite_wide_ends():
    first, second, _ = rows_of([((10, 0), (5, 5))])
    found = mantel_haenszel(first, second, np.arange(20))
    low, high = found.ends
    assert 0 < low < found.odds_ratio < high < 1e5
    assert high / low > 20


@pytest.mark.parametrize("ratio", [1.0, 4.0])
def test_95_percent_intervals_hold_the_truth_about_as_often(ratio):
    held, looks = 0, 200
    for seed in range(looks):
        rng = np.random.default_rng(seed)
        groups, strata = np.repeat(np.arange(200), 2), np.tile([0, 1], 200)  # a group lies in both strata
        word = (rng.random(200) < 0.3)[groups]
        odds = np.array([0.2, 1.0])[strata] * np.where(word, ratio, 1.0)
        label = rng.random(400) < odds / (1 + odds)
        low, high = mantel_haenszel(word, label, groups, strata).ends
        held += low <= ratio <= high
    assert held >= 0.91 * looks


def test_a_fact_that_never_varies_says_nothing():
    found = mantel_haenszel(np.ones(6, bool), np.arange(6) < 3, np.arange(6))
    assert found.log_odds == 0
    assert found.p_value == 1


def test_arrays_that_do_not_fit_are_refused():
    with pytest.raises(ShapeError, match="pass one of each"):
        mantel_haenszel(np.ones(3, bool), np.ones(2, bool), np.arange(3))
    one = mantel_haenszel(np.ones(3, bool), np.ones(3, bool), np.arange(3))
    other = mantel_haenszel(np.ones(4, bool), np.ones(4, bool), np.arange(4))
    with pytest.raises(ShapeError, match="same rows"):
        change_of(one, other)
