import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, balanced_accuracy_score

from synsight.errors import ShapeError
from synsight.metrics import acc1, chance_recall, mean_per_class_recall, most_frequent_accuracy

pairs = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=60)


@given(pairs)
@pytest.mark.filterwarnings("ignore:y_pred contains classes:UserWarning")
@pytest.mark.filterwarnings("ignore:A single label:UserWarning")
def test_both_metrics_equal_scikit_learns(rows):
    labels, predictions = np.array(rows).T
    assert acc1(labels, predictions) == pytest.approx(accuracy_score(labels, predictions))
    assert mean_per_class_recall(labels, predictions) == pytest.approx(
        balanced_accuracy_score(labels, predictions)
    )


def test_micro_counts_rows_and_macro_counts_classes():
    labels, predictions = np.array([0, 0, 0, 1]), np.array([0, 0, 0, 0])
    assert acc1(labels, predictions) == 0.75
    assert mean_per_class_recall(labels, predictions) == 0.5


def test_baselines_are_what_an_answer_without_looking_reaches():
    train, test = np.array([2, 2, 1, 0]), np.array([2, 1, 1, 1, 0])
    always = np.full(5, 2)
    assert most_frequent_accuracy(train, test) == acc1(test, always) == 0.2
    assert chance_recall(test) == mean_per_class_recall(test, always) == pytest.approx(1 / 3)


def test_rows_that_do_not_match_are_refused():
    with pytest.raises(ShapeError, match=r"\(3,\) and \(2,\)"):
        acc1(np.zeros(3, int), np.zeros(2, int))
    with pytest.raises(ShapeError, match="N >= 1"):
        mean_per_class_recall(np.zeros(0, int), np.zeros(0, int))
