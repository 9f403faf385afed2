"""The settings of a run: small frozen dataclasses, checked when made, written whole into the run's folder."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from synsight import files
from synsight.data.views import ViewsConfig
from synsight.errors import ConfigError, near_names
from synsight.methods import MethodConfig, method_class
from synsight.training.levers import LeversConfig
from synsight.training.monitor_config import MonitorConfig, StoppingConfig
from synsight.training.settings import from_plain, to_plain


@dataclass(frozen=True, kw_only=True)
class OptimConfig:
    """Who moves the weights, and how far."""

    name: Literal["adamw", "lars", "sgd"] = "adamw"
    """`sgd`: with Nesterov's momentum."""
    lr: float = 1e-3
    """Peak learning rate, reached after the warm-up."""
    weight_decay: float = 0.05
    """Not applied to biases and normalisation."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Of AdamW."""
    momentum: float = 0.9
    """Of LARS and SGD."""
    trust_coefficient: float = 0.001
    """Of LARS."""
    eps: float = 1e-8
    """Of AdamW."""
    pretrained_lr: float = 1.0
    """Learning rate of parts that began with pretrained weights, as a share of `lr`; they do not decay."""
    layer_decay: float | None = None
    """Each layer of the encoder learns at this share of the rate of the layer above it; 1: all alike. Weight
    decay then reaches pretrained parts, too, and `pretrained_lr` says nothing. None: no layers."""
    clip_norm: float | None = 1.0
    """Longest gradient (L2, all weights together); None: no limit."""
    ema_decay: float | None = None
    """Keep a moving average of the weights, and monitor and save that; None: the weights themselves."""

    def __post_init__(self) -> None:
        _check(self.lr > 0, "optim.lr must be > 0", self.lr)
        _check(self.weight_decay >= 0, "optim.weight_decay must be >= 0", self.weight_decay)
        _check(all(0 <= one < 1 for one in self.betas), "optim.betas must lie in [0, 1)", self.betas)
        _check(0 <= self.momentum < 1, "optim.momentum must lie in [0, 1)", self.momentum)
        _check(self.eps > 0, "optim.eps must be > 0", self.eps)
        _check(0 <= self.pretrained_lr <= 1, "optim.pretrained_lr must lie in [0, 1]", self.pretrained_lr)
        _check(
            self.layer_decay is None or 0 < self.layer_decay <= 1,
            "optim.layer_decay must lie in (0, 1] or be none",
            self.layer_decay,
        )
        _check(
            self.layer_decay is None or self.name != "lars",
            "optim.layer_decay is for adamw and sgd; lars scales layers by itself",
            self.layer_decay,
        )
        _check(self.trust_coefficient > 0, "optim.trust_coefficient must be > 0", self.trust_coefficient)
        _check(
            self.clip_norm is None or self.clip_norm > 0,
            "optim.clip_norm must be > 0 or none",
            self.clip_norm,
        )
        _check(
            self.ema_decay is None or 0 < self.ema_decay < 1,
            "optim.ema_decay must lie in (0, 1) or be none",
            self.ema_decay,
        )


@dataclass(frozen=True, kw_only=True)
class ScheduleConfig:
    """The learning rate over the run: a linear rise, then half a cosine."""

    warmup: float = 0.05
    """Share of all steps spent rising."""
    final: float = 0.0
    """Share of the peak left at the end."""

    def __post_init__(self) -> None:
        _check(0 <= self.warmup < 1, "schedule.warmup is a share of the steps in [0, 1)", self.warmup)
        _check(0 <= self.final <= 1, "schedule.final must lie in [0, 1]", self.final)


@dataclass(frozen=True, kw_only=True)
class CheckpointConfig:
    """How much work a power cut may cost. A checkpoint is also written when the run is stopped."""

    every_minutes: float = 10.0
    every_epochs: int = 1
    least_minutes: float = 1.0
    """Age of the last checkpoint below which the end of an epoch writes no new one."""

    def __post_init__(self) -> None:
        _check(self.every_minutes > 0, "checkpoint.every_minutes must be > 0", self.every_minutes)
        _check(self.least_minutes >= 0, "checkpoint.least_minutes must be >= 0", self.least_minutes)
        _check(self.every_epochs > 0, "checkpoint.every_epochs must be at least 1", self.every_epochs)


TRACKERS = ("tensorboard", "mlflow", "wandb", "trackio")
"""Loggers that know how to take the rows of metrics.jsonl."""


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Everything that decides what a run computes."""

    method: MethodConfig
    views: ViewsConfig
    recipe: str = ""
    """The recipe these settings began as."""
    data: str = ""
    """The catalog's folder."""
    where: str = "split = 'train'"
    """Rows that are trained on (SQL)."""
    label: str | None = None
    """Column with the labels of the monitor and of supervised training."""
    words: str = "synset"
    """Vocabulary that CatLIP and SuperClass learn: the catalog's column words_<this>."""
    text_column: str = "caption"
    """Column with the text that a trained text encoder reads."""
    encoder: str = "resnet18"
    """A timm name."""
    image_size: int = 64
    """Side of the square the encoder sees, in pixels."""
    image_sizes: tuple[int, ...] = ()
    """Sides that batches have in turn while training (CatLIP's variable resolution); a batch at twice the
    side has a quarter of the images. (): `image_size` alone."""
    epochs: int = 20
    least_steps: int = 0
    """A small catalog is passed through more often than `epochs` says, until the run has this many steps."""
    steps: int | None = None
    """Length of the run in steps, in place of `epochs` and `least_steps`."""
    batch_size: int = 128
    """Images a step, over all processes."""
    seed: int = 0
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """`auto`: bfloat16 where the processor computes in it, else float32."""
    workers: int | None = None
    """Processes that decode images; None: as many as the machine can spare. The result is the same."""
    parallel: Literal["ddp", "fsdp"] = "ddp"
    """How several processes share a run: each with the whole network, or with a part of it (ViT-L and
    above)."""
    track: tuple[str, ...] = ()
    """Loggers that get the rows of metrics.jsonl, too: tensorboard, mlflow, wandb, trackio."""
    log_every: int = 10
    """Steps between two rows of metrics.jsonl; each holds means over the steps since the last."""
    levers: LeversConfig = field(default_factory=LeversConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    monitor: MonitorConfig = field(default_factory=MonitorConfig)
    stopping: StoppingConfig = field(default_factory=StoppingConfig)
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)

    def __post_init__(self) -> None:
        for name in ("image_size", "epochs", "log_every"):
            _check(getattr(self, name) > 0, f"{name} must be at least 1", getattr(self, name))
        _check(self.least_steps >= 0, "least_steps must be at least 0", self.least_steps)
        _check(self.steps is None or self.steps > 0, "steps must be at least 1 or none", self.steps)
        _check(self.batch_size > 1, "batch_size must be at least 2", self.batch_size)
        _check(self.workers is None or self.workers >= 0, "workers must be at least 0 or none", self.workers)
        method = method_class(self.method.name)
        _check(
            self.views.count == method.num_views,
            f"views.count must be {method.num_views} for {self.method.name}",
            self.views.count,
        )
        _check(
            self.views.local_count == 0 or self.method.name == "simclr",
            "views.local_count (multi-crop) is for simclr alone",
            self.views.local_count,
        )
        _check(
            not self.image_sizes or self.levers.small_size is None,
            "image_sizes and levers.small_size both decide the size; use one of them",
            self.image_sizes,
        )
        _check(all(size > 0 for size in self.image_sizes), "image_sizes must be at least 1", self.image_sizes)
        _check(
            not (self.levers.compile and self.parallel == "fsdp"),
            "levers.compile is for parallel ddp alone",
            self.parallel,
        )
        for name in set(self.track) - set(TRACKERS):
            raise ConfigError(f"track: no logger is called {name!r}; {near_names(name, TRACKERS)}")
        _check(
            self.label is not None or "label" not in method.needs(self.method),
            f"label must name the column that {self.method.name} learns",
            self.label,
        )


def to_yaml(config: RunConfig) -> str:
    """The whole config as YAML; `from_yaml` gives it back."""
    return yaml.safe_dump(to_plain(config), sort_keys=False, allow_unicode=True)


def from_mapping(plain: Any) -> RunConfig:
    """The config that `settings.to_plain` took apart.

    Raises:
        UsageError: An unknown setting or a value of another type.
        ConfigError: A value outside its range.
    """
    return from_plain(RunConfig, plain)


def read_config(path: Path) -> RunConfig:
    """The config of a YAML file, such as a run's config.yaml.

    Raises:
        ConfigError: The file is missing or no YAML.
        UsageError: It holds an unknown setting.
    """
    try:
        return from_mapping(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(
            f"{path}: expected a run's settings as YAML, but {reason}; check the path."
        ) from None


def write_config(path: Path, config: RunConfig) -> None:
    """Write config.yaml."""
    files.write_text(path, to_yaml(config))


def _check(well: bool, rule: str, value: object) -> None:
    if not well:
        raise ConfigError(f"{rule}; got {value!r}.")
