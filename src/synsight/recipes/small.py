"""What the recipes for small machines share, so that they compare methods and nothing else."""

from typing import Any

from synsight.data.views import ViewsConfig
from synsight.methods import MethodConfig
from synsight.training.config import OptimConfig, RunConfig, ScheduleConfig


def small_run(recipe: str, method: MethodConfig, views: ViewsConfig, **changes: Any) -> RunConfig:
    """A run for tens of thousands of small images and two cores.

    ResNet-10-t at 64 px, batches of 128, AdamW at 4e-3 with weight decay 0.05, a tenth of the steps to warm
    up, 10 epochs but at least 300 steps.

    Args:
        recipe: Its name.
        method: The method with its settings.
        views: Augmentation.
        changes: Fields of `RunConfig` that differ.
    """
    common: dict[str, Any] = {
        "encoder": "resnet10t",
        "image_size": 64,
        "epochs": 10,
        "least_steps": 300,
        "batch_size": 128,
        "optim": OptimConfig(name="adamw", lr=4e-3, weight_decay=0.05),
        "schedule": ScheduleConfig(warmup=0.1),
    }
    return RunConfig(recipe=recipe, method=method, views=views, **{**common, **changes})


def crops(count: int = 1) -> ViewsConfig:
    """Crops of 0.4 to 1 of the area, mirrored half the time: for methods that learn from captions."""
    return ViewsConfig(kind="catlip", count=count, min_area=0.4)
