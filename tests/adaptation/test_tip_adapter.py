import numpy as np
import pytest

from synsight.adaptation.logistic import LogisticRegression
from synsight.adaptation.tip_adapter import TipAdapter, TipAdapterF
from synsight.errors import ConfigError

RNG = np.random.default_rng(0)
LABELS = np.arange(36) % 3
CENTRES = RNG.normal(size=(3, 7))
TRAIN = (CENTRES[LABELS] + RNG.normal(size=(36, 7))).astype(np.float32)
TEST = (CENTRES[LABELS] + RNG.normal(size=(36, 7))).astype(np.float32)
TEXTS = {one: (CENTRES[one] + RNG.normal(size=7)).astype(np.float32) for one in range(3)}


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def softmax(scores):
    chances = np.exp(scores - scores.max(axis=1, keepdims=True))
    return chances / chances.sum(axis=1, keepdims=True)


def quadrants(seed):
    """Opposite quarters of a circle are one class: no line parts them, neighbours do."""
    angles = np.random.default_rng(seed).uniform(0, 2 * np.pi, 120)
    rows = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return rows.astype(np.float32), (rows.prod(axis=1) > 0).astype(int)


def test_scores_are_the_prior_plus_the_weighted_affinities_of_the_cache():
    ours = TipAdapter(class_vectors=TEXTS, alpha=2.5, sharpness=4.0).fit(TRAIN, LABELS)
    prior = 100 * unit(TEST.astype(np.float64)) @ unit(np.stack(list(TEXTS.values())).astype(np.float64)).T
    cache = np.zeros((36, 3))
    for place, row in enumerate(unit(TEST.astype(np.float64))):
        for key, label in zip(unit(TRAIN.astype(np.float64)), LABELS, strict=True):
            cache[place, label] += np.exp(-4.0 * (1 - row @ key))
    np.testing.assert_allclose(ours.predict_proba(TEST), softmax(prior + 2.5 * cache), atol=1e-5)


def test_without_a_vote_the_prior_alone_decides():
    ours = TipAdapter(alpha=0.0).fit(TRAIN, LABELS)
    logistic = LogisticRegression().fit(unit(TRAIN), LABELS)
    np.testing.assert_allclose(ours.predict_proba(TEST), logistic.predict_proba(unit(TEST)), atol=1e-4)


@pytest.mark.parametrize("prior", ["logistic", "prototypes"])
def test_the_vote_says_what_a_linear_prior_cannot(prior):
    train, test = quadrants(0), quadrants(1)
    ours = TipAdapter(prior=prior).fit(*train)
    assert ours.alpha_ > 0
    assert ours.score(*test) > TipAdapter(prior=prior, alpha=0.0).fit(*train).score(*test) + 0.2


def test_validation_rows_choose_the_best_of_the_grid():
    asked = TEST[:18], LABELS[:18]
    ours = TipAdapter(class_vectors=TEXTS).fit(TRAIN, LABELS, validation=asked)
    reached = ours.score(*asked)
    for alpha in (0.0, 1.0, 10.0):
        for sharpness in (0.5, 5.0, 50.0):
            fixed = TipAdapter(class_vectors=TEXTS, alpha=alpha, sharpness=sharpness).fit(TRAIN, LABELS)
            assert reached >= fixed.score(*asked) - 1 / 18  # the grid has its own values


def test_one_label_a_class_keeps_the_authors_first_values():
    ours = TipAdapter(class_vectors=TEXTS).fit(TRAIN[:3], LABELS[:3])
    assert (ours.alpha_, ours.sharpness_) == (1.0, 1.0)


def losses(estimator):
    chances = estimator.predict_proba(TRAIN)[np.arange(36), LABELS]
    return -np.log(chances).mean()


def test_training_the_keys_lowers_the_loss_of_the_training_rows_and_moves_nothing_else():
    settings = {"class_vectors": TEXTS, "alpha": 3.0, "sharpness": 2.0}
    plain = TipAdapter(**settings).fit(TRAIN, LABELS)
    trained = TipAdapterF(**settings).fit(TRAIN, LABELS)
    assert losses(trained) < losses(plain)
    assert np.abs(trained.keys_ - plain.keys_).max() > 1e-3
    np.testing.assert_array_equal(trained.votes_, plain.votes_)


def test_the_first_step_of_the_keys_is_adam_s_rate_against_the_gradient():
    settings = {"class_vectors": TEXTS, "alpha": 3.0, "sharpness": 2.0}
    plain = TipAdapter(**settings).fit(TRAIN, LABELS)
    trained = TipAdapterF(**settings, epochs=1).fit(TRAIN, LABELS)  # one batch: one step, at the full rate
    rows, keys = unit(TRAIN.astype(np.float64)), plain.keys_.astype(np.float64)
    prior = 100 * rows @ unit(np.stack(list(TEXTS.values())).astype(np.float64)).T
    affinity = np.exp(2.0 * (rows @ keys.T - 1))
    onehot = np.eye(3)[LABELS]
    errors = (softmax(prior + 3.0 * affinity @ onehot) - onehot) / 36
    gradient = (3.0 * (errors @ onehot.T) * affinity * 2.0).T @ rows
    expected = keys * (1 - 1e-3 * 0.01) - 1e-3 * gradient / (np.abs(gradient) + 1e-4)
    np.testing.assert_allclose(trained.keys_, expected, atol=2e-6)


def test_with_validation_rows_the_best_epoch_is_kept():
    asked = TEST[:18], LABELS[:18]
    settings = {"class_vectors": TEXTS, "alpha": 3.0, "sharpness": 2.0}
    kept = TipAdapterF(**settings, epochs=8).fit(TRAIN, LABELS, validation=asked).score(*asked)
    assert kept >= TipAdapterF(**settings, epochs=8).fit(TRAIN, LABELS).score(*asked)


def test_settings_out_of_range_are_named():
    with pytest.raises(ConfigError, match=r"prior must be 'logistic' or 'prototypes'; got 'texts'"):
        TipAdapter(prior="texts").fit(TRAIN, LABELS)
    with pytest.raises(ConfigError, match=r"alpha must be >= 0 and sharpness > 0; got -1"):
        TipAdapter(alpha=-1.0).fit(TRAIN, LABELS)
    with pytest.raises(ConfigError, match=r"epochs must be >= 1; got 0"):
        TipAdapterF(epochs=0).fit(TRAIN, LABELS)
