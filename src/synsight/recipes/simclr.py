"""SimCLR from images alone: for small machines, and as published."""

import math

from synsight.data.views import ViewsConfig
from synsight.methods import SimCLRConfig
from synsight.recipes.small import small_run
from synsight.training.config import OptimConfig, RunConfig, ScheduleConfig


def simclr() -> RunConfig:
    """SimCLR for small images and small machines: AdamW and batches of 128 in place of LARS and 4,096.

    Command: `synsight pretrain simclr --data cat/ --out run/`. Emoji sample at 48 px, seed 0, two
    cores: 2.6 minutes, linear 0.630, 10 labels a class 0.428 (docs/results/demo.md).

    The views are the paper's; the temperature is between its 0.1 (ImageNet, 100 epochs) and 0.5 (CIFAR-10).
    """
    return small_run(
        "simclr",
        SimCLRConfig(temperature=0.2, projection_dim=128),
        ViewsConfig(kind="simclr", count=2),
    )


def simclr_imagenet() -> RunConfig:
    """SimCLR as published for ImageNet: ResNet-50, batches of 4,096, LARS at 0.3 x B / 256, 100 epochs.

    Command: `torchrun --nproc-per-node 8 -m synsight pretrain simclr-imagenet --data imagenet/ --out run/`.
    To expect on ImageNet, linear probe: 64.6% after 100 epochs, 68.9% after 800, 69.3% after 1,000 (Chen et
    al. 2020, tables B.1 and 6, https://arxiv.org/abs/2002.05709). Not run by us: it takes 32 TPU cores or 8
    large GPUs.
    """
    return RunConfig(
        recipe="simclr-imagenet",
        method=SimCLRConfig(temperature=0.1, projection_dim=128),
        views=ViewsConfig(kind="simclr", count=2),
        encoder="resnet50",
        image_size=224,
        epochs=100,
        batch_size=4096,
        optim=OptimConfig(name="lars", lr=linear_rate(4096), weight_decay=1e-6, momentum=0.9, clip_norm=None),
        schedule=ScheduleConfig(warmup=0.1),
    )


def simclr_batch256() -> RunConfig:
    """SimCLR for one GPU: batches of 256 with the square-root rule, and DCL.

    Command: `synsight pretrain simclr-batch256 --data imagenet/ --out run/`. To expect on ImageNet after 100
    epochs, linear probe: 62.8% without DCL (Chen et al. 2020, table B.1; the linear rule gives 57.5%), 65.1%
    with DCL and k-NN 49.6% (lightly's benchmark). Not run by us at this size.
    """
    return RunConfig(
        recipe="simclr-batch256",
        method=SimCLRConfig(temperature=0.1, projection_dim=128, decoupled=True),
        views=ViewsConfig(kind="simclr", count=2),
        encoder="resnet50",
        image_size=224,
        epochs=100,
        batch_size=256,
        optim=OptimConfig(
            name="lars", lr=square_root_rate(256), weight_decay=1e-6, momentum=0.9, clip_norm=None
        ),
        schedule=ScheduleConfig(warmup=0.1),
    )


def simclr_cifar10() -> RunConfig:
    """SimCLR as published for CIFAR-10: ResNet-18 with the CIFAR stem, no blur, half the colour, tau 0.5.

    Command: `synsight pretrain simclr-cifar10 --data cifar10/ --out run/`. To expect: linear probe about 91%
    (README of https://github.com/google-research/simclr), 90.74% (solo-learn), k-NN 84.7% after 200 epochs
    (lightly's benchmark). Not run by us.
    """
    return RunConfig(
        recipe="simclr-cifar10",
        method=SimCLRConfig(temperature=0.5, projection_dim=128),
        views=ViewsConfig(kind="simclr", count=2, strength=0.5, blur_probability=0.0),
        encoder="resnet18",
        image_size=32,
        epochs=1000,
        batch_size=512,
        optim=OptimConfig(name="lars", lr=1.0, weight_decay=1e-4, momentum=0.9, clip_norm=None),
        schedule=ScheduleConfig(warmup=0.01),
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
