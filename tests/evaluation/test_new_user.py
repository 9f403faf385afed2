"""What a first user of `evaluate` types wrongly, by the real command: one clear sentence, nothing lost."""

import json
from dataclasses import replace

import pyarrow as pa
import pytest
from asked import judged
from made import make_catalog, make_splits

from synsight.cli.app import main
from synsight.data.catalog import Catalog
from synsight.data.ingestion import ingest
from synsight.errors import DataError, UsageError
from synsight.evaluation.storage import check_out, read_results
from synsight.files import write_json
from synsight.finetuning.detection import detect
from synsight.finetuning.finetune import finetune

MODEL = "random:test_resnet.r160_in1k"


def other_columns(columns):
    kinds, splits = columns["kind"], columns["split"]
    in_test = [split == "test" for split in splits]
    shouted = [
        kind and (f"{kind.title()} " if test else kind) for kind, test in zip(kinds, in_test, strict=True)
    ]
    one_shouted = [
        kind and kind.replace("red", "Red") if test else kind
        for kind, test in zip(kinds, in_test, strict=True)
    ]
    return {
        **columns,
        "kind": [kind if kind != "rare" else None for kind in kinds],
        "shouted": shouted,
        "one_shouted": one_shouted,
        "serial": [f"no{row}" for row in range(len(kinds))],
        "several": [[kind, "metal"] if kind else None for kind in kinds],
        "ones": [[kind] if kind else [] for kind in kinds],
        "few": [kind if row % 12 < 3 else None for row, kind in enumerate(kinds)],
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("new")
    make_catalog(path / "cat", change=other_columns)
    make_catalog(
        path / "odd",
        change=lambda columns: {
            **other_columns(columns),
            "split": ["prod" if one == "test" else one for one in columns["split"]],
        },
    )
    return path


@pytest.fixture(autouse=True)
def here(folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "400")


def ask(capsys, *words, models=(MODEL,)):
    code = main(["evaluate", *models, *words])
    captured = capsys.readouterr()
    return code, captured.out, " ".join(captured.err.split())


@pytest.mark.parametrize(
    ("data", "label", "more", "code", "told"),
    [
        ("cat", "knid", [], 2, "there is no column 'knid' to take labels from; did you mean 'kind' or 'id'?"),
        ("cat", "zzz", [], 2, "there is no column 'zzz' to take labels from; known: few, group, height, id,"),
        ("cat", "same", [], 1, "training rows have same = 'x'; a classifier needs two classes"),
        (
            "cat",
            "serial",
            [],
            1,
            "serial: none of the 18 labelled test rows is of a class that a training row shows (in training "
            "'no",
        ),
        ("cat", "shouted", [], 1, "write 'Blue ' and 'blue' alike, they differ in case or spaces only."),
        ("cat", "few", [], 1, "10 labels a class need two classes with as many training rows; found 0"),
        (
            "cat",
            "several",
            [],
            1,
            "'metal'); choose another column, or ask for several labels a row with the task multilabel: "
            "--tasks multilabel --keywords-column.",
        ),
        (
            "odd",
            "kind",
            [],
            1,
            "odd: the test split has no row with a value in 'kind' (rows with one: train 50, val 18, prod "
            "17); choose another label, or ingest with a split column of train, val, test.",
        ),
        (
            "cat",
            "kind",
            ["--tasks", ""],
            2,
            "evaluate needs a task; name some of knn, linear, fewshot, curve,",
        ),
    ],
)
def test_each_wrong_question_has_its_sentence_and_leaves_no_file(
    folder, capsys, monkeypatch, data, label, more, code, told
):
    monkeypatch.setattr(
        "synsight.evaluation.subjects.embed", lambda *_, **__: pytest.fail("nothing need be computed to know")
    )
    found, _, said = ask(capsys, "--data", data, "--label", label, "--out", "ev_wrong", *more)
    assert told in said
    assert (found, said.count("synsight: error:")) == (code, 1)
    assert not (folder / "ev_wrong").exists()


def test_a_probe_for_classes_that_no_training_row_shows_is_not_fitted():
    splits, features = make_splits()
    train, test = splits.train.take(splits.train.labels < 2), splits.test.take(splits.test.labels == 2)
    apart = judged(replace(splits, train=train, test=test), features)
    with pytest.raises(DataError, match=r"in training 'a', 'b'; in the test 'c'\), so nothing learnt can be"):
        apart.linear_probe()


def test_classes_that_differ_in_case_only_or_stand_in_the_test_only_are_named(folder, capsys):
    words = ["--data", "cat", "--label", "one_shouted", "--tasks", "knn", "--out", "ev_alike"]
    code, out, _ = ask(capsys, *words)
    assert code == 0
    assert "'Red' and 'red' count as two classes, and differ in case or spaces only" in out
    assert "1 of the test's classes stand in no training row: 'Red'" in out
    told = json.loads((folder / "ev_alike/evaluation.json").read_text())
    assert told["classes_spelt_alike"] == [["Red", "red"]]


def test_a_column_of_lists_of_one_is_a_label(folder, capsys):
    values = []
    for label in ("ones", "kind"):
        words = ["--data", "cat", "--label", label, "--tasks", "knn", "--out", f"ev_{label}", "--json"]
        code, out, _ = ask(capsys, *words)
        assert code == 0
        values.append([one["value"] for one in json.loads(out)])
    assert values[0] == values[1]


def test_a_label_of_several_values_is_kept_as_a_list_and_the_multilabel_task_reads_it(tmp_path, capsys):
    images = Catalog.open("cat").table(["image"])["image"].to_pylist()
    rows = []
    for number, image in enumerate(images):
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / f"in/{number}.png").write_bytes(image)
        split = ("train", "train", "val", "test")[number // 3 % 4]
        label = [("green", "red", "blue")[number % 3], *(["metal"] if number % 2 else [])]
        rows.append({"file": f"{number}.png", "label": label, "split": split})
    (tmp_path / "in/rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    ingest(tmp_path / "in/rows.jsonl", out=tmp_path / "listed")
    assert pa.types.is_list(Catalog.open(tmp_path / "listed").schema.field("label").type)
    words = ["--data", str(tmp_path / "listed"), "--out", str(tmp_path / "ev")]
    code, _, said = ask(capsys, *words, "--label", "label")
    assert code == 1
    assert "where one label a row is expected, and a row has 2 ('red', 'metal')" in said
    tiny = ["--encoder", "test_resnet", "--image-size", "16", "--epochs", "1", "--out", str(tmp_path / "run")]
    assert main(["pretrain", "supervised", "--data", words[1], "--label", "label", *tiny]) == 1
    assert "ask for several labels a row" in " ".join(capsys.readouterr().err.split())
    code, out, _ = ask(capsys, *words, "--tasks", "multilabel", "--keywords-column", "label", "--json")
    assert code == 0
    assert json.loads(out)[0]["details"]["names"] == ["blue", "green", "metal", "red"]


def test_another_catalogs_evaluation_and_a_file_are_not_overwritten(folder, capsys, tmp_path):
    words = ["--label", "kind", "--tasks", "knn"]
    assert ask(capsys, "--data", "cat", *words, "--out", "ev_kept")[0] == 0
    before = {path: path.read_bytes() for path in (folder / "ev_kept").iterdir()}
    code, _, said = ask(capsys, "--data", "odd", *words, "--out", "ev_kept")
    assert code == 2
    assert "ev_kept: holds the evaluation of cat, which that of odd would replace; name another --out" in said
    for call in (finetune, detect):
        with pytest.raises(UsageError, match="holds the evaluation of cat"):
            call(MODEL, data="odd", out=folder / "ev_kept", **({"label": "kind"} if call is finetune else {}))
    assert {path: path.read_bytes() for path in (folder / "ev_kept").iterdir()} == before
    assert ask(capsys, "--data", str(folder / "cat"), *words, "--out", "ev_kept")[0] == 0
    assert len(read_results(folder / "ev_kept")) == len(json.loads(before[folder / "ev_kept/results.json"]))
    (folder / "notes.txt").write_text("mine")
    code, _, said = ask(capsys, "--data", "cat", *words, "--out", "notes.txt")
    assert (code, (folder / "notes.txt").read_text()) == (2, "mine")
    assert "notes.txt: expected a folder for the evaluation, found a file; name another --out." in said


def test_a_catalog_that_was_moved_since_keeps_its_evaluation(tmp_path):
    (tmp_path / "ev").mkdir()
    write_json(tmp_path / "ev/evaluation.json", {"catalog": "/was/here/cat"})
    check_out(tmp_path / "ev", tmp_path / "moved/cat")
    with pytest.raises(UsageError, match="holds the evaluation of /was/here/cat"):
        check_out(tmp_path / "ev", tmp_path / "moved/other")


def test_one_model_twice_and_two_files_of_one_name_are_told_apart(capsys, folder):
    words = ["--data", "cat", "--label", "kind", "--out", "ev_twice"]
    code, _, said = ask(capsys, *words, models=(MODEL, MODEL))
    assert (code, f"{MODEL} is to be judged twice; name it once." in said) == (2, True)
    code, _, said = ask(capsys, *words, "--features", "a/x.parquet,b/x.parquet", models=())
    assert code == 2
    assert "called 'x' (a/x.parquet and b/x.parquet); rename a file, or from Python" in said
