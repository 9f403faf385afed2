"""Sweeps of runs of a second: what is trained, how often, and that the table says what the records say."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

import synsight.workflow.sweep_length as sweep_length
import synsight.workflow.sweep_run as sweep_run
from synsight import sweep
from synsight.data import Catalog
from synsight.errors import ConfigError, Interrupted, MissingDependency, TrainingError, UsageError
from synsight.evaluation import read_results
from synsight.records import Result, SweepRun
from synsight.training import DryRun
from synsight.workflow import SweepSummary
from synsight.workflow.sweep_grid import build_grid
from synsight.workflow.sweep_probes import Asked, choose_probes
from synsight.workflow.sweep_run import Work

TINY = {
    "encoder": "test_resnet.r160_in1k",
    "image_size": 16,
    "batch_size": 16,
    "precision": "fp32",
    "workers": 0,
    "log_every": 1,
    "monitor.every_steps": 2,
}
ASKED = {"label": "category", "tasks": ("knn", "fewshot"), "labels_per_class": (2,), "draws": 2}
STEPS = 4


def run_sweep(data: Path, out: Path, recipe="simclr,supervised", **changes) -> SweepSummary:
    arguments = {**ASKED, **TINY, "steps": STEPS, "seed": [0, 1], **changes}
    if {"minutes_per_run", "seen_images"} & changes.keys():
        del arguments["steps"]
    return sweep(recipe, data=data, out=out, **arguments)


@pytest.fixture(scope="module")
def begun(catalog, tmp_path_factory) -> SweepSummary:
    return run_sweep(catalog.path, tmp_path_factory.mktemp("sweep") / "out")


@pytest.fixture
def trained(monkeypatch) -> list[str]:
    """Folders of the runs that are pretrained from here on."""
    folders: list[str] = []
    pretrain = sweep_run.pretrain

    def counted(*words, out, **arguments):
        folders.append(Path(out).name)
        return pretrain(*words, out=out, **arguments)

    monkeypatch.setattr(sweep_run, "pretrain", counted)
    return folders


def test_every_recipe_is_trained_with_every_seed_beside_the_untrained_encoder(begun):
    assert [(run.model, run.seed) for run in begun.runs] == [
        ("random encoder", 0),
        ("random encoder", 1),
        ("simclr", 0),
        ("supervised", 0),
        ("simclr", 1),
        ("supervised", 1),
    ]
    assert all(run.steps == STEPS for run in begun.runs if run.recipe != "random")
    assert all(run.embedding_dim == 96 and 1 <= run.rankme <= 48 for run in begun.runs)


def test_the_mean_of_a_model_is_that_of_the_records_of_its_runs(begun):
    for mean in begun.results:
        if mean.metric.endswith("_difference"):
            continue
        by_seed = {
            run.seed: [
                one.value
                for one in read_results(Path(begun.out) / "evaluations" / run.name / "cat-category")
                if (one.task, one.metric, one.n_labels) == (mean.task, mean.metric, mean.n_labels)
            ]
            for run in begun.runs
            if run.model == mean.model
        }
        assert all(len(values) == (2 if mean.task == "fewshot" else 1) for values in by_seed.values())
        means = [sum(values) / len(values) for values in by_seed.values()]
        assert mean.value == pytest.approx(sum(means) / 2)
        assert mean.details["seed_values"] == pytest.approx(means, abs=1e-4)
        assert mean.ci_low <= mean.value <= mean.ci_high
        assert mean.details["training_seeds"] == [0, 1]


def test_two_training_seeds_are_judged_on_other_draws_of_few_labels(begun):
    folders = (Path(begun.out) / "evaluations").glob("simclr-*/cat-category")
    seeds = [one.seed for folder in folders for one in read_results(folder) if one.task == "fewshot"]
    assert sorted(set(seeds)) == [0, 1, 2, 3]


def test_the_page_and_the_files_hold_the_same_records(begun):
    out = Path(begun.out)
    assert [Result(**one) for one in json.loads((out / "results.json").read_text())] == [*begun.results]
    assert [SweepRun(**one) for one in json.loads((out / "runs.json").read_text())] == [*begun.runs]
    page = Path(begun.report).read_text()
    for one in begun.results:
        if one.metric == "acc1":
            assert f"{one.value:.3f}<small>{one.ci_low:.3f} to {one.ci_high:.3f}</small>" in page
    assert all((out / "runs" / run.name / "report.html").exists() for run in begun.runs if run.steps)


def test_the_compared_model_was_chosen_by_its_monitor(begun):
    level = {
        model: [run.best_value for run in begun.runs if run.model == model]
        for model in ("simclr", "supervised")
    }
    best = max(level, key=lambda model: sum(level[model]))
    gains = [one for one in begun.results if one.metric.endswith("_difference")]
    assert {one.model for one in gains} == {best}
    assert {one.details["against"] for one in gains} == {"random encoder", *level} - {best}


def test_the_catalog_is_left_as_it_was(begun, catalog):
    now = Catalog.open(catalog.path)
    assert now.version == catalog.version
    assert not [name for name in now.columns if name.startswith("features_")]


def test_a_second_call_trains_nothing_and_says_the_same(begun, catalog, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("this was finished")

    monkeypatch.setattr(sweep_run, "pretrain", refuse)
    monkeypatch.setattr(sweep_run, "evaluate", refuse)
    again = run_sweep(catalog.path, Path(begun.out))
    assert again.results == begun.results
    assert again.runs == begun.runs


def test_values_added_to_an_axis_train_only_what_is_new(begun, catalog, tmp_path, trained):
    out = tmp_path / "out"
    shutil.copytree(begun.out, out)
    more = run_sweep(catalog.path, out, seed="0,1,2")
    assert trained == [f"{recipe}-test_resnet.r160_in1k-seed_2" for recipe in ("simclr", "supervised")]
    means = [one for one in more.results if one.metric == "acc1"]
    assert all(one.details["training_seeds"] == [0, 1, 2] for one in means)


def test_other_settings_in_the_same_folder_are_refused(begun, catalog):
    with pytest.raises(ConfigError, match="a sweep with draws = 2 was begun here, now it is 3"):
        run_sweep(catalog.path, Path(begun.out), draws=3)
    with pytest.raises(ConfigError, match="a sweep with fixed"):
        run_sweep(catalog.path, Path(begun.out), steps=5)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"method.projection_dims": 8}, "did you mean 'method.projection_dim'"),
        ({"optim.lr": "1e-3,fast"}, "optim.lr: expected a number, got 'fast'"),
        ({"seed": "0,x"}, "seed: expected whole numbers, got 'x'"),
        ({"recipe": "simclr,catlap"}, "did you mean 'catlip'"),
        ({"label": "categry"}, "did you mean 'category'"),
        ({"tasks": ("kn",)}, "there is no task 'kn'; did you mean 'knn'"),
        ({"minutes_per_run": 1, "steps": 3}, "minutes_per_run and steps each decide the length"),
        ({"runner": "rai"}, "no runner is called 'rai'; did you mean 'ray'"),
        ({"label_of": {"dog": "category"}}, "'dog', no catalog to evaluate on"),
    ],
)
def test_a_wrong_name_is_said_before_anything_is_run(changes, said, catalog, tmp_path):
    arguments = {"recipe": "simclr", **ASKED, **changes}
    with pytest.raises(UsageError, match=said):
        sweep(data=catalog.path, out=tmp_path / "out", **arguments)
    assert not (tmp_path / "out").exists()


def test_a_folder_with_something_else_is_refused(catalog, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"expected a new folder .* such as 'notes.txt'"):
        run_sweep(catalog.path, tmp_path)


def test_failed_runs_are_shown_with_their_sentence_and_the_others_go_on(catalog, tmp_path, monkeypatch):
    out = tmp_path / "out"
    pretrain = sweep_run.pretrain
    begun: list[str] = []

    def diverging(recipe, *, out, **changes):
        begun.append(recipe)
        summary = pretrain(recipe, out=out, **changes)
        if recipe == "supervised":
            raise TrainingError("the loss became nan at step 3.")
        return summary

    monkeypatch.setattr(sweep_run, "pretrain", diverging)
    found = run_sweep(catalog.path, out, "simclr,catlip,supervised", seed=0, tasks=("knn",))
    failures = {run.model: run.failure for run in found.runs if run.failure}
    assert set(failures) == {"catlip", "supervised"}
    assert "words" in failures["catlip"]  # this catalog has none
    assert {one.model for one in found.results if one.metric == "acc1"} == {"random encoder", "simclr"}
    page = Path(found.report).read_text()
    assert "failed (see below)" in page
    assert "the loss became nan at step 3." in page
    # What lacked something is tried again; what went wrong in training would again.
    run_sweep(catalog.path, out, "simclr,catlip,supervised", seed=0, tasks=("knn",))
    assert begun == ["simclr", "catlip", "supervised", "catlip"]


def test_a_defect_of_one_run_leaves_a_traceback_and_the_others(catalog, tmp_path, monkeypatch):
    def broken(*_, **__):
        raise ZeroDivisionError("in a method")

    monkeypatch.setattr(sweep_run, "pretrain", broken)
    found = run_sweep(catalog.path, tmp_path / "out", "simclr", seed=0, tasks=("knn",))
    failure = next(run.failure for run in found.runs if run.failure)
    assert "a defect, ZeroDivisionError: in a method" in failure
    notes = list((tmp_path / "out" / "failures").iterdir())
    assert "in broken" in notes[0].read_text()
    assert {one.model for one in found.results} == {"random encoder"}


def test_ctrl_c_ends_in_one_sentence_and_the_same_call_goes_on(catalog, tmp_path, monkeypatch):
    pretrain = sweep_run.pretrain

    def interrupted(recipe, **arguments):
        if recipe == "supervised":
            raise KeyboardInterrupt
        return pretrain(recipe, **arguments)

    monkeypatch.setattr(sweep_run, "pretrain", interrupted)
    with pytest.raises(Interrupted, match="run the same command again to go on"):
        run_sweep(catalog.path, tmp_path / "out", seed=0, tasks=("knn",))
    monkeypatch.setattr(sweep_run, "pretrain", pretrain)
    found = run_sweep(catalog.path, tmp_path / "out", seed=0, tasks=("knn",))
    assert not any(run.failure for run in found.runs)


def test_a_sweep_killed_in_a_run_goes_on_and_does_nothing_twice(catalog, tmp_path):
    out = tmp_path / "out"
    words = [sys.executable, "-m", "synsight", "sweep", "--recipe", "simclr,supervised", "--steps", "30"]
    words += ["--data", str(catalog.path), "--label", "category", "--tasks", "knn", "--out", str(out)]
    words += ["--checkpoint.least-minutes", "0"]
    words += [part for name, value in TINY.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment)
    second = out / "runs" / "supervised-test_resnet.r160_in1k-seed_0"
    deadline = time.monotonic() + 120
    while not (second / "checkpoints" / "last" / "state.json").exists():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    first = out / "evaluations" / "simclr-test_resnet.r160_in1k-seed_0" / "cat-category" / "results.json"
    written = first.stat().st_mtime_ns
    ended = subprocess.run(
        [*words, "--json"], capture_output=True, text=True, timeout=200, env=environment, check=False
    )
    assert ended.returncode == 0, ended.stderr
    runs = [SweepRun(**one) for one in json.loads(ended.stdout)["runs"]]
    assert [(run.model, run.steps) for run in runs] == [
        ("random encoder", 0),
        ("simclr", 30),
        ("supervised", 30),
    ]
    assert first.stat().st_mtime_ns == written
    starts = {
        run.model: [line for line in log.read_text().splitlines() if "start at step" in line]
        for run in runs
        if (log := out / "runs" / run.name / "train.log").exists()
    }
    assert len(starts["simclr"]) == 1
    assert len(starts["supervised"]) == 2
    assert "start at step 0 " not in starts["supervised"][1]
    steps = [json.loads(line) for line in (second / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in steps if row["kind"] == "train"] == [*range(1, 31)]


def quoted(steps: int, monitor_seconds: float) -> DryRun:
    """Half a second a step."""
    return DryRun(
        steps=steps,
        seconds_per_step=0.5,
        images_per_second=32,
        monitor_seconds=monitor_seconds,
        total_seconds=steps / 2 + monitor_seconds,
        peak_bytes=0,
        device="cpu",
        precision="fp32",
        workers=0,
    )


def test_runs_of_equal_time_keep_the_length_that_was_measured_once(catalog, tmp_path, monkeypatch):
    out = tmp_path / "out"
    measured: list[int | None] = []

    def dry(*_, steps=None, dry_run, **__):
        measured.append(steps)
        return quoted(steps or 300, monitor_seconds=1.0)

    monkeypatch.setattr(sweep_length, "pretrain", dry)
    found = run_sweep(catalog.path, out, "simclr", seed=0, minutes_per_run=0.1, tasks=("knn",))
    assert measured == [None, 12]  # six seconds, at 151 for 300 steps
    assert [run.steps for run in found.runs if run.recipe == "simclr"] == [10]  # one second is the monitor's
    assert json.loads((out / "sweep.json").read_text())["steps"][
        "length of simclr-test_resnet.r160_in1k"
    ] == {
        "steps": 10,
        "quoted_seconds": 6.0,
    }
    more = run_sweep(catalog.path, out, "simclr", seed="0,1", minutes_per_run=0.1, tasks=("knn",))
    assert [run.steps for run in more.runs if run.recipe == "simclr"] == [10, 10]
    assert len(measured) == 2


def test_minutes_that_the_monitor_alone_takes_are_too_few(catalog, tmp_path, monkeypatch):
    monkeypatch.setattr(sweep_length, "pretrain", lambda *_, **__: quoted(300, monitor_seconds=7.0))
    found = run_sweep(catalog.path, tmp_path / "out", "simclr", seed=0, minutes_per_run=0.1, tasks=("knn",))
    (failed,) = [run for run in found.runs if run.failure]
    assert failed.failure.startswith("minutes_per_run: 0.1 minutes are too few for simclr, where the monitor")
    assert not (tmp_path / "out" / "runs").exists()


def test_the_measured_length_fills_the_minutes(catalog, tmp_path):
    work = Work(
        name="simclr-seed_0",
        cell="simclr",
        title="simclr",
        recipe="simclr",
        encoder=TINY["encoder"],
        image_size=16,
        seed=0,
        data=str(catalog.path),
        changes={**TINY, "label": "category", "monitor.every_steps": 1000},
        axes={},
        out=str(tmp_path),
        asked=Asked(probes=(), tasks=(), labels_per_class=(5,), draws=1),
    )
    length = sweep_length.measured_length(work, minutes=60.0)
    assert 0 <= 3600 - length.quoted_seconds <= 2 * 3600 / length.steps


def test_runs_of_equal_data_see_as_many_images(catalog, tmp_path):
    found = run_sweep(
        catalog.path, tmp_path / "out", "simclr", seed=0, batch_size="8,16", seen_images=64, tasks=("knn",)
    )
    assert {run.axes["batch_size"]: run.steps for run in found.runs if run.steps} == {8: 8, 16: 4}


def test_several_labels_are_asked_one_after_the_other(catalog, tmp_path):
    found = run_sweep(
        catalog.path,
        tmp_path / "out",
        "simclr",
        seed=0,
        tasks=("knn",),
        label_of={"cat": ["category", "subcategory"]},
    )
    probes = list(dict.fromkeys(one.details["probe"] for one in found.results))
    assert probes == ["cat: category", "cat: subcategory"]
    page = Path(found.report).read_text()
    assert all(f"<h2>{probe}</h2>" in page for probe in probes)


@pytest.mark.skipif(find_spec("ray") is not None, reason="ray is installed")
def test_without_ray_the_sentence_says_how_to_get_it(catalog, tmp_path):
    with pytest.raises(MissingDependency, match=r'pip install "synsight\[cluster\]"'):
        run_sweep(catalog.path, tmp_path / "out", runner="ray")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed")
def test_a_cluster_gives_the_same_numbers(begun, catalog, tmp_path):
    found = run_sweep(catalog.path, tmp_path / "out", runner="ray")
    timed = {"seconds": 0.0}
    assert [vars(one) | timed for one in found.results] == [vars(one) | timed for one in begun.results]


def grid(recipes="simclr,catlip", **settings):
    return build_grid(recipes, settings, given={})


def test_the_grid_is_the_product_of_the_axes():
    cells = grid(encoder="resnet18,resnet34", projection_dim=[64, 128], **{"optim.lr": 1e-3}).cells
    assert [cell.title for cell in cells] == [
        "simclr, resnet18, projection_dim 64",
        "simclr, resnet18, projection_dim 128",
        "simclr, resnet34, projection_dim 64",
        "simclr, resnet34, projection_dim 128",
        "catlip, resnet18",
        "catlip, resnet34",
    ]
    assert cells[1].config.method.projection_dim == 128
    assert all(cell.config.optim.lr == 1e-3 for cell in cells)


def test_a_setting_that_a_recipe_lacks_is_left_out_there_and_said_once():
    notes = grid(projection_dim="64,128").notes
    assert notes == ("method.projection_dim is no setting of catlip, and is left out there.",)


def test_a_value_with_commas_of_its_own_is_one_value():
    betas = grid("simclr", **{"optim.betas": "0.9,0.95;0.9,0.999"})
    assert [cell.config.optim.betas for cell in betas.cells] == [(0.9, 0.95), (0.9, 0.999)]
    (rows,) = grid("simclr", where="split in ('train', 'val')").cells
    assert rows.config.where == "split in ('train', 'val')"


def test_a_combination_that_a_recipe_refuses_is_kept_with_its_reason_unless_all_are():
    refused = [cell.refused for cell in grid("simclr", **{"optim.lr": "1e-3,0"}).cells]
    assert refused == ["", "optim.lr must be > 0; got 0.0."]
    with pytest.raises(ConfigError, match=r"optim\.lr must be > 0"):
        grid(**{"optim.lr": 0})


def test_names_of_folders_are_safe_and_differ():
    cells = grid("simclr", encoder="hf-hub:a/b,hf-hub:a_b").cells
    names = [cell.name for cell in cells]
    assert len(set(names)) == 2
    assert not any("/" in name or ":" in name for name in names)


def test_the_grid_as_flags_is_read_back_as_the_same_grid():
    first = grid(encoder="resnet18,resnet34", seed="0,1", **{"optim.betas": "0.9,0.95;0.9,0.99"})
    words = iter(first.flags)
    flags = {
        name.removeprefix("--").replace("-", "_"): value for name, value in zip(words, words, strict=True)
    }
    assert build_grid(flags.pop("recipe"), flags, given={}) == first


def test_draws_of_curves_do_not_overlap_between_seeds():
    asked = Asked(probes=(), tasks=("curve",), labels_per_class=(5,), draws=3)
    assert [asked.first_draw(seed) for seed in range(3)] == [0, 10, 20]


def test_a_catalog_needs_a_label_to_judge_by():
    with pytest.raises(UsageError, match="--label-of clipart=COLUMN"):
        choose_probes(["data/emoji", "data/clipart"], None, {"emoji": "category"})
    probes = choose_probes(["data/emoji", "data/clipart"], "category", {"data/emoji": "subcategory"})
    assert [probe.name for probe in probes] == ["emoji: subcategory", "clipart: category"]
