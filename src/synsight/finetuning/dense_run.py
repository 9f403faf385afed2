"""The loop that trains detectors and segmenters: short, resumable to the bit, in a folder of its own.

`training.loop` compares views of images whose geometry nobody needs afterwards; here each image has its own
number of boxes and masks, which turn with it. What both share (checkpoints, schedule, parameter groups,
signals) is taken from there. One process, one device.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from synsight.errors import Interrupted, TrainingError
from synsight.finetuning.dense_config import DenseConfig
from synsight.progress import progress_bar
from synsight.seeding import derive_seed
from synsight.training.checkpoints import has_checkpoint, load_checkpoint, save_checkpoint
from synsight.training.config import ScheduleConfig
from synsight.training.interrupts import stop_signals
from synsight.training.optim import parameter_groups, rate_at
from synsight.training.run_folder import RunFolder
from synsight.training.state import Parts, Progress, pack, unpack


@dataclass(frozen=True, eq=False)
class DenseNetwork:
    """A network with the encoder inside it."""

    network: nn.Module
    encoder: nn.Module
    pretrained: bool
    """The encoder came with weights."""

    def train(self, *, frozen: bool) -> None:
        """Training mode, but for a frozen encoder and for the batch statistics of one with weights: those of
        a handful of images would spoil them.
        """
        self.network.train()
        for module in self.encoder.modules():
            if frozen or (self.pretrained and isinstance(module, nn.modules.batchnorm._BatchNorm)):
                module.eval()


@dataclass(frozen=True)
class Trained:
    """How a run went."""

    seconds: float
    """Spent training, over all sittings."""
    loss: float
    """Mean of the last tenth of the steps."""


def train_dense(
    built: DenseNetwork, loss_of: Callable[[int], Tensor], *, config: DenseConfig, out: Path, title: str
) -> Trained:
    """Train a network, or go on where it was stopped; a finished run is read back.

    Args:
        built: With the weights it begins with; has the last ones afterwards.
        loss_of: The loss of the step after so many steps; the same step gives the same loss.
        config: How long and how.
        out: The run's folder; belongs to this run alone.
        title: Before the bar.

    Raises:
        TrainingError: The loss is no number, the checkpoint is damaged, or another process trains here.
        Interrupted: Stopped by a signal; a checkpoint is saved, and the same call goes on.
        StorageError: The disk refused; the last checkpoint is whole.
    """
    folder = RunFolder(out)
    parts = Parts(built.network, _optimiser(built, config), None, Progress())
    progress = parts.progress
    with folder.locked():
        if has_checkpoint(folder.last):
            unpack(load_checkpoint(folder.last), parts)
        saved_at = clock = time.monotonic()

        def save() -> None:
            nonlocal saved_at, clock
            saved_at = time.monotonic()
            progress.seconds += saved_at - clock
            clock = saved_at
            save_checkpoint(folder.last, pack(parts), step=progress.step)

        total = config.steps
        with stop_signals() as stop, progress_bar(title, total=total) as bar:
            bar.advance(progress.step)
            while progress.step < total:
                loss = _step(built, parts, loss_of, config)
                if progress.step > 0.9 * total:
                    progress.sums["loss"] = progress.sums.get("loss", 0.0) + loss
                    progress.summed_steps += 1
                bar.advance()
                bar.describe(f"{title} loss {loss:.3f}")
                if stop.signal_name and progress.step < total:
                    save()
                    raise Interrupted(
                        f"stopped by {stop.signal_name} after step {progress.step} of {total}, all saved; "
                        "go on with the same command."
                    )
                if progress.step == total or time.monotonic() - saved_at > 60 * config.checkpoint_minutes:
                    save()
    built.network.eval()
    return Trained(progress.seconds, progress.sums["loss"] / progress.summed_steps)


def autocast(config: DenseConfig, device: torch.device) -> torch.autocast:
    """The precision of a forward pass."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=config.precision == "bf16")


def default_device() -> torch.device:
    """The first GPU, or the processor."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@contextmanager
def seeded(*parts: object) -> Iterator[None]:
    """Let torch draw from a seed of these parts while the block runs, and then go on as if it had not."""
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(derive_seed(*parts))
        yield


def _step(built: DenseNetwork, parts: Parts, loss_of: Callable[[int], Tensor], config: DenseConfig) -> float:
    progress, optimiser = parts.progress, parts.optimiser
    share = rate_at(
        progress.step, total_steps=config.steps, schedule=ScheduleConfig(warmup=config.warmup, final=0.0)
    )
    for group in optimiser.param_groups:
        group["lr"] = config.lr * share * group.get("lr_share", 1.0)
    built.train(frozen=config.frozen)
    optimiser.zero_grad(set_to_none=True)
    # Samplers of regions draw from torch's state; a resumed run draws the same by the step's number.
    with seeded(config.seed, "dense step", progress.step):
        loss = loss_of(progress.step)
    value = float(loss.detach())
    loss.backward()  # type: ignore[no-untyped-call]
    weights = [weight for group in optimiser.param_groups for weight in group["params"]]
    length = float(torch.nn.utils.clip_grad_norm_(weights, config.clip_norm))
    progress.step += 1
    if not (math.isfinite(value) and math.isfinite(length)):
        what = "loss" if not math.isfinite(value) else "gradient"
        raise TrainingError(
            f"the {what} was not finite at step {progress.step} (learning rate {config.lr * share:.3g}); "
            "start again with lr three to ten times lower"
            + (", or precision fp32." if config.precision == "bf16" else ".")
        )
    optimiser.step()
    return value


def _optimiser(built: DenseNetwork, config: DenseConfig) -> torch.optim.Optimizer:
    if config.frozen:
        built.encoder.requires_grad_(requires_grad=False)
    groups = parameter_groups(
        built.network,
        weight_decay=config.weight_decay,
        pretrained=(built.encoder,) if built.pretrained else (),
        pretrained_lr=config.encoder_lr,
    )
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=config.lr)
