import numpy as np
import pytest

from synsight.adaptation.lp_plus import LPPlusPlus
from synsight.errors import ConfigError

RNG = np.random.default_rng(0)
LABELS = np.arange(24) % 3
CENTRES = RNG.normal(size=(3, 7))
TRAIN = (CENTRES[LABELS] + 0.7 * RNG.normal(size=(24, 7))).astype(np.float32)
TEST = (CENTRES[LABELS] + 0.7 * RNG.normal(size=(24, 7))).astype(np.float32)
TEXTS = {one: (CENTRES[one] + RNG.normal(size=7)).astype(np.float32) for one in range(3)}


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def by_hand(rows, labels, texts, epochs):
    """The paper's algorithm in float64, gradient by gradient."""
    rows, texts = unit(rows.astype(np.float64)), unit(texts.astype(np.float64))
    count, classes = len(rows), len(texts)
    onehot = np.eye(classes)[labels]
    weight = np.stack([rows[labels == one].sum(axis=0) for one in range(classes)])
    bias, speed, bias_speed = np.zeros(classes), 0, 0
    shots = count // classes
    in_class = [sum(rows[i] @ texts[one] for i in np.flatnonzero(labels == one)) for one in range(classes)]
    alpha = np.full(classes, np.mean([250 / shots * one for one in in_class]))
    step = 4 * count / np.linalg.eigvalsh(rows.T @ rows).max()
    alpha_step = count / (4 * max(sum((row @ text) ** 2 for row in rows) for text in texts))
    for epoch in range(1, epochs + 1):
        logits = rows @ (weight + alpha[:, None] * texts).T + bias
        chances = np.exp(logits - logits.max(axis=1, keepdims=True))
        errors = (chances / chances.sum(axis=1, keepdims=True) - onehot) / count
        speed, bias_speed = 0.9 * speed + errors.T @ rows, 0.9 * bias_speed + errors.sum(axis=0)
        weight, bias = weight - step * speed, bias - step * bias_speed
        if epoch % 10 == 0:
            alpha = alpha - alpha_step * (errors * (rows @ texts.T)).sum(axis=0)
    return weight + alpha[:, None] * texts, bias, alpha


@pytest.mark.parametrize("epochs", [1, 10, 60])
def test_weights_and_alpha_are_those_of_the_paper_step_by_step(epochs):
    ours = LPPlusPlus(class_vectors=TEXTS, epochs=epochs).fit(TRAIN, LABELS)
    coef, bias, alpha = by_hand(TRAIN, LABELS, np.stack(list(TEXTS.values())), epochs)
    np.testing.assert_allclose(ours.coef_, coef, rtol=1e-3, atol=1e-2)
    np.testing.assert_allclose(ours.intercept_, bias, rtol=1e-3, atol=1e-2)
    np.testing.assert_allclose(ours.alpha_, alpha, rtol=1e-4)


def test_without_names_the_class_means_stand_in():
    means = {one: unit(TRAIN)[one == LABELS].mean(axis=0) for one in range(3)}
    given = LPPlusPlus(class_vectors=means).fit(TRAIN, LABELS).predict_proba(TEST)
    np.testing.assert_allclose(LPPlusPlus().fit(TRAIN, LABELS).predict_proba(TEST), given, atol=1e-3)


def test_good_names_help_where_labels_are_few():
    texts = {one: CENTRES[one].astype(np.float32) for one in range(3)}
    noisy = (CENTRES[LABELS] + 1.5 * np.random.default_rng(3).normal(size=(24, 7))).astype(np.float32)
    with_names = LPPlusPlus(class_vectors=texts).fit(noisy[:3], LABELS[:3]).score(TEST, LABELS)
    assert with_names > LPPlusPlus().fit(noisy[:3], LABELS[:3]).score(TEST, LABELS)


def test_a_row_of_weight_two_counts_as_two_rows():
    weights = np.where(np.arange(24) < 8, 2.0, 1.0)
    twice = np.concatenate([TRAIN, TRAIN[:8]]), np.concatenate([LABELS, LABELS[:8]])
    weighted = LPPlusPlus(class_vectors=TEXTS).fit(TRAIN, LABELS, weights)
    repeated = LPPlusPlus(class_vectors=TEXTS).fit(*twice)
    # The class sums they begin from differ by the mean weight; where they end, they hardly do.
    np.testing.assert_allclose(weighted.predict_proba(TEST), repeated.predict_proba(TEST), atol=0.05)


def test_with_validation_rows_the_best_epoch_is_kept():
    asked = TEST[:12], LABELS[:12]
    kept = LPPlusPlus(epochs=40).fit(TRAIN, LABELS, validation=asked).score(*asked)
    assert kept >= max(LPPlusPlus(epochs=one).fit(TRAIN, LABELS).score(*asked) for one in (1, 5, 20, 40))


def test_class_vectors_that_are_missing_or_of_another_model_are_named():
    with pytest.raises(ConfigError, match=r"class_vectors must have a vector for each class; 2 has none"):
        LPPlusPlus(class_vectors={0: TEXTS[0], 1: TEXTS[1]}).fit(TRAIN, LABELS)
    with pytest.raises(ConfigError, match=r"of the 7 dimensions of the features; that of 1 is not"):
        LPPlusPlus(class_vectors={**TEXTS, 1: np.ones(5)}).fit(TRAIN, LABELS)
    with pytest.raises(ConfigError, match=r"epochs must be >= 1; got 0"):
        LPPlusPlus(epochs=0).fit(TRAIN, LABELS)
