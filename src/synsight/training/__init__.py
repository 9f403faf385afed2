"""Training: the settings of a run, the one loop for all methods, checkpoints and monitor."""

from synsight.training.config import (
    CheckpointConfig,
    OptimConfig,
    RunConfig,
    ScheduleConfig,
    read_config,
)
from synsight.training.dry_run import DryRun, measure
from synsight.training.levers import LeversConfig
from synsight.training.monitor_config import MonitorConfig, StoppingConfig
from synsight.training.run import train
from synsight.training.settings import override, paths, to_plain

__all__ = [
    "RunConfig",
    "OptimConfig",
    "ScheduleConfig",
    "MonitorConfig",
    "StoppingConfig",
    "LeversConfig",
    "CheckpointConfig",
    "train",
    "measure",
    "DryRun",
    "read_config",
    "override",
    "paths",
    "to_plain",
]
