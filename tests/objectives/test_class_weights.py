import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from synsight.errors import ConfigError
from synsight.objectives.class_weights import class_weights


@given(
    counts=st.lists(st.integers(1, 10_000), min_size=1, max_size=20),
    kind=st.sampled_from(["none", "sqrt", "inverse", "effective"]),
)
def test_the_mean_weight_over_all_rows_is_one_and_rarer_classes_count_no_less(counts, kind):
    rows = torch.tensor(counts)
    weights = class_weights(rows, kind)
    assert float((weights * rows).sum() / rows.sum()) == pytest.approx(1, rel=1e-5)
    order = rows.argsort()
    assert (weights[order].diff() <= 1e-6 * weights.max()).all()


def test_inverse_makes_classes_count_alike_and_sqrt_by_the_root():
    rows = torch.tensor([10, 90])
    # By hand: 100 rows; inverse gives each class half of the loss, 50 / 10 and 50 / 90.
    assert class_weights(rows, "inverse").tolist() == pytest.approx([5.0, 5 / 9])
    # 1 / sqrt(10) and 1 / sqrt(90) are as 3 to 1: 30 + 90 shares of 100 rows.
    assert class_weights(rows, "sqrt").tolist() == pytest.approx([2.5, 2.5 / 3])
    assert class_weights(rows, "none").tolist() == [1.0, 1.0]


def test_effective_numbers_are_those_of_the_formula():
    # By hand, beta 0.5: 1 row is 1, 2 rows are 1.5, many are 2; weights as 1, 2/3 and 1/2.
    found = class_weights(torch.tensor([1, 2, 60]), "effective", beta=0.5)
    shares = torch.tensor([1.0, 2 / 3, 0.5])
    expected = shares * 63 / (1 + 4 / 3 + 30)
    assert found.tolist() == pytest.approx(expected.tolist())
    # With beta 0 every class has one effective row: nothing is weighted.
    assert class_weights(torch.tensor([3, 9]), "effective", beta=0.0).tolist() == pytest.approx([1, 1])


def test_a_class_without_a_row_is_refused():
    with pytest.raises(ConfigError, match="0 rows in the smallest"):
        class_weights(torch.tensor([3, 0]), "inverse")
