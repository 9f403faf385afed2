import numpy as np
import pytest
from sklearn.metrics import top_k_accuracy_score

from synsight.errors import ShapeError
from synsight.metrics import most_frequent_top_k, top_k_hits


def test_equals_scikit_learns_top_k_accuracy():
    rng = np.random.default_rng(0)
    probabilities, labels = rng.dirichlet(np.ones(9), 200), rng.integers(0, 9, 200)
    theirs = top_k_accuracy_score(labels, probabilities, k=5, labels=np.arange(9))
    assert top_k_hits(probabilities, labels, k=5).mean() == pytest.approx(theirs)


def test_with_one_answer_it_is_the_accuracy():
    probabilities = np.random.default_rng(0).dirichlet(np.ones(4), 50)
    labels = np.arange(50) % 4
    assert (top_k_hits(probabilities, labels, k=1) == (probabilities.argmax(axis=1) == labels)).all()


def test_classes_that_share_a_probability_win_nothing_by_their_order():
    votes = np.array([[1.0, 0, 0, 0], [1.0, 0, 0, 0]])
    assert top_k_hits(votes, np.array([0, 1]), k=2).tolist() == [True, False]


def test_naming_the_most_frequent_classes_is_right_as_often_as_they_are_shown():
    train = np.repeat(np.arange(4), [9, 1, 5, 3])
    assert most_frequent_top_k(train, np.array([0, 1, 2, 3]), k=2) == 0.5


def test_arrays_that_do_not_fit_are_refused():
    with pytest.raises(ShapeError, match="one label a row"):
        top_k_hits(np.eye(3), np.arange(2))
