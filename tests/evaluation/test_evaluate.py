import json

import pytest
from made import make_catalog

from synsight.data.catalog import Catalog
from synsight.data.written_reports import written_reports
from synsight.errors import ModelError, UsageError
from synsight.evaluation import evaluate, mean_over_draws, read_predictions, read_results
from synsight.models import load

MODEL = "random:test_resnet.r160_in1k"


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluate")
    make_catalog(folder / "cat")
    load(MODEL, image_size=16, seed=3).save_pretrained(folder / "model")
    results = evaluate(
        [MODEL, folder / "model"],
        data=folder / "cat",
        label="kind",
        out=folder / "ev",
        labels_per_class=(3,),
        draws=2,
        names={MODEL: "untrained"},
    )
    return folder, results


def test_every_model_answers_every_question_with_every_metric(evaluated):
    folder, results = evaluated
    calibration = 2 * (1 + 2)  # of all but knn, whose votes are no probabilities
    assert len(results) == 2 * (1 + 1 + 2) * 2 + calibration
    assert {one.model for one in results} == {"untrained", str(folder / "model")}
    assert {(one.task, one.n_labels, one.seed) for one in results} == {
        ("knn", None, 0),
        ("linear", None, 0),
        ("fewshot", 3, 0),
        ("fewshot", 3, 1),
    }
    assert read_results(folder / "ev") == results


def test_a_purge_names_the_files_with_ids(evaluated):
    folder, _ = evaluated
    with_ids = {folder / "ev" / name for name in ("predictions.parquet", "evaluation.json")}
    assert with_ids <= set(written_reports(Catalog.open(folder / "cat")))


def test_colours_are_told_apart_better_than_by_chance(evaluated):
    _, results = evaluated
    for one in results:
        if one.task == "linear" and one.metric == "acc1":
            assert one.value > one.baseline + 0.2
            assert one.ci_low <= one.value <= one.ci_high


def test_rows_without_a_label_are_left_out_and_counted(evaluated):
    folder, results = evaluated
    settings = json.loads((folder / "ev" / "evaluation.json").read_text())
    assert settings["unlabelled"] == 3
    assert sum(settings["rows"].values()) == 87
    assert {one.n_test for one in results if one.task == "knn"} == {settings["rows"]["test"]}


def test_a_class_with_fewer_rows_than_asked_is_dropped_and_counted(evaluated):
    _, results = evaluated
    few = [one for one in results if one.task == "fewshot"]
    assert {one.details["classes_dropped"] for one in few} == {1}
    assert {one.details["test_rows_dropped"] for one in few} == {1}


def test_features_are_kept_in_the_catalog_and_a_second_call_gives_the_same_numbers(evaluated):
    folder, results = evaluated
    columns = [name for name in Catalog.open(folder / "cat").columns if name.startswith("features_")]
    assert len(columns) == 2
    version = Catalog.open(folder / "cat").version
    again = evaluate(
        [MODEL, folder / "model"],
        data=folder / "cat",
        label="kind",
        out=folder / "again",
        labels_per_class=(3,),
        draws=2,
        names={MODEL: "untrained"},
    )
    assert Catalog.open(folder / "cat").version == version
    for one, other in zip(results, again, strict=True):
        assert (one.value, one.ci_low, one.ci_high, one.config_hash) == (
            other.value,
            other.ci_low,
            other.ci_high,
            other.config_hash,
        )


def test_where_few_rows_have_a_label_only_theirs_are_embedded_to_the_same_numbers(evaluated, tmp_path):
    def keep_half(columns):
        return {**columns, "few": [kind if row % 6 < 2 else None for row, kind in enumerate(columns["kind"])]}

    catalog = make_catalog(tmp_path / "cat", change=keep_half)
    call = {"data": catalog.path, "label": "few", "tasks": ["knn"], "image_size": 16}
    alone = evaluate(MODEL, out=tmp_path / "alone", **call)
    assert not any(name.startswith("features_") for name in Catalog.open(catalog.path).columns)
    evaluate(MODEL, out=tmp_path / "all", **{**call, "label": "kind"})
    assert any(name.startswith("features_") for name in Catalog.open(catalog.path).columns)
    again = evaluate(MODEL, out=tmp_path / "again", **call)
    assert [one.value for one in again] == [one.value for one in alone]


def test_the_untrained_encoder_sees_images_of_the_size_of_the_model_beside_it(evaluated):
    folder, _ = evaluated
    settings = json.loads((folder / "ev" / "evaluation.json").read_text())
    assert settings["models"][0]["digest"] == load(MODEL, image_size=16, seed=0).digest


def test_draws_sum_up_from_the_folder_alone(evaluated):
    folder, _ = evaluated
    means = mean_over_draws(read_results(folder / "ev"), read_predictions(folder / "ev"))
    assert len(means) == 2 * 3 * 2 + 2 * 2
    assert {one.details["draws"] for one in means if one.task == "fewshot"} == {2}


def test_the_same_question_has_the_same_hash_whatever_the_model(evaluated):
    _, results = evaluated
    assert len({one.config_hash for one in results}) == 4


def test_models_that_cannot_be_used_are_named(evaluated, tmp_path):
    folder, _ = evaluated
    call = {"data": folder / "cat", "label": "kind", "out": tmp_path / "ev"}
    with pytest.raises(UsageError, match="is to be judged twice; name it once"):
        evaluate([MODEL, MODEL], **call)
    with pytest.raises(UsageError, match="needs a model"):
        evaluate([], **call)
    with pytest.raises(ModelError):
        evaluate(str(tmp_path / "nothing"), **call)
    assert not (tmp_path / "ev").exists()
