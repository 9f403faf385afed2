"""`train` on a Ray cluster: Ray places the processes, starts them again when one dies, and does no more.

The processes find each other and open their own group, as under torchrun. What they share is the run's
folder and the catalog, which every machine must see under the same path.
"""

import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from secrets import token_hex
from typing import Any

import torch

from synsight import errors, files
from synsight.errors import ConfigError, SynsightError, TrainingError
from synsight.ray_cluster import connect, import_ray
from synsight.records import RunSummary
from synsight.training.config import RunConfig, from_mapping
from synsight.training.run import train
from synsight.training.run_folder import RunFolder
from synsight.training.saving import read_summary
from synsight.training.settings import to_plain

RESTARTS = 3
"""How often all processes are started again after one died."""
NOTES = ".ray"
"""Folder in the run's for what Ray and we write about a launch."""


def train_on_ray(
    config: RunConfig, *, out: str | Path, workers: int = 1, resume: bool = False, address: str | None = None
) -> RunSummary:
    """Train one run in several processes of a Ray cluster; `training.train` says the rest.

    Args:
        config: All settings.
        out: The run's folder, on a disk that all machines of the cluster share.
        workers: Processes, each with a GPU where the cluster has any, else with its part of the processors.
        resume: Go on where the run was stopped.
        address: Of the cluster; None: that of RAY_ADDRESS, else one on this machine.

    Raises:
        MissingDependency: Ray is not installed.
        ConfigError: The cluster is too small, or lets everybody in.
        SynsightError: What `train` raised in one of the processes.
        TrainingError: Processes were lost again and again; what was saved can be resumed.
    """
    if workers < 1:
        raise ConfigError(f"workers-per-run must be at least 1; got {workers!r}.")
    ray, ray_train, ray_torch = _ray_train()
    folder = RunFolder(Path(out).resolve())
    if not resume:
        folder.check_new()
    connect(ray, address)
    resources = _share([one["Resources"] for one in ray.nodes() if one["Alive"]], workers)
    launch = token_hex(4)
    note = folder.path / NOTES / f"{launch}.json"
    trainer = ray_torch.TorchTrainer(
        _work,
        train_loop_config={
            "config": to_plain(_everywhere(config)),
            "out": str(folder.path),
            "note": str(note),
        },
        torch_config=_without_group(ray_train, ray_torch),
        scaling_config=ray_train.ScalingConfig(
            num_workers=workers, use_gpu="GPU" in resources, resources_per_worker=resources
        ),
        run_config=ray_train.RunConfig(
            name=launch,
            storage_path=str(folder.path / NOTES),
            failure_config=ray_train.FailureConfig(max_failures=RESTARTS),
        ),
    )
    try:
        trainer.fit()
    except Exception as error:  # of many kinds, by version
        if not note.exists():
            raise TrainingError(
                f"the cluster lost the run's processes more than {RESTARTS} times ({_line(error)}); go on "
                "with --resume once it is well."
            ) from error
    if note.exists():
        raise _noted(files.read_json(note))
    return read_summary(folder)


def _work(settings: Mapping[str, Any]) -> None:
    """What each process does; begun anew when one of them died."""
    note = Path(settings["note"])
    if note.exists():
        return  # an error that the user must mend, not a machine that was lost
    _join()
    try:
        train(from_mapping(settings["config"]), out=settings["out"], resume=True)
    except SynsightError as error:
        if not isinstance(error.__cause__, RuntimeError):  # which is what the loss of another process is
            files.write_json(note, {"kind": type(error).__name__, "message": str(error)})
        raise


def _join() -> None:
    """Tell `open_world` what torchrun would have told it."""
    ray, ray_train, _ = _ray_train()
    context = ray_train.get_context()
    rank = context.get_world_rank()
    told = import_module("ray.train.collective").broadcast_from_rank_zero
    host, port = told(_address(ray) if rank == 0 else None)
    seen = max(torch.cuda.device_count(), 1)  # Ray may let a process see its own GPU alone
    os.environ.update(
        RANK=str(rank),
        WORLD_SIZE=str(context.get_world_size()),
        LOCAL_RANK=str(context.get_local_rank() % seen),
        LOCAL_WORLD_SIZE=str(context.get_local_world_size()),
        MASTER_ADDR=host,
        MASTER_PORT=str(port),
    )


def _address(ray: Any) -> tuple[str, int]:
    """The machine that this process is on, and a free port of it."""
    with socket.socket() as one:
        one.bind(("", 0))
        return ray.util.get_node_ip_address(), one.getsockname()[1]


def _ray_train() -> list[Any]:
    return import_ray("ray.train", "ray.train.torch", purpose="training on a cluster")


def _without_group(ray_train: Any, ray_torch: Any) -> Any:
    """Ray's settings for torch, but for the process group: that is ours to open."""

    class WithoutGroup(ray_torch.TorchConfig):  # type: ignore[misc]
        @property
        def backend_cls(self) -> Any:
            return ray_train.backend.Backend

    return WithoutGroup()


def _everywhere(config: RunConfig) -> RunConfig:
    """The settings with paths that hold in every process, whatever folder it works in."""
    monitor = config.monitor
    if monitor.data is not None:
        monitor = replace(monitor, data=_absolute(monitor.data))
    return replace(config, data=_absolute(config.data), monitor=monitor)


def _absolute(path: str) -> str:
    return path if "://" in path else str(Path(path).resolve())


def _share(nodes: Sequence[Mapping[str, float]], workers: int) -> dict[str, float]:
    """What a process takes: a GPU, where there is one for each, and as many processors as all can have."""
    gpus = sum(int(one.get("GPU", 0)) for one in nodes)
    if 0 < gpus < workers:
        raise ConfigError(f"the cluster has {gpus} GPUs for {workers} processes; ask for as many at most.")
    most = max((int(one.get("CPU", 0)) for one in nodes), default=0)
    for cpus in range(most, 0, -1):
        places = (
            min(int(one.get("CPU", 0)) // cpus, int(one["GPU"]) if one.get("GPU") else 0 if gpus else workers)
            for one in nodes
        )
        if sum(places) >= workers:
            return {"CPU": cpus, "GPU": 1} if gpus else {"CPU": cpus}
    raise ConfigError(f"the cluster has too few processors for {workers} processes; ask for fewer.")


def _noted(note: Mapping[str, str]) -> SynsightError:
    kind = getattr(errors, str(note["kind"]), TrainingError)
    if not (isinstance(kind, type) and issubclass(kind, SynsightError)):
        kind = TrainingError
    error = SynsightError.__new__(kind)  # each kind has arguments of its own; the sentence is finished
    error.args = (note["message"],)
    return error


def _line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:200]
