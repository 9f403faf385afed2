import numpy as np
import pytest

from synsight.errors import UsageError
from synsight.workflow.amounts import read_amount


def test_a_number_is_sure():
    amount = read_amount("0.5", name="--x")
    assert (amount.low, amount.centre, amount.high, amount.text) == (0.5, 0.5, 0.5, "0.5")
    assert (amount.drawn(10, name="x") == 0.5).all()


def test_a_range_is_uniform_and_three_points_are_a_triangle():
    uniform = read_amount("0.3..0.8", name="--x").drawn(40_000, name="x")
    triangle = read_amount("1..2..6", name="--x").drawn(40_000, name="x")
    assert (uniform[0], triangle[0]) == (0.55, 2)
    assert (uniform.min(), uniform.max()) == pytest.approx((0.3, 0.8), abs=0.001)
    assert uniform[1:].std() == pytest.approx(0.5 / np.sqrt(12), rel=0.02)
    assert triangle[1:].mean() == pytest.approx((1 + 2 + 6) / 3, rel=0.01)
    assert triangle[1:].var() == pytest.approx((1 + 4 + 36 - 2 - 6 - 12) / 18, rel=0.03)


def test_draws_depend_on_the_name_alone():
    amount = read_amount("1..2", name="--x")
    assert (amount.drawn(50, name="a") == amount.drawn(50, name="a")).all()
    assert (amount.drawn(50, name="a")[1:] != amount.drawn(50, name="b")[1:]).any()


@pytest.mark.parametrize("text", ["", "x", "-1", "2..1", "1..3..2", "1..2..3..4", "nan", "inf", "1...2"])
def test_anything_else_is_refused(text):
    with pytest.raises(UsageError, match=r"^--label-minutes: expected a number not below zero"):
        read_amount(text, name="--label-minutes")
