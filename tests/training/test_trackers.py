"""Loggers beside metrics.jsonl: TensorBoard for real, the services as modules that only remember."""

import logging
import sys
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from tiny import tiny_config

from synsight import files
from synsight.data.catalog import Catalog
from synsight.errors import ConfigError, MissingDependency
from synsight.training import override, train
from synsight.training.run_folder import RunFolder
from synsight.training.trackers import import_trackers, open_trackers, scalars, tracking

ROWS = [
    {"step": 10, "kind": "train", "loss": 2.0, "note": "text", "missing": None},
    {"step": 10, "kind": "monitor", "knn_acc1": 0.5, "best": True},
]


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    (tmp_path / "run").mkdir()
    return RunFolder(tmp_path / "run")


def tensorboard_points(run: Path) -> dict[str, list[tuple[int, float]]]:
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    found = events.EventAccumulator(str(run / "tensorboard")).Reload()
    return {tag: [(one.step, one.value) for one in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


def send(name: str, folder: RunFolder, *, step: int = 0) -> None:
    config = tiny_config("catlip", "cat")
    with tracking([name], folder=folder, config=config, step=step) as trackers:
        for row in ROWS:
            trackers[0].log(row)


def test_numbers_go_under_the_name_of_their_kind_and_nothing_else_goes():
    assert scalars(ROWS[0]) == {"train/loss": 2.0}
    assert scalars(ROWS[1]) == {"monitor/knn_acc1": 0.5, "monitor/best": 1.0}


def test_tensorboard_has_every_number_of_metrics_jsonl(catalog: Catalog, tmp_path: Path):
    pytest.importorskip("tensorboard")
    run = tmp_path / "run"
    config = tiny_config("catlip", catalog.path, steps=4, track=("tensorboard",))
    train(config, out=run)
    expected: dict[str, list[tuple[int, float]]] = {}
    for row in files.read_json_lines(run / "metrics.jsonl"):
        for name, value in scalars(row).items():
            expected.setdefault(name, []).append((row["step"], pytest.approx(value)))
    assert tensorboard_points(run) == expected
    assert len(expected["train/loss"]) == 4


def test_tensorboard_forgets_the_rows_that_a_resumed_run_sends_again(folder: RunFolder):
    pytest.importorskip("tensorboard")
    send("tensorboard", folder)
    time.sleep(1.1)  # its files are told apart by the second
    send("tensorboard", folder, step=9)
    assert tensorboard_points(folder.path)["train/loss"] == [(10, 2.0)]


class FakeWandb(ModuleType):
    def __init__(self) -> None:
        super().__init__("wandb")
        self.inits: list[dict[str, Any]] = []
        self.logged: list[tuple[dict[str, float], int]] = []
        self.codes: list[int] = []
        self.Settings = SimpleNamespace

    def init(self, **settings: Any) -> Any:
        self.inits.append(settings)
        return SimpleNamespace(
            log=lambda values, step: self.logged.append((values, step)),
            finish=lambda exit_code: self.codes.append(exit_code),
        )


@pytest.fixture
def wandb(monkeypatch: pytest.MonkeyPatch) -> FakeWandb:
    for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    fake = FakeWandb()
    monkeypatch.setitem(sys.modules, "wandb", fake)
    return fake


def test_wandb_stays_offline_unless_the_user_says_otherwise(
    folder: RunFolder, wandb: FakeWandb, monkeypatch: pytest.MonkeyPatch
):
    send("wandb", folder)
    monkeypatch.setenv("WANDB_API_KEY", "key")
    send("wandb", folder, step=10)
    assert [one["mode"] for one in wandb.inits] == ["offline", "online"]
    assert wandb.inits[0]["id"] == wandb.inits[1]["id"]  # the same run went on
    assert wandb.inits[0]["dir"] == str(folder.path)
    assert wandb.inits[0]["config"]["batch_size"] == 16
    assert wandb.logged[:2] == [
        ({"train/loss": 2.0}, 10),
        ({"monitor/knn_acc1": 0.5, "monitor/best": 1.0}, 10),
    ]
    assert wandb.codes == [0, 0]


class FakeMlflow(ModuleType):
    """As much of a client as is used; all clients of one address see one store."""

    def __init__(self) -> None:
        super().__init__("mlflow")
        self.uris: list[str] = []
        self.runs: list[Any] = []
        self.params: dict[str, str] = {}
        self.metrics: list[tuple[str, float, int]] = []
        self.status: list[str] = []
        self.entities = SimpleNamespace(Metric=lambda key, value, now, step: (key, value, step))

    def MlflowClient(self, *, tracking_uri: str) -> Any:
        self.uris.append(tracking_uri)
        return SimpleNamespace(
            get_experiment_by_name=lambda name: None,
            create_experiment=lambda name, artifact_location: "1",
            search_runs=lambda experiments, query, max_results: [
                run for run in self.runs if f"'{run.tags['synsight.key']}'" in query
            ],
            create_run=self.create_run,
            update_run=lambda run, status: self.status.append(status),
            log_param=lambda run, name, value: self.params.update({name: value}),
            log_batch=lambda run, metrics: self.metrics.extend(metrics),
            set_terminated=lambda run, status: self.status.append(status),
        )

    def create_run(self, experiment: str, *, tags: dict[str, str], run_name: str) -> Any:
        self.runs.append(SimpleNamespace(info=SimpleNamespace(run_id=run_name), tags=tags))
        return self.runs[-1]


def test_mlflow_writes_in_the_run_folder_and_goes_on_with_its_run(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    fake = FakeMlflow()
    monkeypatch.setitem(sys.modules, "mlflow", fake)
    send("mlflow", folder)
    send("mlflow", folder, step=10)
    assert fake.uris[0] == f"sqlite:///{folder.path.resolve()}/mlflow/mlflow.db"
    assert len(fake.runs) == 1
    assert fake.params["optim.lr"] == "0.001"
    assert fake.metrics[:2] == [("train/loss", 2.0, 10), ("monitor/knn_acc1", 0.5, 10)]
    assert fake.status == ["FINISHED", "RUNNING", "FINISHED"]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    send("mlflow", folder)
    assert fake.uris[-1] == "http://127.0.0.1:1"


def test_trackio_keeps_stdout_for_results(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    logged = []

    def init(project: str, *, name: str, config: dict[str, Any], resume: str) -> Any:
        print("* Trackio project initialized")
        assert resume == "allow" and config["method"]["name"] == "catlip"
        return SimpleNamespace(log=lambda values, step: logged.append((values, step)), finish=print)

    fake = ModuleType("trackio")
    fake.init = init  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "trackio", fake)
    send("trackio", folder)
    assert logged[0] == ({"train/loss": 2.0}, 10)
    assert capsys.readouterr().out == ""


def test_a_logger_that_fails_says_so_once_and_the_run_goes_on(
    catalog: Catalog, tmp_path: Path, wandb: FakeWandb, caplog: pytest.LogCaptureFixture
):
    def refuse(**settings: Any) -> Any:
        def log(values: object, step: int) -> None:
            raise ConnectionError("no route to host")

        return SimpleNamespace(log=log, finish=lambda exit_code: None)

    wandb.init = refuse  # type: ignore[method-assign]
    with caplog.at_level(logging.WARNING, logger="synsight.training"):
        summary = train(tiny_config("catlip", catalog.path, steps=4, track="wandb"), out=tmp_path / "run")
    assert summary.steps == 4
    warnings = [one.getMessage() for one in caplog.records if "wandb" in one.getMessage()]
    assert len(warnings) == 1 and "no route to host" in warnings[0]


def test_a_stopped_run_is_not_told_to_be_finished(folder: RunFolder, wandb: FakeWandb):
    with pytest.raises(KeyboardInterrupt), tracking(["wandb"], folder=folder, config=tiny_config("catlip")):
        raise KeyboardInterrupt
    assert wandb.codes == [1]


def test_a_missing_package_is_told_before_the_run_begins(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(MissingDependency, match=r"synsight\[track\]"):
        train(tiny_config("catlip", catalog.path, track="mlflow"), out=tmp_path / "run")
    assert not (tmp_path / "run").exists() or not (tmp_path / "run" / "config.yaml").exists()


def test_an_unknown_logger_is_refused_with_the_near_names():
    with pytest.raises(ConfigError, match="did you mean 'tensorboard'"):
        override(tiny_config("catlip"), {"track": "tensorbord"})


def test_without_loggers_nothing_is_written(folder: RunFolder):
    assert open_trackers([], folder=folder, config=tiny_config("catlip")) == []
    assert list(folder.path.iterdir()) == []


@pytest.mark.parametrize("name", ["mlflow", "wandb", "trackio"])
def test_the_real_package_takes_the_rows_on_this_machine_alone(
    name: str, folder: RunFolder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    pytest.importorskip(name)
    for variable in ("WANDB_MODE", "WANDB_API_KEY", "MLFLOW_TRACKING_URI", "TRACKIO_SPACE_ID"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("TRACKIO_DIR", str(folder.path / "trackio"))
    import_trackers([name])
    send(name, folder)
    send(name, folder, step=10)
    ours = [one.getMessage() for one in caplog.records if one.name == "synsight.training"]
    assert not ours, ours
    if name != "trackio":  # which may have been imported with another place in mind
        assert (folder.path / name).is_dir()
    if name == "mlflow":
        client = sys.modules["mlflow"].MlflowClient(f"sqlite:///{folder.path.resolve()}/mlflow/mlflow.db")
        (run,) = client.search_runs(["1"])
        assert run.data.metrics["train/loss"] == 2.0 and run.data.params["optim.lr"] == "0.001"
        assert run.info.status == "FINISHED"
