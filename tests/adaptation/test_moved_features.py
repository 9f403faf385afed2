import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from synsight.adaptation.alignment import align, coral, shift_p_value
from synsight.adaptation.balanced_batches import balanced_batches, shuffled_batches
from synsight.adaptation.calibration import fit_temperature
from synsight.errors import ConfigError, DataError, ShapeError


def normal(rows, dimension=5, *, seed=0, mix=None, centre=0.0):
    found = np.random.default_rng(seed).normal(size=(rows, dimension))
    return (found if mix is None else found @ mix) + centre


def test_coral_equals_the_papers_map_where_rows_are_many():
    mix = np.random.default_rng(5).normal(size=(5, 5))
    source, target = normal(20_000, seed=1, centre=2.0), normal(20_000, seed=2, mix=mix, centre=-1.0)
    moved = coral(source, target)
    np.testing.assert_allclose(moved.mean(axis=0), target.mean(axis=0), atol=1e-4)
    np.testing.assert_allclose(np.cov(moved.T), np.cov(target.T), rtol=0.05, atol=0.05)

    def power(matrix, exponent):
        values, axes = np.linalg.eigh(matrix)
        return axes * values**exponent @ axes.T

    by_hand = (source - source.mean(axis=0)) @ power(np.cov(source.T), -0.5) @ power(np.cov(target.T), 0.5)
    np.testing.assert_allclose(moved, by_hand + target.mean(axis=0), atol=0.05)


def test_coral_of_equal_statistics_is_the_identity():
    rows = normal(50, mix=np.diag([1, 2, 3, 4, 5]))
    np.testing.assert_allclose(coral(rows, rows[::-1] + 7), rows + 7, atol=1e-4)


def test_few_rows_move_the_mean_more_than_the_covariance():
    """Of 6 rows in 40 dimensions the covariance is chance; the plain map would tear them apart."""
    source, target = normal(6, 40, seed=1), normal(400, 40, seed=2, centre=3.0)
    shifted = source - source.mean(axis=0) + target.mean(axis=0)

    def power(matrix, exponent):
        values, axes = np.linalg.eigh(matrix)
        return axes * np.maximum(values, 0.01) ** exponent @ axes.T

    centred = source - source.mean(axis=0)
    plain = centred @ power(np.cov(source.T), -0.5) @ power(np.cov(target.T), 0.5) + target.mean(axis=0)
    assert np.linalg.norm(coral(source, target) - shifted) < 0.45 * np.linalg.norm(centred)
    assert np.linalg.norm(coral(source, target) - shifted) < 0.7 * np.linalg.norm(plain - shifted)


def test_the_test_finds_a_shift_and_keeps_its_level_where_there_is_none():
    found = [shift_p_value(normal(40, seed=2 * one), normal(60, seed=2 * one + 1)) for one in range(100)]
    assert sum(one <= 0.05 for one in found) <= 12  # 99.8% of binomial(100, 0.05) lies at 12 or below
    assert shift_p_value(normal(40), normal(60, seed=1, centre=1.0)) == 0.005
    assert shift_p_value(normal(80), normal(80, seed=1, mix=3 * np.eye(5))) == 0.005


def test_without_a_shift_the_rows_come_back_untouched():
    source = normal(60, seed=3).astype(np.float32)
    found = align(source, normal(60, seed=4))
    assert not found.applied and found.p_value > 0.05
    np.testing.assert_array_equal(found.features, source)


def test_the_mean_alone_can_be_matched():
    source, target = normal(60, seed=3), normal(60, seed=4, mix=2 * np.eye(5), centre=5.0)
    found = align(source, target, kind="mean")
    assert found.applied
    np.testing.assert_allclose(found.features, source - source.mean(axis=0) + target.mean(axis=0), atol=1e-5)


def test_a_classifier_of_aligned_rows_names_the_shifted_domain():
    """The target's axes are stretched and moved; the class lies along the first, noise along the others."""
    rng = np.random.default_rng(0)

    def domain(rows):
        labels = np.arange(rows) % 2
        features = rng.normal(size=(rows, 4)) * [0.5, 1, 1, 1] + np.outer(2 * labels - 1, [1, 0, 0, 0])
        return features, labels

    stretch, move = np.diag([0.3, 3.0, 1, 1]), np.array([2.0, -1, 0, 0])
    (source, labels), (unlabelled, _), (test, truth) = domain(200), domain(300), domain(400)
    unlabelled, test = unlabelled @ stretch + move, test @ stretch + move
    before = LogisticRegression().fit(source, labels).score(test, truth)
    after = LogisticRegression().fit(align(source, unlabelled).features, labels).score(test, truth)
    assert before < 0.6 and after > 0.9


def test_domains_that_do_not_fit_are_refused():
    with pytest.raises(ShapeError, match=r"got \(4, 5\) and \(4, 3\)"):
        align(normal(4), normal(4, 3))
    with pytest.raises(DataError, match="must be finite"):
        coral(normal(4), np.full((4, 5), np.nan))
    with pytest.raises(ConfigError, match="did you mean 'coral'"):
        align(normal(4), normal(4), kind="corral")


def test_balanced_batches_hold_every_class_alike_and_deal_all_rows_of_the_small_one():
    labels = np.repeat([0, 1, 2], [100, 30, 6])
    batches = balanced_batches(labels[:, None] == np.arange(3), size=18, rng=np.random.default_rng(0))
    assert len(batches) == 8
    for rows in batches:
        assert np.bincount(labels[rows]).tolist() == [6, 6, 6] and len(set(rows.tolist())) == 18
    seen = np.bincount(np.concatenate(batches), minlength=136)
    assert seen[130:].tolist() == [8] * 6
    assert seen[:100].max() == 1  # 48 of 100 were dealt, none twice
    assert set(seen[100:130].tolist()) == {1, 2}


def test_many_classes_come_in_pairs():
    labels = np.repeat(np.arange(50), 4)
    truth = labels[:, None] == np.arange(50)
    for rows in balanced_batches(truth, size=16, rng=np.random.default_rng(0)):
        assert sorted(np.bincount(labels[rows])[np.unique(labels[rows])].tolist()) == [2] * 8


def test_rows_of_several_labels_or_of_none_are_dealt_too():
    truth = np.array([[1, 1], [1, 0], [0, 1], [0, 0], [1, 0], [0, 0]], bool)
    batches = balanced_batches(truth, size=6, rng=np.random.default_rng(0))
    assert len(batches) == 1
    assert all(len(set(rows.tolist())) == len(rows) for rows in batches)
    assert {3, 5} <= set(batches[0].tolist())


def test_shuffled_batches_hold_every_row_once():
    batches = shuffled_batches(10, size=4, rng=np.random.default_rng(0))
    assert [len(one) for one in batches] == [4, 4, 2]
    assert sorted(np.concatenate(batches).tolist()) == list(range(10))
    with pytest.raises(ConfigError, match="batch_size must be >= 2"):
        shuffled_batches(10, size=1, rng=np.random.default_rng(0))


def test_a_temperature_undoes_scores_that_are_three_times_too_sure():
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(20_000, 4)) * 2
    chances = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    labels = (rng.random((20_000, 1)) > chances.cumsum(axis=1)).sum(axis=1)
    truth = labels[:, None] == np.arange(4)
    assert fit_temperature(3 * scores, truth) == pytest.approx(3, rel=0.05)
    several = rng.random(scores.shape) < 1 / (1 + np.exp(-scores))
    assert fit_temperature(scores / 2, several, several=True) == pytest.approx(0.5, rel=0.05)


def test_a_few_rows_give_no_temperature():
    assert fit_temperature(np.zeros((19, 2)), np.eye(2, dtype=bool)[np.arange(19) % 2]) == 1.0
    with pytest.raises(ShapeError, match=r"got \(19, 2\) and \(19, 3\)"):
        fit_temperature(np.zeros((19, 2)), np.zeros((19, 3), bool))
