import numpy as np
import pytest

from synsight.adaptation.neighbours import NearestMean, NearestNeighbours
from synsight.errors import ConfigError
from synsight.metrics import nearest_mean_accuracy, weighted_knn

RNG = np.random.default_rng(0)
LABELS = np.arange(60) % 3
CENTRES = RNG.normal(size=(3, 6))
TRAIN = (CENTRES[LABELS] + RNG.normal(size=(60, 6))).astype(np.float32)
TEST = (CENTRES[LABELS] + RNG.normal(size=(60, 6))).astype(np.float32)


@pytest.mark.parametrize("k", [None, 1, 7])
def test_votes_are_those_of_the_k_nn_metric(k):
    ours = NearestNeighbours(k=k, temperature=0.07).fit(TRAIN, LABELS)
    expected = weighted_knn(TRAIN, LABELS, TEST, num_classes=3, k=ours.k_, temperature=0.07)
    np.testing.assert_allclose(ours.predict_proba(TEST), expected, atol=1e-5)
    assert ours.k_ == (k or 20)


def test_a_small_class_lowers_the_number_of_neighbours():
    kept = (LABELS != 0) | (np.arange(60) < 9)
    assert NearestNeighbours().fit(TRAIN[kept], LABELS[kept]).k_ == 2 * 3


def test_of_several_labels_a_class_gets_the_share_of_votes_that_have_it():
    truth = np.stack([LABELS == 0, LABELS != 1], axis=1).astype(int)
    ours = NearestNeighbours(k=9).fit(TRAIN, truth)
    votes = weighted_knn(TRAIN, LABELS, TEST, num_classes=3, k=9)
    np.testing.assert_allclose(ours.predict_proba(TEST)[:, 0], votes[:, 0], atol=1e-5)
    np.testing.assert_allclose(ours.predict_proba(TEST)[:, 1], votes[:, 0] + votes[:, 2], atol=1e-5)


def test_a_weight_of_rows_multiplies_their_votes():
    weights = np.where(LABELS == 1, 3.0, 1.0)
    ours = NearestNeighbours(k=9).fit(TRAIN, LABELS, weights)
    votes = weighted_knn(TRAIN, LABELS, TEST, num_classes=3, k=9) * [1, 3, 1]
    np.testing.assert_allclose(ours.predict_proba(TEST), votes / votes.sum(axis=1, keepdims=True), atol=1e-5)


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_class_means_and_scores_are_those_of_the_definition():
    ours = NearestMean(temperature=0.2).fit(TRAIN, LABELS)
    centre = TRAIN.astype(np.float64).mean(axis=0)
    means = unit(np.stack([unit(TRAIN - centre)[one == LABELS].mean(axis=0) for one in range(3)]))
    scores = unit(TEST - centre) @ means.T / 0.2
    expected = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(ours.predict_proba(TEST), expected, atol=1e-5)
    simple_shot = nearest_mean_accuracy(
        np.stack([TRAIN[one == LABELS] for one in range(3)])[None],
        np.stack([TEST[one == LABELS] for one in range(3)])[None],
    )
    assert abs(ours.score(TEST, LABELS) - simple_shot[0]) < 0.06  # Euclidean there, cosine here


def test_the_temperature_is_the_likeliest_one_with_each_row_left_out_of_its_mean():
    ours = NearestMean().fit(TRAIN, LABELS)
    rows = unit(TRAIN - TRAIN.astype(np.float64).mean(axis=0))

    def loss(temperature):
        nats = 0.0
        for place in range(60):
            others = np.arange(60) != place
            means = unit(np.stack([rows[others & (one == LABELS)].mean(axis=0) for one in range(3)]))
            scores = means @ rows[place] / temperature
            nats += np.log(np.exp(scores).sum()) - scores[LABELS[place]]
        return nats

    reached = loss(ours.temperature_)
    assert all(reached <= loss(factor * ours.temperature_) for factor in (0.8, 0.95, 1.05, 1.25))


def test_validation_rows_give_the_temperature_and_single_labels_none():
    noise = np.random.default_rng(1).permutation(LABELS)
    certain = NearestMean().fit(TRAIN, LABELS, validation=(TRAIN, LABELS))
    unsure = NearestMean().fit(TRAIN, LABELS, validation=(TRAIN, noise))
    assert certain.temperature_ < 1 < unsure.temperature_
    assert NearestMean().fit(TRAIN[:3], LABELS[:3]).temperature_ == 0.1


def test_settings_out_of_range_are_named():
    with pytest.raises(ConfigError, match=r"k and temperature must be > 0; got 0"):
        NearestNeighbours(k=0).fit(TRAIN, LABELS)
    with pytest.raises(ConfigError, match=r"temperature must be > 0; got -1"):
        NearestMean(temperature=-1).fit(TRAIN, LABELS)
