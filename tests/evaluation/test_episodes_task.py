import numpy as np
import pytest
from asked import judged
from made import make_splits

from synsight.errors import DataError
from synsight.evaluation.episodes import episodes, one_of_each_group
from synsight.evaluation.questions import Features
from synsight.evaluation.rows import Rows, Splits, group_codes


def test_rows_of(labels, features, groups=None, **options):
    """A task over test rows of given labels; no group: each row is its own."""
    labels = np.asarray(labels)
    ids = np.array([f"t{number:04d}" for number in range(len(labels))], dtype=object)
    groups = np.array([None] * len(labels) if groups is None else groups, dtype=object)
    test = Rows(np.arange(len(labels)), ids, labels, groups, group_codes(ids, groups))
    plain, _ = make_splits()
    names = tuple(f"class{number}" for number in range(labels.max() + 1))
    splits = Splits("kind", names, plain.train, plain.val, test, 0)
    rows = np.asarray(features, np.float32)
    return judged(splits, Features(rows[:0], rows[:0], rows), **options)


test_rows_of.__test__ = False


def plain_loop(features, labels, *, count, seed):
    """Accuracy of 5-way 5-shot episodes with 6 queries, one after the other, and its standard error."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        learnt, asked = {}, {}
        for one in rng.choice(np.unique(labels), 5, replace=False):
            rows = rng.permutation(np.flatnonzero(labels == one))[:11]
            learnt[one], asked[one] = features[rows[:5]], features[rows[5:]]
        centre = np.concatenate(list(learnt.values())).mean(axis=0)

        def unit(rows, centre=centre):
            return (rows - centre) / np.linalg.norm(rows - centre, axis=1, keepdims=True)

        means = {one: unit(rows).mean(axis=0) for one, rows in learnt.items()}
        right = [
            min(means, key=lambda name: np.linalg.norm(row - means[name])) == one
            for one, rows in asked.items()
            for row in unit(rows)
        ]
        found.append(np.mean(right))
    return np.mean(found), np.std(found) / np.sqrt(count)


def test_episodes_agree_with_a_plain_loop_within_the_error_of_drawing():
    rng = np.random.default_rng(0)
    labels = np.arange(240) % 8
    features = rng.normal(size=(8, 12))[labels] * 0.6 + rng.normal(size=(240, 12))
    (result,) = episodes(test_rows_of(labels, features, episodes=1500)).results
    expected, error = plain_loop(features, labels, count=1500, seed=1)
    assert abs(result.value - expected) < 4 * np.hypot(error, result.details["standard_error"])
    assert 0.3 < result.value < 0.9
    assert result.ci_low < result.value < result.ci_high
    assert (result.metric, result.baseline, result.n_labels, result.n_test) == ("acc1", 0.2, 5, 240)
    assert (result.details["ways"], result.details["shots"], result.details["queries"]) == (5, 5, 6)
    assert result.details["standard_error"] == pytest.approx(error, rel=0.2)


def test_at_least_six_hundred_episodes_are_drawn_and_the_seed_says_which():
    labels, features = np.arange(80) % 4, np.random.default_rng(0).normal(size=(80, 3))
    first, again, other = (
        episodes(test_rows_of(labels, features, seed=seed)).results[0] for seed in (0, 0, 1)
    )
    assert first.details["episodes"] == 600
    assert first.value == again.value != other.value


def test_a_copy_of_a_row_in_its_group_cannot_be_both_learnt_from_and_asked_about():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(90) % 5, 2)
    noise = np.repeat(rng.normal(size=(90, 8)), 2, axis=0)  # says nothing of the class; two copies of each
    groups = [f"g{number // 2}" for number in range(180)]
    (honest,) = episodes(test_rows_of(labels, noise, groups)).results
    (leaking,) = episodes(test_rows_of(labels, noise)).results
    assert honest.ci_low < 0.2 < honest.ci_high
    assert leaking.value > honest.value + 0.05


def test_one_row_stands_for_a_class_and_group_and_each_in_its_turn():
    test = test_rows_of([0, 0, 0, 1, 1], np.zeros((5, 2)), ["a", "a", "b", "a", None]).splits.test
    drawn = [one_of_each_group(test, np.random.default_rng(seed)).tolist() for seed in range(40)]
    assert sorted(map(tuple, {tuple(one) for one in drawn})) == [(0, 2, 3, 4), (1, 2, 3, 4)]


def test_classes_with_too_few_rows_are_left_out_and_counted():
    labels = np.array([0] * 12 + [1] * 12 + [2] * 11 + [3] * 5 + [4] * 2)
    features = np.eye(5)[labels] + 0.01 * np.random.default_rng(0).normal(size=(len(labels), 5))
    (result,) = episodes(test_rows_of(labels, features)).results
    assert (result.details["classes"], result.details["classes_dropped"]) == (3, 2)
    assert result.baseline == pytest.approx(1 / 3)
    assert result.value == 1.0


def test_where_no_episode_is_possible_one_sentence_says_why():
    with pytest.raises(DataError, match=r"kind: episodes need two classes with 6 test rows .* \[7, 5, 3\]"):
        episodes(test_rows_of([0] * 7 + [1] * 5 + [2] * 3, np.zeros((15, 2))))
