"""Linear probes that begin at given rows: against scikit-learn, torch, and what a start may do."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch.nn import functional as F

from synsight.errors import ConfigError, ShapeError
from synsight.metrics.linear_probe import DEFAULT_C, fit_few_labels
from synsight.metrics.start_probe import (
    Start,
    fit_few_from_start,
    fit_fixed_steps,
    fit_from_start,
    random_start,
)

C, D = 4, 6


def problem(rows=60, *, seed=0):
    """Clouds of four classes in dimensions of very different size."""
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(0, 1.5, (C, D))
    labels = np.arange(rows) % C
    features = (centres[labels] + random.normal(0, 1, (rows, D))) * np.logspace(-1, 1, D) + 3
    return features.astype(np.float32), labels


def far_start(seed=3):
    random = np.random.default_rng(seed)
    return Start(random.normal(0, 0.3, (C, D)), random.normal(0, 1, C))


def test_without_pull_it_is_scikit_learns_regression_from_wherever_it_begins():
    features, labels = problem()
    mean, scale = features.mean(axis=0), features.std(axis=0)
    theirs = LogisticRegression(C=0.3, tol=1e-8, max_iter=5000).fit((features - mean) / scale, labels)
    expected = theirs.predict_proba((features - mean) / scale)
    for start in (random_start(C, D), far_start()):
        probe = fit_from_start(features, labels, start=start, c=0.3, pull=False)
        assert probe.converged
        np.testing.assert_allclose(probe.probabilities(features), expected, atol=2e-4)


def test_with_pull_the_gradient_is_that_of_the_distance_from_the_start():
    features, labels = problem()
    start, c = far_start(), 0.05
    probe = fit_from_start(features, labels, start=start, c=c)
    scale = features.astype(np.float64).std(axis=0)
    errors = probe.probabilities(features).astype(np.float64) - np.eye(C)[labels]
    # At the minimum the pull on each standardised row balances the data; biases are free.
    inputs = (features - features.mean(axis=0)) / scale
    np.testing.assert_allclose((start.weight - probe.weight) * scale / c, errors.T @ inputs, atol=2e-3)
    np.testing.assert_allclose(errors.sum(axis=0), 0, atol=2e-3)


def test_a_strong_pull_keeps_the_rows_and_a_weak_one_forgets_them():
    features, labels = problem()
    start = far_start()
    kept = fit_from_start(features, labels, start=start, c=1e-9)
    np.testing.assert_allclose(kept.weight, start.weight, atol=1e-6)
    weak = [fit_from_start(features, labels, start=one, c=1e4) for one in (start, random_start(C, D))]
    train = [one.probabilities(features).argmax(axis=1) for one in weak]
    assert (train[0] == train[1]).mean() > 0.95


def test_few_labels_without_pull_are_the_ordinary_probe():
    features, labels = problem(40)
    test, _ = problem(80, seed=1)
    groups = np.arange(40)
    theirs = fit_few_labels(features, labels, groups, num_classes=C)
    ours = fit_few_from_start(features, labels, groups, start=far_start(), pull=False)
    assert ours.c == theirs.c
    np.testing.assert_allclose(ours.probabilities(test), theirs.probabilities(test), atol=5e-3)


def test_one_label_a_class_takes_the_default_c():
    features, labels = problem(C)
    assert fit_few_from_start(features, labels, np.arange(C), start=far_start()).c == DEFAULT_C


def test_a_start_that_knows_the_classes_helps_where_labels_are_few():
    test, test_labels = problem(400, seed=5)
    knowing = fit_from_start(*problem(200, seed=6), start=random_start(C, D), pull=False)
    start = Start(knowing.weight, knowing.bias)
    hits = {"knowing": 0, "random": 0}
    for draw in range(5):
        features, labels = problem(C, seed=10 + draw)
        for name, one in (("knowing", start), ("random", random_start(C, D))):
            probe = fit_few_from_start(features, labels, np.arange(C), start=one)
            hits[name] += (probe.probabilities(test).argmax(axis=1) == test_labels).sum()
    assert hits["knowing"] > hits["random"] + 100


def test_classes_without_a_training_row_get_zero():
    features, labels = problem(30)
    kept = labels != 2
    for probe in (
        fit_from_start(features[kept], labels[kept], start=far_start()),
        fit_fixed_steps(features[kept], labels[kept], start=far_start()),
    ):
        probabilities = probe.probabilities(features)
        assert probabilities.shape == (30, C) and not probabilities[:, 2].any()
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("batch_size", [60, 60 // 4 + 1])
def test_fixed_steps_are_torchs_adamw(batch_size):
    features, labels = problem()
    start = far_start()
    ours = fit_fixed_steps(
        features, labels, start=start, epochs=7, rate=1e-2, final_rate=1e-3, batch_size=batch_size, seed=4
    )
    weight, bias = (torch.tensor(one, requires_grad=True) for one in (start.weight, start.bias))
    optimiser = torch.optim.AdamW([weight, bias], lr=1e-2, weight_decay=0.0)
    steps = 7 * -(-60 // batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps, eta_min=1e-3)
    order = np.random.default_rng(4)
    for _ in range(7):
        for batch in torch.from_numpy(order.permutation(60)).split(batch_size):
            optimiser.zero_grad()
            logits = torch.tensor(features).double()[batch] @ weight.T + bias
            F.cross_entropy(logits, torch.tensor(labels)[batch]).backward()
            optimiser.step()
            schedule.step()
    np.testing.assert_allclose(ours.weight, weight.detach().numpy(), rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(ours.bias, bias.detach().numpy(), rtol=1e-8, atol=1e-12)


def test_what_does_not_fit_is_one_sentence():
    features, labels = problem()
    with pytest.raises(ShapeError, match=r"rows to start from must be \[C, 6\] with a bias for each; got"):
        fit_from_start(features, labels, start=random_start(C, D + 1))
    with pytest.raises(ShapeError, match="labels must lie in 0 to 2"):
        fit_fixed_steps(features, labels, start=random_start(C - 1, D))
    with pytest.raises(ShapeError, match="a classifier needs two classes"):
        fit_from_start(features, np.zeros_like(labels), start=random_start(C, D))
    with pytest.raises(ConfigError, match="c must be > 0; got 0"):
        fit_from_start(features, labels, start=random_start(C, D), c=0)
