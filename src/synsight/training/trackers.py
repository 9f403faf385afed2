"""Loggers that get the rows of metrics.jsonl, too: TensorBoard, MLflow, Weights & Biases and trackio.

None of them may end a run or hold it up: each has a thread, a queue, and one warning. Without a word of the
user's, given through the service's own environment variables, nothing leaves the machine.
"""

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from importlib import import_module
from pathlib import Path
from queue import SimpleQueue
from secrets import token_hex
from threading import Thread
from time import time
from typing import Any, Protocol

from synsight import files
from synsight.errors import MissingDependency
from synsight.training.config import TRACKERS, RunConfig, to_yaml
from synsight.training.run_folder import LOG, RunFolder
from synsight.training.settings import paths, to_plain

CLOSING_SECONDS = 30
"""Longest wait for a logger to take the last rows."""
PROJECT = "synsight"
MODULES = {"tensorboard": "torch.utils.tensorboard"} | {name: name for name in TRACKERS[1:]}
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "WANDB_ERROR_REPORTING": "false",
    "GRADIO_ANALYTICS_ENABLED": "False",
}
"""What keeps these packages from reporting to their makers; a user's own values stay."""


class Service(Protocol):
    """What a logger does with a row."""

    def send(self, step: int, values: Mapping[str, float]) -> None:
        """Take the values of one row."""

    def close(self, *, finished: bool) -> None:
        """Take note that nothing more comes, for now or for good."""


class Tracker:
    """One logger, told of rows by the training loop and served by a thread of its own.

    Args:
        name: One of `TRACKERS`.
        folder: The run's.
        config: Its settings, sent as hyperparameters.
        step: Steps that the run has behind it.
        key: What tells the run from all others.
    """

    def __init__(self, name: str, *, folder: RunFolder, config: RunConfig, step: int, key: str) -> None:
        self.name, self._finished = name, False
        self._rows: SimpleQueue[dict[str, Any] | None] = SimpleQueue()
        self._thread = Thread(target=self._work, args=(folder, config, step, key), name=name, daemon=True)
        self._thread.start()

    def log(self, row: Mapping[str, Any]) -> None:
        """Hand over one row of metrics.jsonl; returns at once."""
        if self._thread.is_alive():
            self._rows.put(dict(row))

    def close(self, *, finished: bool = True) -> None:
        """Wait, though not for ever, until all rows are sent.

        Args:
            finished: The run is at its end; off: it was stopped, and may go on.
        """
        self._finished = finished
        self._rows.put(None)
        self._thread.join(CLOSING_SECONDS)
        if self._thread.is_alive():
            self._warn(f"did not take the last rows within {CLOSING_SECONDS} s")

    def _work(self, folder: RunFolder, config: RunConfig, step: int, key: str) -> None:
        try:
            service = _OPEN[self.name](folder, config, step, key)
            while (row := self._rows.get()) is not None:
                service.send(row["step"], scalars(row))
            service.close(finished=self._finished)
        except Exception as error:  # a service may fail in any way, and the run is worth more
            self._warn(f"takes no more rows ({type(error).__name__}: {str(error)[:200]})")

    def _warn(self, what: str) -> None:
        LOG.warning("%s %s; training goes on, and metrics.jsonl has all rows", self.name, what)


def import_trackers(names: Sequence[str]) -> None:
    """Import what the loggers need, so that what is missing is missed before a run begins.

    Raises:
        MissingDependency: A logger's package is not installed.
    """
    for name in names:
        for variable, value in QUIET.items():
            os.environ.setdefault(variable, value)
        try:
            import_module(MODULES[name])
        except ImportError:
            raise MissingDependency(name, extra="track", purpose=f"track {name}") from None


def open_trackers(
    names: Sequence[str], *, folder: RunFolder, config: RunConfig, step: int = 0
) -> list[Tracker]:
    """Start the loggers of a run, or let them go on.

    Rows after `step`, which a stopped run may have sent, come again: TensorBoard forgets the former ones,
    MLflow and trackio keep both, W&B keeps the former.

    Args:
        names: Some of `TRACKERS`.
        folder: The run's.
        config: Its settings.
        step: Steps that the run has behind it.

    Raises:
        MissingDependency: A logger's package is not installed.
    """
    import_trackers(names)
    if names and not folder.tracking.exists():
        files.write_json(folder.tracking, {"key": token_hex(4)})
    key = files.read_json(folder.tracking)["key"] if names else ""
    return [Tracker(name, folder=folder, config=config, step=step, key=key) for name in dict.fromkeys(names)]


@contextmanager
def tracking(
    names: Sequence[str], *, folder: RunFolder, config: RunConfig, step: int = 0
) -> Iterator[list[Tracker]]:
    """`open_trackers` for the length of a block, closed however it ends."""
    trackers = open_trackers(names, folder=folder, config=config, step=step)
    finished = False
    try:
        yield trackers
        finished = True
    finally:
        for tracker in trackers:
            tracker.close(finished=finished)


def scalars(row: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a row of metrics.jsonl, by names such as `train/loss` and `monitor/knn_acc1`."""
    numbers = {name: value for name, value in row.items() if isinstance(value, int | float)}
    return {f"{row['kind']}/{name}": float(value) for name, value in numbers.items() if name != "step"}


class _TensorBoard:
    def __init__(self, folder: RunFolder, config: RunConfig, step: int, key: str) -> None:
        from torch.utils.tensorboard import SummaryWriter
        from torch.utils.tensorboard.summary import hparams

        make: Any = SummaryWriter
        self._writer = make(folder.path / "tensorboard", purge_step=step + 1 if step else None, flush_secs=10)
        if not step:
            plain = {name: _plain(value) for name, value in paths(config).items()}
            untyped: Any = hparams
            for summary in untyped(plain, {}):
                self._writer.file_writer.add_summary(summary)
            self._writer.add_text("settings", "\n".join(f"    {one}" for one in to_yaml(config).splitlines()))

    def send(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self, *, finished: bool) -> None:
        self._writer.close()


class _MLflow:
    def __init__(self, folder: RunFolder, config: RunConfig, step: int, key: str) -> None:
        self._mlflow = import_module("mlflow")
        place = folder.path.resolve() / "mlflow"
        uri, artifacts = os.environ.get("MLFLOW_TRACKING_URI"), None
        if not uri:
            place.mkdir(exist_ok=True)
            uri, artifacts = f"sqlite:///{place / 'mlflow.db'}", (place / "artifacts").as_uri()
        self._client = self._mlflow.MlflowClient(tracking_uri=uri)
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
        known = self._client.get_experiment_by_name(name)
        experiment = (
            self._client.create_experiment(name, artifact_location=artifacts)
            if known is None
            else known.experiment_id
        )
        begun = self._client.search_runs([experiment], f"tags.`synsight.key` = '{key}'", max_results=1)
        if begun:
            self._run = begun[0].info.run_id
            self._client.update_run(self._run, status="RUNNING")
            return
        tags = {"synsight.key": key}
        self._run = self._client.create_run(experiment, tags=tags, run_name=_name(folder.path)).info.run_id
        for parameter, value in paths(config).items():
            self._client.log_param(self._run, parameter, str(value)[:500])

    def send(self, step: int, values: Mapping[str, float]) -> None:
        now = int(time() * 1000)
        metric = self._mlflow.entities.Metric
        rows = [metric(name, value, now, step) for name, value in values.items()]
        self._client.log_batch(self._run, metrics=rows)

    def close(self, *, finished: bool) -> None:
        self._client.set_terminated(self._run, status="FINISHED" if finished else "KILLED")


class _Wandb:
    def __init__(self, folder: RunFolder, config: RunConfig, step: int, key: str) -> None:
        wandb = import_module("wandb")
        mode = os.environ.get("WANDB_MODE") or ("online" if os.environ.get("WANDB_API_KEY") else "offline")
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            id=key,
            name=_name(folder.path),
            dir=str(folder.path),
            config=to_plain(config),
            mode=mode,
            resume="allow" if mode == "online" else None,  # without a service it would only warn
            settings=wandb.Settings(silent=True, console="off"),
        )

    def send(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log(dict(values), step=step)

    def close(self, *, finished: bool) -> None:
        self._run.finish(exit_code=0 if finished else 1)


class _Trackio:
    def __init__(self, folder: RunFolder, config: RunConfig, step: int, key: str) -> None:
        trackio = import_module("trackio")
        name = f"{_name(folder.path)}-{key}"
        with redirect_stdout(sys.stderr):  # it greets, and stdout is for results
            self._run = trackio.init(PROJECT, name=name, config=to_plain(config), resume="allow")

    def send(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log(dict(values), step=step)

    def close(self, *, finished: bool) -> None:
        with redirect_stdout(sys.stderr):
            self._run.finish()


_OPEN: dict[str, Callable[[RunFolder, RunConfig, int, str], Service]] = {
    "tensorboard": _TensorBoard,
    "mlflow": _MLflow,
    "wandb": _Wandb,
    "trackio": _Trackio,
}


def _name(path: Path) -> str:
    return path.resolve().name


def _plain(value: Any) -> str | float:
    return value if isinstance(value, str | int | float) else str(value)
