"""The run folder: who may write in it, where things lie, and what a resume must find unchanged."""

import fcntl
import json
import logging
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from synsight import files
from synsight.data.views import ViewsConfig, path_of
from synsight.errors import TrainingError
from synsight.training.config import RunConfig, read_config, write_config
from synsight.training.settings import paths

LOG = logging.getLogger("synsight.training")

FREE_ON_RESUME = (
    "workers",
    "data",
    "track",
    "checkpoint.every_minutes",
    "checkpoint.every_epochs",
    "checkpoint.least_minutes",
)
"""Settings that change no number of the run, so a resumed run may have others."""


class RunFolder:
    """Paths of a run, and the few rules about them.

    Args:
        path: The folder; need not exist.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.config = self.path / "config.yaml"
        self.environment = self.path / "environment.json"
        self.data = self.path / "data.json"
        self.rows = self.path / "rows.json"
        self.metrics = self.path / "metrics.jsonl"
        self.tracking = self.path / "tracking.json"
        self.log = self.path / "train.log"
        self.last = self.path / "checkpoints" / "last"
        self.model = self.path / "model"
        self.done = self.path / "DONE"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for one trainer; the system lets go of it when the process dies.

        Raises:
            TrainingError: Another process trains in this folder.
        """
        with files.disk_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise TrainingError(
                f"{self.path}: another process is training here; wait for it, or choose another folder."
            ) from None
        try:
            yield
        finally:
            os.close(descriptor)

    @contextmanager
    def logging(self) -> Iterator[None]:
        """Copy the training log to train.log, and its warnings to stderr, while the block runs."""
        with files.disk_errors(self.log):
            to_file = logging.FileHandler(self.log, encoding="utf-8")
        to_file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        to_user = logging.StreamHandler(sys.stderr)
        to_user.setLevel(logging.WARNING)
        LOG.setLevel(logging.INFO)
        for handler in (to_file, to_user):
            LOG.addHandler(handler)
        try:
            yield
        finally:
            for handler in (to_file, to_user):
                LOG.removeHandler(handler)
                handler.close()

    def begin(self, config: RunConfig, *, resume: bool) -> bool:
        """Claim the folder for this run, or check that it is this run's.

        Returns:
            True when an earlier sitting is to be continued.

        Raises:
            TrainingError: The folder holds something and `resume` is off, is no run, or is a run with other
                settings.
        """
        present = self._present()
        if not present:
            files.write_json(self.environment, environment())
            write_config(self.config, config)
            return False
        if not resume:
            self.check_new()
        if present == [self.environment.name]:
            write_config(self.config, config)  # killed between the two
            return False
        if not self.config.exists():
            raise TrainingError(
                f"{self.path}: expected a run to resume, found no config.yaml; choose the folder of a run."
            )
        self._check_same(config)
        for torn in self.path.rglob(".*.tmp"):
            files.remove(torn)  # what a killed writer left; the lock says that nobody else writes here
        return True

    def check_new(self) -> None:
        """Raise a TrainingError when the folder holds anything."""
        if present := self._present():
            raise TrainingError(
                f"{self.path}: expected an empty or new folder, found {len(present)} files such as "
                f"{present[0]!r}; choose another folder, or go on with this run with --resume (resume=True)."
            )

    def _present(self) -> list[str]:
        if not self.path.exists():
            return []
        return sorted(one.name for one in self.path.iterdir() if not one.name.startswith("."))

    def read_config(self) -> RunConfig:
        """The settings the run began with."""
        return read_config(self.config)

    def _check_same(self, config: RunConfig) -> None:
        then, now = paths(self.read_config()), paths(config)
        differing = [
            name
            for name in (*now, *(then.keys() - now.keys()))
            if then.get(name) != now.get(name) and name not in FREE_ON_RESUME
        ]
        if differing:
            name = differing[0]
            raise TrainingError(
                f"{self.path}: the run began with {name} = {then.get(name)!r}, now it is {now.get(name)!r}; "
                "resume with the settings it began with, or start a new run in another folder."
            )

    def cut_metrics(self, *, step: int) -> None:
        """Forget rows of metrics.jsonl written after a step, so that it holds each step once."""
        rows = [row for row in files.read_json_lines(self.metrics) if row.get("step", 0) <= step]
        if self.metrics.exists():
            lines = [json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows]
            files.write_text(self.metrics, "".join(lines))


def environment() -> dict[str, Any]:
    """What the numbers of a run may depend on besides its settings."""
    packages = {}
    for name in ("synsight", "torch", "torchvision", "timm", "numpy", "pillow", "pylance"):
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            packages[name] = "not installed"
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "device": torch.cuda.get_device_name() if device == "cuda" else platform.machine(),
        "threads": torch.get_num_threads(),
        "views": path_of(ViewsConfig()),
        "packages": packages,
        "commit": _commit(),
    }


def _commit() -> str | None:
    """The commit of the checkout that runs, when it is one; read from git's files, without git."""
    for parent in Path(__file__).resolve().parents:
        head = parent / ".git" / "HEAD"
        if head.is_file():
            text = head.read_text().strip()
            branch = parent / ".git" / text.removeprefix("ref: ")
            return branch.read_text().strip() if branch.is_file() else text.removeprefix("ref: ")
    return None
