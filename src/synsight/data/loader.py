"""Batches for training, the same ones whatever the number of worker processes.

A batch is a pure function of (seed, epoch, rows), and the plan says which rows: to go on in the middle of an
epoch nothing is skipped and nothing read twice. Workers are spawned, never forked (the table library does
not survive a fork), and open the catalog themselves.
"""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from synsight.data.batches import Batch
from synsight.data.plan import Plan
from synsight.data.training_data import BatchKey, TrainingData
from synsight.errors import ConfigError, SynsightError, TrainingError

__all__ = ["Batch", "TrainingData", "training_loader", "default_workers"]


def training_loader(
    data: TrainingData,
    plan: Plan,
    *,
    start_epoch: int = 0,
    start_step: int = 0,
    epochs: int | None = None,
    num_workers: int | None = None,
    device: torch.device | str = "cpu",
    channels_last: bool = False,
    size_at: Callable[[int], int] | None = None,
) -> Iterator[Batch]:
    """Batches of one epoch after the other, on `device`, from any step on.

    Args:
        data: The rows.
        plan: Which of them make which batch.
        start_epoch: Epoch of the first batch.
        start_step: Step of the first batch inside that epoch; `plan.locate` finds both.
        epochs: Epoch before which to stop; None: never.
        num_workers: Processes that make batches ahead; 0: this one does, when asked; None:
            `default_workers()`. The batches are the same. A program that asks for workers needs the usual
            `if __name__ == "__main__":`.
        device: Where the batches go.
        channels_last: The memory format of the views.
        size_at: Steps taken since the start of the run -> side of the views; None: the data's.

    Raises:
        ConfigError: The plan is for another number of rows.
        DataError: An image that can no longer be decoded.
        TrainingError: A worker died.
    """
    if plan.rows != len(data):
        raise ConfigError(f"the plan is for {plan.rows} rows, the data has {len(data)}.")
    workers = default_workers() if num_workers is None else num_workers
    keys = _Keys(plan, start_epoch, start_step, epochs, size_at)
    loader = DataLoader(
        _Sent(data),
        sampler=keys,
        batch_size=None,  # a key is a whole batch already
        collate_fn=_as_it_is,
        num_workers=workers,
        multiprocessing_context="spawn" if workers else None,
        worker_init_fn=_start_worker if workers else None,
        pin_memory=torch.device(device).type == "cuda",
    )
    with _one_thread_for_workers():
        batches = iter(loader)
    while (batch := _next_of(batches)) is not None:
        moved = data.with_tokens(batch).to(device, channels_last=channels_last)
        yield moved.normalised(mean=data.mean, std=data.std)


def default_workers() -> int:
    """Worker processes when nobody says how many: none on up to two cores, else one for every two cores, at
    most 8.

    On two cores a worker takes from the training what it gives, and costs seconds to start.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return 0 if cores <= 2 else min(8, cores // 2)


class _Keys(Sampler[BatchKey]):
    """The plan's batches from one place on, as the sampler of a DataLoader."""

    def __init__(
        self,
        plan: Plan,
        start_epoch: int,
        start_step: int,
        epochs: int | None,
        size_at: Callable[[int], int] | None,
    ) -> None:
        self._plan, self._size_at = plan, size_at
        self._start = start_epoch * plan.steps_per_epoch + start_step
        self._batches = plan.batches(start_epoch=start_epoch, start_step=start_step, epochs=epochs)

    def __iter__(self) -> Iterator[BatchKey]:
        for step, (epoch, rows) in enumerate(self._batches, start=self._start):
            size = self._plan.size_at(*self._plan.locate(step))
            if size is None and self._size_at is not None:
                size = self._size_at(step)
            yield (epoch, rows) if size is None else (epoch, rows, size)


class _Sent(Dataset[Batch | SynsightError]):
    """Batches, or the error in place of one: raised in a worker it would arrive as a page of traceback."""

    def __init__(self, data: TrainingData) -> None:
        self._data = data

    def __getitem__(self, key: BatchKey) -> Batch | SynsightError:
        try:
            return self._data[key]
        except SynsightError as error:
            return error


def _next_of(batches: Iterator[Batch | SynsightError]) -> Batch | None:
    try:
        batch = next(batches, None)
    except (RuntimeError, ConnectionError, EOFError) as error:
        # The death is seen by whoever looks first: the watch, or the pipe that the batch came through.
        if isinstance(error, RuntimeError) and "DataLoader worker" not in str(error):
            raise
        raise TrainingError(
            "a worker process that makes batches died, most often for want of memory; use fewer workers "
            "(0: none), and in a program of your own guard the call with `if __name__ == '__main__':`."
        ) from error
    if isinstance(batch, SynsightError):
        raise batch
    return batch


def _as_it_is(batch: Any) -> Any:
    return batch


def _start_worker(_: int) -> None:
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the main process, which saves first


@contextmanager
def _one_thread_for_workers() -> Iterator[None]:
    """Processes started in the block get one OpenMP thread each: they are many already."""
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = before
