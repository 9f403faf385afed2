import numpy as np
import pytest
import torch
from sklearn.utils.estimator_checks import parametrize_with_checks

from synsight.adaptation import (
    ESTIMATORS,
    Automatic,
    CLIPAdapter,
    DiscriminantAnalysis,
    FitError,
    LogisticRegression,
    LPPlusPlus,
    NearestMean,
    NearestNeighbours,
    TipAdapter,
    TipAdapterF,
)
from synsight.models.feature_head import FeatureHead

QUICK = {
    "auto": Automatic(seconds=None, candidates=("prototypes", "knn"), pool=True),
    "logistic": LogisticRegression(),
    "prototypes": NearestMean(),
    "knn": NearestNeighbours(),
    "lda": DiscriminantAnalysis(),
    "lp++": LPPlusPlus(epochs=40),
    "tip-adapter": TipAdapter(),
    "tip-adapter-f": TipAdapterF(epochs=3),
    "clip-adapter": CLIPAdapter(epochs=10),
}
FOLDS_OF_ROWS = "settings are chosen by folds, and a row of weight 2 is in one fold where two rows are in two"
EXPECTED = {
    "auto": {"check_sample_weight_equivalence_on_dense_data": FOLDS_OF_ROWS},
    "logistic": {"check_sample_weight_equivalence_on_dense_data": FOLDS_OF_ROWS},
    "prototypes": {
        "check_sample_weight_equivalence_on_dense_data": "the temperature leaves out one row at a time",
        "check_class_weight_classifiers": "a mean of a class' rows is the same whatever the class weighs",
    },
    "knn": {"check_sample_weight_equivalence_on_dense_data": "a row of weight 2 is one neighbour, not two"},
    "lda": {
        "check_sample_weight_equivalence_on_dense_data": "the shrinkage and the N - C count rows, not weights"
    },
    "lp++": {
        "check_sample_weight_equivalence_on_dense_data": "equal to 1e-4: the descent is in single precision"
    },
    "tip-adapter": {"check_sample_weight_equivalence_on_dense_data": FOLDS_OF_ROWS},
    "tip-adapter-f": {"check_sample_weight_equivalence_on_dense_data": FOLDS_OF_ROWS},
    "clip-adapter": {
        "check_sample_weight_equivalence_on_dense_data": "batches hold rows, not weights",
        "check_class_weight_classifiers": "the classes' vectors stay, so a heavy class cannot take all rows",
    },
}
NAMES = {type(one): name for name, one in QUICK.items()}
"""For scikit-learn's own checks the folds are two, since it fits some hundred times."""
CHECKED = [one.set_params(folds=2) if "folds" in one.get_params() else one for one in QUICK.values()]


@parametrize_with_checks(CHECKED, expected_failed_checks=lambda one: EXPECTED[NAMES[type(one)]])
def test_scikit_learn_s_own_checks_pass(estimator, check):
    check(estimator)


def rows(seed=0, *, per_class=12, classes=4, dimension=24, distance=0.9):
    """Classes on a background that all features share, as a network's are: not centred, not of one scale."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(7).normal(size=(classes, dimension)) * distance
    labels = np.arange(classes * per_class) % classes
    noise = rng.normal(size=(len(labels), dimension))
    features = np.maximum(centres[labels] + noise + 1, 0) * np.linspace(0.3, 3, dimension)
    return features.astype(np.float32), np.array([f"class {one}" for one in labels])


TRAIN, TEST = rows(0), rows(1, per_class=40)
several = pytest.mark.parametrize("name", ["logistic", "knn", "auto"])
each = pytest.mark.parametrize("name", list(QUICK))


def clone(name, **settings):
    from sklearn.base import clone as copied

    return copied(QUICK[name]).set_params(**settings)


@each
def test_unseen_rows_are_told_far_better_than_by_chance(name):
    fitted = clone(name).fit(*TRAIN)
    assert fitted.score(*TEST) > 0.75  # chance: 0.25
    assert fitted.transform(TEST[0]).dtype == np.float32


@each
def test_the_head_gives_the_probabilities_of_the_estimator_and_is_built_again_from_its_description(name):
    fitted = clone(name).fit(*TRAIN)
    head = FeatureHead.from_spec(fitted.head().spec)
    head.load_state_dict(fitted.head().state_dict())
    with torch.inference_mode():
        found = head(torch.from_numpy(TEST[0])).softmax(dim=1).numpy()
    np.testing.assert_allclose(found, fitted.predict_proba(TEST[0]), atol=2e-5)


@several
def test_of_several_labels_a_row_each_class_has_its_own_probability(name):
    features, labels = rows(0, per_class=30)
    codes = np.unique(labels, return_inverse=True)[1]
    truth = np.stack([codes == 0, codes != 1, (codes == 2) | (codes == 3)], axis=1).astype(int)
    asked, hidden = rows(1)
    hidden = np.unique(hidden, return_inverse=True)[1]
    expected = np.stack([hidden == 0, hidden != 1, (hidden == 2) | (hidden == 3)], axis=1)
    fitted = clone(name).fit(features, truth)
    assert (fitted.predict(asked) == expected).mean() > 0.85
    with torch.inference_mode():
        found = fitted.head()(torch.from_numpy(asked)).sigmoid().numpy()
    np.testing.assert_allclose(found, fitted.predict_proba(asked), atol=2e-5)


@pytest.mark.parametrize("name", ["prototypes", "lda", "lp++", "tip-adapter", "clip-adapter"])
def test_where_several_labels_a_row_make_no_sense_the_error_says_what_does(name):
    with pytest.raises(FitError, match=r"expects one label a row.*use LogisticRegression"):
        clone(name).fit(TRAIN[0], np.stack([TRAIN[1] == "class 0", TRAIN[1] == "class 1"], axis=1))


@each
def test_the_seed_decides_everything_and_the_global_random_state_nothing(name):
    first = clone(name, seed=3).fit(*TRAIN).predict_proba(TEST[0])
    np.random.seed(1)  # noqa: NPY002 - the state that must not matter
    torch.manual_seed(1)
    before = torch.get_rng_state()
    np.testing.assert_array_equal(clone(name, seed=3).fit(*TRAIN).predict_proba(TEST[0]), first)
    assert torch.equal(torch.get_rng_state(), before)


@each
def test_one_label_a_class_is_enough(name):
    fitted = clone(name).fit(TRAIN[0][:4], TRAIN[1][:4])
    assert fitted.score(*TEST) > 0.5


@pytest.mark.parametrize("name", ["logistic", "lp++", "tip-adapter", "lda", "knn"])
def test_balanced_classes_raise_the_recall_of_a_rare_class(name):
    features, labels = rows(2, per_class=60, distance=0.25)
    rare = labels == "class 0"
    kept = ~rare | (np.cumsum(rare) <= 6)
    asked = rows(3, per_class=200, distance=0.25)
    recalls = [
        (clone(name, class_weight=one).fit(features[kept], labels[kept]).predict(asked[0]) == asked[1])[
            asked[1] == "class 0"
        ].mean()
        for one in (None, "balanced")
    ]
    assert recalls[1] > recalls[0] + 0.05


def test_the_table_of_estimators_names_every_method_of_the_command_line():
    assert set(ESTIMATORS) == {*QUICK, "projector"}
    assert all(ESTIMATORS[name] is type(one) for name, one in QUICK.items())
