"""The optimum of scikit-learn's LogisticRegression, in less time."""

import numpy as np
import pytest
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression

from synsight.metrics.softmax_regression import softmax_path


def rows(seed, *, count, dimension, classes):
    """Features that correlate strongly, as an encoder's do, standardised."""
    rng = np.random.default_rng(seed)
    mix = rng.normal(size=(dimension, dimension)) * 0.6 ** np.arange(dimension)
    labels = np.arange(count) % classes
    features = (
        rng.normal(size=(classes, dimension))[labels] + 1.5 * rng.normal(size=(count, dimension))
    ) @ mix
    return ((features - features.mean(axis=0)) / features.std(axis=0)).astype(np.float32), labels


def objective(weight, bias, c, features, labels):
    nats = -log_softmax(features.astype(np.float64) @ weight.T + bias, axis=1)
    return nats[np.arange(len(labels)), labels].sum() + 0.5 / c * (weight**2).sum()


@pytest.mark.parametrize("count", [400, 20])  # more and fewer rows than dimensions
@pytest.mark.parametrize("c", [1e-3, 0.1, 10.0])
def test_the_objective_is_scikit_learns_minimum(count, c):
    features, labels = rows(0, count=count, dimension=30, classes=4)
    (found,) = softmax_path(features, labels, grid=(c,))
    best = LogisticRegression(C=c, max_iter=20_000, tol=1e-8).fit(features.astype(np.float64), labels)
    least = objective(best.coef_, best.intercept_, c, features, labels)
    assert found.converged
    assert objective(found.weight, found.bias, c, features, labels) == pytest.approx(
        least, rel=3e-5, abs=1e-4
    )
    np.testing.assert_allclose(found.probabilities(features), best.predict_proba(features), atol=5e-3)


@pytest.mark.parametrize("c", [1.0, 100.0])
def test_classes_that_can_be_told_apart_surely_have_their_optimum_too(c):
    features, labels = rows(4, count=300, dimension=200, classes=5)
    *_, found = softmax_path(features, labels, grid=(1e-2, c))
    best = LogisticRegression(C=c, max_iter=20_000, tol=1e-10).fit(features.astype(np.float64), labels)
    least = objective(best.coef_, best.intercept_, c, features, labels)
    assert least / len(labels) < 0.01  # nats a row: nothing is left to learn
    assert found.converged
    assert objective(found.weight, found.bias, c, features, labels) == pytest.approx(least, rel=1e-4)


def test_a_harder_tolerance_ends_lower():
    features, labels = rows(5, count=400, dimension=30, classes=4)
    coarse, fine = (
        objective(one.weight, one.bias, 1.0, features, labels)
        for tolerance in (0.1, 1e-5)
        for one in softmax_path(features, labels, grid=(1.0,), tolerance=tolerance)
    )
    assert fine < coarse < 1.1 * fine


def test_two_classes_are_penalised_as_scikit_learns_single_row():
    features, labels = rows(1, count=200, dimension=10, classes=2)
    (found,) = softmax_path(features, labels, grid=(0.05,))
    best = LogisticRegression(C=0.05, tol=1e-8, max_iter=5000).fit(features, labels)
    np.testing.assert_allclose(found.probabilities(features), best.predict_proba(features), atol=2e-3)


def test_a_warm_start_changes_no_answer_and_classes_keep_their_numbers():
    features, labels = rows(2, count=300, dimension=12, classes=3)
    *_, warm = softmax_path(features, labels * 7, grid=(1e-3, 1e-2, 1e-1, 1.0))
    (cold,) = softmax_path(features, labels * 7, grid=(1.0,))
    np.testing.assert_allclose(warm.probabilities(features), cold.probabilities(features), atol=5e-3)
    assert warm.classes.tolist() == [0, 7, 14]


def test_features_that_do_not_vary_have_no_part():
    features, labels = rows(3, count=60, dimension=5, classes=3)
    (plain,) = softmax_path(features, labels, grid=(0.1,))
    still = np.concatenate([features, np.full((60, 2), 0.5, np.float32)], axis=1)
    (found,) = softmax_path(still, labels, grid=(0.1,))
    np.testing.assert_allclose(found.weight[:, 5:], 0, atol=1e-6)
    np.testing.assert_allclose(found.probabilities(still), plain.probabilities(features), atol=1e-3)
