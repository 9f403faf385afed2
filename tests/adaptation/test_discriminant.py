import numpy as np
import pytest
from sklearn.covariance import ledoit_wolf
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from synsight.adaptation.discriminant import DiscriminantAnalysis
from synsight.errors import ConfigError


def gaussian(seed, *, per_class=(30, 20, 10), dimension=12):
    rng = np.random.default_rng(seed)
    mix = np.random.default_rng(1).normal(size=(dimension, dimension))
    centres = np.random.default_rng(2).normal(size=(3, dimension)) * 2
    labels = np.repeat(np.arange(3), per_class)
    rows = 5 + centres[labels] + rng.normal(size=(len(labels), dimension)) @ mix
    return rows.astype(np.float32), labels


TRAIN, TEST = gaussian(0), gaussian(1, per_class=(100, 100, 100))


@pytest.mark.parametrize("dimension", [12, 60])
def test_by_class_equals_scikit_learn_s_lsqr_with_automatic_shrinkage(dimension):
    train, asked = gaussian(0, dimension=dimension), gaussian(1, dimension=dimension)
    ours = DiscriminantAnalysis(covariance="by-class").fit(*train)
    theirs = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit(train[0].astype(float), train[1])
    np.testing.assert_allclose(ours.predict_proba(asked[0]), theirs.predict_proba(asked[0]), atol=1e-3)
    np.testing.assert_allclose(ours.covariance_, theirs.covariance_, rtol=1e-4, atol=1e-4)


def test_pooled_shrinks_the_deviations_from_the_class_means_once():
    ours = DiscriminantAnalysis(covariance="pooled").fit(*TRAIN)
    rows = TRAIN[0].astype(np.float64)
    deviations = rows - np.stack([rows[TRAIN[1] == one].mean(axis=0) for one in range(3)])[TRAIN[1]]
    scale = deviations.std(axis=0)
    expected, shrinkage = ledoit_wolf(deviations / scale, assume_centered=True)
    np.testing.assert_allclose(ours.covariance_, scale[:, None] * expected * scale * 60 / 57, rtol=1e-5)
    assert abs(ours.shrinkage_ - shrinkage) < 1e-6


def test_the_probabilities_are_those_of_gaussian_classes_by_bayes_rule():
    ours = DiscriminantAnalysis().fit(*TRAIN)
    apart = TEST[0][:, None].astype(np.float64) - ours.means_
    distances = np.einsum("nkd,de,nke->nk", apart, np.linalg.inv(ours.covariance_), apart)
    densities = np.exp(-distances / 2) * [0.5, 1 / 3, 1 / 6]
    expected = densities / densities.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(ours.predict_proba(TEST[0]), expected, atol=1e-4)


def test_along_the_discriminant_axes_rows_of_a_class_have_unit_variance_and_all_that_decides_is_kept():
    ours = DiscriminantAnalysis().fit(*TRAIN)
    embedded = ours.transform(TEST[0])
    assert embedded.shape == (300, 2)
    np.testing.assert_allclose(ours.axes_ @ ours.covariance_ @ ours.axes_.T, np.eye(2), atol=1e-4)
    means = ours.transform(ours.means_.astype(np.float32))
    distances = ((embedded[:, None] - means) ** 2).sum(axis=2) - 2 * np.log(ours.priors_)
    np.testing.assert_array_equal(distances.argmin(axis=1), ours.predict(TEST[0]))


def test_balanced_classes_have_equal_priors():
    ours = DiscriminantAnalysis(class_weight="balanced").fit(*TRAIN)
    np.testing.assert_allclose(ours.priors_, 1 / 3)


def test_a_column_that_does_not_vary_changes_nothing():
    constant = np.full((60, 1), 3.0, np.float32)
    plain = DiscriminantAnalysis(covariance="by-class").fit(*TRAIN)
    wider = DiscriminantAnalysis(covariance="by-class").fit(np.hstack([TRAIN[0], constant]), TRAIN[1])
    asked = np.hstack([TEST[0], np.full((300, 1), 3.0, np.float32)])
    assert (wider.predict(asked) == plain.predict(TEST[0])).mean() > 0.97


def test_a_class_of_one_row_shares_the_covariance_of_the_others():
    kept = (TRAIN[1] != 2) | (np.arange(60) == 59)
    ours = DiscriminantAnalysis().fit(TRAIN[0][kept], TRAIN[1][kept])
    others = DiscriminantAnalysis().fit(TRAIN[0][:50], TRAIN[1][:50])
    np.testing.assert_allclose(ours.covariance_, others.covariance_, rtol=1e-6)
    assert (ours.predict(TEST[0]) == TEST[1]).mean() > 0.6


def test_unknown_kinds_of_covariance_are_named():
    with pytest.raises(ConfigError, match=r"covariance must be 'pooled' or 'by-class'; got 'full'"):
        DiscriminantAnalysis(covariance="full").fit(*TRAIN)
