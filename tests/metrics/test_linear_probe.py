import tracemalloc

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from synsight.errors import DataError, ShapeError
from synsight.metrics import fit_few_labels, fit_linear_probe
from synsight.metrics.linear_probe import C_GRID, DEFAULT_C


def blobs(seed=0, *, rows=200, dimension=6, classes=3, distance=1.2):
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(classes, dimension)) * distance
    labels = np.arange(rows) % classes
    scales = 10.0 ** np.arange(-2, dimension - 2)  # features of very different size
    return ((centres[labels] + rng.normal(size=(rows, dimension))) * scales).astype(np.float32), labels


TRAIN, VAL, TEST = blobs(0), blobs(1), blobs(2)


def test_probabilities_equal_a_float64_minimum_of_the_penalised_likelihood():
    features, labels = TRAIN
    c = 0.1
    scaled = (features - features.mean(axis=0)) / features.std(axis=0)
    onehot = np.eye(3)[labels]

    def logits(flat, rows):
        weights = flat.reshape(3, -1)
        return rows @ weights[:, :-1].T + weights[:, -1]

    def loss(flat):
        scores = logits(flat, scaled.astype(np.float64))
        nats = np.log(np.exp(scores).sum(axis=1)) - (scores * onehot).sum(axis=1)
        return c * nats.sum() + 0.5 * (flat.reshape(3, -1)[:, :-1] ** 2).sum()

    best = minimize(loss, np.zeros(3 * 7), method="BFGS", options={"gtol": 1e-6}).x
    rows = (TEST[0] - features.mean(axis=0)) / features.std(axis=0)
    expected = np.exp(logits(best, rows))
    expected /= expected.sum(axis=1, keepdims=True)
    probe = fit_linear_probe(*TRAIN, *VAL, num_classes=3, grid=(c,))
    assert probe.converged
    np.testing.assert_allclose(probe.probabilities(TEST[0]), expected, atol=2e-3)


def test_warm_starts_along_the_grid_change_no_answer():
    probe = fit_linear_probe(*TRAIN, *VAL, num_classes=3)
    scaler = StandardScaler().fit(TRAIN[0])
    cold = LogisticRegression(C=probe.c, max_iter=5000, tol=1e-6).fit(scaler.transform(TRAIN[0]), TRAIN[1])
    np.testing.assert_allclose(
        probe.probabilities(TEST[0]), cold.predict_proba(scaler.transform(TEST[0])), atol=5e-3
    )


def test_the_best_c_on_the_validation_rows_is_kept():
    scaler = StandardScaler().fit(TRAIN[0])
    reached = {}
    for c in C_GRID:
        cold = LogisticRegression(C=c, max_iter=5000).fit(scaler.transform(TRAIN[0]), TRAIN[1])
        reached[c] = cold.score(scaler.transform(VAL[0]), VAL[1])
    probe = fit_linear_probe(*TRAIN, *VAL, num_classes=3)
    assert np.mean(probe.probabilities(VAL[0]).argmax(axis=1) == VAL[1]) == max(reached.values())


def test_unchanged_by_the_size_and_place_of_the_features():
    moved = [(features * 37 + 5, labels) for features, labels in (TRAIN, VAL, TEST)]
    here = fit_linear_probe(*TRAIN, *VAL, num_classes=3)
    there = fit_linear_probe(*moved[0], *moved[1], num_classes=3)
    assert here.c == there.c
    np.testing.assert_allclose(here.probabilities(TEST[0]), there.probabilities(moved[2][0]), atol=5e-3)


def test_a_class_without_training_rows_gets_no_probability_and_a_constant_feature_no_nan():
    features, labels = TRAIN
    features = features.copy()
    features[:, 0] = 4
    probe = fit_linear_probe(features, labels * 2, VAL[0], VAL[1] * 2, num_classes=6)
    probabilities = probe.probabilities(TEST[0])
    assert probabilities.shape == (200, 6)
    assert (probabilities[:, [1, 3, 5]] == 0).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)


def test_few_labels_choose_c_by_themselves_and_beat_chance():
    features, labels = blobs(0, rows=30)
    probe = fit_few_labels(features, labels, np.arange(30), num_classes=3)
    assert probe.c in C_GRID
    assert np.mean(probe.probabilities(TEST[0]).argmax(axis=1) == TEST[1]) > 0.6


def test_few_labels_choose_weak_regularisation_for_clean_labels_and_strong_for_noise():
    clean, labels = blobs(0, rows=60, distance=4)
    noise = np.random.default_rng(5).normal(size=clean.shape).astype(np.float32)
    assert (
        fit_few_labels(clean, labels, np.arange(60), num_classes=3).c
        > fit_few_labels(noise, labels, np.arange(60), num_classes=3).c
    )


def test_folds_never_part_a_group():
    """Near-duplicates with noise features: parted, they would make any weak C look perfect."""
    rng = np.random.default_rng(0)
    noise = np.repeat(rng.normal(size=(30, 20)), 4, axis=0).astype(np.float32)
    labels, groups = np.repeat(np.arange(30) % 3, 4), np.repeat(np.arange(30), 4)
    parted = fit_few_labels(noise, labels, np.arange(120), num_classes=3)
    whole = fit_few_labels(noise, labels, groups, num_classes=3)
    assert whole.c < parted.c


def test_one_label_a_class_takes_the_stated_default():
    features, labels = blobs(0, rows=3)
    assert fit_few_labels(features, labels, np.arange(3), num_classes=3).c == DEFAULT_C


def test_two_classes_work_like_more():
    features, labels = blobs(0, rows=40, classes=2, distance=3)
    probe = fit_few_labels(features, labels, np.arange(40), num_classes=2)
    test_features, test_labels = blobs(4, classes=2, distance=3)
    assert np.mean(probe.probabilities(test_features).argmax(axis=1) == test_labels) > 0.9


def test_what_does_not_fit_is_named():
    features, labels = TRAIN
    with pytest.raises(ShapeError, match="two classes"):
        fit_linear_probe(features, labels * 0, *VAL, num_classes=3)
    with pytest.raises(ShapeError, match="6 dimensions"):
        fit_linear_probe(*TRAIN, *VAL, num_classes=3, grid=(1.0,)).probabilities(features[:, :2])
    with pytest.raises(DataError, match="finite"):
        fit_few_labels(features * np.nan, labels, np.arange(200), num_classes=3)


def test_many_rows_are_copied_twice_at_most_and_never_in_double_precision(monkeypatch):
    monkeypatch.setattr("synsight.metrics.softmax_regression._CELLS", 50_000)
    rng = np.random.default_rng(0)
    labels = rng.integers(2, size=8_000)
    features = (rng.normal(size=(8_000, 128)) + labels[:, None]).astype(np.float32)
    tracemalloc.start()
    try:
        fit_linear_probe(features, labels, features[:50], labels[:50], num_classes=2, grid=(1e-4,))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 3 * features.nbytes  # standardised rows, rows in their axes, and what is small


@pytest.mark.parametrize("rows", [30, 500])  # fewer and more than dimensions
def test_blocks_of_rows_give_the_axes_and_the_fit_of_all_at_once(monkeypatch, rows):
    rng = np.random.default_rng(1)
    labels = np.arange(rows) % 3
    features = (rng.normal(size=(rows, 60)) + 0.3 * labels[:, None]).astype(np.float32)
    found = []
    for cells in (10**9, 60 * 7):
        monkeypatch.setattr("synsight.metrics.softmax_regression._CELLS", cells)
        probe = fit_linear_probe(features, labels, features, labels, num_classes=3, grid=(0.01, 0.1))
        found.append(probe.probabilities(features))
    np.testing.assert_allclose(found[0], found[1], atol=2e-3)
