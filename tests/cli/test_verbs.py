"""Each verb on real images: what it prints for people, and what for programs."""

import json

import pyarrow.parquet as pq
from PIL import Image
from small_source import CLASSES, TINY

from synsight.records import Result


def test_ingest_prints_the_rows_and_the_columns_it_guessed(run, source, tmp_path):
    code, out, _ = run("ingest", source, "--out", tmp_path / "cat")
    assert code == 0
    assert "192" in out
    assert "label from category" in out


def test_ingest_names_a_table_beside_the_images_that_it_did_not_read(run, tmp_path):
    folder = tmp_path / "parts"
    folder.mkdir()
    for number in range(3):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(folder / f"{number}.png")
    (folder / "[red]captions.csv").write_text("file_name,caption\n0.png,a part\n", encoding="utf-8")
    code, out, _ = run("ingest", folder, "--out", tmp_path / "cat")
    assert code == 0
    assert "Not read: [red]captions.csv. If it describes these images, name it in place of the folder." in out
    assert "1 (neither images nor captions)" in out


def test_ingest_names_splits_that_nobody_reads(run, tmp_path):
    for number in range(3):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(tmp_path / f"{number}.png")
    table = tmp_path / "parts.csv"
    table.write_text("image,split\n0.png,training\n1.png,test\n2.png,[red]Holdout\n", encoding="utf-8")
    code, out, _ = run("ingest", table, "--out", tmp_path / "cat")
    assert code == 0
    assert "Rows of the split '[red]holdout' are in the catalog" in " ".join(out.split())
    assert "'test'" not in out


def test_ingest_json_begins_with_the_promised_keys(run_json, source, tmp_path):
    value = run_json("ingest", source, "--out", tmp_path / "cat")
    assert list(value)[:4] == ["catalog", "rows", "rejected", "columns"]
    assert value["rows"] == 192
    assert value["splits"] == {"train": 120, "val": 24, "test": 48}


def test_words_json_begins_with_the_promised_keys(run_json, catalog):
    value = run_json("words", catalog, "--text-columns", "caption,keywords", "--min-count", 2)
    assert list(value)[:4] == ["captions", "share_with_word", "words_per_caption", "vocabulary_size"]
    assert value["share_with_word"] > 0.9
    assert value["top"][0][0] == "flag"


def test_words_prints_coverage_and_the_top_of_the_vocabulary(run, catalog):
    code, out, _ = run("words", catalog, "--text-columns", "caption,keywords", "--min-count", 2)
    assert code == 0
    assert "with a word" in out
    assert "flag " in out


def test_pretrain_json_begins_with_the_promised_keys_and_a_page_is_written(run_json, catalog, tmp_path):
    out = tmp_path / "run"
    value = run_json("pretrain", "simclr", "--data", catalog, "--out", out, "--steps", 2, *TINY)
    promised = ["run", "model", "steps", "best_step", "monitor", "best_value", "stopped_because", "seconds"]
    assert list(value)[:8] == promised
    assert value["steps"] == 2
    assert "curve" not in value
    assert "<svg" in (out / "report.html").read_text()


def test_a_dotted_setting_reaches_the_run(run, trained, catalog, tmp_path):
    out = tmp_path / "run"
    settings = ["--optim.lr", "5e-4", "--schedule.warmup=0.5", "--steps", 1]
    code, _, err = run("pretrain", "--data", catalog, "--out", out, *settings, "catlip", *TINY)
    assert code == 0, err
    config = (out / "config.yaml").read_text()
    assert "lr: 0.0005" in config
    assert "warmup: 0.5" in config


def test_a_runs_config_repeats_it(run, trained, tmp_path):
    code, _, err = run("pretrain", "--config", trained / "config.yaml", "--out", tmp_path / "again")
    assert code == 0, err

    def losses(run):
        rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        return [row["loss"] for row in rows if "loss" in row]

    assert losses(tmp_path / "again") == losses(trained)


def test_resuming_a_finished_run_changes_nothing(run_json, trained):
    before = (trained / "metrics.jsonl").read_bytes()
    value = run_json("pretrain", "--out", trained, "--resume")
    assert value["steps"] == 4
    assert (trained / "metrics.jsonl").read_bytes() == before


def test_a_dry_run_quotes_time_and_memory_and_writes_nothing(run_json, catalog, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    value = run_json("pretrain", "catlip", "--data", catalog, "--dry-run", "--steps", 50, *TINY)
    assert value["steps"] == 50
    assert value["total_seconds"] > 0
    assert value["peak_bytes"] > 0
    assert list(tmp_path.iterdir()) == []


def test_embed_adds_a_column_and_takes_it_along(run_json, trained, catalog, tmp_path):
    value = run_json("embed", trained / "model", catalog, "--out", tmp_path / "features.parquet")
    assert value["rows"] == 192
    assert value["column"].startswith("features_")
    assert pq.read_table(tmp_path / "features.parquet").column_names == ["id", "features"]


def test_evaluate_prints_records_and_writes_them(run_json, trained, catalog, tmp_path):
    out = tmp_path / "ev"
    tasks = ["--tasks", "knn,fewshot", "--labels-per-class", "2,5", "--draws", 2]
    records = run_json(
        "evaluate", trained / "model", "--data", catalog, "--label", "category", "--out", out, *tasks
    )
    assert records == json.loads((out / "results.json").read_text())
    results = [Result(**one) for one in records]
    assert {(one.task, one.n_labels) for one in results} == {("knn", None), ("fewshot", 2), ("fewshot", 5)}
    assert all(one.n_test == 16 * len(CLASSES) for one in results)


def test_evaluate_prints_a_table_with_intervals_and_chance(run, trained, catalog, tmp_path):
    code, out, err = run(
        *("evaluate", trained / "model", "random:test_resnet.r160_in1k", "--data", catalog),
        *("--label", "category", "--out", tmp_path / "ev", "--tasks", "knn"),
    )
    assert code == 0, err
    assert "chance" in out
    assert "kNN acc1" in out
    assert "results.json" in out


def test_catalog_versions_name_the_verbs(run_json, run, catalog):
    value = run_json("catalog", "versions", catalog)
    verbs = [one["verb"] for one in value["versions"]]
    assert verbs[0] == "ingest"
    assert "words" in verbs
    assert "words" in run("catalog", "versions", catalog)[1]


def test_catalog_export_writes_parquet_and_tars(run_json, catalog, tmp_path):
    out = tmp_path / "flags.parquet"
    where = "category = 'flags'"
    value = run_json("catalog", "export", catalog, "--out", out, "--columns", "id,caption", "--where", where)
    assert value["files"] == [str(out)]
    assert pq.read_table(out).shape == (64, 2)
    tars = run_json("catalog", "export", catalog, "--out", tmp_path / "tars", "--format", "webdataset")
    assert tars["rows"] == 192
    assert all(name.endswith(".tar") for name in tars["files"])


def test_catalog_delete_proves_that_the_rows_are_gone(run_json, source, tmp_path):
    run_json("ingest", source, "--out", tmp_path / "cat")
    value = run_json("catalog", "delete", tmp_path / "cat", "--where", "category = 'flags'")
    assert value["rows"] == 64
    assert value["hits"] == 0
    left = run_json("catalog", "export", tmp_path / "cat", "--out", tmp_path / "rest.parquet")
    assert left["rows"] == 128
