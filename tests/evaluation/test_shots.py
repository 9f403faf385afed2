"""k labels of a new domain, on features whose answers are known."""

from dataclasses import replace

import numpy as np
import pytest
from asked import judged
from hypothesis import given
from hypothesis import strategies as st
from made import make_splits

from synsight.errors import ConfigError, DataError, UsageError
from synsight.evaluation.estimators import Answer, knn
from synsight.evaluation.questions import Features
from synsight.evaluation.scoring import Origin
from synsight.evaluation.shifts import leave_one_domain_out, shift_of
from synsight.evaluation.shots import few_of, gains, shot_problem, shots, target_only, tuned_logistic
from synsight.metrics import draw_per_class

CLASSES = 3
ORIGIN = Origin(model="made", dataset="rows", catalog_version=1, class_names=("a", "b", "c"))


def shifted(*, source: bool = True, turned: bool = False):
    """Two domains of three classes; `turned`: the target shows each class as the source shows the next."""
    splits, features = make_splits((60, 30, 90), noise=0.05)
    old_splits, old_features = make_splits((120, 60, 30), noise=0.05, seed=2)
    if turned:
        centres = np.random.default_rng(1).normal(size=(CLASSES, 5)).astype(np.float32)
        features = Features(
            *(
                one + centres[(rows.labels + 1) % CLASSES] - centres[rows.labels]
                for one, rows in zip(
                    (features.train, features.val, features.test),
                    (splits.train, splits.val, splits.test),
                    strict=True,
                )
            )
        )
    return shift_of("new", source=(old_splits, old_features) if source else None, target=(splits, features))


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.integers(0, 9), st.integers(0, 20))
def test_a_draw_holds_k_rows_of_every_class_or_all_that_there_are(labels, k, seed):
    labels = np.array(labels)
    drawn = few_of(labels, per_class=k, seed=seed)
    counts = np.bincount(labels, minlength=5)
    assert np.bincount(labels[drawn], minlength=5).tolist() == np.minimum(counts, k).tolist()
    assert len(np.unique(drawn)) == len(drawn)
    assert set(drawn) <= set(few_of(labels, per_class=k + 3, seed=seed))


def test_classes_with_enough_rows_get_the_rows_that_evaluate_draws():
    labels = np.repeat([0, 1, 2], [20, 30, 3])
    theirs = draw_per_class(labels, per_class=5, seed=4)
    ours = few_of(labels, per_class=5, seed=4)
    assert set(theirs.rows) == {row for row in ours if labels[row] != 2}
    assert (labels[ours] == 2).sum() == 3


def test_no_estimator_sees_a_test_label_or_a_label_that_was_not_drawn():
    shift = shifted()
    problem = shot_problem(shift, per_class=2, seed=0)
    assert len(problem.train_labels) == len(shift.source) + 2 * CLASSES
    assert problem.train_is_target.sum() == 2 * CLASSES
    assert len(problem.unlabelled_features) == len(shift.target) - 2 * CLASSES
    assert len(problem.val_labels) == 0
    shown = {row.tobytes() for row in np.concatenate([problem.train_features, problem.unlabelled_features])}
    assert not shown & {row.tobytes() for row in shift.test.features}
    assert not hasattr(problem, "test_labels")


def test_without_target_labels_the_source_chooses_and_with_all_of_them_the_target():
    shift = shifted()
    assert len(shot_problem(shift, per_class=0, seed=0).val_labels) == len(shift.source_val)
    every = shot_problem(shift, per_class=None, seed=0)
    assert len(every.val_labels) == len(shift.target_val)
    assert every.train_is_target.sum() == len(shift.target)


def test_a_domain_that_looks_the_same_is_recognised_without_a_label():
    answers = list(shots(shifted(), {"logistic": tuned_logistic}, sizes=(0,), draws=3))
    assert len(answers) == 1
    assert (answers[0].probabilities.argmax(axis=1) == answers[0].test.labels).all()


def test_where_each_class_looks_like_the_next_no_label_means_all_wrong_and_own_labels_mend_it():
    shift = shifted(turned=True)
    own = target_only(knn)
    found = {
        (one.question.task, one.question.n_labels): (
            one.probabilities.argmax(axis=1) == one.test.labels
        ).mean()
        for one in shots(shift, {"all": knn, "own": own}, sizes=(0, 4), draws=1, need_target=("own",))
    }
    assert found == {("all", 0): 0.0, ("all", 4): found["all", 4], ("own", 4): 1.0}
    assert found["all", 4] < 0.5


def test_the_gain_is_the_share_of_rows_that_one_alone_has_right():
    shift = shifted()
    truth = shift.test.rows.labels

    def right(problem):
        return Answer(np.eye(CLASSES, dtype=np.float32)[truth], {})

    def half_right(problem):
        said = np.where(np.arange(len(truth)) % 2 == 0, truth, (truth + 1) % CLASSES)
        return Answer(np.eye(CLASSES, dtype=np.float32)[said], {})

    answers = list(shots(shift, {"right": right, "half": half_right}, sizes=(1,), draws=4))
    found = gains(answers, against="half", origin=ORIGIN, config_hash="x")
    assert {(one.task, one.metric) for one in found} == {
        ("right", "acc1_difference"),
        ("right", "mean_per_class_recall_difference"),
    }
    first = found[0]
    assert first.value == pytest.approx(0.5) and first.ci_low > 0.3
    assert first.details["against"] == "half" and first.details["draws"] == 4


def test_every_estimator_gets_the_same_draws():
    seen = {}

    def spy(name):
        def estimator(problem):
            seen.setdefault((problem.seed, len(problem.train_labels)), []).append(
                (name, problem.train_rows.ids.tolist())
            )
            return knn(problem)

        return estimator

    list(shots(shifted(), {"a": spy("a"), "b": spy("b")}, sizes=(1, 4), draws=3, seed=5))
    assert {seed for seed, _ in seen} == {5, 6, 7}
    assert all(len(pair) == 2 and pair[0][1] == pair[1][1] for pair in seen.values())


def test_without_a_source_it_is_the_plain_protocol_and_no_label_is_refused():
    shift = shifted(source=False)
    (answer,) = shots(shift, {"knn": knn}, sizes=(2,), draws=1)
    assert answer.details["train_rows"] == 2 * CLASSES
    with pytest.raises(DataError, match="needs labelled rows of two classes; found 0 rows"):
        list(shots(shift, {"knn": knn}, sizes=(0,)))
    with pytest.raises(ConfigError, match="draws must be at least 1"):
        list(shots(shift, {"knn": knn}, draws=0))


def test_each_domain_is_left_out_in_turn_and_rows_of_a_test_group_stay_away(monkeypatch):
    splits, features = make_splits((60, 30, 90))
    codes = splits.test.group_codes + 1000  # numbers of their own; but one group is of both splits
    codes[codes == 1000] = splits.train.group_codes[0]
    splits = replace(splits, test=replace(splits.test, group_codes=codes))
    cameras = np.array(["a", "b"], dtype=object)
    monkeypatch.setattr(
        "synsight.evaluation.shifts.domains_of",
        lambda catalog, column, rows: cameras[rows.group_codes % 2],
    )
    one = judged(splits, features)
    shifts = {shift.name: shift for shift in leave_one_domain_out(one)}
    assert set(shifts) == {"a", "b"}
    for name, number in (("a", 0), ("b", 1)):
        shift = shifts[name]
        assert (shift.test.rows.group_codes % 2 == number).all()
        assert (shift.target.rows.group_codes % 2 == number).all()
        assert (shift.source.rows.group_codes % 2 != number).all()
        shared = (splits.train.group_codes == 0).sum() if name == "a" else 0
        assert shift.left_out == shared
        assert len(shift.source) + len(shift.target) == len(splits.train) - shared
    with pytest.raises(UsageError, match="no row has domain = 'c'; known: a, b"):
        list(leave_one_domain_out(one, only="c"))
