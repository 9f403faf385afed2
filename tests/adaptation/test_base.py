import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.estimator_checks import parametrize_with_checks

from synsight.adaptation.base import FeatureEstimator, FitError, LabelledRows
from synsight.adaptation.preparation import apply_layers, block_widths, preparation_layers
from synsight.errors import ConfigError, DataError
from synsight.models.feature_head import FeatureHead
from synsight.models.head_layers import Linear


class Means(FeatureEstimator):
    """The smallest estimator there is: the nearest weighted class mean; remembers what it was given."""

    def __init__(self, *, blocks=None, prepare="standardise", missing="error", class_weight=None, seed=0):
        super().__init__(
            blocks=blocks, prepare=prepare, missing=missing, class_weight=class_weight, seed=seed
        )

    def _fit(self, train: LabelledRows) -> None:
        self.train_ = train
        means = train.class_means()
        self.coef_, self.intercept_ = means, -(means**2).sum(axis=1) / 2

    def _score_layers(self):
        return [Linear.of(torch.from_numpy(self.coef_), torch.from_numpy(self.intercept_))]


@parametrize_with_checks(
    [Means(), Means(missing="mean", prepare="centred-unit")],
    expected_failed_checks=lambda one: {
        "check_class_weight_classifiers": "the mean of a class' rows is the same whatever the class weighs",
    },
)
def test_scikit_learn_s_own_checks_pass(estimator, check):
    check(estimator)


def drawn(rows: int = 40, dimension: int = 6, classes: int = 4, seed: int = 0):
    rng = np.random.default_rng(seed)
    labels = np.arange(rows) % classes
    centres = 3 * np.random.default_rng(9).normal(size=(classes, dimension))
    return (rng.normal(size=(rows, dimension)) + centres[labels] + 5).astype(np.float32), labels


def test_names_of_classes_come_back_whatever_they_are():
    features, labels = drawn()
    for names in (np.array(["a", "bb", "ccc", "d"]), np.array([-7, 0, 3, 1000]), np.array([0.5, 1, 2, 3])):
        if names.dtype == np.float64:
            with pytest.raises(FitError, match="Unknown label type: continuous"):
                Means().fit(features, names[labels])
            continue
        fitted = Means().fit(features, names[labels])
        assert fitted.classes_.tolist() == sorted(names.tolist())
        assert (fitted.predict(features) == names[labels]).mean() > 0.9


def test_the_head_computes_what_predict_proba_does_after_it_was_described_and_built_again():
    features, labels = drawn(dimension=7)
    fitted = Means(blocks=[3, 4], prepare=["unit", "standardise"]).fit(features, labels)
    head = fitted.head()
    again = FeatureHead.from_spec(head.spec)
    again.load_state_dict(head.state_dict())
    with torch.inference_mode():
        found = again(torch.from_numpy(features)).softmax(dim=1).numpy()
    np.testing.assert_allclose(found, fitted.predict_proba(features), atol=1e-5)


def test_two_classes_have_one_decision_and_a_head_of_two_scores():
    features, labels = drawn(classes=2)
    fitted = Means().fit(features, labels)
    with torch.inference_mode():
        scores = fitted.head()(torch.from_numpy(features)).numpy()
    np.testing.assert_allclose(fitted.decision_function(features), scores[:, 1] - scores[:, 0], atol=1e-3)


def test_several_labels_a_row_have_probabilities_of_their_own():
    features, labels = drawn()
    truth = np.stack([labels == 0, labels < 2, np.zeros(40), np.ones(40)], axis=1).astype(int)
    fitted = Means().fit(features, truth)
    assert fitted.multilabel_ and fitted.classes_.tolist() == [0, 1, 2, 3]
    assert fitted.predict(features).shape == (40, 4)
    np.testing.assert_allclose(
        fitted.predict_proba(features), 1 / (1 + np.exp(-fitted.decision_function(features))), atol=1e-12
    )
    assert fitted.train_.labels is None


def test_standardising_equals_scikit_learns():
    features, labels = drawn()
    prepared = Means().fit(features, labels)._prepared(features)
    np.testing.assert_allclose(prepared, StandardScaler().fit_transform(features), atol=1e-5)


def test_each_block_is_prepared_by_itself():
    features, _ = drawn(dimension=6)
    layers = preparation_layers(features, widths=[2, 1, 3], kinds=["unit", "none", "centred-unit"])
    found = apply_layers(layers, features)
    unit = features[:, :2] / np.linalg.norm(features[:, :2], axis=1, keepdims=True)
    centred = features[:, 3:] - features[:, 3:].mean(axis=0)
    centred /= np.linalg.norm(centred, axis=1, keepdims=True)
    np.testing.assert_allclose(found, np.column_stack([unit, features[:, 2], centred]), atol=1e-5)


def test_a_column_that_does_not_vary_becomes_zero_and_no_noise():
    features, labels = drawn()
    features[:, 2] = 0.1
    prepared = Means().fit(features, labels)._prepared(features)
    assert np.abs(prepared[:, 2]).max() < 1e-5


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.sampled_from(["none", "unit", "standardise", "centred-unit"]))
def test_a_row_s_result_does_not_depend_on_the_rows_beside_it(seed, kind):
    features, labels = drawn(seed=seed)
    fitted = Means(prepare=kind).fit(features, labels)
    together = fitted.predict_proba(features)
    alone = np.concatenate([fitted.predict_proba(row[None]) for row in features])
    np.testing.assert_allclose(together, alone, atol=1e-9)


def test_missing_values_are_refused_with_their_place():
    features, labels = drawn()
    features[3, 1] = np.nan
    features[5, 0] = np.inf
    sentence = r"found NaN or infinity in 2 of 40 rows, first in row 3, column 1; .* set missing='mean'"
    with pytest.raises(FitError, match=sentence):
        Means().fit(features, labels)
    with pytest.raises(ValueError, match="NaN"):
        Means().fit(*drawn()).predict(features)


def test_missing_values_become_the_training_mean_of_their_column():
    features, labels = drawn()
    broken = features.copy()
    broken[3, 1], broken[5, 0], broken[:, 4], broken[7] = np.nan, -np.inf, np.nan, np.nan
    filled = broken.copy()
    kept = np.isfinite(broken)
    means = np.array([broken[kept[:, c], c].mean() if kept[:, c].any() else 0 for c in range(6)])
    filled[~kept] = np.broadcast_to(means, broken.shape)[~kept]
    fitted = Means(missing="mean").fit(broken, labels)
    np.testing.assert_allclose(
        fitted.predict_proba(broken), Means().fit(filled, labels).predict_proba(filled), atol=1e-6
    )
    nothing = np.full((1, 6), np.nan)
    np.testing.assert_allclose(
        fitted.predict_proba(nothing), fitted.predict_proba(means[None].astype(np.float32)), atol=1e-6
    )


def test_balanced_class_weights_are_scikit_learns():
    features, _ = drawn()
    labels = np.repeat([0, 1, 2], [5, 10, 25])
    weights = Means(class_weight="balanced").fit(features, labels).train_.weights
    expected = compute_sample_weight("balanced", labels)
    np.testing.assert_allclose(weights, expected / expected.mean())
    named = Means(class_weight={0: 3.0}).fit(features, labels).train_.weights
    np.testing.assert_allclose(named / named[-1], np.where(labels == 0, 3, 1))


def test_a_row_of_several_labels_weighs_the_mean_of_its_labels():
    features, _ = drawn(rows=4)
    truth = np.array([[1, 0], [1, 0], [1, 1], [0, 0]])
    weights = Means(class_weight="balanced").fit(features, truth).train_.weights
    each = np.array([4 / (2 * 3), 4 / (2 * 1)])  # rows with labels by classes times size
    expected = np.array([each[0], each[0], each.mean(), 1])
    np.testing.assert_allclose(weights, expected / expected.mean())


def test_a_row_of_weight_zero_is_no_row():
    features, labels = drawn()
    weights = np.where(labels == 3, 0.0, 2.0)
    fitted = Means().fit(features, labels, weights, groups=labels)
    assert fitted.classes_.tolist() == [0, 1, 2]
    kept = labels != 3
    np.testing.assert_allclose(
        fitted.predict_proba(features), Means().fit(features[kept], labels[kept]).predict_proba(features)
    )
    assert sorted(set(fitted.train_.groups.tolist())) == [0, 1, 2]


def test_what_cannot_be_learnt_from_is_said_in_a_sentence():
    features, labels = drawn()
    for arguments, sentence in (
        ((features, np.zeros(40)), "found 40 of one class only"),
        ((features, labels[:30]), "got 30 labels for 40 rows"),
        ((features, labels, np.zeros(40)), "all sample weights are zero|Sample weights"),
        ((features, labels, -np.ones(40)), "[Nn]egative"),
        ((features[:0], labels[:0]), "0 sample"),
    ):
        with pytest.raises(FitError, match=sentence):
            Means().fit(*arguments)
    with pytest.raises(DataError, match=r"got groups of shape \(3,\) for 40 rows"):
        Means().fit(features, labels, groups=[1, 2, 3])
    with pytest.raises(FitError, match="X has 5 features, but Means is expecting 6"):
        Means().fit(features, labels).predict(features[:, :5])


def test_settings_out_of_their_range_are_refused():
    features, labels = drawn()
    for setting, sentence in (
        ({"blocks": [2, 3]}, r"sum to the 6 columns of the features; got \[2, 3\]"),
        ({"prepare": "unti"}, "did you mean 'unit'"),
        ({"prepare": ["unit", "none"]}, "got 2 for 1 blocks"),
        ({"missing": "drop"}, "missing must be 'error' or 'mean'; got 'drop'"),
        ({"class_weight": "heavy"}, "class_weight must be None, 'balanced' or a mapping; got 'heavy'"),
    ):
        with pytest.raises(ConfigError, match=sentence):
            Means(**setting).fit(features, labels)
    assert block_widths(6, None) == [6]


def test_a_fitted_estimator_is_the_same_after_pickling():
    features, labels = drawn()
    fitted = Means().fit(features, labels)
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict_proba(features), fitted.predict_proba(features))
