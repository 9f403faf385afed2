import numpy as np
import pytest
from sklearn.metrics import label_ranking_average_precision_score

from synsight.adaptation import trials
from synsight.adaptation.automatic import CANDIDATES, Automatic
from synsight.adaptation.base import LabelledRows
from synsight.adaptation.logistic import LogisticRegression
from synsight.adaptation.trials import gain, pool_weights
from synsight.errors import ConfigError

QUICK = ("prototypes", "knn", "lda")


def linear(rng, count):
    """Labels drawn by a softmax of features that are far from Gaussian: logistic regression is the truth."""
    rows = rng.exponential(size=(count, 10)) * np.where(rng.random((count, 10)) < 0.1, 6, 1)
    scores = rows @ np.random.default_rng(0).normal(size=(10, 3))
    return rows, (scores - np.log(-np.log(rng.random((count, 3))))).argmax(axis=1)


def gaussian(rng, count):
    labels = rng.integers(3, size=count)
    return np.random.default_rng(1).normal(size=(3, 30))[labels] * 0.7 + rng.normal(size=(count, 30)), labels


def rings(rng, count):
    """A class inside another: neighbours part them, nothing linear does."""
    labels = rng.integers(2, size=count)
    angles = rng.uniform(0, 2 * np.pi, count)
    radius = np.where(labels, 1.0, 0.3)[:, None] + 0.08 * rng.normal(size=(count, 1))
    return np.hstack([radius * np.stack([np.cos(angles), np.sin(angles)], 1), np.ones((count, 1))]), labels


def nothing(rng, count):
    return rng.normal(size=(count, 8)), rng.integers(3, size=count)


def drawn(problem, seed, count):
    rows, labels = problem(np.random.default_rng([seed, 17]), count)
    return rows.astype(np.float32), labels


PROBLEMS = {"linear": linear, "gaussian": gaussian, "rings": rings, "nothing": nothing}


@pytest.mark.parametrize("problem", list(PROBLEMS))
def test_it_is_never_below_tuned_logistic_regression_by_more_than_its_interval(problem):
    taken, differences = [], []
    for seed in range(8):
        train, test = drawn(PROBLEMS[problem], seed, 90), drawn(PROBLEMS[problem], 1000 + seed, 1500)
        auto = Automatic(seconds=None, candidates=QUICK).fit(*train)
        difference = auto.score(*test) - LogisticRegression().fit(*train).score(*test)
        widths = [one.high - one.low for one in auto.tried_ if one.method == auto.method_ and one.low]
        assert difference >= -(widths[0] / 2 if widths else 0)
        taken.append(auto.method_)
        differences.append(difference)
    assert np.mean(differences) > -0.005
    if problem == "rings":
        assert taken == ["knn"] * 8
        assert np.mean(differences) > 0.2
    if problem in ("linear", "nothing"):
        assert taken.count("logistic") >= 7


def test_it_takes_logistic_regression_with_its_own_answers_where_that_is_best():
    train, test = drawn(linear, 0, 90), drawn(linear, 1, 50)
    auto, logistic = Automatic(seconds=None, candidates=QUICK).fit(*train), LogisticRegression().fit(*train)
    assert auto.method_ == "logistic"
    np.testing.assert_array_equal(auto.predict(test[0]), logistic.predict(test[0]))
    scores = logistic._scores(test[0]) * auto.shares_["logistic"]  # less sure, or more, but in the same order
    np.testing.assert_allclose(auto._scores(test[0]), scores, atol=1e-5)
    assert auto.reason_.startswith("logistic regression is taken, because none of 3 others is shown to be")


def test_the_reason_and_the_table_tell_what_was_gained():
    auto = Automatic(seconds=None, candidates=QUICK).fit(*drawn(rings, 0, 90))
    table = {one.method: one for one in auto.tried_}
    assert list(table) == ["logistic", *QUICK]
    assert table["knn"].outcome == "taken"
    assert table["knn"].score - table["logistic"].score == pytest.approx(table["knn"].gain)
    assert 0 < table["knn"].low < table["knn"].gain < table["knn"].high
    assert auto.reason_.startswith(f"knn is taken, because it gains {100 * table['knn'].gain:+.1f} points [")
    assert auto.reason_.endswith("in 5 folds of 90 rows over logistic regression")


def test_the_score_of_a_candidate_is_that_of_fits_that_did_not_see_the_rows():
    features, labels = drawn(rings, 3, 60)
    auto = Automatic(seconds=None, candidates=("knn",)).fit(features, labels)
    hits = [
        CANDIDATES["knn"]().fit(features[part.fitted], labels[part.fitted]).predict(features[part.held_out])
        == labels[part.held_out]
        for part in auto.parts_
    ]
    assert next(one for one in auto.tried_ if one.method == "knn").score == np.concatenate(hits).mean()


class Clock:
    """Seconds that pass only when something is fitted."""

    def __init__(self, monkeypatch, costs):
        self.now = 0.0
        monkeypatch.setattr(trials, "clock", lambda: self.now)
        fitted = Automatic._fitted

        def slow(automatic, name, train):
            self.now += costs[name]
            return fitted(automatic, name, train)

        monkeypatch.setattr(Automatic, "_fitted", slow)


def test_without_time_logistic_regression_is_all_there_is(monkeypatch):
    Clock(monkeypatch, dict.fromkeys(["logistic", *QUICK], 1.0))
    auto = Automatic(seconds=0, candidates=QUICK).fit(*drawn(rings, 0, 90))
    assert auto.method_ == "logistic"
    assert [one.outcome[:10] for one in auto.tried_[1:]] == ["not tried:"] * 3
    assert auto.reason_ == (
        "logistic regression is taken, because nothing else was compared with it; not compared: prototypes, "
        "knn, lda"
    )


def test_whoever_turns_out_too_slow_is_given_up_and_the_time_is_kept(monkeypatch):
    clock = Clock(monkeypatch, {"logistic": 0.1, "prototypes": 0.5, "knn": 0.05, "lda": 0.01})
    auto = Automatic(seconds=1.2, candidates=QUICK).fit(*drawn(rings, 0, 90))
    table = {one.method: one for one in auto.tried_}
    assert table["prototypes"].outcome == "given up after 0.5 s, too slow"
    assert auto.method_ == "knn"
    assert clock.now <= 1.2


def test_groups_are_not_parted_so_copies_of_rows_prove_nothing():
    features, labels = drawn(nothing, 0, 60)
    copies = np.repeat(features, 3, axis=0), np.repeat(labels, 3)
    groups = np.repeat(np.arange(60), 3)
    fooled = Automatic(seconds=None, candidates=("knn",)).fit(*copies)
    aware = Automatic(seconds=None, candidates=("knn",)).fit(*copies, groups=groups)
    assert fooled.method_ == "knn"
    assert aware.method_ == "logistic"
    assert "in 5 folds of 60 groups" in aware.reason_


def test_one_label_a_class_leaves_nothing_to_compare_by():
    auto = Automatic().fit(np.eye(3, 5), ["a", "b", "c"])
    assert auto.method_ == "logistic"
    assert "no class has two labels" in auto.reason_


def labelled(labels, classes=3):
    truth = labels[:, None] == np.arange(classes)
    count = len(labels)
    return LabelledRows(np.zeros((count, 1), np.float32), labels, truth, np.ones(count), np.arange(count))


def test_more_comparisons_ask_for_a_wider_interval():
    features, labels = drawn(rings, 5, 60)
    alone = Automatic(seconds=None, candidates=("knn",)).fit(features, labels).tried_[-1]
    among = Automatic(seconds=None, candidates=("lda", "prototypes", "knn")).fit(features, labels).tried_[-1]
    assert alone.gain == among.gain
    assert among.high - among.low > alone.high - alone.low


def test_pool_weights_favour_who_knows_and_are_the_likeliest():
    rng = np.random.default_rng(0)
    labels = rng.integers(3, size=300)
    knows = rng.normal(size=(300, 3)) + 1.5 * np.eye(3)[labels]
    guesses = rng.normal(size=(300, 3))
    rows = labelled(labels)
    weights = pool_weights([knows, guesses], rows)

    def loss(pair):
        scores = pair[0] * knows + pair[1] * guesses
        return (np.log(np.exp(scores).sum(axis=1)) - scores[np.arange(300), labels]).mean()

    assert weights[0] > 10 * weights[1] >= 0
    for change in ([0.05, 0], [-0.05, 0], [0, 0.05]):
        assert loss(weights) <= loss(weights + change)


def test_a_pool_of_two_that_err_differently_is_taken_and_its_head_sums_them():
    def half_and_half(seed, count):
        rng = np.random.default_rng([seed, 3])
        around, labels = rings(rng, count)
        return np.hstack([around, 0.9 * labels[:, None] + rng.normal(size=(count, 1))]).astype(
            np.float32
        ), labels

    train, test = half_and_half(0, 150), half_and_half(1, 1000)
    auto = Automatic(seconds=None, candidates=("knn",), pool=True).fit(*train)
    pooled = next(one for one in auto.tried_ if one.method == "pool")
    assert pooled.low > 0
    members = {"logistic": LogisticRegression().fit(*train), "knn": CANDIDATES["knn"]().fit(*train)}
    if auto.method_ == "pool":
        expected = sum(auto.shares_[name] * one._scores(test[0]) for name, one in members.items())
        np.testing.assert_allclose(auto._scores(test[0]), expected, atol=1e-4)
    assert auto.score(*test) > members["logistic"].score(*test) + 0.1


def test_of_several_labels_the_gain_is_that_of_scikit_learn_s_ranking_precision():
    rng = np.random.default_rng(0)
    truth = rng.random((40, 5)) < 0.4
    first, second = rng.normal(size=(40, 5)) + truth, np.round(rng.normal(size=(40, 5)), 1)
    rows = LabelledRows(np.zeros((40, 1), np.float32), None, truth, np.ones(40), np.arange(40) // 2)
    found = gain(first, second, rows, level=0.95, alike=False)
    expected = [label_ranking_average_precision_score(truth, one) for one in (first, second)]
    assert found.value == pytest.approx(expected[0] - expected[1])
    assert found.low < found.value < found.high


def test_unknown_candidates_and_settings_out_of_range_are_named():
    with pytest.raises(ConfigError, match=r"candidate 'knm' is not known; did you mean 'knn'"):
        Automatic(candidates=("knm",)).fit(*drawn(rings, 0, 20))
    with pytest.raises(ConfigError, match=r"seconds be >= 0; got 0.95, -1"):
        Automatic(seconds=-1).fit(*drawn(rings, 0, 20))
