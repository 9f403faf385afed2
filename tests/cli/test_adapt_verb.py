"""`synsight adapt` through the real program: from a model and a few labels to a model of raw images."""

from importlib import resources
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from synsight.data.catalog import Catalog
from synsight.data.trained_rows import content_hashes
from synsight.evaluation import read_predictions
from synsight.files import read_json
from synsight.finetuning.lora import LoraSettings
from synsight.models import load

CLASSES = ("animals-nature", "flags", "food-drink")
ROWS = {"train": 16, "val": 6, "test": 12}
TARGET = "domain = 'twitter'"


@pytest.fixture(scope="module")
def vendors(tmp_path_factory) -> Path:
    """Three classes as two vendors draw them."""
    from synsight.cli import main

    path = resources.files("synsight.data").joinpath("sample_files/emoji.parquet")
    table = pq.read_table(str(path))
    parts = [
        table.filter(
            (pc.field("split") == split) & (pc.field("category") == name) & (pc.field("domain") == domain)
        ).slice(0, rows)
        for split, rows in ROWS.items()
        for name in CLASSES
        for domain in ("google", "twitter")
    ]
    folder = tmp_path_factory.mktemp("vendors")
    pq.write_table(pa.concat_tables(parts), folder / "vendors.parquet")
    command = ["ingest", str(folder / "vendors.parquet"), "--out", str(folder / "cat"), "--label-column"]
    assert main([*command, "category", "--group-column", "group"]) == 0
    return folder / "cat"


@pytest.fixture(scope="module")
def encoder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("encoder") / "model"
    load("random:test_resnet.r160_in1k", image_size=16).save_pretrained(folder)
    return folder


def values(records, metric="acc1"):
    return {one["task"]: one for one in records if one["metric"] == metric}


def test_the_saved_model_predicts_raw_images_as_it_was_judged(vendors, encoder, run_json, tmp_path):
    out = tmp_path / "model"
    records = run_json(
        *("adapt", encoder, "--data", vendors, "--label", "category", "--out", out, "--method", "lda")
    )
    found = values(records)
    assert set(found) == {"adapt:lda", "logistic", "knn"}
    assert found["adapt:lda"]["value"] > found["adapt:lda"]["baseline"] + 0.2
    assert set(values(records, "acc1_difference")) == {"adapt:lda", "knn"}
    model, catalog = load(out), Catalog.open(vendors)
    assert model.class_names == list(CLASSES) and model.config.method == "untrained + adapt:lda"
    predictions = read_predictions(tmp_path / "model.evaluation").filter(pc.field("task") == "adapt:lda")
    rows = catalog.table(["id", "image"], where="split = 'test'")
    answers = model.predict(rows["image"].to_pylist())
    said = dict(zip(rows["id"].to_pylist(), answers, strict=True))
    judged = {row["id"]: row for row in predictions.to_pylist()}
    assert set(said) == set(judged) and len(said) == 2 * 3 * ROWS["test"]
    # Judged on features kept as float16, so a probability may differ in the third digit.
    for name, answer in said.items():
        assert answer.max() == pytest.approx(judged[name]["probability"], abs=0.02)
    same = [CLASSES[said[name].argmax()] == judged[name]["prediction"] for name in said]
    assert np.mean(same) > 0.97


def test_the_records_belong_to_the_saved_model_so_its_card_shows_them(vendors, encoder, run, tmp_path):
    out = tmp_path / "model"
    run("adapt", encoder, "--data", vendors, "--label", "category", "--out", out, "--method", "lda")
    run("card", out, "--evaluation", tmp_path / "model.evaluation", "--out", tmp_path / "card")
    card = next((tmp_path / "card").glob("*card*.md")).read_text()
    assert "adapt:lda" in card


def test_the_model_knows_which_images_it_learnt_from_and_is_refused_on_them(
    vendors, encoder, run, run_json, tmp_path
):
    out = tmp_path / "model"
    run_json(
        *("adapt", encoder, "--data", vendors, "--label", "category", "--out", out),
        *("--method", "logistic", "--labels-per-class", 4, "--seed", 3),
    )
    catalog = Catalog.open(vendors)
    known = load(out).trained_rows.holds(content_hashes(catalog, catalog.positions()))
    split = np.array(catalog.table(["split"])["split"].to_pylist())
    assert known.sum() == 4 * len(CLASSES) and set(split[known]) == {"train"}
    wrong = tmp_path / "wrong"
    table = catalog.table(["image", "category"])
    swapped = np.where(known, "test", np.where(split == "test", "train", split))
    pq.write_table(table.append_column("split", pa.array(swapped.tolist())), tmp_path / "swapped.parquet")
    code, _, err = run(
        *("ingest", tmp_path / "swapped.parquet", "--out", wrong, "--label-column", "category")
    )
    assert code == 0, err
    code, _, err = run(
        *("adapt", out, "--data", wrong, "--label", "category", "--out", tmp_path / "again"),
        *("--method", "lda"),
    )
    assert code == 1 and "was trained on the images of 12 of 12 test rows" in err
    assert not (tmp_path / "again").exists()


def test_a_new_domain_is_judged_alone_and_its_labels_are_counted(vendors, encoder, run_json, tmp_path):
    told = {}
    for labels in (0, 2):
        out = tmp_path / f"model{labels}"
        records = run_json(
            *("adapt", encoder, "--data", vendors, "--label", "category", "--out", out),
            *("--method", "projector", "--target-where", TARGET, "--labels-per-class", labels),
        )
        one = values(records)["adapt:projector"]
        assert one["n_labels"] == labels and one["n_test"] == 3 * ROWS["test"]
        assert one["details"]["target"] == TARGET
        assert one["details"]["unlabelled_rows_used"] == 3 * (ROWS["train"] - labels)
        told[labels] = read_json(tmp_path / f"model{labels}.evaluation" / "evaluation.json")["rows"]
        ids = read_predictions(tmp_path / f"model{labels}.evaluation")["id"].to_pylist()
        where = f"split = 'test' AND {TARGET}"
        assert set(ids) == set(Catalog.open(vendors).table(["id"], where=where)["id"].to_pylist())
    per_vendor = 3 * ROWS["train"]
    assert told[0] == {
        "source": per_vendor,
        "target": 0,
        "val": 3 * ROWS["val"],
        "unlabelled": per_vendor,
        "test": 36,
        "left_out_for_their_group": 0,
    }
    assert told[2]["target"] == 6 and told[2]["val"] == 0 and told[2]["unlabelled"] == per_vendor - 6


def test_auto_says_what_it_chose_and_why(vendors, encoder, run, tmp_path):
    code, out, err = run(
        *("adapt", encoder, "--data", vendors, "--label", "category", "--out", tmp_path / "model"),
        *("--labels-per-class", 1),
    )
    assert code == 0, err
    assert "auto chose logistic: logistic regression is taken, because no class has two labels" in " ".join(
        out.split()
    )
    assert "36 test images" not in out and "72 test images; 1 labels of each class" in out
    assert "model.evaluation/results.json" in out.replace("\n", "")


def test_auto_compares_nothing_on_an_old_domain_alone(vendors, encoder, run_json, tmp_path):
    chosen = {}
    for labels in (1, 2):
        out = tmp_path / f"model{labels}"
        run_json(
            *("adapt", encoder, "--data", vendors, "--label", "category", "--out", out),
            *("--target-where", TARGET, "--labels-per-class", labels, "--budget", 0.2),
        )
        told = read_json(tmp_path / f"model{labels}.evaluation" / "evaluation.json")
        chosen[labels] = "what is best on the old one says little about it" in told["reason"]
    assert chosen == {1: True, 2: False}


def test_words_are_a_method_for_models_that_know_some(trained, catalog, run, run_json, encoder, tmp_path):
    out = tmp_path / "model"
    records = run_json(
        *("adapt", trained / "model", "--data", catalog, "--label", "category", "--out", out),
        *("--method", "words"),
    )
    details = values(records)["adapt:words"]["details"]
    assert set(details["words_of_classes"]) <= set(CLASSES) and details["words_used"] > 0
    assert all(len(words) <= 8 for words in details["words_of_classes"].values())
    assert values(records, "acc1_difference")["adapt:words"]["details"]["against"] == "logistic"
    model = load(out)
    images = Catalog.open(catalog).table(["image"], where="split = 'test'")["image"].to_pylist()[:2]
    assert model.words(images)[0][0][0] in load(trained / "model").class_names
    code, _, err = run(
        *("adapt", encoder, "--data", catalog, "--label", "category", "--out", tmp_path / "no"),
        *("--method", "words"),
    )
    assert code == 2 and "knows no words, so no head of words can be made" in err


def test_several_encoders_stand_side_by_side_or_are_weighed(vendors, encoder, run, run_json, tmp_path):
    other = tmp_path / "other"
    load("random:test_vit.r160_in1k", image_size=16).save_pretrained(other)
    both = (encoder, other, "--data", vendors, "--label", "category")
    for combine, task in (("concat", "adapt:logistic"), ("gated", "adapt:gated")):
        out = tmp_path / combine
        records = run_json("adapt", *both, "--out", out, "--method", "logistic", "--combine", combine)
        assert task in values(records)
        model = load(out)
        assert len(model.config.parts) == 2
        image = Catalog.open(vendors).table(["image"])["image"][0].as_py()
        assert model.predict([image]).sum() == pytest.approx(1, abs=1e-5)
    code, _, err = run("adapt", *both, "--out", tmp_path / "no", "--method", "knn", "--combine", "gated")
    assert code == 2 and "weighs the logistic regressions of several encoders" in err


def test_lora_and_fine_tuning_stand_beside_the_baseline(vendors, encoder, run_json, tmp_path, monkeypatch):
    pytest.importorskip("peft")
    short = LoraSettings(least_steps=4, most_steps=4)
    monkeypatch.setattr("synsight.workflow.adapt_fit.LoraSettings", lambda: short)
    out = tmp_path / "model"
    records = run_json(
        *("adapt", encoder, "--data", vendors, "--label", "category", "--out", out, "--method", "lora"),
        *("--labels-per-class", 4, "--with-finetune", "--steps", 2),
    )
    found = values(records)
    assert set(found) == {"adapt:lora", "logistic", "knn", "finetune"}
    assert found["finetune"]["n_labels"] == 4 and found["finetune"]["details"]["train_rows"] == 12
    assert set(values(records, "acc1_difference")) == {"adapt:lora", "knn", "finetune"}
    model = load(out)
    assert model.config.method == "untrained + adapt:lora"
    judged = read_predictions(tmp_path / "model.evaluation").filter(pc.field("task") == "adapt:lora")
    rows = {row["id"]: row for row in Catalog.open(vendors).table(["id", "image"]).to_pylist()}
    answers = model.predict([rows[one]["image"] for one in judged["id"].to_pylist()])
    np.testing.assert_allclose(answers.max(axis=1), judged["probability"].to_numpy(), atol=1e-4)


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("--method", "ldaa"), 2, "there is no method 'ldaa'; did you mean 'lda'"),
        (("--target-where", "domain = 'apple'"), 2, "no row fulfils \"domain = 'apple'\" (--target-where)"),
        (("--target-where", "nonsense ="), 1, "condition"),
        (
            ("--source-where", "split = 'train'", "--target-where", "domain = 'google'"),
            2,
            "rows are of the source (\"split = 'train'\") and of the target",
        ),
        (("--labels-per-class", "0"), 1, "0 labels of each class leave nothing to learn from"),
        (("--labels-per-class", "-1"), 1, "labels_per_class must be 0 or more; got -1"),
        (("--target-where", "split = 'train'"), 1, "the test split has no row of the target"),
    ],
)
def test_what_cannot_be_asked_is_one_sentence(words, code, sentence, vendors, encoder, run, tmp_path):
    done, _, err = run(
        *("adapt", encoder, "--data", vendors, "--label", "category", "--out", tmp_path / "model"), *words
    )
    assert done == code and sentence in err and err.count("\n") == 1
    assert not (tmp_path / "model").exists()
