import numpy as np
import pytest

from synsight.adaptation.clip_adapter import RATIOS, CLIPAdapter
from synsight.errors import ConfigError

RNG = np.random.default_rng(0)
LABELS = np.arange(36) % 3
CENTRES = RNG.normal(size=(3, 8))
TRAIN = (CENTRES[LABELS] + RNG.normal(size=(36, 8))).astype(np.float32)
TEST = (CENTRES[LABELS] + RNG.normal(size=(36, 8))).astype(np.float32)
TEXTS = {one: (CENTRES[one] + 2 * RNG.normal(size=8)).astype(np.float32) for one in range(3)}


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def softmax(scores):
    chances = np.exp(scores - scores.max(axis=1, keepdims=True))
    return chances / chances.sum(axis=1, keepdims=True)


def test_the_adapted_features_and_scores_are_those_of_the_equations():
    ours = CLIPAdapter(class_vectors=TEXTS, ratio=0.4).fit(TRAIN, LABELS)
    rows = unit(TEST.astype(np.float64))
    assert ours.first_.shape == (2, 8)
    assert ours.second_.shape == (8, 2)
    new = np.maximum(np.maximum(rows @ ours.first_.T, 0) @ ours.second_.T, 0)
    adapted = 0.4 * new + 0.6 * rows
    np.testing.assert_allclose(ours.transform(TEST), adapted, atol=1e-5)
    texts = unit(np.stack(list(TEXTS.values())).astype(np.float64))
    np.testing.assert_allclose(ours.predict_proba(TEST), softmax(100 * adapted @ texts.T), atol=1e-4)


def test_a_ratio_of_zero_is_the_classifier_by_names_alone():
    ours = CLIPAdapter(class_vectors=TEXTS, ratio=0.0).fit(TRAIN, LABELS)
    texts = unit(np.stack(list(TEXTS.values())))
    np.testing.assert_array_equal(ours.predict(TEST), (unit(TEST) @ texts.T).argmax(axis=1))


def test_training_makes_the_labels_likelier_than_the_names_alone():
    def loss(ratio):
        fitted = CLIPAdapter(class_vectors=TEXTS, ratio=ratio).fit(TRAIN, LABELS)
        return -np.log(np.maximum(fitted.predict_proba(TRAIN)[np.arange(36), LABELS], 1e-12)).mean()

    assert loss(0.6) < 0.5 * loss(0.0)


def test_the_ratio_is_chosen_where_none_is_given():
    asked = TEST[:18], LABELS[:18]
    chosen = CLIPAdapter(class_vectors=TEXTS, ratio=None).fit(TRAIN, LABELS, validation=asked)
    reached = {
        one: CLIPAdapter(class_vectors=TEXTS, ratio=one).fit(TRAIN, LABELS, validation=asked).score(*asked)
        for one in RATIOS
    }
    assert reached[chosen.ratio_] == max(reached.values())
    assert CLIPAdapter(ratio=None, epochs=5).fit(TRAIN, LABELS).ratio_ in RATIOS
    assert CLIPAdapter(ratio=None).fit(TRAIN[:3], LABELS[:3]).ratio_ == 0.2


def test_settings_out_of_range_are_named():
    with pytest.raises(ConfigError, match=r"ratio in 0 to 1; got 60, 1.5"):
        CLIPAdapter(ratio=1.5).fit(TRAIN, LABELS)
