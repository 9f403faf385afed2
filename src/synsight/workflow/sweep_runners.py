"""Where the runs of a sweep take place: one after another here, or as tasks on a Ray cluster."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from synsight.ray_cluster import check_runner, connect, import_ray

T = TypeVar("T")
R = TypeVar("R")

SAVING_SECONDS = 60
"""Longest wait for runs that were told to stop."""


def run_all(
    function: Callable[[T], R],
    works: Sequence[T],
    *,
    runner: str,
    address: str | None = None,
    begin: Callable[[T], None] = lambda _: None,
) -> Iterator[tuple[T, R]]:
    """Do all works and give each with its result as soon as it is done.

    Args:
        function: Does one; importable by its name on every machine.
        works: What is handed to it.
        runner: `local` or `ray`.
        address: Of the Ray cluster; None: that of RAY_ADDRESS, else one on this machine.
        begin: Told of a work when it is begun (local) or handed to the cluster.
    """
    if runner == "ray":
        yield from _on_ray(function, works, address, begin)
        return
    for work in works:
        begin(work)
        yield work, function(work)


def check_ready(runner: str) -> None:
    """Say at once what would fail later.

    Raises:
        UsageError: An unknown runner.
        MissingDependency: Ray is not installed.
    """
    check_runner(runner)
    if runner == "ray":
        _ray()


def _ray() -> Any:
    (ray,) = import_ray(purpose="a sweep on a cluster")
    return ray


def _on_ray(
    function: Callable[[T], R], works: Sequence[T], address: str | None, begin: Callable[[T], None]
) -> Iterator[tuple[T, R]]:
    ray = _ray()
    if not works:
        return
    connect(ray, address)
    task = ray.remote(**_share(ray.nodes()))(function)  # a task whose machine died goes on where it was
    waiting = {}
    for work in works:
        begin(work)
        waiting[task.remote(work)] = work
    try:
        while waiting:
            (done, *_), _ = ray.wait([*waiting], num_returns=1)
            yield waiting.pop(done), _result(ray, done)
    finally:
        for left in waiting:
            ray.cancel(left)  # like Ctrl-C: a run that trains saves its state
        if waiting:
            ray.wait([*waiting], num_returns=len(waiting), timeout=SAVING_SECONDS)


def _result(ray: Any, done: Any) -> Any:
    try:
        return ray.get(done)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None


def _share(nodes: Sequence[Any]) -> dict[str, float]:
    """What one run may take: a machine without GPUs, or one GPU with its part of the processors.

    Runs that share processors would each take longer than its measured time.
    """
    resources = [node["Resources"] for node in nodes if node["Alive"]]
    gpus = max(one.get("GPU", 0) for one in resources)
    cpus = min(one["CPU"] for one in resources if one.get("CPU"))
    return {"num_cpus": max(1, cpus // gpus), "num_gpus": 1} if gpus else {"num_cpus": cpus}
