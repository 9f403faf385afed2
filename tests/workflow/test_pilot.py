"""The whole chain on few images, also interrupted; small networks, so the verdict itself is not asserted."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synsight import pilot
from synsight.data.catalog import Catalog
from synsight.data.written_reports import written_reports
from synsight.errors import ConfigError, DataError, Interrupted, UsageError
from synsight.records import Result
from synsight.workflow.state import PilotState

TINY = {
    "encoder": "test_resnet.r160_in1k",
    "image_size": 16,
    "batch_size": 16,
    "steps": 4,
    "precision": "fp32",
    "workers": 0,
    "log_every": 1,
    "monitor.every_steps": 2,
}
SETTINGS = {"label": "category", "labels_per_class": 5, "draws": 2, "yes": True}


@pytest.fixture(scope="module")
def done(source, tmp_path_factory):
    return pilot(source, out=tmp_path_factory.mktemp("pilot") / "out", **SETTINGS, **TINY)


def test_a_pilot_goes_through_three_gates_to_a_page(done):
    assert [gate.name for gate in done.gates] == ["data", "pretraining", "proof"]
    assert done.stopped_at is None
    page = Path(done.report).read_text()
    for part in ("chance / most frequent", "random encoder, frozen", "supervised from scratch"):
        assert part in page
    assert "SimCLR (images only)" in page
    assert "20 images, their captions, the words found" in page
    gallery = page.partition("the words found")[2].partition("</section>")[0]
    assert gallery.count("data:image/webp;base64,") == 20


def test_a_purge_names_the_page_and_all_predictions(done):
    out = Path(done.out)
    named = set(written_reports(Catalog.open(out / "catalog")))
    assert out / "report.html" in named
    assert set(out.rglob("predictions.parquet")) <= named


def test_the_page_and_the_gate_say_which_test_images_are_nearly_known(done):
    told = json.loads((Path(done.out) / "evaluation/evaluation.json").read_text())["near_copies"]
    (check,) = (one for one in done.gates[-1].checks if one[0] == "near copies")
    page = Path(done.report).read_text()
    assert "Is the test new to the models?" in page and check[1] in page
    assert check[2] == (told["near_copies"] == 0)
    assert page.count('<p class="label">test: ') == min(6, told["near_copies"])


def test_every_model_answers_every_question_it_can(done):
    asked = {(one.model, one.task) for one in done.results if one.metric == "acc1"}
    frozen = {"random encoder, frozen", "SimCLR (images only)", "CatLIP (captions)"}
    expected = {(name, task) for name in frozen for task in ("knn", "linear", "fewshot")}
    assert asked == expected | {("supervised from scratch", task) for task in ("knn", "supervised")}
    of_scratch = [one.n_labels for one in done.results if one.metric == "acc1" and one.task == "supervised"]
    assert sorted(of_scratch, key=str) == [5, None]


def test_the_deciding_difference_is_that_to_training_from_scratch(done):
    first = next(one for one in done.results if one.metric.endswith("_difference"))
    assert first.model == "CatLIP (captions)"
    assert first.details["against"] == "supervised from scratch"
    assert first.n_labels == 5
    level = {one.model: one.value for one in done.results if one.metric == "acc1" and one.n_labels == 5}
    assert first.value == pytest.approx(level[first.model] - level["supervised from scratch"])


def test_the_pages_numbers_are_the_records_of_results_json(done):
    records = json.loads((Path(done.out) / "results.json").read_text())
    assert [Result(**one) for one in records] == [Result(**vars(one)) for one in done.results]
    page = Path(done.report).read_text()
    assert all(f"{one['value']:.3f}" in page for one in records if one["metric"] == "acc1")


def test_a_second_call_repeats_no_step(done, source, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("this step was finished")

    for name in ("words", "ingest", "caption_facts", "label_leak"):
        monkeypatch.setattr(f"synsight.workflow.data_step.{name}", refuse)
    for name in ("evaluate", "supervised_baseline"):
        monkeypatch.setattr(f"synsight.workflow.proof_step.{name}", refuse)
    metrics = {path: path.read_bytes() for path in Path(done.out).glob("runs/*/metrics.jsonl")}
    again = pilot(source, out=done.out, **SETTINGS, **TINY)
    assert again.results == done.results
    assert again.gates == done.gates
    assert {path: path.read_bytes() for path in metrics} == metrics


def test_other_settings_in_the_same_folder_are_refused(done, source):
    with pytest.raises(ConfigError, match=r"labels_per_class = 5 was begun here, now it is 6"):
        pilot(source, out=done.out, **(SETTINGS | {"labels_per_class": 6}), **TINY)


def test_a_pilot_stopped_in_each_step_ends_like_one_that_was_not(done, source, tmp_path, monkeypatch):
    """Ctrl-C before every step in turn; each new call must go further than the last."""
    out = tmp_path / "out"
    once = PilotState.once
    seen: list[str] = []

    def stop_once(self, name, work):
        if name not in self.steps and name not in seen:
            seen.append(name)
            raise KeyboardInterrupt
        return once(self, name, work)

    monkeypatch.setattr(PilotState, "once", stop_once)
    stops = 0
    while True:
        try:
            ended = pilot(source, out=out, **SETTINGS, **TINY)
            break
        except Exception as error:
            assert "run the same command again" in str(error)
            stops += 1
            assert stops < 30
    assert stops == len(seen) >= 10
    timed = {"seconds": 0.0, "dataset": "", "catalog_version": 0}
    assert [vars(one) | timed for one in ended.results] == [vars(one) | timed for one in done.results]


def test_a_killed_pilot_goes_on_with_the_same_command(source, tmp_path):
    out = tmp_path / "out"
    flags = ["--recipes", "catlip", "--labels-per-class", "5", "--draws", "1", "--epochs", "1"]
    flags += [
        "--encoder",
        "test_resnet.r160_in1k",
        "--image-size",
        "16",
        "--batch-size",
        "16",
        "--workers",
        "0",
    ]
    words = [sys.executable, "-m", "synsight", "pilot", str(source), "--label", "category"]
    words += ["--out", str(out), "--yes", *flags]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    deadline = time.monotonic() + 120
    while not (out / "runs" / "catlip" / "config.yaml").exists():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    finished = subprocess.run(
        [*words, "--json"], capture_output=True, text=True, timeout=300, env=environment
    )
    assert finished.returncode == 0, finished.stderr
    summary = json.loads(finished.stdout)
    assert summary["stopped_at"] is None
    assert "Gate 3, proof" in finished.stderr
    assert Path(summary["report"]).exists()


def test_a_text_that_names_the_label_is_left_out_and_said_so(source, tmp_path):
    table = pq.read_table(source)
    leaking = [[category, "thing"] for category in table["category"].to_pylist()]
    place = table.schema.get_field_index("keywords")
    table = table.set_column(place, "keywords", pa.array(leaking, table.schema.field("keywords").type))
    pq.write_table(table, tmp_path / "leaky.parquet")
    ended = stopped_after_the_first_gate(tmp_path / "leaky.parquet", tmp_path / "out")
    checks = {found: well for what, found, well in ended.gates[0].checks if what == "label leak"}
    assert checks["'keywords' names the label in 100.0% of the rows: left out"] is False
    assert json.loads((tmp_path / "out" / "pilot.json").read_text())["steps"]["words"]["settings"][
        "text_columns"
    ] == ["caption"]


def test_when_every_text_names_the_label_nothing_is_trained(source, tmp_path):
    table = pq.read_table(source)
    table = table.set_column(table.schema.get_field_index("caption"), "caption", table["category"])
    pq.write_table(table, tmp_path / "leaky.parquet")
    with pytest.raises(DataError, match="would prove nothing"):
        pilot(tmp_path / "leaky.parquet", out=tmp_path / "out", text_columns=["caption"], **SETTINGS, **TINY)


def stopped_after_the_first_gate(source, out):
    """A pilot whose person says no at the first gate."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("synsight.workflow.desk.Desk.agrees", lambda *_: False)
        return pilot(source, out=out, **SETTINGS, **TINY)


def test_a_no_at_a_gate_ends_with_a_page_and_a_yes_goes_on_from_there(source, tmp_path):
    ended = stopped_after_the_first_gate(source, tmp_path / "out")
    assert ended.stopped_at == "data"
    assert ended.results == ()
    assert "Three gates" in Path(ended.report).read_text()
    assert not (tmp_path / "out" / "runs").exists()


def test_a_catalog_as_the_source_is_used_in_place(catalog, tmp_path):
    copied = tmp_path / "cat"
    shutil.copytree(catalog.path, copied)
    ended = stopped_after_the_first_gate(copied, tmp_path / "out")
    assert not (tmp_path / "out" / "catalog").exists()
    assert "192 images in 3 classes" in ended.gates[0].sentence


def test_without_a_terminal_and_without_yes_it_says_so_before_any_work(source, tmp_path):
    with pytest.raises(UsageError, match="--yes"):
        pilot(source, out=tmp_path / "out", **(SETTINGS | {"yes": False}))
    assert not (tmp_path / "out").exists()


def test_supervised_is_no_recipe_of_a_pilot(source, tmp_path):
    with pytest.raises(UsageError, match="'supervised'"):
        pilot(source, out=tmp_path / "out", recipes=["supervised"], **SETTINGS)


def test_a_wrong_label_is_named_with_the_near_ones(source, tmp_path):
    with pytest.raises(UsageError, match="category"):
        pilot(source, out=tmp_path / "out", **(SETTINGS | {"label": "categry"}), **TINY)


def with_boilerplate(source: Path, out: Path) -> Path:
    """The source with a template before half of the captions and keywords alone in some."""
    table = pq.read_table(source)
    captions = [
        f"Part of the Flat Icon Collection (Wikimedia Foundation). {one}" if row % 2 else one
        for row, one in enumerate(table["caption"].to_pylist())
    ]
    place = table.schema.get_field_index("caption")
    pq.write_table(table.set_column(place, "caption", pa.array(captions)), out)
    return out


def test_repaired_captions_are_trained_on_beside_the_raw_ones_and_compared(source, tmp_path, monkeypatch):
    """Stopped before every step of the repair as well; the words of the raw captions are back at the end."""
    data = with_boilerplate(source, tmp_path / "templates.parquet")
    settings = SETTINGS | {"recipes": ["catlip"], "repair": True, "draws": 1}
    once = PilotState.once
    seen: list[str] = []

    def stop_once(self, name, work):
        stops = "repair" in name or "words" in name or name == "audit"
        if stops and name not in self.steps and name not in seen:
            seen.append(name)
            raise KeyboardInterrupt
        return once(self, name, work)

    monkeypatch.setattr(PilotState, "once", stop_once)
    while True:
        try:
            ended = pilot(data, out=tmp_path / "out", **settings, **TINY)
            break
        except Interrupted:
            assert len(seen) < 8
    assert {"audit", "repair", "repaired words", "words put back"} <= set(seen)
    assert set(ended.models) == {"CatLIP (captions)", "CatLIP (captions), repaired captions"}
    compared = [
        (one.model, one.details["against"]) for one in ended.results if one.metric == "acc1_difference"
    ]
    assert ("CatLIP (captions), repaired captions", "CatLIP (captions)") in compared
    checks = {what: found for what, found, _ in ended.gates[-1].checks}
    assert checks["repair"].endswith("of 192 captions changed")
    assert "repaired minus raw, 5 labels a class" in checks
    assert "repaired minus raw" in Path(ended.report).read_text()
    catalog = Catalog.open(tmp_path / "out" / "catalog")
    repaired = catalog.take([1], ["caption_repaired"])["caption_repaired"][0].as_py()
    assert repaired and "Flat Icon Collection" not in repaired
    read = json.loads(catalog.schema.field("words_synset").metadata[b"synsight.settings"])
    assert read["text_columns"] == ["caption", "keywords"]


def test_a_repair_that_the_judged_run_would_not_notice_is_refused(source, tmp_path):
    with pytest.raises(UsageError, match="simclr does not learn from their words; put catlip last"):
        pilot(source, out=tmp_path / "out", **(SETTINGS | {"recipes": ["simclr"], "repair": True}), **TINY)
