"""One step of training, the same for every method."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch.nn.parallel import DistributedDataParallel

from synsight.data.batches import Batch
from synsight.methods import Rows, StepLoss
from synsight.objectives import backward_in_parts
from synsight.seeding import derive_seed
from synsight.training import guards
from synsight.training.attention import attention_kernel
from synsight.training.job import Job
from synsight.training.levers import drop_tokens
from synsight.training.sharding import ShardedStep, clip_gradients


def take_step(job: Job, batch: Batch) -> torch.Tensor:
    """Take one step, and add what it tells to the sums for the next row of metrics.jsonl.

    Returns:
        The features of the batch, without gradient.

    Raises:
        TrainingError: The loss is no number, or has stayed at chance too long.
    """
    config, parts, progress = job.config, job.parts, job.parts.progress
    lr = job.rate_at(progress.step)
    for group in parts.optimiser.param_groups:
        group["lr"] = lr * group.get("lr_share", 1.0)
    job.method.train()
    drop_tokens(job.method.encoder, step=progress.step, total_steps=job.total_steps, levers=config.levers)
    # What a step draws on the device depends on its number alone, so a resumed run needs no state for it.
    torch.manual_seed(derive_seed(config.seed, "step", progress.step, job.world.rank))
    parts.optimiser.zero_grad(set_to_none=True)
    result = _backward(job, batch)
    logs = job.world.mean({"loss": result.loss, **result.logs})
    progress.step += 1
    guards.check_finite(logs["loss"], "loss", step=progress.step, lr=lr, precision=job.precision)
    logs["gradient_norm"] = _clip(job)
    guards.check_finite(logs["gradient_norm"], "gradient", step=progress.step, lr=lr, precision=job.precision)
    parts.optimiser.step()
    job.method.after_step()
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


def weights_of(job: Job) -> list[torch.nn.Parameter]:
    """The parameters that are trained."""
    return [weight for weight in job.method.parameters() if weight.requires_grad]


def _clip(job: Job) -> float:
    """Hold the gradient's length; returns what it was."""
    limit = job.config.optim.clip_norm
    limit = float("inf") if limit is None else limit
    if isinstance(job.step, ShardedStep):
        return clip_gradients(weights_of(job), limit, job.world)
    return float(torch.nn.utils.clip_grad_norm_(weights_of(job), limit))


def _backward(job: Job, batch: Batch) -> StepLoss:
    kernel = attention_kernel(
        job.method.encoder, side=batch.views[0].shape[-1], device=job.device, precision=job.precision
    )
    with kernel:
        result = _backward_through(job, batch)
    if isinstance(job.step, ShardedStep):
        job.step.average_small()
    return result


def _backward_through(job: Job, batch: Batch) -> StepLoss:
    size = job.config.levers.micro_batch
    if size is None or size >= len(batch):
        with job.autocast():
            result: StepLoss = job.step(batch)
        result.loss.backward()  # type: ignore[no-untyped-call]
        return result
    slices = [slice(start, start + size) for start in range(0, len(batch), size)]

    def represent(rows: slice) -> dict[str, torch.Tensor]:
        with job.autocast():
            found: dict[str, torch.Tensor] = job.step(batch.part(rows), whole=False)
        return found

    def compare(rows: Rows) -> StepLoss:
        with job.autocast():
            if isinstance(job.step, ShardedStep):
                return job.step.compare(rows, batch)
            return job.method.compare(rows, batch, job.world)

    def around(index: int) -> AbstractContextManager[object]:
        alone = job.world.size == 1 or index == len(slices) - 1
        no_sync: Any = nullcontext if alone else job.step.no_sync
        context: AbstractContextManager[object] = no_sync()
        return context

    return backward_in_parts(
        slices,
        represent=represent,
        compare=compare,
        loss_of=lambda result: result.loss,
        around=around,
        modules=job.method,
        only_compared=weights_of(job) if isinstance(job.step, DistributedDataParallel) else [],
    )
