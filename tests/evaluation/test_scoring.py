import dataclasses

import numpy as np
import pyarrow as pa
import pytest
from made import make_splits

from synsight.errors import DataError
from synsight.evaluation import (
    difference_results,
    mean_over_draws,
    paired_differences,
    read_predictions,
    read_results,
    write_evaluation,
)
from synsight.evaluation.comparison import unpaired_difference
from synsight.evaluation.estimators import ESTIMATORS
from synsight.evaluation.questions import Question, answered, ask
from synsight.evaluation.scoring import Origin, score
from synsight.evaluation.verdicts import corrected, found_word
from synsight.metrics import brier_score, expected_calibration_error
from synsight.records import Result

SPLITS, FEATURES = make_splits()


def scored(probabilities, *, question=None, model="m", splits=SPLITS):
    question = question or Question("knn", None, 0)
    answer = answered(question, splits, None, np.asarray(probabilities), seconds=1.5, details={"k": 3})
    origin = Origin(model=model, dataset="cat", catalog_version=4, class_names=splits.class_names)
    return score(answer, origin=origin, config_hash="h")


def right_for(share, *, seed=0):
    """Probabilities that name the right class of this share of the test rows."""
    rng = np.random.default_rng(seed)
    labels = SPLITS.test.labels
    named = np.where(rng.random(len(labels)) < share, labels, (labels + 1) % 3)
    return np.eye(3, dtype=np.float32)[named] * 0.7 + 0.1


def few_shot(model="m", *, draws=3, scale=1.0, seed=0):
    features = type(FEATURES)(FEATURES.train * scale, FEATURES.val, FEATURES.test * scale)
    asked = [Question("fewshot", 4, seed + draw) for draw in range(draws)]
    origin = Origin(model=model, dataset="cat", catalog_version=4, class_names=SPLITS.class_names)
    parts = [
        score(answer, origin=origin, config_hash="h")
        for answer in ask(asked, features, SPLITS, estimators=ESTIMATORS)
    ]
    return [one for part in parts for one in part.results], pa.concat_tables(
        [part.predictions for part in parts]
    )


def test_a_record_holds_value_interval_baseline_and_origin():
    part = scored(right_for(1.0))
    micro, macro = part.results
    assert (micro.metric, macro.metric) == ("acc1", "mean_per_class_recall")
    assert micro.value == micro.ci_high == 1
    assert 0.7 < micro.ci_low < 0.85  # 15 groups without a miss
    assert micro.details["interval"] == "Wilson, 15 effective rows"
    assert micro.baseline == pytest.approx(1 / 3)
    assert macro.baseline == pytest.approx(1 / 3)
    assert (micro.n_test, micro.n_labels, micro.seconds, micro.details["k"]) == (30, None, 1.5, 3)
    assert part.predictions["prediction"].to_pylist() == part.predictions["label"].to_pylist()
    assert part.predictions["probability"].to_pylist() == pytest.approx([0.8] * 30)


def test_baseline_of_acc1_is_the_most_frequent_class_of_the_training_rows():
    train = SPLITS.train.take(np.flatnonzero((SPLITS.train.labels == 1) | (np.arange(40) < 3)))
    test = SPLITS.test.take(np.flatnonzero((SPLITS.test.labels != 1) | (np.arange(30) < 6)))
    uneven = type(SPLITS)("kind", SPLITS.class_names, train, SPLITS.val, test, 0)
    micro, macro = scored(np.eye(3)[test.labels], splits=uneven).results
    assert micro.baseline == pytest.approx(2 / 22)
    assert macro.baseline == pytest.approx(1 / 3)


def test_mean_over_draws_is_the_mean_with_one_interval_for_all_of_them():
    results, predictions = few_shot()
    other = scored(right_for(0.5)).results
    micro, macro, _, *untouched = mean_over_draws([*results, *other], predictions)
    values = [one.value for one in results if one.metric == "acc1"]
    assert micro.value == pytest.approx(np.mean(values))
    assert micro.details["draws"] == 3
    assert micro.details["values"] == pytest.approx(values, abs=1e-4)
    assert micro.ci_low < micro.value < micro.ci_high
    assert macro.metric == "mean_per_class_recall"
    assert untouched == other
    assert "C" not in micro.details or len({one.details["C"] for one in results}) == 1


def test_a_mean_knows_only_the_answers_to_its_own_question():
    few, few_rows = few_shot()
    other = [
        scored(right_for(0.1, seed=seed), question=Question(*question, seed))
        for question in (("supervised", 4), ("fewshot", 9), ("fewshot", None))
        for seed in range(3)
    ]
    rows = pa.concat_tables([few_rows, *(one.predictions for one in other)])
    results = [*few, *(one for part in other for one in part.results)]
    alone, together = mean_over_draws(few, few_rows), mean_over_draws(results, rows)
    assert together[:3] == alone
    assert len(together) == 4 * 3


def test_the_interval_of_the_mean_draws_groups_not_rows():
    results, predictions = few_shot()
    alone = predictions.set_column(
        2, predictions.schema.field("group"), pa.nulls(len(predictions), pa.string())
    )
    grouped, apart = (mean_over_draws(results, table)[0] for table in (predictions, alone))
    assert grouped.value == apart.value
    assert (grouped.ci_low, grouped.ci_high) != (apart.ci_low, apart.ci_high)


def test_a_better_model_has_a_positive_paired_difference_and_the_sides_may_be_swapped():
    good, bad = (scored(right_for(share), model=str(share)).predictions for share in (0.9, 0.4))
    found = paired_differences(good, bad)
    accuracies = [np.mean(np.array(side["label"]) == np.array(side["prediction"])) for side in (good, bad)]
    assert found.value == pytest.approx(accuracies[0] - accuracies[1])
    assert 0 < found.ci_low < found.value < found.ci_high
    swapped = paired_differences(bad, good)
    assert swapped.value == pytest.approx(-found.value)
    assert (swapped.ci_low, swapped.ci_high) == pytest.approx((-found.ci_high, -found.ci_low), abs=1e-9)


def test_a_model_against_itself_differs_by_nothing():
    side = scored(right_for(0.5)).predictions
    found = paired_differences(side, side, metric="mean_per_class_recall")
    assert (found.value, found.p_value) == (0, 1)
    assert found.ci_low == -found.ci_high
    assert 0 < found.ci_high < found.detectable  # fifteen groups could not have shown a small one


def test_seeds_of_training_are_averaged_like_draws():
    sides = [scored(right_for(0.8, seed=seed), model=f"run {seed}").predictions for seed in range(3)]
    rival = scored(right_for(0.5, seed=9), model="rival").predictions
    together = paired_differences(pa.concat_tables(sides), rival)
    single = [paired_differences(side, rival).value for side in sides]
    assert together.value == pytest.approx(np.mean(single))


def test_other_test_rows_cannot_be_compared():
    side = scored(right_for(0.5)).predictions
    with pytest.raises(DataError, match="found 30 and 12 rows, 12 of them common"):
        paired_differences(side, side.slice(0, 12))


def test_difference_records_meet_supervised_training_on_the_same_labels():
    ours, our_rows = few_shot("frozen")
    theirs = [
        scored(right_for(0.3, seed=seed), question=Question("supervised", 4, seed), model="scratch")
        for seed in range(3)
    ]
    rows = pa.concat_tables([our_rows, *(one.predictions for one in theirs)])
    results = [*ours, *(one for part in theirs for one in part.results)]
    micro, macro = difference_results(results, rows, model="frozen", against="scratch")
    assert micro.metric == "acc1_difference"
    assert macro.metric == "mean_per_class_recall_difference"
    assert micro.details["against"] == "scratch"
    assert (micro.n_labels, micro.n_test, micro.task) == (4, 30, "fewshot")
    mean = np.mean([one.value for one in ours if one.metric == "acc1"])
    rival = np.mean([one.value for part in theirs for one in part.results if one.metric == "acc1"])
    assert micro.value == pytest.approx(mean - rival)
    assert micro.ci_low < micro.value < micro.ci_high


def test_answers_meant_as_probabilities_have_a_calibration_error_and_votes_have_none():
    probabilities = right_for(0.5)
    for task in ("linear", "supervised", "zeroshot"):
        *_, ece = scored(probabilities, question=Question(task, None, 0)).results
        hits = probabilities.argmax(axis=1) == SPLITS.test.labels
        confidences = probabilities.max(axis=1)
        assert ece.metric == "ece"
        assert ece.value == pytest.approx(expected_calibration_error(confidences, hits))
        assert ece.ci_low <= ece.value <= ece.ci_high
        assert ece.baseline is None
        assert ece.details["brier"] == pytest.approx(brier_score(probabilities, SPLITS.test.labels), abs=1e-4)
    assert [one.metric for one in scored(probabilities).results] == ["acc1", "mean_per_class_recall"]


def test_the_calibration_error_of_several_draws_is_their_mean():
    results, predictions = few_shot()
    errors = [one for one in results if one.metric == "ece"]
    mean = next(one for one in mean_over_draws(results, predictions) if one.metric == "ece")
    assert mean.value == pytest.approx(np.mean([one.value for one in errors]))
    assert mean.ci_high == pytest.approx(np.mean([one.ci_high for one in errors]))
    assert mean.details["interval"] == "mean of the draws' intervals"


def test_with_more_than_five_classes_the_five_most_probable_are_looked_at():
    splits, _ = make_splits((60, 20, 40), classes=8)
    probabilities = np.tile(np.linspace(0.2, 0.05, 8), (40, 1))  # always the same order of classes
    metrics = {one.metric: one for one in scored(probabilities, splits=splits).results}
    assert metrics["acc5"].value == metrics["acc5"].baseline == 5 / 8
    assert metrics["acc1"].value == 1 / 8
    assert "acc5" not in {one.metric for one in scored(right_for(0.5)).results}


def test_a_difference_record_says_what_was_found_and_what_could_have_been():
    sides = [scored(right_for(share, seed=1), model=name) for share, name in ((1.0, "good"), (0.3, "bad"))]
    results = [one for side in sides for one in side.results]
    rows = pa.concat_tables([side.predictions for side in sides])
    ahead = difference_results(results, rows, model="good", against="bad")
    behind = difference_results(results, rows, model="bad", against="good")
    assert {one.details["found"] for one in ahead} == {"better"}
    assert {one.details["found"] for one in behind} == {"worse"}
    for one in ahead:
        assert (
            one.details["p_value"] == one.details["p_holm"] < 0.01
        )  # one question, one metric: no correction
        assert 0 < one.details["detectable"] < one.value
        assert "15 groups" in one.details["interval"]


def test_a_model_that_answers_alike_is_never_called_equal():
    sides = [scored(right_for(0.6, seed=1), model=name) for name in ("one", "other")]
    results = [one for side in sides for one in side.results]
    rows = pa.concat_tables([side.predictions for side in sides])
    for one in difference_results(results, rows, model="one", against="other"):
        assert (one.value, one.details["p_value"], one.details["found"]) == (0, 1, "no difference found")


def difference(value, p_value, metric="acc1_difference"):
    return Result(
        model="m", dataset="d", task="knn", metric=metric, value=value, details={"p_value": p_value}
    )


def test_what_many_comparisons_find_is_corrected_metric_by_metric():
    found = corrected(
        [
            difference(0.2, 0.01),
            difference(-0.2, 0.02),
            difference(0.1, 0.04),
            difference(0.1, 0.04, "mean_per_class_recall_difference"),
        ]
    )
    assert [one.details["p_holm"] for one in found] == pytest.approx([0.03, 0.04, 0.04, 0.04])
    assert [one.details["found"] for one in found] == ["better", "worse", "better", "better"]
    assert [one.details["comparisons"] for one in found] == [3, 3, 3, 1]
    assert found_word(difference(0.3, 0.04), 0.05) == "no difference found"


def test_nothing_is_found_where_the_interval_holds_zero():
    seen = dataclasses.replace(difference(0.3, 0.01), ci_low=-0.1, ci_high=0.6)
    assert found_word(seen, 0.01) == "no difference found"
    assert found_word(dataclasses.replace(seen, ci_low=0.1), 0.01) == "better"


def test_three_training_seeds_are_counted_and_draws_of_one_of_them_are_not():
    sides = [
        pa.concat_tables(
            [
                scored(
                    right_for(share, seed=10 * side + seed), question=Question("knn", None, seed)
                ).predictions
                for seed, share in enumerate(shares)
            ]
        )
        for side, shares in enumerate(((0.95, 0.6, 0.8), (0.5, 0.5, 0.5)))
    ]
    counted = paired_differences(*sides)
    assert "3 seeds" in counted.method
    one_training = paired_differences(*sides, stride=100)
    assert "seeds" not in one_training.method
    assert counted.value == one_training.value


def foreign(value, *, n_test=0, ends=(None, None), metric="acc1"):
    return Result(
        model="f",
        dataset="d",
        task="linear",
        metric=metric,
        value=value,
        n_test=n_test,
        ci_low=ends[0],
        ci_high=ends[1],
    )


def test_results_without_predictions_are_compared_unpaired():
    # Newcombe 1998, Statistics in Medicine 17:873, table II (a), method 10
    found = unpaired_difference(foreign(56 / 70, n_test=70), foreign(48 / 80, n_test=80))
    assert (found.value, found.ci_low, found.ci_high) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)
    assert not found.paired
    assert found.p_value < 0.05
    known = unpaired_difference(foreign(0.8, ends=(0.77, 0.83)), foreign(0.75, ends=(0.71, 0.79)))
    assert (known.ci_low, known.ci_high) == pytest.approx((0, 0.1))


def test_what_cannot_be_compared_unpaired_is_named():
    with pytest.raises(DataError, match="the interval of the value, or a share with its number of test rows"):
        unpaired_difference(foreign(0.8), foreign(0.7, n_test=50))
    with pytest.raises(DataError, match="found 'acc1' of f and 'acc5' of f"):
        unpaired_difference(foreign(0.8, n_test=9), foreign(0.7, n_test=9, metric="acc5"))


def test_the_folder_gives_back_what_was_written(tmp_path):
    results, predictions = few_shot()
    write_evaluation(tmp_path / "ev", results, predictions, settings={"label": "kind"})
    assert read_results(tmp_path / "ev") == results
    assert read_predictions(tmp_path / "ev").equals(predictions)
    table = pa.parquet.read_table(tmp_path / "ev" / "results.parquet")
    assert table["value"].to_pylist() == [one.value for one in results]
    assert sorted(path.name for path in (tmp_path / "ev").iterdir()) == [
        "evaluation.json",
        "predictions.parquet",
        "results.json",
        "results.parquet",
    ]


def test_a_folder_that_is_no_evaluation_is_named(tmp_path):
    with pytest.raises(DataError, match=r"results\.json: expected a JSON file, found nothing"):
        read_results(tmp_path)
    (tmp_path / "results.json").write_text('[{"a": 1}]')
    with pytest.raises(DataError, match="expected a list of result records"):
        read_results(tmp_path)
    with pytest.raises(
        DataError, match=r"predictions\.parquet: .* found no file \(a purge .* evaluate again"
    ):
        read_predictions(tmp_path)
    (tmp_path / "predictions.parquet").write_text("nonsense")
    with pytest.raises(DataError, match="expected the predictions of an evaluation"):
        read_predictions(tmp_path)
