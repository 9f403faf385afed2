"""The one loop that trains every method."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from synsight import files
from synsight.data.loader import training_loader
from synsight.errors import Interrupted
from synsight.metrics import unit_feature_spread
from synsight.progress import Bar
from synsight.training import guards
from synsight.training.checkpoints import save_checkpoint
from synsight.training.interrupts import Stop
from synsight.training.job import Job
from synsight.training.run_folder import LOG, RunFolder
from synsight.training.saving import save_model
from synsight.training.settings import to_plain
from synsight.training.state import pack, stopping_state
from synsight.training.step import take_step
from synsight.training.stopping import consider
from synsight.training.trackers import Tracker


@dataclass
class Sitting:
    """One stretch of a run without a stop: from the step the job is at to its last."""

    folder: RunFolder
    job: Job
    bar: Bar
    stop: Stop
    trackers: Sequence[Tracker] = ()
    _saved_at: float = field(default_factory=time.monotonic)
    _clock: float = field(default_factory=time.monotonic)
    _row_seconds: float = 0.0
    _row_images: int = 0

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
            size_at=job.size_at,
        )
        self._clock = time.monotonic()
        while progress.step < job.total_steps and not progress.stopped:
            began = time.monotonic()
            batch = next(batches)
            features = take_step(job, batch)
            self._row_seconds += time.monotonic() - began
            self._row_images += len(batch) * job.world.size
            self.bar.advance()
            last = progress.step == job.total_steps
            if last or progress.step % job.config.log_every == 0:
                self._log(features)
            if job.monitor is not None and (last or progress.step % job.monitor_every == 0):
                self._look()
            self._save_when_due()

    def _log(self, features: Tensor) -> None:
        job, progress = self.job, self.job.parts.progress
        spread = unit_feature_spread(job.world.collect(features.float()).cpu().numpy())
        self._tick()
        means = {name: value / progress.summed_steps for name, value in progress.sums.items()}
        self._write(
            "train",
            epoch=progress.step / job.plan.steps_per_epoch,
            **means,
            lr=job.rate_at(progress.step - 1),
            feature_spread=spread,
            images_per_second=self._row_images / self._row_seconds,
            elapsed_seconds=progress.seconds,
        )
        self.bar.describe(f"{job.config.recipe or job.config.method.name} loss {means['loss']:.3f}")
        progress.logged_loss = means["loss"]
        progress.sums, progress.summed_steps = {}, 0
        self._row_seconds, self._row_images = 0.0, 0
        guards.watch_collapse(progress, spread, warmup_steps=job.warmup_steps)

    def _look(self) -> None:
        job, progress = self.job, self.job.parts.progress
        assert job.monitor is not None
        began = time.monotonic()
        with job.weights_to_keep() as kept:
            reading = job.monitor.look(kept.method, device=job.device, autocast=job.autocast())
            decision = consider(
                stopping_state(progress),
                reading,
                step=progress.step,
                total_steps=job.total_steps,
                loss=progress.logged_loss,
                config=job.config.stopping,
            )
            progress.looks = to_plain(decision.state)
            if decision.better:
                progress.best_value, progress.best_step = reading.chosen, progress.step
                if job.world.is_main:
                    save_model(self.folder, kept)
        progress.stopped = decision.stop
        self._tick()
        values: dict[str, Any] = {**reading.values, "best": decision.better}
        by_chance = job.monitor.chances
        values |= {f"{name}_chance": by_chance[name] for name in reading.values if name in by_chance}
        if reading.standard_error is not None:
            values["standard_error"] = reading.standard_error  # of the reading that counts
        self._write("monitor", **values, monitor_seconds=time.monotonic() - began)
        shown = ", ".join(f"{name} {value:.4f}" for name, value in reading.values.items())
        LOG.info("step %d: %s%s", progress.step, shown, ", the best so far" * decision.better)

    def _save_when_due(self) -> None:
        job, progress = self.job, self.job.parts.progress
        config = job.config.checkpoint
        minutes = (time.monotonic() - self._saved_at) / 60
        at_epoch = progress.step % (config.every_epochs * job.plan.steps_per_epoch) == 0
        due = minutes >= config.every_minutes or (at_epoch and minutes >= config.least_minutes)
        # The processes read their clocks and signals a moment apart; one of them is enough for all.
        stopping = job.world.any(self.stop.signal_name is not None)
        if progress.step == job.total_steps or not (stopping or job.world.any(due)) or progress.stopped:
            return
        self._tick()
        state = pack(job.parts, kept=job.world.is_main)
        if job.world.is_main:
            if self.folder.metrics.exists():
                files.sync_file(self.folder.metrics)  # the rows up to this step must outlive the power, too
            save_checkpoint(self.folder.last, state, step=progress.step)
        self._saved_at = time.monotonic()
        if stopping:
            job.world.wait()  # who leaves first would have the others killed while they save
            raise Interrupted(
                f"stopped by {self.stop.signal_name or 'a signal'} after step {progress.step} of "
                f"{job.total_steps}, all saved; go on with `{job.resume_command(self.folder.path)}`."
            )

    def _tick(self) -> None:
        now = time.monotonic()
        self.job.parts.progress.seconds += now - self._clock
        self._clock = now

    def _write(self, kind: str, **values: Any) -> None:
        if not self.job.world.is_main:
            return
        row = {"step": self.job.parts.progress.step, "kind": kind, **values}
        files.append_json_line(self.folder.metrics, row)
        for tracker in self.trackers:
            tracker.log(row)
