"""A run made ready: data, network, optimiser and monitor built from the settings, nothing trained yet."""

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from synsight.data.catalog import Catalog
from synsight.data.plan import Plan
from synsight.data.training_data import TrainingData
from synsight.distributed import World
from synsight.errors import ConfigError
from synsight.language.vocabulary import Vocabulary
from synsight.methods import Method, method_class
from synsight.models import StartingEncoder
from synsight.training.build import build_encoder, build_language, build_method, sizes_of
from synsight.training.config import RunConfig
from synsight.training.levers import size_at, work_per_image
from synsight.training.monitor import Monitor, build_monitor, reads_text
from synsight.training.optim import WeightAverage, build_optimiser, rate_at
from synsight.training.parallel import over_processes
from synsight.training.sharding import Whole, part_groups
from synsight.training.state import Parts, Progress


@dataclass(frozen=True)
class Job:
    """Everything the loop needs."""

    config: RunConfig
    catalog: Catalog
    data_record: Mapping[str, Any]
    """What data.json says: version, fingerprint, row counts."""
    data: TrainingData
    plan: Plan
    parts: Parts
    method: Method
    start: StartingEncoder
    """The encoder as the run found it; its module is the method's."""
    step: nn.Module
    """The method as it is called in a step: over all processes."""
    whole: Whole | None
    """Where processes have shares of the weights: what all of them are gathered in."""
    world: World
    vocabulary: Vocabulary | None
    monitor: Monitor | None
    without_monitor: str
    """Why no reading of a monitor says which weights are kept; "": one does."""
    device: torch.device
    precision: str
    """`bf16` or `fp32`, resolved."""
    total_steps: int
    monitor_every: int

    @property
    def warmup_steps(self) -> int:
        """Steps over which the learning rate rises."""
        return round(self.config.schedule.warmup * self.total_steps)

    def autocast(self) -> AbstractContextManager[Any]:
        """The precision of the forward pass, as a context."""
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.precision == "bf16")

    def rate_at(self, step: int) -> float:
        """The learning rate of the step after `step` steps."""
        share = rate_at(step, total_steps=self.total_steps, schedule=self.config.schedule)
        return self.config.optim.lr * share

    @contextmanager
    def weights_to_keep(self) -> Iterator["Job"]:
        """The job with a method that has, while the block runs, the weights that are monitored and saved.

        All processes enter.
        """
        average = self.parts.average
        if self.whole is not None:
            state = self.method.state_dict() if average is None else average.state
            with self.whole.having(state) as method:
                yield replace(self, method=method)
        elif average is not None:
            with average.applied(self.method):
                yield self
        else:
            yield self

    def size_at(self, step: int) -> int:
        """Side in pixels of the pictures of the step after `step` steps, where the plan does not say."""
        return size_at(
            step,
            total_steps=self.total_steps,
            image_size=self.config.image_size,
            levers=self.config.levers,
        )

    def resume_command(self, run: Path) -> str:
        """What the user types to go on."""
        words = [
            "synsight",
            "pretrain",
            self.config.recipe,
            "--data",
            self.config.data,
            "--out",
            str(run),
            "--resume",
        ]
        return shlex.join(word for word in words if word)


def prepare(
    config: RunConfig,
    *,
    catalog: Catalog,
    data_record: Mapping[str, Any],
    rows: NDArray[np.int64] | Sequence[int] | None,
    world: World,
) -> Job:
    """Build a run from its settings; the same settings and seed build the same weights.

    Args:
        config: The settings.
        catalog: Opened at the version to train on.
        data_record: What data.json says of it.
        rows: Catalog positions to train on; None: those of `config.where`.
        world: The processes that train together.

    Raises:
        DataError: The catalog lacks a column, or has no row to train on.
        ConfigError: The batch is larger than the data.
        ModelError: The encoder is unknown.
    """
    positions = None if rows is None else np.unique(np.asarray(rows, dtype=np.int64))
    needs = method_class(config.method.name).needs(config.method)
    language = build_language(config, catalog)
    start = build_encoder(config)
    data = TrainingData(
        catalog,
        views=config.views,
        image_size=config.image_size,
        largest_size=max(sizes_of(config)),
        seed=config.seed,
        where=config.where if positions is None else None,
        positions=positions,
        vocabulary=config.words if "words" in needs else None,
        label=config.label if "label" in needs else None,
        text_column=config.text_column,
        tokenise=language.tokenise,
        caption_embeddings=language.caption_embeddings,
        neighbours=language.neighbours,
        mean=start.mean,
        std=start.std,
    )
    plan = Plan(
        rows=len(data),
        batch_size=config.batch_size,
        seed=config.seed,
        rank=world.rank,
        world=world.size,
        image_sizes=config.image_sizes,
        image_size=config.image_size,
    )
    device = _device()
    method = build_method(config, start, data, language).to(device).to(memory_format=torch.channels_last)
    monitor, reason = build_monitor(config, catalog, rows=positions, world=world, model=start.config())
    total_steps = config.steps or max(config.epochs * plan.steps_per_epoch, config.least_steps)
    method.begin(total_steps)
    monitor_every = total_steps
    if monitor is not None:
        reason = monitor.missing(method)
        monitor_every = monitor.every_steps(
            batch_size=config.batch_size,
            num_views=method.num_views,
            total_steps=total_steps,
            reads_text=reads_text(method),
            work_per_image=work_per_image(image_size=config.image_size, levers=config.levers),
        )
    precision = _precision(config.precision, device)
    sharded = config.parallel == "fsdp" and world.size > 1
    whole = Whole(method) if sharded else None
    step = over_processes(method, world, parallel=config.parallel, precision=precision)
    average = None
    if config.optim.ema_decay is not None:
        average = WeightAverage(method, decay=config.optim.ema_decay)
    optimiser = build_optimiser(method, config.optim, pretrained=method.pretrained_parts)
    if sharded:
        part_groups(optimiser)
    return Job(
        config=config,
        catalog=catalog,
        data_record=data_record,
        data=data,
        plan=plan,
        parts=Parts(method, optimiser, average, Progress()),
        method=method,
        start=start,
        step=step,
        whole=whole,
        world=world,
        vocabulary=language.vocabulary,
        monitor=monitor,
        without_monitor=reason,
        device=device,
        precision=precision,
        total_steps=total_steps,
        monitor_every=monitor_every,
    )


def _device() -> torch.device:
    """The GPU of this process, which torchrun numbers on its machine, or the processor."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    torch.cuda.set_device(device)
    return device


def _precision(wanted: str, device: torch.device) -> str:
    if device.type == "cuda":
        able = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        able = bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    if wanted == "bf16" and not able:
        raise ConfigError("precision bf16 is not computed by this processor; use precision fp32, or auto.")
    return wanted if wanted != "auto" else "bf16" if able else "fp32"
