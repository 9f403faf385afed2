"""What a run would cost on this machine: a few of its real steps, timed; nothing is written."""

import resource
import statistics
import sys
import time
from dataclasses import dataclass
from itertools import pairwise

from synsight.data.catalog import Catalog
from synsight.data.loader import default_workers, training_loader
from synsight.distributed import World
from synsight.training.config import RunConfig
from synsight.training.data_record import Rows
from synsight.training.job import Job, prepare
from synsight.training.levers import phases
from synsight.training.step import take_step

WARM_UP_STEPS = 2
MEASURED_STEPS = 6


@dataclass(frozen=True, kw_only=True)
class DryRun:
    """The cost of a whole run, quoted from a few steps of it."""

    steps: int
    """Of the whole run."""
    seconds_per_step: float
    """Median of the measured ones, with decoding; the mean over the phases of a run that has some."""
    images_per_second: float
    monitor_seconds: float
    """All looks of the monitor together."""
    total_seconds: float
    """The whole run."""
    peak_bytes: int
    """Most memory of this process so far, and of its workers."""
    device: str
    precision: str
    workers: int


def measure(config: RunConfig, *, rows: Rows | None = None) -> DryRun:
    """Take a few steps of a run and quote its time and memory.

    Args:
        config: The run.
        rows: Catalog positions to train on, in place of `config.where`.

    Raises:
        DataError: As training would.
        TrainingError: As training would.
    """
    catalog = Catalog.open(config.data)
    job = prepare(config, catalog=catalog, data_record={}, rows=rows, world=World())
    workers = default_workers() if config.workers is None else config.workers
    seconds_per_step = _seconds_per_step(job, workers)
    look = _look_seconds(job)
    looks = 0 if job.monitor is None else -(-job.total_steps // job.monitor_every)
    return DryRun(
        steps=job.total_steps,
        seconds_per_step=seconds_per_step,
        images_per_second=config.batch_size / seconds_per_step,
        monitor_seconds=looks * look,
        total_seconds=job.total_steps * seconds_per_step + looks * look,
        peak_bytes=_peak_bytes(workers),
        device=str(job.device),
        precision=job.precision,
        workers=workers,
    )


def _seconds_per_step(job: Job, workers: int) -> float:
    """Mean over the run of the median step of each of its phases (small pictures, part of the tokens)."""
    starts = phases(total_steps=job.total_steps, levers=job.config.levers)
    seconds = 0.0
    for start, end in pairwise([*starts, job.total_steps]):
        seconds += (end - start) * statistics.median(_step_seconds(job, workers, start=start))
    return seconds / job.total_steps


def _step_seconds(job: Job, workers: int, *, start: int) -> list[float]:
    epoch, step = job.plan.locate(start)
    batches = training_loader(
        job.data,
        job.plan,
        start_epoch=epoch,
        start_step=step,
        num_workers=workers,
        device=job.device,
        channels_last=True,
        size_at=job.size_at,
    )
    seconds = []
    for _ in range(WARM_UP_STEPS + MEASURED_STEPS):
        job.parts.progress.step = start
        began = time.perf_counter()
        take_step(job, next(batches))
        seconds.append(time.perf_counter() - began)
    return seconds[WARM_UP_STEPS:]


def _look_seconds(job: Job) -> float:
    if job.monitor is None:
        return 0.0
    began = time.perf_counter()
    job.monitor.look(job.method, device=job.device, autocast=job.autocast())
    return time.perf_counter() - began


def _peak_bytes(workers: int) -> int:
    unit = 1 if sys.platform == "darwin" else 1024
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    largest_worker = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss if workers else 0
    return unit * (own + workers * largest_worker)
