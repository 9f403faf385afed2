"""A run made ready: data, network, optimiser and monitor built from the settings, nothing trained yet."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from synsight.data.catalog import Catalog
from synsight.data.plan import Plan
from synsight.data.training_data import TrainingData
from synsight.distributed import World
from synsight.errors import ConfigError, DataError
from synsight.language.vocabulary import Vocabulary, load_vocabulary
from synsight.methods import METHODS, Method
from synsight.models import build_backbone, embedding_dim
from synsight.seeding import seed_everything
from synsight.training.config import RunConfig
from synsight.training.monitor import Monitor, build_monitor
from synsight.training.optim import WeightAverage, build_optimiser, rate_at
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
    vocabulary: Vocabulary | None
    monitor: Monitor | None
    without_monitor: str
    """Why there is no monitor."""
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

    def weights_to_keep(self) -> AbstractContextManager[Any]:
        """Let the method have, while the block runs, the weights that are monitored and saved."""
        average = self.parts.average
        return nullcontext() if average is None else average.applied(self.method)

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
    needs = METHODS[config.method.name].needs
    vocabulary = load_vocabulary(catalog, config.words) if needs == "words" else None
    data = TrainingData(
        catalog,
        views=config.views,
        image_size=config.image_size,
        seed=config.seed,
        where=config.where if positions is None else None,
        positions=positions,
        vocabulary=config.words if needs == "words" else None,
        label=config.label if needs == "label" else None,
    )
    plan = Plan(
        rows=len(data), batch_size=config.batch_size, seed=config.seed, rank=world.rank, world=world.size
    )
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    method = _build_method(config, data, vocabulary).to(device).to(memory_format=torch.channels_last)
    average = None
    if config.optim.ema_decay is not None:
        average = WeightAverage(method, decay=config.optim.ema_decay)
    monitor, reason = build_monitor(config, catalog, rows=positions)
    total_steps = config.steps or max(config.epochs * plan.steps_per_epoch, config.least_steps)
    monitor_every = total_steps
    if monitor is not None:
        monitor_every = monitor.every_steps(
            batch_size=config.batch_size, num_views=method.num_views, total_steps=total_steps
        )
    return Job(
        config=config,
        catalog=catalog,
        data_record=data_record,
        data=data,
        plan=plan,
        parts=Parts(method, build_optimiser(method, config.optim), average, Progress()),
        method=method,
        vocabulary=vocabulary,
        monitor=monitor,
        without_monitor=reason,
        device=device,
        precision=_precision(config.precision, device),
        total_steps=total_steps,
        monitor_every=monitor_every,
    )


def _build_method(config: RunConfig, data: TrainingData, vocabulary: Vocabulary | None) -> Method:
    seed_everything(config.seed)
    encoder = build_backbone(config.encoder, image_size=config.image_size)
    kind: Callable[..., Method] = METHODS[config.method.name]  # each class takes its own config
    needs = METHODS[config.method.name].needs
    if needs is None:
        return kind(encoder, embedding_dim=embedding_dim(encoder), config=config.method)
    num_classes = len(vocabulary) if vocabulary is not None else len(data.label_names or ())
    if num_classes < 1 + (needs == "label"):
        raise DataError(
            f"{data.catalog.path}: {config.method.name} needs {1 + (needs == 'label')} classes or more, "
            f"found {num_classes} in "
            f"{'the vocabulary' if vocabulary is not None else f'the column {config.label!r}'}; check the "
            "training rows."
        )
    return kind(encoder, embedding_dim=embedding_dim(encoder), config=config.method, num_classes=num_classes)


def _precision(wanted: str, device: torch.device) -> str:
    if device.type == "cuda":
        able = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        able = bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    if wanted == "bf16" and not able:
        raise ConfigError("precision bf16 is not computed by this processor; use precision fp32, or auto.")
    return wanted if wanted != "auto" else "bf16" if able else "fp32"
