"""SimCLR from images alone."""

import math

from synsight.data.views import ViewsConfig
from synsight.methods import SimCLRConfig
from synsight.training.config import OptimConfig, RunConfig, ScheduleConfig


def simclr() -> RunConfig:
    """SimCLR for small images and small machines: AdamW and batches of 128 in place of LARS and 4,096.

    Command: `synsight pretrain simclr --data cat/ --out run/`. Emoji sample at 48 px, seed 0, two
    cores: 2.6 minutes, linear 0.630, 10 labels a class 0.428 (docs/results/demo.md).

    The views are the paper's; the temperature is between its 0.1 (ImageNet, 100 epochs) and 0.5 (CIFAR-10).
    """
    return RunConfig(
        recipe="simclr",
        method=SimCLRConfig(temperature=0.2, projection_dim=128),
        views=ViewsConfig(kind="simclr", count=2),
        encoder="resnet10t",
        image_size=64,
        epochs=10,
        least_steps=300,
        batch_size=128,
        optim=OptimConfig(name="adamw", lr=4e-3, weight_decay=0.05),
        schedule=ScheduleConfig(warmup=0.1),
    )


def linear_rate(batch_size: int, *, base: float = 0.3) -> float:
    """LARS learning rate that grows with the batch: base x B / 256.

    Reference: Chen et al. 2020 (SimCLR), section 2.2, https://arxiv.org/abs/2002.05709; for large batches.
    """
    return base * batch_size / 256


def square_root_rate(batch_size: int, *, base: float = 0.075) -> float:
    """LARS learning rate that grows with the root of the batch: base x sqrt(B); the linear rule's at 4,096.

    Reference: Chen et al. 2020 (SimCLR), appendix B.1; 62.8% against 57.5% at batch 256 and 100 epochs.
    """
    return base * math.sqrt(batch_size)
