import numpy as np
import pytest
from made import make_splits

from synsight.errors import ConfigError, DataError, UsageError
from synsight.evaluation.estimators import ESTIMATORS, Answer
from synsight.evaluation.questions import Features, Question, ask, questions

SPLITS, FEATURES = make_splits()


def asked(tasks, splits=SPLITS, *, labels_per_class=(2,), draws=2, seed=0):
    return questions(
        tasks, splits, labels_per_class=labels_per_class, draws=draws, seed=seed, estimators=ESTIMATORS
    )


def remember(problems):
    """An estimator that says the first class and keeps what it was shown."""

    def estimator(problem):
        problems.append(problem)
        probabilities = np.eye(problem.num_classes, dtype=np.float32)[
            np.zeros(len(problem.test_features), int)
        ]
        return Answer(probabilities, {})

    return estimator


def test_tasks_become_single_questions_and_each_is_asked_once():
    assert asked(["knn", "fewshot", "fewshot"], seed=5) == [
        Question("knn", None, 5),
        Question("fewshot", 2, 5),
        Question("fewshot", 2, 6),
    ]


def test_curve_takes_the_sizes_that_two_classes_have_and_shares_draws_with_fewshot():
    curve = asked(["curve", "fewshot"], labels_per_class=(5,))
    assert [one.n_labels for one in curve[::10]] == [1, 2, 5, 10, None], "20 rows a class are not there"
    assert len(curve) == 41
    assert len(asked(["curve"], draws=12)) == 4 * 12 + 1


def test_curve_ends_with_all_labels_where_validation_rows_can_choose():
    assert asked(["curve", "linear"])[-1] == Question("linear", None, 0)
    without_val, _ = make_splits((40, 0, 30))
    assert {one.task for one in asked(["curve"], without_val)} == {"fewshot"}


def test_no_estimator_sees_test_labels_and_few_labels_see_no_validation_rows():
    problems = []
    spy = {"knn": remember(problems), "fewshot": remember(problems)}
    answers = list(
        ask([Question("knn", None, 0), Question("fewshot", 2, 0)], FEATURES, SPLITS, estimators=spy)
    )
    all_labels, few = problems
    assert len(all_labels.val_labels) == 20
    assert len(few.val_labels) == len(few.val_features) == 0
    assert np.bincount(few.train_labels).tolist() == [2, 2, 2]
    assert answers[1].details["train_rows"] == 6


def test_every_model_gets_the_same_draw():
    problems = []
    other = Features(FEATURES.train * 2, FEATURES.val, FEATURES.test)
    for features in (FEATURES, other):
        list(ask([Question("fewshot", 3, 1)], features, SPLITS, estimators={"fewshot": remember(problems)}))
    np.testing.assert_array_equal(problems[0].train_features * 2, problems[1].train_features)


def test_classes_with_too_few_rows_are_dropped_from_test_too_and_counted():
    splits, features = make_splits(classes=3)
    kept = np.flatnonzero(
        (splits.train.labels != 2) | (np.arange(len(splits.train)) < 6)
    )  # class 2: two rows
    few = type(splits)("kind", splits.class_names, splits.train.take(kept), splits.val, splits.test, 0)
    cut = Features(features.train[kept], features.val, features.test)
    (answer,) = ask([Question("fewshot", 5, 0)], cut, few, estimators=ESTIMATORS)
    assert set(answer.test.labels) == {0, 1}
    assert answer.probabilities.shape == (20, 3)
    assert answer.details["classes_dropped"] == 1
    assert answer.details["test_rows_dropped"] == 10
    assert 2 not in answer.train_labels


@pytest.mark.parametrize("task", ["knn", "linear", "fewshot"])
def test_each_estimator_beats_chance_on_separable_classes_and_says_how(task):
    size = 5 if task == "fewshot" else None
    (answer,) = ask([Question(task, size, 0)], FEATURES, SPLITS, estimators=ESTIMATORS)
    assert np.mean(answer.probabilities.argmax(axis=1) == SPLITS.test.labels) > 0.6
    stated = {"knn": {"k", "temperature"}, "linear": {"C", "converged"}, "fewshot": {"C", "chosen_on"}}
    assert stated[task] <= set(answer.details)


def test_a_class_seen_only_in_test_is_an_error_of_everybody_and_named():
    splits, features = make_splits()
    kept = np.flatnonzero(splits.train.labels != 1)
    lost = type(splits)("kind", splits.class_names, splits.train.take(kept), splits.val, splits.test, 0)
    cut = Features(features.train[kept], features.val, features.test)
    for task in ("knn", "linear"):
        (answer,) = ask([Question(task, None, 0)], cut, lost, estimators=ESTIMATORS)
        assert answer.details["classes_only_in_test"] == ["b"]
        assert len(answer.test) == 30
        assert (answer.probabilities[:, 1] == 0).all()


def test_what_cannot_be_asked_is_named():
    with pytest.raises(UsageError, match="no task 'kn'; did you mean 'knn'"):
        asked(["kn"])
    with pytest.raises(ConfigError, match="draws"):
        asked(["fewshot"], draws=0)
    splits, features = make_splits((40, 0, 30))
    with pytest.raises(DataError, match="val split has no labelled row"):
        list(ask([Question("linear", None, 0)], features, splits, estimators=ESTIMATORS))
    assert len(list(ask([Question("knn", None, 0)], features, splits, estimators=ESTIMATORS))) == 1


def test_few_labels_of_classes_that_no_test_row_has_are_refused_with_the_label_named():
    splits, features = make_splits(classes=3)
    rows = np.flatnonzero(splits.test.labels == 2)
    others = np.flatnonzero((splits.train.labels != 2) | (np.arange(len(splits.train)) < 3))
    cut = type(splits)(
        "kind", splits.class_names, splits.train.take(others), splits.val, splits.test.take(rows), 0
    )
    few = Features(features.train[others], features.val, features.test[rows])
    with pytest.raises(DataError, match="kind: no test row is of one of the 2 classes that have 5"):
        list(ask([Question("fewshot", 5, 0)], few, cut, estimators=ESTIMATORS))
