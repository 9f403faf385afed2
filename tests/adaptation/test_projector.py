import pickle
import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression as Reference
from sklearn.utils.estimator_checks import parametrize_with_checks
from torch.nn import functional as F

from synsight.adaptation import ContrastiveProjector, FitError, LabelledRows, LogisticRegression
from synsight.adaptation.projector_settings import PAPER, SITE
from synsight.adaptation.projector_training import Projector, epoch_batches, train_projector
from synsight.adaptation.retention import retention
from synsight.errors import ConfigError, UsageError
from synsight.metrics import expected_calibration_error
from synsight.models.feature_head import FeatureHead
from synsight.seeding import derive_seed, generator

BATCHES = "batches hold rows, not weights, and a row of weight 2 is in one fold where two rows are in two"
FEW_STEPS = "10 epochs of 3 batches, as published, do not learn what the check asks for"


@parametrize_with_checks(
    [ContrastiveProjector(epochs=2), ContrastiveProjector(recipe="paper")],
    expected_failed_checks=lambda one: {
        "check_sample_weight_equivalence_on_dense_data": BATCHES,
        **({"check_classifiers_train": FEW_STEPS} if one.recipe == "paper" else {}),
    },
)
def test_scikit_learn_s_own_checks_pass(estimator, check):
    check(estimator)


def rows(count: int, *, seed: int = 0, classes: int = 4, dimension: int = 32, distance: float = 0.35):
    """Classes that lie apart along axes of small variance, among axes of large variance that say nothing."""
    centres = distance * np.random.default_rng(1).normal(size=(classes, dimension))
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    features = (rng.normal(size=(count, dimension)) + centres[labels]) * np.linspace(0.2, 3, dimension)
    return (features + 1).astype(np.float32), labels


def labelled(count: int, **more) -> LabelledRows:
    """Rows as a site's recipe prepares them."""
    features, labels = rows(count, **more)
    features = (features - features.mean(axis=0)) / features.std(axis=0)
    truth = labels[:, None] == np.arange(labels.max() + 1)
    return LabelledRows(features, labels, truth, np.ones(count), np.arange(count))


def pairs_one_by_one(train: LabelledRows, projector: Projector, *, seed: int, epochs: int) -> Projector:
    """The published training loop: both rows of every pair go through the network."""
    optimiser = torch.optim.Adam(projector.parameters(), lr=1e-3)
    orders = generator("batches", seed)
    features, labels = torch.from_numpy(train.features).double(), torch.from_numpy(train.labels)
    for _ in range(epochs):
        for places in epoch_batches(train, PAPER, orders):
            x, y = features[places], labels[places]
            first, second = torch.triu_indices(len(x), len(x), offset=1)
            logits = (projector(x[first]) * projector(x[second])).sum(dim=1) / 0.1
            optimiser.zero_grad()
            F.binary_cross_entropy_with_logits(logits, (y[first] == y[second]).double()).backward()
            optimiser.step()
    return projector


def test_the_paper_s_projector_equals_the_published_loop_over_pairs():
    train = labelled(70)
    settings = replace(PAPER, batch_size=32, epochs=3)
    found = train_projector(train, settings, widths=[32], seed=5, dtype=torch.float64)[0]
    begun = Projector(settings, [32], torch.Generator().manual_seed(derive_seed("projector", 5))).double()
    assert [tuple(one.shape) for one in begun.parameters()] == [(16, 32), (16,), (128, 16), (128,)]

    def batches_of_32(train, settings, orders):
        return epoch_batches(train, replace(settings, batch_size=32), orders)

    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(globals(), "PAPER", settings)
        expected = pairs_one_by_one(train, begun, seed=5, epochs=3)
    for one, other in zip(found.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(one, other.detach(), rtol=1e-9, atol=1e-11)


def test_the_paper_s_classifier_is_scikit_learns_on_the_projections():
    features, labels = rows(120)
    fitted = ContrastiveProjector(recipe="paper", prepare="unit").fit(features, labels)
    space = fitted.transform(features)
    assert space.shape == (120, 128) and space.dtype == np.float32
    expected = Reference(C=1.0, tol=1e-8, max_iter=10_000).fit(space, labels).predict_proba(space)
    np.testing.assert_allclose(fitted.predict_proba(features), expected, atol=2e-3)


def test_a_projector_a_block_is_trained_as_if_it_were_alone():
    train = labelled(40)
    settings = replace(PAPER, per_block=True, epochs=2, outputs=8)
    both = train_projector(train, settings, widths=[20, 12], seed=0)[0]
    rng = torch.Generator().manual_seed(derive_seed("projector", 0))
    begun = Projector(settings, [20, 12], rng).double()
    first = replace(train, features=train.features[:, :20].copy())
    alone = Projector(settings, [20], torch.Generator()).double()
    alone.load_state_dict(
        {key: value for key, value in begun.state_dict().items() if key.startswith("maps.0.")}
    )
    expected = pairs_one_by_one(first, alone, seed=0, epochs=2)
    x = torch.from_numpy(train.features)
    torch.testing.assert_close(
        both(x)[:, :8], expected(x[:, :20].double()).float().detach(), rtol=1e-3, atol=1e-4
    )


@pytest.mark.parametrize(
    "setting",
    [
        {},
        {"validated": False},
        {"recipe": "paper"},
        {"recipe": "paper", "per_block": True, "blocks": [20, 12]},
        {"validated": False, "per_block": True, "blocks": [20, 12], "prepare": ["unit", "standardise"]},
        {"validated": False, "loss": "pairwise_bce", "negatives": "semi-hard"},
    ],
)
def test_the_head_that_is_saved_computes_what_predict_proba_does(setting):
    features, labels = rows(80)
    fitted = ContrastiveProjector(**setting).fit(features, labels)
    head = fitted.head()
    again = FeatureHead.from_spec(head.spec)
    again.load_state_dict(head.state_dict())
    with torch.inference_mode():
        found = again(torch.from_numpy(features)).softmax(dim=1).numpy()
    np.testing.assert_allclose(found, fitted.predict_proba(features), atol=1e-5)


def test_the_same_seed_gives_the_same_bits_and_leaves_the_global_random_state_alone():
    features, labels = rows(60)
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    estimator = ContrastiveProjector(validated=False, seed=3)
    first = estimator.fit(features, labels).predict_proba(features)
    estimator.fit(*rows(80, seed=4))
    again = estimator.fit(features, labels).predict_proba(features)  # a refit starts anew
    np.testing.assert_array_equal(first, again)
    other = clone(estimator).set_params(seed=4).fit(features, labels).predict_proba(features)
    assert np.abs(first - other).max() > 1e-6
    assert torch.equal(before[0], torch.get_rng_state())
    assert (before[1] == np.random.get_state()[1]).all() and before[2] == random.getstate()  # noqa: NPY002


def test_starts_at_the_identity():
    train = labelled(20)
    begun = train_projector(train, SITE, widths=[32], seed=0, stops=[0])[0]
    x = torch.from_numpy(train.features)
    torch.testing.assert_close(begun(x), x)


def test_the_pull_to_the_identity_keeps_what_the_map_adds_small():
    train = labelled(60)
    x = torch.from_numpy(train.features)
    added = [
        float(
            (
                train_projector(train, replace(SITE, identity=pull, epochs=60), widths=[32], seed=0)[0](x) - x
            ).norm()
        )
        for pull in (0.0, 30.0, 3000.0)
    ]
    assert added[0] > 1.5 * added[1] > 3 * added[2]


@pytest.mark.parametrize("loss", ["supcon", "pairwise_bce"])
@pytest.mark.parametrize("negatives", ["all", "semi-hard"])
def test_training_draws_classes_together(loss, negatives):
    train = labelled(80)
    settings = replace(SITE, loss=loss, negatives=negatives, epochs=60)
    start, end = train_projector(train, settings, widths=[32], seed=0, stops=[0, 60])

    def apart(projector):
        z = F.normalize(projector(torch.from_numpy(train.features)), dim=1)
        same = torch.from_numpy(train.labels[:, None] == train.labels)
        return float((z @ z.T)[same].mean() - (z @ z.T)[~same].mean())

    assert apart(end) > apart(start) + 0.1


def test_where_nothing_can_be_held_out_it_is_logistic_regression():
    features, labels = rows(4)
    fitted = ContrastiveProjector().fit(features, labels)
    assert fitted.projector_ is None and "no row could be held out" in fitted.chosen_.reason
    plain = LogisticRegression(C=0.1).fit(features, labels)
    np.testing.assert_allclose(fitted.predict_proba(features), plain.predict_proba(features), atol=1e-6)


def test_labels_that_mean_nothing_do_not_move_the_features():
    features, labels = rows(80, distance=0.0)
    fitted = ContrastiveProjector().fit(features, labels)
    assert not fitted.chosen_.projected and "the features are kept" in fitted.chosen_.reason
    prepared = (features - features.mean(axis=0)) / features.std(axis=0)
    np.testing.assert_allclose(fitted.transform(features), prepared, atol=1e-4)


def test_is_no_worse_than_logistic_regression_over_draws():
    """Of 10 and 20 labels a class, hard and easy classes: what was lost on new rows."""
    lost = []
    for seed in range(4):
        for count, distance in ((40, 0.2), (80, 0.5)):
            features, labels = rows(count, seed=seed, distance=distance)
            test, truth = rows(400, seed=100 + seed, distance=distance)
            ours = ContrastiveProjector(seed=seed).fit(features, labels).score(test, truth)
            lost.append(LogisticRegression().fit(features, labels).score(test, truth) - ours)
    assert np.mean(lost) < 0.02 and max(lost) < 0.12


def test_takes_the_projection_up_where_held_out_rows_want_it():
    """Under a fixed strong penalty one axis of 60 is drowned; contrast turns it up."""
    rng = np.random.default_rng(0)
    labels = np.arange(600) % 2
    features = rng.normal(size=(600, 60))
    features[:, 0] += 1.5 * (2 * labels - 1)
    setting = {"epochs": 40, "C": 0.001, "identity": 0.0}
    fitted = ContrastiveProjector(**setting).fit(features[:200], labels[:200])
    frozen = LogisticRegression(C=0.001).fit(features[:200], labels[:200])
    chosen = fitted.chosen_
    assert chosen.projected and chosen.epochs in (20, 40)
    assert chosen.log_likelihoods[chosen.epochs] > chosen.log_likelihoods[0]
    assert fitted.score(features[200:], labels[200:]) >= frozen.score(features[200:], labels[200:])
    assert fitted.transform(features).shape == features.shape


def two_domains(*, shifted: bool):
    """Labelled source, unlabelled target and target to be named; a stretch turns one noise axis up."""

    def domain(count, seed):
        rng = np.random.default_rng(seed)
        labels = np.arange(count) % 2
        centre = np.outer(2 * labels - 1, [1.0] + [0.0] * 5)
        return rng.normal(size=(count, 6)) * [0.5, 1, 1, 1, 1, 1] + centre, labels

    (source, labels), (unlabelled, _), (test, truth) = domain(120, 0), domain(300, 1), domain(400, 2)
    if shifted:
        stretch, move = np.diag([0.4, 2.5, 1, 1, 1, 1]), np.array([2.0, -1, 0, 0, 0, 0])
        unlabelled, test = unlabelled @ stretch + move, test @ stretch + move
    return source, labels, unlabelled, test, truth


def test_unlabelled_rows_of_a_shifted_domain_help():
    source, labels, unlabelled, test, truth = two_domains(shifted=True)
    without = ContrastiveProjector().fit(source, labels).score(test, truth)
    fitted = ContrastiveProjector().fit(source, labels, X_unlabelled=unlabelled)
    assert fitted.aligned_ and fitted.shift_p_value_ == 0.005
    assert without < 0.6 and fitted.score(test, truth) > 0.9


def test_unlabelled_rows_of_the_same_domain_change_nothing():
    source, labels, unlabelled, test, _ = two_domains(shifted=False)
    without = ContrastiveProjector().fit(source, labels)
    fitted = ContrastiveProjector().fit(source, labels, X_unlabelled=unlabelled)
    assert not fitted.aligned_ and fitted.shift_p_value_ > 0.01
    np.testing.assert_array_equal(fitted.predict_proba(test), without.predict_proba(test))


def test_labelled_rows_of_the_target_stay_where_they_are():
    source, labels, unlabelled, test, truth = two_domains(shifted=True)
    both, names = np.concatenate([source, test[:20]]), np.concatenate([labels, truth[:20]])
    there = np.arange(len(both)) >= len(source)
    fitted = ContrastiveProjector()
    fitted.settings_ = fitted._settings()
    train = fitted._labelled(both, names, None, None)
    moved = fitted._aligned(train, fitted._prepared(unlabelled), there)
    np.testing.assert_array_equal(moved.features[there], train.features[there])
    assert np.abs(moved.features[~there] - train.features[~there]).max() > 0.5
    score = ContrastiveProjector().fit(both, names, X_unlabelled=unlabelled, in_target=there)
    assert score.score(test[20:], truth[20:]) > 0.9


def test_consistency_makes_projections_of_noisy_copies_agree():
    train = labelled(60)
    others = rows(200, seed=9)[0]
    generator_ = torch.Generator().manual_seed(0)
    keep = torch.rand(2, 200, 32, generator=generator_) >= 0.1
    x = torch.from_numpy(others)

    def disagreement(weight):
        settings = replace(SITE, consistency=weight, identity=0.0, epochs=60)
        projector = train_projector(train, settings, widths=[32], seed=0, unlabelled=others)[0]
        return float(1 - F.cosine_similarity(projector(x * keep[0]), projector(x * keep[1])).mean())

    assert disagreement(20.0) < 0.8 * disagreement(0.0)


def test_held_out_classes_are_kept_by_the_residual_and_lost_in_the_bottleneck():
    """Of twelve classes four are learnt; the others must still be told apart afterwards."""
    features, labels = rows(720, classes=12, distance=0.8)
    learnt = labels < 4
    kept = ContrastiveProjector(validated=False).fit(features[learnt], labels[learnt])
    paper = ContrastiveProjector(recipe="paper", prepare="standardise").fit(features[learnt], labels[learnt])
    ours = retention(kept, features[~learnt], labels[~learnt])
    theirs = retention(paper, features[~learnt], labels[~learnt])
    assert ours.frozen.acc1 == theirs.frozen.acc1 > 0.8
    assert ours.change > -0.03
    assert theirs.change < -0.1
    with pytest.raises(FitError, match="expected classes that the estimator has not learnt; found"):
        retention(kept, features, labels)


def test_held_out_rows_calibrate_the_probabilities():
    features, labels = rows(160, distance=0.25)
    test, truth = rows(2000, seed=70, distance=0.25)

    def error(calibrate):
        fitted = ContrastiveProjector(C=1.0, epochs=2, calibrate=calibrate)
        chances = fitted.fit(features, labels).predict_proba(test)
        return expected_calibration_error(chances.max(axis=1), chances.argmax(axis=1) == truth)

    assert error(True) < 0.7 * error(False)


def test_several_labels_a_row_are_learnt_and_likeness_matters():
    rng = np.random.default_rng(0)
    truth = rng.random((300, 3)) < [0.5, 0.3, 0.1]
    features = rng.normal(size=(300, 20))
    features[:, :3] += 3 * truth
    fitted = ContrastiveProjector().fit(features[:200], truth[:200].astype(int))
    assert (fitted.predict(features[200:]) == truth[200:]).mean() > 0.88
    train = fitted._labelled(features[:200], truth[:200].astype(int), None, None)
    spaces = [
        train_projector(train, replace(SITE, likeness=kind), widths=[20], seed=0)[0](
            torch.from_numpy(train.features)
        )
        for kind in ("any", "jaccard")
    ]
    assert (spaces[0] - spaces[1]).abs().max() > 1e-3


def test_a_class_of_few_rows_is_found_where_classes_count_alike():
    features, labels = rows(400, classes=2, distance=0.3)
    kept = (labels == 0) | (np.arange(400) % 20 == 1)
    test, truth = rows(400, seed=5, classes=2, distance=0.3)

    def recall(weight):
        fitted = ContrastiveProjector(class_weight=weight).fit(features[kept], labels[kept])
        return (fitted.predict(test)[truth == 1] == 1).mean()

    assert recall("balanced") > recall(None) + 0.05


def test_folds_part_no_group():
    """Every row stands there four times; folds that part copies would find C = 100 sure of itself."""
    features, labels = rows(40, distance=0.15)
    copies, names, groups = (np.repeat(one, 4, axis=0) for one in (features, labels, np.arange(40)))
    grouped = ContrastiveProjector(epochs=2).fit(copies, names, groups=groups)
    parted = ContrastiveProjector(epochs=2).fit(copies, names)
    assert grouped.chosen_.log_likelihoods[0] < parted.chosen_.log_likelihoods[0] - 0.3


def test_validation_rows_choose_in_place_of_folds():
    features, labels = rows(60)
    fitted = ContrastiveProjector().fit(features, labels, validation=rows(44, seed=3))
    assert fitted.chosen_.rows == 44


def test_survives_pickling():
    features, labels = rows(60)
    fitted = ContrastiveProjector(validated=False).fit(features, labels)
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict_proba(features), fitted.predict_proba(features))


@pytest.mark.parametrize(
    ("setting", "error", "sentence"),
    [
        ({"recipe": "papr"}, UsageError, "no projector recipe 'papr'; did you mean 'paper'"),
        ({"loss": "triplet"}, ConfigError, "loss='triplet' is not known; known: pairwise_bce, supcon"),
        ({"C": "best"}, ConfigError, "C must be > 0 or 'chosen'; got 'best'"),
        ({"batch_size": 1}, ConfigError, "batch_size must be >= 2; got 1"),
        ({"temperature": 0.0}, ConfigError, "temperature must be > 0; got 0.0"),
        ({"identity": -1.0}, ConfigError, "identity must be >= 0; got -1.0"),
    ],
)
def test_settings_out_of_their_range_are_refused_when_fitting(setting, error, sentence):
    with pytest.raises(error, match=sentence):
        ContrastiveProjector(**setting).fit(*rows(20))


def test_in_target_must_name_every_row():
    features, labels = rows(20)
    with pytest.raises(FitError, match=r"got shape \(3,\) for 20 rows"):
        ContrastiveProjector().fit(features, labels, X_unlabelled=features, in_target=[True, False, True])
