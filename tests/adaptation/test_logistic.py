import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression as Reference
from sklearn.preprocessing import StandardScaler

from synsight.adaptation.base import FitError
from synsight.adaptation.logistic import LogisticRegression
from synsight.adaptation.tuning import folds
from synsight.errors import ConfigError
from synsight.metrics import fit_few_labels, fit_linear_probe


def blobs(seed=0, *, per_class=30, classes=3, dimension=8, distance=0.8):
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(5).normal(size=(classes, dimension)) * distance
    labels = np.arange(classes * per_class) % classes
    scales = 10.0 ** np.linspace(-2, 2, dimension)
    return ((centres[labels] + rng.normal(size=(len(labels), dimension))) * scales).astype(np.float32), labels


TRAIN, VAL, TEST = blobs(0), blobs(1), blobs(2, per_class=100)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("class_weight", [None, "balanced", {0: 3.0, 1: 0.5}])
def test_probabilities_equal_scikit_learn_s_behind_its_scaler(classes, class_weight):
    features, labels = blobs(0, classes=classes)
    kept = (labels != 1) | (np.arange(len(labels)) % 4 == 1)  # unequal, so that balancing does something
    features, labels = features[kept], labels[kept]
    ours = LogisticRegression(C=0.3, class_weight=class_weight).fit(features, labels)
    weights = ours._labelled(features, labels, None, None).weights
    scaler = StandardScaler().fit(features, sample_weight=weights)
    theirs = Reference(C=0.3, max_iter=5000, tol=1e-7)
    theirs.fit(scaler.transform(features), labels, sample_weight=weights)
    expected = theirs.predict_proba(scaler.transform(TEST[0]))
    np.testing.assert_allclose(ours.predict_proba(TEST[0]), expected, atol=3e-3)


def test_validation_rows_choose_the_c_of_the_linear_probe():
    probe = fit_linear_probe(*TRAIN, *VAL, num_classes=3)
    ours = LogisticRegression().fit(*TRAIN, validation=VAL)
    assert probe.c == ours.C_
    np.testing.assert_allclose(ours.predict_proba(TEST[0]), probe.probabilities(TEST[0]), atol=1e-3)


def test_folds_choose_about_as_well_as_the_few_label_probe():
    probe = fit_few_labels(*TRAIN, np.arange(90), num_classes=3)
    ours = LogisticRegression().fit(*TRAIN)
    theirs = (probe.probabilities(TEST[0]).argmax(axis=1) == TEST[1]).mean()
    assert abs(ours.score(*TEST) - theirs) < 0.02


def test_what_is_said_of_a_row_out_of_fold_comes_from_a_fit_without_it():
    ours = LogisticRegression().fit(*TRAIN)
    train = ours._labelled(*TRAIN, None, None)
    for part in folds(train, seed=0)[:2]:
        theirs = Reference(C=ours.C_, max_iter=5000).fit(train.features[part.fitted], TRAIN[1][part.fitted])
        expected = theirs.predict_proba(train.features[part.held_out])
        np.testing.assert_allclose(np.exp(ours.out_of_fold_[part.held_out]), expected, atol=0.02)


def test_folds_part_no_group_and_deal_every_class_out_evenly():
    groups = np.repeat(np.arange(30), 3)
    features, labels = blobs(3)
    train = LogisticRegression(C=1.0)._labelled(features, np.sort(labels), None, groups)
    parts = folds(train, most=5, seed=1)
    assert len(parts) == 5
    for fitted, held_out in parts:
        assert not set(train.groups[fitted]) & set(train.groups[held_out])
        np.testing.assert_array_equal(np.bincount(train.labels[held_out]), [6, 6, 6])
    np.testing.assert_array_equal(np.sort(np.concatenate([part.held_out for part in parts])), np.arange(90))


def test_a_class_of_one_group_is_fitted_in_every_fold():
    labels = np.array([0] * 10 + [1] * 10 + [2])
    train = LogisticRegression(C=1.0)._labelled(np.eye(21, 4), labels, None, None)
    assert all(20 in part.fitted for part in folds(train))
    alone = LogisticRegression(C=1.0)._labelled(np.eye(3, 4), np.arange(3), None, None)
    assert folds(alone) == []


def test_one_label_a_class_leaves_nothing_to_choose_by():
    ours = LogisticRegression().fit(TRAIN[0][:3], TRAIN[1][:3])
    assert (ours.C_, ours.out_of_fold_) == (0.1, None)


@pytest.mark.parametrize("weighted", [False, True])
def test_several_labels_equal_one_scikit_learn_regression_a_class(weighted):
    features, labels = TRAIN
    truth = np.stack([labels == 0, labels != 2, np.ones(90, bool)], axis=1).astype(int)
    weights = np.where(labels == 0, 2.0, 1.0) if weighted else None
    ours = LogisticRegression(C=0.2).fit(features, truth, weights)
    scaler = StandardScaler().fit(features, sample_weight=weights)
    scaled = None if weights is None else weights / weights.mean()
    for column in (0, 1):
        theirs = Reference(C=0.2, max_iter=5000, tol=1e-7)
        theirs.fit(scaler.transform(features), truth[:, column], sample_weight=scaled)
        expected = theirs.predict_proba(scaler.transform(TEST[0]))[:, 1]
        np.testing.assert_allclose(ours.predict_proba(TEST[0])[:, column], expected, atol=5e-3)
    # A class that every row has keeps about its share, whatever the features are.
    np.testing.assert_allclose(ours.predict_proba(TEST[0])[:, 2], 90.5 / 91, atol=1e-6)


def test_settings_out_of_range_and_unknown_validation_classes_are_named():
    with pytest.raises(ConfigError, match=r"C must be > 0"):
        LogisticRegression(C=0.0).fit(*TRAIN)
    with pytest.raises(FitError, match=r"found 7; leave such rows out"):
        LogisticRegression().fit(*TRAIN, validation=(VAL[0], np.full(90, 7)))
    with pytest.raises(FitError, match=r"got 3 labels for 90"):
        LogisticRegression().fit(*TRAIN, validation=(VAL[0], VAL[1][:3]))
