"""`evaluate` with every task: what applies to whom, what is refused, and what is said of it."""

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synsight.cli.app import main
from synsight.data.catalog import Catalog
from synsight.data.ingestion import ingest
from synsight.data.samples import sample
from synsight.data.trained_rows import trained_rows
from synsight.errors import DataError, Interrupted, UsageError
from synsight.evaluation import ESTIMATORS, read_results
from synsight.models import Model, embed, load
from synsight.workflow.judging import TASK_TABLE, evaluate

NAME = "random:test_resnet.r160_in1k"


@pytest.fixture(scope="module")
def catalog(tmp_path_factory):
    folder = tmp_path_factory.mktemp("judging")
    sample("emoji", out=folder / "whole")
    batches = [
        *Catalog.open(folder / "whole").scan(
            ["id", "image", "caption", "keywords", "category", "group", "split"]
        )
    ]
    table = pa.Table.from_batches(batches)
    few = [
        row
        for split, count in (("train", 120), ("val", 30), ("test", 60))
        for row in [n for n, one in enumerate(table["split"].to_pylist()) if one == split][:count]
    ]
    table = table.take(few)
    sites = [("north", "south")[sum(map(ord, group)) % 2] for group in table["group"].to_pylist()]
    pq.write_table(table.append_column("domain", [sites]), folder / "few.parquet")
    ingest(folder / "few.parquet", out=folder / "cat", label_column="category")
    return folder / "cat"


def test_a_task_that_applies_to_no_model_is_an_error_and_names_itself(catalog, tmp_path):
    with pytest.raises(UsageError, match="text"):
        evaluate(
            NAME, data=catalog, label="category", tasks=("zeroshot",), out=tmp_path / "ev", image_size=16
        )


def test_an_unknown_task_is_told_about_the_near_ones(catalog, tmp_path):
    with pytest.raises(UsageError, match="zeroshot"):
        evaluate(NAME, data=catalog, label="category", tasks=("zeroshots",), out=tmp_path / "ev")


def test_a_task_that_needs_a_label_asks_for_one(catalog, tmp_path):
    with pytest.raises(UsageError, match="--label"):
        evaluate(NAME, data=catalog, tasks=("multilabel", "knn"), out=tmp_path / "ev")
    assert not (tmp_path / "ev").exists()


FROM_FEATURES = ("knn", "linear", "fewshot", "curve", "episodes", "domains", "multilabel")


@pytest.fixture(scope="module")
def taken_along(catalog, tmp_path_factory):
    """The features of a model, in a file of their own."""
    file = tmp_path_factory.mktemp("features") / "taken along.parquet"
    embed(load(NAME, image_size=16), catalog, out=file, progress=False)
    return file


def test_every_task_that_needs_no_network_answers_a_file_of_features_like_the_model(
    catalog, taken_along, tmp_path, capsys
):
    known = {*TASK_TABLE.of_label, *TASK_TABLE.label_free, *ESTIMATORS, "curve"}
    assert {*FROM_FEATURES} == known - {*TASK_TABLE.needs_network}
    words = ["--data", str(catalog), "--label", "category", "--labels-per-class", "2", "--episodes", "20"]
    words += ["--tasks", ",".join(one for one in FROM_FEATURES if one != "curve"), "--skip-copies"]
    words += ["--draws", "1", "--json"]
    records = []
    for subject in ([NAME, "--image-size", "16"], ["--features", str(taken_along)]):
        assert main(["evaluate", *subject, *words, "--out", str(tmp_path / subject[0].strip("-"))]) == 0
        records.append(json.loads(capsys.readouterr().out))
    assert {one["model"] for one in records[1]} == {"taken along"}
    first, second = ([(one["task"], one["metric"], one["value"]) for one in some] for some in records)
    assert first == second
    assert {*FROM_FEATURES} - {"curve"} <= {task for task, *_ in first}


@pytest.mark.parametrize("task", TASK_TABLE.needs_network)
def test_a_task_that_needs_the_network_says_what_for(catalog, taken_along, tmp_path, capsys, task):
    words = ["--data", str(catalog), "--label", "category", "--tasks", task, "--out", str(tmp_path / "ev")]
    assert main(["evaluate", "--features", str(taken_along), *words]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert f"the task {task} {TASK_TABLE.needs_network[task]}, and only features were given" in said


def test_features_of_a_file_answer_like_those_of_the_model_that_made_them(catalog, tmp_path, capsys):
    first = evaluate(NAME, data=catalog, label="category", tasks=("knn",), out=tmp_path / "a", image_size=16)
    column = next(name for name in Catalog.open(catalog).columns if name.startswith("features_"))
    batches = [*Catalog.open(catalog).scan(["id", column])]
    table = pa.Table.from_batches(batches).rename_columns(["id", "features"])
    rng = np.random.default_rng(0)
    pq.write_table(table.take(rng.permutation(table.num_rows)), tmp_path / "taken along.parquet")
    words = ["evaluate", "--features", str(tmp_path / "taken along.parquet"), "--data", str(catalog)]
    assert (
        main([*words, "--label", "category", "--tasks", "knn,corruptions", "--out", str(tmp_path / "b")]) == 2
    )
    assert "name the MODEL instead of --features" in capsys.readouterr().err
    assert main([*words, "--label", "category", "--tasks", "knn", "--out", str(tmp_path / "b")]) == 0
    second = read_results(tmp_path / "b")
    assert {one.model for one in second} == {"taken along"}
    assert [one.value for one in second] == [one.value for one in first]


def test_what_applies_to_one_model_only_is_left_out_of_the_other_and_said(catalog, tmp_path, capsys):
    evaluate(NAME, data=catalog, label="category", tasks=("knn",), out=tmp_path / "a", image_size=16)
    column = next(name for name in Catalog.open(catalog).columns if name.startswith("features_"))
    table = pa.Table.from_batches([*Catalog.open(catalog).scan(["id", column])])
    pq.write_table(table.rename_columns(["id", "features"]), tmp_path / "file.parquet")
    words = ["evaluate", NAME, "--image-size", "16", "--features", str(tmp_path / "file.parquet")]
    words += ["--data", str(catalog), "--label", "category", "--tasks", "knn,resolution"]
    assert main([*words, "--out", str(tmp_path / "b")]) == 0
    assert "left out: resolution of file" in capsys.readouterr().out
    told = json.loads((tmp_path / "b/evaluation.json").read_text())
    assert [(one["model"], one["task"]) for one in told["left_out"]] == [("file", "resolution")]
    asked = {(one.model, one.task.partition(":")[0]) for one in read_results(tmp_path / "b")}
    assert (NAME, "resolution") in asked and ("file", "knn") in asked and ("file", "resolution") not in asked


def test_a_model_that_learnt_from_the_test_images_is_refused_without_a_label_too(catalog, tmp_path):
    opened = Catalog.open(catalog)
    plain = load(NAME, image_size=16)
    config = replace(plain.config, method="simclr")
    saw = trained_rows(opened, opened.positions("split = 'test'"))
    folder = Model(plain.encoder, config, trained_rows=saw, name="saw").save_pretrained(tmp_path / "model")
    asked = {"data": catalog, "tasks": ("multilabel",), "out": tmp_path / "ev", "check_copies": False}
    with pytest.raises(DataError, match="of 60 test rows"):
        evaluate(folder, **asked)
    found = evaluate(folder, **asked, allow_seen=True)
    # A test image that is also a training image byte for byte is the split's own leak.
    assert {55 <= one.details["seen_test_rows"] <= 60 for one in found} == {True}
    assert "mean_average_precision" in {one.metric for one in found}


def test_near_copies_are_found_and_said(catalog, tmp_path, capsys):
    words = ["evaluate", NAME, "--image-size", "16", "--data", str(catalog), "--label", "category"]
    assert main([*words, "--tasks", "knn", "--out", str(tmp_path / "a")]) == 0
    told = json.loads((tmp_path / "a/evaluation.json").read_text())
    assert told["near_copies"]["test_rows"] == 60
    assert main([*words, "--tasks", "knn", "--out", str(tmp_path / "b"), "--skip-copies"]) == 0
    assert "near_copies" not in json.loads((tmp_path / "b/evaluation.json").read_text())


def test_stopped_in_a_training_it_says_to_run_the_same_command_again(catalog, tmp_path, monkeypatch):
    def stopped(config, **_):
        raise Interrupted("stopped by SIGINT; go on with `synsight pretrain`")

    monkeypatch.setattr("synsight.finetuning.supervised.train", stopped)
    asked = {
        "label": "category",
        "tasks": ("finetune",),
        "out": tmp_path / "ev",
        "image_size": 16,
        "draws": 1,
    }
    with pytest.raises(Interrupted, match=r"the evaluation in .* run the same command again to go on\.$"):
        evaluate(NAME, data=catalog, labels_per_class=(1,), check_copies=False, **asked)


def test_the_help_names_every_task(capsys):
    main(["evaluate", "--help"])
    said = capsys.readouterr().out.replace(",", " ").replace(".", " ").split()
    assert {*TASK_TABLE.of_label, *TASK_TABLE.label_free, *ESTIMATORS, "curve"} <= {*said}
