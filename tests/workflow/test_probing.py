"""A probe's answers: nobody is asked about what it saw, and both sides are answered alike."""

import numpy as np

from synsight.metrics.exchanges import draw_exchanges
from synsight.metrics.mean_differences import largest_difference
from synsight.workflow.probing import crossed_probabilities


def labelled(rows, *, seed, noise=1.0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, rows)
    means = 1.2 * np.eye(3, 6)
    return (means[labels] + noise * rng.normal(size=(rows, 6))).astype(np.float32), labels


def test_a_copy_of_a_reference_row_is_answered_as_the_row_is():
    features, labels = labelled(120, seed=0)
    groups = np.arange(120) // 2
    own, copies = crossed_probabilities(features, labels, groups, features, groups, num_classes=3)
    np.testing.assert_array_equal(own, copies)
    np.testing.assert_allclose(own.sum(axis=1), 1, rtol=1e-5)


def test_rows_of_a_group_that_has_no_label_elsewhere_are_answered_too():
    features, labels = labelled(60, seed=1)
    others, _ = labelled(4, seed=2)
    found = crossed_probabilities(
        features,
        np.where(np.arange(60) < 50, labels, -1),
        np.arange(60),
        others,
        np.full(4, 999),
        num_classes=3,
    )
    assert [one.shape for one in found] == [(60, 3), (4, 3)]
    assert all(np.isfinite(one).all() for one in found)


def test_sides_of_one_kind_are_answered_alike_in_nineteen_of_twenty_cases():
    rang = 0
    for seed in range(60):
        features, labels = labelled(150, seed=seed, noise=1.5)
        reference, current = slice(0, 90), slice(90, 150)
        groups = np.arange(150)
        answers = crossed_probabilities(
            features[reference],
            labels[reference],
            groups[reference],
            features[current],
            groups[current],
            num_classes=3,
        )
        dealt = draw_exchanges(groups[reference], groups[current], exchanges=99, seed=seed)
        rang += largest_difference(np.concatenate(answers), dealt).p_value <= 0.05
    assert rang <= 8  # P(more | 5%) = 0.3%
