"""Whole runs on a tiny catalog: what they learn, leave behind, refuse, and how they go on."""

import json
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import make_catalog, tiny_config

from synsight import files
from synsight.data.catalog import Catalog, Commit
from synsight.errors import DataError, Interrupted, StorageError, TrainingError
from synsight.methods import METHODS
from synsight.models import load
from synsight.records import RunSummary
from synsight.training import RunConfig, train
from synsight.training import loop as loop_module
from synsight.training.checkpoints import load_checkpoint
from synsight.training.monitor import Monitor, Reading
from synsight.training.run_folder import RunFolder

# What each method is tried with: together they hold every kind of state a run can have.
VARIANTS: dict[str, Mapping[str, object]] = {
    "simclr": {"optim.ema_decay": 0.9, "views.local_count": 1, "method.decoupled": True},
    "simsiam": {},
    "clip": {"levers.micro_batch": 6},
    "siglip": {"method.text": "transformer", "method.text_frozen": True},
    # Masking, and a low temperature, make the loss of a step hang on who is in its batch.
    "lgsimclr": {"method.mask_neighbours": False, "method.temperature": 0.5},
    "lgsimsiam": {"levers.micro_batch": 6},
    "lgslip": {},
    "xclr": {},
    "catlip": {"log_every": 3, "monitor.every_steps": 5, "image_sizes": "12,16,20", "steps": 8},
    "superclass": {"levers.small_size": 12},
    "superclip": {},
    "supervised": {"optim.name": "lars", "optim.lr": 1.0},
}
assert VARIANTS.keys() == METHODS.keys()
VARYING = ("_seconds", "_per_second", "_bytes")


def config_of(recipe: str, catalog: Catalog) -> RunConfig:
    return tiny_config(recipe, catalog.path, **VARIANTS[recipe])


@pytest.fixture(scope="module")
def finished(catalog: Catalog, runs: Path) -> dict[str, RunSummary]:
    return {name: train(config_of(name, catalog), out=runs / name) for name in VARIANTS}


def repeatable(run: str | Path) -> list[dict[str, Any]]:
    rows = files.read_json_lines(Path(run) / "metrics.jsonl")
    return [{key: value for key, value in row.items() if not key.endswith(VARYING)} for row in rows]


def weights_hash(run: str | Path) -> str:
    return files.sha256_of(Path(run) / "model" / "model.safetensors")


def stop_after(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Send this process a SIGTERM once, in the middle of a step."""
    take_step, sent = loop_module.take_step, []

    def step_with_signal(job: Any, *rest: Any) -> torch.Tensor:
        if job.parts.progress.step == step and not sent:
            sent.append(True)
            os.kill(os.getpid(), signal.SIGTERM)
        return take_step(job, *rest)

    monkeypatch.setattr(loop_module, "take_step", step_with_signal)


@pytest.mark.parametrize("recipe", VARIANTS)
def test_a_run_learns_and_leaves_what_the_design_promises(recipe: str, finished: dict[str, RunSummary]):
    summary = finished[recipe]
    folder = RunFolder(summary.run)
    losses = [row["loss"] for row in summary.curve if row["kind"] == "train"]
    assert np.mean(losses[len(losses) // 2 :]) < losses[0]
    assert summary.monitor == "knn_acc1"
    assert summary.best_value is not None and summary.best_value > 0.5  # four classes: chance is 0.25
    assert summary.steps == 8 and summary.stopped_because == "finished"
    for path in (folder.config, folder.environment, folder.data, folder.metrics, folder.log, folder.done):
        assert path.stat().st_size > 0
    assert json.loads(folder.data.read_text())["rows"] == {"all": 96, "train": 76}
    assert {row["kind"] for row in summary.curve} == {"train", "monitor"}


def test_the_saved_model_names_words_or_labels(finished: dict[str, RunSummary], catalog: Catalog):
    image = catalog.take([2], ["image"])["image"].to_pylist()
    assert load(finished["simclr"].model).embed(image).shape[0] == 1
    assert {name for name, _ in load(finished["catlip"].model).words(image)[0]} >= {"red", "square"}
    assert len(load(finished["supervised"].model).predict(image)[0]) == 4


@pytest.mark.parametrize("recipe", VARIANTS)
@pytest.mark.parametrize("step", [1, 6])
def test_a_stopped_run_goes_on_as_if_it_had_not_been_stopped(
    recipe: str, step: int, catalog: Catalog, finished: dict[str, RunSummary], tmp_path: Path, monkeypatch
):
    stop_after(step, monkeypatch)
    with pytest.raises(Interrupted) as stopped:
        train(config_of(recipe, catalog), out=tmp_path / "run")
    assert f"stopped by SIGTERM after step {step + 1} of 8, all saved" in str(stopped.value)
    assert f"--out {tmp_path / 'run'} --resume" in str(stopped.value)
    assert not (tmp_path / "run" / "DONE").exists()
    torn = tmp_path / "run" / "checkpoints" / "last" / ".state.json.77.tmp"
    torn.write_text("{")  # what a killed writer leaves
    summary = train(config_of(recipe, catalog), out=tmp_path / "run", resume=True)
    assert repeatable(summary.run) == repeatable(finished[recipe].run)
    assert weights_hash(summary.run) == weights_hash(finished[recipe].run)
    assert not torn.exists()
    assert (summary.best_step, summary.best_value) == (
        finished[recipe].best_step,
        finished[recipe].best_value,
    )


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(
    catalog: Catalog, finished: dict[str, RunSummary], tmp_path: Path
):
    again = train(config_of("simclr", catalog), out=tmp_path / "again")
    assert weights_hash(again.run) == weights_hash(finished["simclr"].run)
    assert repeatable(again.run) == repeatable(finished["simclr"].run)
    other = train(tiny_config("simclr", catalog.path, seed=1, **VARIANTS["simclr"]), out=tmp_path / "other")
    assert weights_hash(other.run) != weights_hash(again.run)


def test_a_finished_run_is_not_trained_again(finished: dict[str, RunSummary], catalog: Catalog, monkeypatch):
    before = finished["catlip"]
    monkeypatch.setattr(loop_module, "take_step", None)  # would fail if called
    monkeypatch.setattr(Catalog, "open", None)
    again = train(config_of("catlip", catalog), out=before.run, resume=True)
    assert again == before


def test_a_used_folder_is_refused_without_resume(
    finished: dict[str, RunSummary], catalog: Catalog, tmp_path: Path
):
    with pytest.raises(TrainingError, match=r"expected an empty or new folder, found .* --resume"):
        train(config_of("simclr", catalog), out=finished["simclr"].run)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(TrainingError, match=r"expected a run to resume, found no config\.yaml"):
        train(config_of("simclr", catalog), out=tmp_path, resume=True)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_run_is_not_resumed_with_other_settings(
    finished: dict[str, RunSummary], catalog: Catalog, tmp_path: Path
):
    other = tiny_config("catlip", catalog.path, **{**VARIANTS["catlip"], "optim.lr": 0.5})
    with pytest.raises(TrainingError, match=r"the run began with optim\.lr = 0\.001, now it is 0\.5"):
        train(other, out=finished["catlip"].run, resume=True)
    slower = tiny_config("catlip", catalog.path, **{**VARIANTS["catlip"], "checkpoint.every_minutes": 1.0})
    assert train(slower, out=finished["catlip"].run, resume=True).steps == 8


def test_a_second_trainer_on_a_run_folder_is_refused(catalog: Catalog, tmp_path: Path):
    with (
        RunFolder(tmp_path / "run").locked(),
        pytest.raises(TrainingError, match="another process is training here"),
    ):
        train(config_of("simclr", catalog), out=tmp_path / "run")


def test_a_full_disk_leaves_the_last_checkpoint_whole(catalog: Catalog, tmp_path: Path, monkeypatch):
    config, write_all, written = config_of("simclr", catalog), files._write_all, []

    def full_disk(file: Any, data: bytes) -> None:
        if "state-" in file.name:
            written.append(file.name)
            if len(written) == 2:
                file.write(data[: len(data) // 2])
                raise OSError(28, "No space left on device")
        write_all(file, data)

    monkeypatch.setattr(files, "_write_all", full_disk)
    # A checkpoint after every step.
    often = tiny_config("simclr", catalog.path, **VARIANTS["simclr"], **{"checkpoint.every_minutes": 1e-9})
    with pytest.raises(StorageError, match=r"state-.*could not be written \([\d,]+ bytes\): No space left"):
        train(often, out=tmp_path / "run")
    assert load_checkpoint(RunFolder(tmp_path / "run").last).values["progress"]["step"] == 1
    monkeypatch.setattr(files, "_write_all", write_all)
    assert train(config, out=tmp_path / "run", resume=True).steps == 8


def test_resuming_a_changed_catalog_is_refused(tmp_path: Path, monkeypatch):
    catalog = make_catalog(tmp_path / "cat")
    stop_after(2, monkeypatch)
    with pytest.raises(Interrupted):
        train(config_of("simclr", catalog), out=tmp_path / "run")
    catalog.delete("id = 'row3'", commit=Commit(verb="test"))
    with pytest.raises(TrainingError, match="the images have changed since the run"):
        train(config_of("simclr", catalog), out=tmp_path / "run", resume=True)


def test_a_run_without_labels_says_so_and_keeps_the_last_averaged_weights(tmp_path: Path, capfd):
    catalog = make_catalog(tmp_path / "cat", label=False)
    config = tiny_config("simclr", catalog.path, **{"optim.ema_decay": 0.9, "steps": 3, "label": None})
    summary = train(config, out=tmp_path / "run")
    assert summary.monitor == "none: no label column was named (--label)"
    assert summary.best_value is None and summary.best_step == 3
    assert "no monitor of k-NN accuracy: no label column was named" in capfd.readouterr().err
    looks = [row for row in summary.curve if row["kind"] == "monitor"]
    assert looks and all("rankme" in row and "knn_acc1" not in row for row in looks)
    plain = train(tiny_config("simclr", catalog.path, steps=3, label=None), out=tmp_path / "plain")
    assert weights_hash(plain.run) != weights_hash(summary.run)


def test_a_label_that_is_not_there_is_refused_with_the_near_names(catalog: Catalog, tmp_path: Path):
    with pytest.raises(DataError, match="no column 'kinds' to monitor by; did you mean 'kind'"):
        train(tiny_config("simclr", catalog.path, label="kinds"), out=tmp_path / "run")


def test_the_model_is_that_of_the_best_look_not_of_the_last(catalog: Catalog, tmp_path: Path, monkeypatch):
    values = iter([0.5, 0.9, 0.2])

    def look(*_: Any, **__: Any) -> Reading:
        value = next(values)
        return Reading(values={"knn_acc1": value, "feature_spread": 0.5}, chosen=value)

    monkeypatch.setattr(Monitor, "look", look)
    summary = train(config_of("simclr", catalog), out=tmp_path / "run")
    assert (summary.best_step, summary.best_value) == (6, 0.9)
    assert load(summary.model).config.trained_on["step"] == 6


def test_training_on_chosen_rows_sees_no_others(catalog: Catalog, tmp_path: Path):
    rows = catalog.positions("split = 'train'")[:20]
    config = tiny_config("supervised", catalog.path, batch_size=10, epochs=1)
    summary = train(config, out=tmp_path / "run", rows=rows)
    assert summary.steps == 2
    assert json.loads((tmp_path / "run" / "data.json").read_text())["rows"]["train"] == 20
    assert json.loads((tmp_path / "run" / "rows.json").read_text()) == rows.tolist()


def test_chosen_rows_are_remembered_on_resume(catalog: Catalog, tmp_path: Path, monkeypatch):
    rows = catalog.positions("split = 'train'")[:20]
    config = tiny_config("supervised", catalog.path, batch_size=10)
    stop_after(1, monkeypatch)
    with pytest.raises(Interrupted):
        train(config, out=tmp_path / "run", rows=rows)
    with pytest.raises(TrainingError, match="began with other rows than the 19"):
        train(config, out=tmp_path / "run", rows=rows[1:], resume=True)
    assert train(config, out=tmp_path / "run", resume=True).steps == 4


def test_without_words_the_user_is_told_how_to_get_them(tmp_path: Path):
    catalog = make_catalog(tmp_path / "cat", words=False)
    with pytest.raises(DataError, match=r"no column 'words_synset'; run `synsight words .*cat` first"):
        train(tiny_config("catlip", catalog.path), out=tmp_path / "run")


def test_a_loss_that_is_no_number_stops_the_run(catalog: Catalog, tmp_path: Path):
    config = tiny_config("simclr", catalog.path, **{"optim.lr": 1e30, "schedule.warmup": 0})
    with pytest.raises(TrainingError, match=r"became (nan|inf) at step \d .*--optim.lr"):
        train(config, out=tmp_path / "run")


def test_rows_of_the_test_split_are_never_looked_at(tmp_path: Path, monkeypatch):
    seen: list[int] = []
    take = Catalog.take

    def spying(self: Catalog, positions: Any, columns: Any) -> Any:
        seen.extend(np.asarray(positions).tolist())
        return take(self, positions, columns)

    catalog = make_catalog(tmp_path / "cat", test_every=10)
    test_rows = catalog.positions("split = 'test'")
    assert len(test_rows) == 10
    monkeypatch.setattr(Catalog, "take", spying)
    train(tiny_config("catlip", catalog.path, steps=3), out=tmp_path / "run")
    assert seen and not set(seen) & set(test_rows.tolist())
