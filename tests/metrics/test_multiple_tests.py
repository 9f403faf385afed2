import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synsight.errors import ShapeError
from synsight.metrics import holm


def test_four_comparisons_by_hand():
    # sorted 0.01 0.02 0.03 0.04, times 4 3 2 1: 0.04 0.06 0.06 0.04, never below the one before
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])


def test_ten_comparisons_by_hand_and_by_statsmodels():
    # sorted already: times 10, 9, 8, ...; the seventh to ninth stay at 5 x 0.0278. The same as
    # multipletests(..., method="holm") of statsmodels 0.15.0.
    found = holm([0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.324])
    stated = [0.001, 0.0036, 0.0152, 0.0665, 0.1206, 0.139, 0.139, 0.139, 0.139, 0.324]
    assert found == pytest.approx(stated)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.randoms())
def test_never_smaller_never_above_one_and_in_the_order_given(p_values, random):
    found = holm(p_values)
    assert (found >= p_values).all() and found.max() <= 1
    assert found.min() == pytest.approx(min(1, len(p_values) * min(p_values)))
    order = random.sample(range(len(p_values)), len(p_values))
    assert holm([p_values[place] for place in order]) == pytest.approx(found[order])


def test_in_one_of_twenty_families_without_a_difference_one_is_found():
    rng = np.random.default_rng(0)
    wrong = np.mean([(holm(rng.random(10)) < 0.05).any() for _ in range(4000)])
    assert wrong == pytest.approx(0.05, abs=0.01)


def test_what_is_no_p_value_is_refused():
    with pytest.raises(ShapeError, match="0 to 1"):
        holm([0.2, 1.2])
    assert len(holm([])) == 0
