"""The one loop that trains every method."""

import time
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from synsight import files
from synsight.data.batches import Batch
from synsight.data.loader import training_loader
from synsight.distributed import World
from synsight.errors import Interrupted
from synsight.metrics import unit_feature_spread
from synsight.progress import Bar
from synsight.training import guards
from synsight.training.checkpoints import save_checkpoint
from synsight.training.interrupts import Stop
from synsight.training.job import Job
from synsight.training.monitor import METRIC
from synsight.training.run_folder import LOG, RunFolder
from synsight.training.saving import save_model
from synsight.training.state import pack


def take_step(job: Job, batch: Batch, world: World) -> Tensor:
    """Take one step, and add what it tells to the sums for the next row of metrics.jsonl.

    Returns:
        The features of the batch, without gradient.

    Raises:
        TrainingError: The loss is no number, or has stayed at chance too long.
    """
    config, parts, progress = job.config, job.parts, job.parts.progress
    lr = job.rate_at(progress.step)
    for group in parts.optimiser.param_groups:
        group["lr"] = lr
    job.method.train()
    with job.autocast():
        result = job.method.loss(batch, world)
    logs = {"loss": result.loss.item(), **{name: value.item() for name, value in result.logs.items()}}
    progress.step += 1
    guards.check_finite(logs["loss"], "loss", step=progress.step, lr=lr, precision=job.precision)
    parts.optimiser.zero_grad(set_to_none=True)
    result.loss.backward()  # type: ignore[no-untyped-call]
    limit = float("inf") if config.optim.clip_norm is None else config.optim.clip_norm
    logs["gradient_norm"] = torch.nn.utils.clip_grad_norm_(job.method.parameters(), limit).item()
    guards.check_finite(logs["gradient_norm"], "gradient", step=progress.step, lr=lr, precision=job.precision)
    parts.optimiser.step()
    if parts.average is not None:
        parts.average.update(job.method, step=progress.step)
    for name, value in logs.items():
        progress.sums[name] = progress.sums.get(name, 0.0) + value
    progress.summed_steps += 1
    guards.watch_chance(
        progress,
        logs["loss"],
        chance=job.method.chance_loss(config.batch_size),
        warmup_steps=job.warmup_steps,
        total_steps=job.total_steps,
    )
    return result.features


@dataclass
class Sitting:
    """One stretch of a run without a stop: from the step the job is at to its last."""

    folder: RunFolder
    job: Job
    world: World
    bar: Bar
    stop: Stop
    _saved_at: float = field(default_factory=time.monotonic)
    _clock: float = field(default_factory=time.monotonic)
    _row_seconds: float = 0.0
    _row_steps: int = 0

    def run(self) -> None:
        """Take all steps that are left.

        Raises:
            Interrupted: A signal came; the state after the step it came in is saved.
            TrainingError: See `guards`.
        """
        job, progress = self.job, self.job.parts.progress
        epoch, step = job.plan.locate(progress.step)
        batches = training_loader(
            job.data,
            job.plan,
            start_epoch=epoch,
            start_step=step,
            num_workers=job.config.workers,
            device=job.device,
            channels_last=True,
        )
        self._clock = time.monotonic()
        while progress.step < job.total_steps:
            began = time.monotonic()
            features = take_step(job, next(batches), self.world)
            self._row_seconds += time.monotonic() - began
            self._row_steps += 1
            self.bar.advance()
            last = progress.step == job.total_steps
            if last or progress.step % job.config.log_every == 0:
                self._log(features)
            if job.monitor is not None and (last or progress.step % job.monitor_every == 0):
                self._look()
            self._save_when_due()

    def _log(self, features: Tensor) -> None:
        job, progress = self.job, self.job.parts.progress
        spread = unit_feature_spread(features.float().cpu().numpy())
        self._tick()
        images = self._row_steps * job.config.batch_size
        means = {name: value / progress.summed_steps for name, value in progress.sums.items()}
        self._write(
            "train",
            epoch=progress.step / job.plan.steps_per_epoch,
            **means,
            lr=job.rate_at(progress.step - 1),
            feature_spread=spread,
            images_per_second=images / self._row_seconds,
            elapsed_seconds=progress.seconds,
        )
        self.bar.describe(f"{job.config.recipe or job.config.method.name} loss {means['loss']:.3f}")
        progress.sums, progress.summed_steps = {}, 0
        self._row_seconds, self._row_steps = 0.0, 0
        guards.watch_collapse(progress, spread, warmup_steps=job.warmup_steps)

    def _look(self) -> None:
        job, progress = self.job, self.job.parts.progress
        assert job.monitor is not None
        began = time.monotonic()
        with job.weights_to_keep():
            reading = job.monitor.look(job.method.encoder, device=job.device, autocast=job.autocast())
            better = progress.best_value is None or reading.knn_acc1 >= progress.best_value
            if better:
                progress.best_value, progress.best_step = reading.knn_acc1, progress.step
                save_model(self.folder, job)
        self._tick()
        values = {METRIC: reading.knn_acc1, "feature_spread": reading.feature_spread, "best": better}
        self._write("monitor", **values, monitor_seconds=time.monotonic() - began)
        LOG.info("step %d: %s %.4f%s", progress.step, METRIC, reading.knn_acc1, ", the best so far" * better)

    def _save_when_due(self) -> None:
        job, progress = self.job, self.job.parts.progress
        config = job.config.checkpoint
        minutes = (time.monotonic() - self._saved_at) / 60
        at_epoch = progress.step % (config.every_epochs * job.plan.steps_per_epoch) == 0
        due = minutes >= config.every_minutes or (at_epoch and minutes >= config.least_minutes)
        if progress.step == job.total_steps or not (due or self.stop.signal_name):
            return
        self._tick()
        if self.folder.metrics.exists():
            files.sync_file(self.folder.metrics)  # the rows up to this step must outlive the power, too
        save_checkpoint(self.folder.last, pack(job.parts), step=progress.step)
        self._saved_at = time.monotonic()
        if self.stop.signal_name:
            raise Interrupted(
                f"stopped by {self.stop.signal_name} after step {progress.step} of {job.total_steps}, all "
                f"saved; go on with `{job.resume_command(self.folder.path)}`."
            )

    def _tick(self) -> None:
        now = time.monotonic()
        self.job.parts.progress.seconds += now - self._clock
        self._clock = now

    def _write(self, kind: str, **values: Any) -> None:
        files.append_json_line(
            self.folder.metrics, {"step": self.job.parts.progress.step, "kind": kind, **values}
        )
