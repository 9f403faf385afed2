import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t as student
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.preprocessing import StandardScaler

from synsight.errors import DataError, ShapeError
from synsight.metrics.average_precision import (
    average_precision,
    average_precisions,
    mean_average_precision,
)
from synsight.metrics.one_vs_rest import fit_one_vs_rest, one_vs_rest_path


def made(rows=60, classes=4, *, seed=0, steps=7):
    """Scores with many ties, and truth that goes with them."""
    rng = np.random.default_rng(seed)
    scores = np.round(rng.normal(size=(rows, classes)) * steps) / steps
    truth = scores + rng.normal(size=scores.shape) > 0.8
    truth[0] = True
    return scores.astype(np.float32), truth


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.integers(-3, 3), st.booleans(), st.integers(0, 3)), min_size=1, max_size=25
    ).filter(lambda rows: any(truth and weight for _, truth, weight in rows))
)
def test_average_precision_is_scikit_learns_with_ties_and_weights(rows):
    scores, truth, weights = (np.array(one) for one in zip(*rows, strict=True))
    found = average_precision(scores.astype(float), truth, np.array([weights, np.ones(len(rows))]))
    for value, given_weights in zip(found, (weights, None), strict=True):
        assert value == pytest.approx(average_precision_score(truth, scores, sample_weight=given_weights))


def test_average_precision_by_hand():
    found = average_precision(np.array([0.9, 0.8, 0.7, 0.1]), np.array([True, False, True, False]))
    assert found == pytest.approx([(1 / 1 + 2 / 3) / 2])
    assert average_precision(np.zeros(4), np.array([True, False, False, False])) == pytest.approx([1 / 4])


def test_macro_and_micro_are_scikit_learns():
    scores, truth = made()
    found = average_precisions(scores, truth, np.arange(60), resamples=10)
    assert found.macro.value == pytest.approx(average_precision_score(truth, scores, average="macro"))
    assert found.micro.value == pytest.approx(average_precision_score(truth, scores, average="micro"))
    assert mean_average_precision(scores, truth) == pytest.approx(found.macro.value)


def test_a_resample_of_groups_is_the_score_of_the_rows_drawn_again():
    scores, truth = made(rows=24, classes=3)
    groups = np.arange(24) // 2
    found = average_precisions(scores, truth, groups, resamples=80, seed=5)
    draws = np.random.default_rng(5).multinomial(12, np.full(12, 1 / 12), 80)
    macro, micro = [], []
    for draw in draws:
        rows = np.repeat(np.arange(24), draw[groups])
        seen = truth[rows].any(axis=0)
        macro.append(average_precision_score(truth[rows][:, seen], scores[rows][:, seen], average="macro"))
        micro.append(average_precision_score(truth[rows].ravel(), scores[rows].ravel()))
    for interval, values in ((found.macro, macro), (found.micro, micro)):
        half = student.ppf(0.975, 11) * np.std(values, ddof=1)
        ends = (max(0, interval.value - half), min(1, interval.value + half))
        assert (interval.low, interval.high) == pytest.approx(ends)


def test_the_interval_holds_what_other_test_sets_of_the_size_give():
    def one(seed):
        rng = np.random.default_rng(seed)
        truth = rng.random((200, 8)) < 0.1
        return truth * 1.2 + rng.normal(size=truth.shape), truth

    expected = np.mean([mean_average_precision(*one(seed)) for seed in range(1000, 1200)])
    found = [average_precisions(*one(seed), np.arange(200), resamples=60).macro for seed in range(100)]
    # 95 of 100, less three standard errors.
    assert 89 <= sum(each.low <= expected <= each.high for each in found) <= 100


def test_intervals_of_dependent_rows_are_wider_than_of_the_same_rows_as_if_independent():
    scores, truth = made(rows=40)
    copies = np.repeat(np.arange(40), 6)
    own, independent = (
        average_precisions(scores[copies], truth[copies], groups, resamples=300)
        for groups in (copies, np.arange(240))
    )
    assert own.macro.value == independent.macro.value
    assert own.macro.high - own.macro.low > 1.8 * (independent.macro.high - independent.macro.low)


def test_scores_that_know_nothing_reach_the_prevalence():
    rng = np.random.default_rng(0)
    truth = rng.random((4000, 5)) < np.array([0.02, 0.1, 0.3, 0.5, 0.8])
    found = mean_average_precision(rng.random((4000, 5)), truth)
    assert found == pytest.approx(truth.mean(axis=0).mean(), abs=0.01)


def test_what_cannot_be_scored_is_named():
    scores, truth = made()
    with pytest.raises(ShapeError, match=r"got \(60, 4\) and \(60, 4\), 0 true"):
        mean_average_precision(scores, np.zeros_like(truth))
    with pytest.raises(ShapeError, match="groups must be one integer a row"):
        average_precisions(scores, truth, np.arange(59))
    with pytest.raises(DataError, match="1 of 60 rows"):
        mean_average_precision(np.where(np.arange(60)[:, None] == 3, np.nan, scores), truth)


def labelled(rows=300, dimension=10, classes=4, *, seed=0):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(rows, dimension)) * np.geomspace(0.1, 10, dimension)
    weight = (
        np.random.default_rng(9).normal(size=(dimension, classes)) / np.geomspace(0.1, 10, dimension)[:, None]
    )
    truth = features @ weight + rng.normal(size=(rows, classes)) > 1
    return features.astype(np.float32), truth


def test_each_class_is_scikit_learns_logistic_regression_at_its_optimum():
    features, truth = labelled()
    inputs = StandardScaler().fit_transform(features.astype(float))
    for probe in one_vs_rest_path(features, truth, grid=(0.001, 0.1, 10.0)):
        assert probe.converged
        found = probe.probabilities(features)
        for one in range(4):
            theirs = LogisticRegression(C=probe.c, tol=1e-10, max_iter=5000).fit(inputs, truth[:, one])
            np.testing.assert_allclose(found[:, one], theirs.predict_proba(inputs)[:, 1], atol=2e-3)


def test_c_is_the_one_with_the_highest_precision_on_validation_rows():
    features, truth = labelled(60)
    val = labelled(400, seed=1)
    grid = (1e-5, 1e-3, 1e-1, 10.0)
    probe = fit_one_vs_rest(features, truth, *val, grid=grid)
    precisions = {
        one.c: mean_average_precision(one.probabilities(val[0]), val[1])
        for one in one_vs_rest_path(features, truth, grid=grid)
    }
    assert probe.c == max(precisions, key=precisions.__getitem__)
    assert precisions[probe.c] > val[1].mean() + 0.3


def test_more_dimensions_than_rows_and_features_that_do_not_vary_are_no_obstacle():
    features, truth = labelled(40, dimension=80)
    features[:, 3] = 2.0
    (probe,) = one_vs_rest_path(features, truth, grid=(0.1,))
    assert probe.converged and np.isfinite(probe.weight).all()
    inputs = StandardScaler().fit_transform(features.astype(float))
    theirs = LogisticRegression(C=0.1, tol=1e-10, max_iter=5000).fit(inputs, truth[:, 0])
    np.testing.assert_allclose(
        probe.probabilities(features)[:, 0], theirs.predict_proba(inputs)[:, 1], atol=2e-3
    )


def test_classes_that_do_not_vary_and_other_dimensions_are_refused():
    features, truth = labelled()
    with pytest.raises(ShapeError, match="leave out classes that do not vary"):
        next(one_vs_rest_path(features, np.ones_like(truth), grid=(1.0,)))
    (probe,) = one_vs_rest_path(features, truth, grid=(1.0,))
    with pytest.raises(ShapeError, match="must have the 10 dimensions"):
        probe.probabilities(features[:, :4])


def test_resamples_counted_one_by_one_give_the_same_numbers(monkeypatch):
    scores, truth = made(rows=40)
    whole = average_precisions(scores, truth, np.arange(40) // 2, resamples=12)
    sorts = []
    monkeypatch.setattr("synsight.metrics.average_precision._MOST_CELLS", 1)
    real = np.argsort
    monkeypatch.setattr(np, "argsort", lambda *given, **how: sorts.append(1) or real(*given, **how))
    assert average_precisions(scores, truth, np.arange(40) // 2, resamples=12) == whole
    assert len(sorts) == truth.shape[1] + 1, "each list is sorted once, not once a resample"
