import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lightly.utils.benchmarking import knn_predict

from synsight.errors import ConfigError, DataError, ShapeError
from synsight.metrics import neighbour_count, weighted_knn


def problem(seed=0, *, train=60, test=17, dimension=8, classes=4):
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(classes), rng.integers(0, classes, train - classes)])
    features = rng.normal(size=(train, dimension)).astype(np.float32)
    return features, labels, rng.normal(size=(test, dimension)).astype(np.float32)


def by_hand(train, labels, test, *, classes, k, temperature):
    """The vote as plain loops in float64."""
    rows = []
    for x in test.astype(np.float64):
        cosines = [float(x @ y / np.linalg.norm(x) / np.linalg.norm(y)) for y in train.astype(np.float64)]
        votes = [0.0] * classes
        for i in sorted(range(len(cosines)), key=lambda i: -cosines[i])[:k]:
            votes[labels[i]] += np.exp(cosines[i] / temperature)
        rows.append([vote / sum(votes) for vote in votes])
    return np.array(rows)


@pytest.mark.parametrize("k", [1, 5, 60])
def test_probabilities_equal_plain_loops_in_float64(k):
    train, labels, test = problem()
    found = weighted_knn(train, labels, test, num_classes=4, k=k, temperature=0.1, batch=5)
    expected = by_hand(train, labels, test, classes=4, k=k, temperature=0.1)
    np.testing.assert_allclose(found, expected, atol=2e-5)


@pytest.mark.parametrize(("k", "temperature"), [(1, 0.1), (7, 0.1), (20, 0.07), (20, 1.0)])
def test_ranks_the_classes_as_lightly_does(k, temperature):
    train, labels, test = problem(seed=3, train=300, test=100, classes=6)
    unit_train = torch.nn.functional.normalize(torch.from_numpy(train), dim=1)
    unit_test = torch.nn.functional.normalize(torch.from_numpy(test), dim=1)
    theirs = knn_predict(
        unit_test, unit_train.T, torch.from_numpy(labels), num_classes=6, knn_k=k, knn_t=temperature
    )[:, 0]
    ours = weighted_knn(train, labels, test, num_classes=6, k=k, temperature=temperature)
    np.testing.assert_array_equal(ours.argmax(axis=1), theirs.numpy())


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**20), k=st.integers(1, 30), batch=st.integers(1, 20))
def test_unchanged_by_length_row_order_and_batch_and_sums_to_one(seed, k, batch):
    train, labels, test = problem(seed, train=30)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(train))
    lengths = rng.uniform(0.1, 10, size=(len(train), 1)).astype(np.float32)
    plain = weighted_knn(train, labels, test, num_classes=4, k=k)
    other = weighted_knn((train * lengths)[order], labels[order], test, num_classes=4, k=k, batch=batch)
    np.testing.assert_allclose(plain, other, atol=1e-4)
    np.testing.assert_allclose(plain.sum(axis=1), 1, atol=1e-5)
    assert (plain >= 0).all()


def test_a_tiny_temperature_gives_the_nearest_neighbour_and_no_overflow():
    train, labels, test = problem()
    sharp = weighted_knn(train, labels, test, num_classes=4, k=20, temperature=1e-5)
    nearest = weighted_knn(train, labels, test, num_classes=4, k=1)
    assert np.isfinite(sharp).all()
    np.testing.assert_array_equal(sharp.argmax(axis=1), nearest.argmax(axis=1))


def test_a_zero_row_gets_an_answer_instead_of_nan():
    train, labels, test = problem()
    test[0] = 0
    assert np.isfinite(weighted_knn(train, labels, test, num_classes=4, k=3)).all()


def test_neighbours_are_twice_the_smallest_class_but_at_most_twenty_and_at_most_all():
    assert neighbour_count(np.repeat([0, 1], [50, 4])) == 8
    assert neighbour_count(np.repeat([0, 1], [50, 40])) == 20
    assert neighbour_count(np.repeat([0, 3], [50, 4])) == 8, "a class without rows is not the smallest"
    assert neighbour_count(np.array([0])) == 1


def test_what_does_not_fit_is_named():
    train, labels, test = problem()
    with pytest.raises(ConfigError, match=r"k must lie in 1 to 60 .* got 61"):
        weighted_knn(train, labels, test, num_classes=4, k=61)
    with pytest.raises(ShapeError, match="same model"):
        weighted_knn(train, labels, test[:, :3], num_classes=4, k=3)
    with pytest.raises(ShapeError, match=r"0 to 2 \(num_classes=3\); found 0 to 3"):
        weighted_knn(train, labels, test, num_classes=3, k=3)
    train[7] = np.nan
    with pytest.raises(DataError, match="1 of 60 rows are not, the first is row 7"):
        weighted_knn(train, labels, test, num_classes=4, k=3)
