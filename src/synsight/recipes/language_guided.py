"""Captions choose which images belong together: LGSimCLR, LG-SimSiam, LG-SLIP, X-CLR."""

from synsight.data.views import ViewsConfig
from synsight.methods import LGSimCLRConfig, LGSimSiamConfig, LGSLIPConfig, XCLRConfig
from synsight.recipes.clip import TEXT_OPTIM
from synsight.recipes.small import crops, small_run
from synsight.training.config import OptimConfig, RunConfig, ScheduleConfig
from synsight.training.monitor_config import StoppingConfig

STOPPING = StoppingConfig(enabled=True)
"""Language-guided training transfers worse long before its loss says so."""

PUBLISHED_VIEWS = ViewsConfig(kind="catlip", count=2, min_area=0.5, flip_probability=0.0)
"""Crops of half to all of the area, nothing else."""


def lgsimclr() -> RunConfig:
    """LGSimCLR for small machines: one of four neighbours drawn in each epoch, neighbours masked.

    Command: `synsight words cat/ --embed-captions minilm --neighbours 8`, then `synsight pretrain lgsimclr
    --data cat/ --out run/`; what it reached is in docs/results/methods.md.
    """
    return small_run("lgsimclr", LGSimCLRConfig(num_neighbours=4), crops(2), stopping=STOPPING)


def lgsimclr_published() -> RunConfig:
    """LGSimCLR as published: ResNet-50, batches of 512, AdamW 1e-3, 250,000 steps, nearest caption only.

    Command: `synsight words cat/ --embed-captions hf-hub:sentence-transformers/all-mpnet-base-v2 --neighbours
    1 --exclude-neighbours none --similarity-floor -1`, then `torchrun --nproc-per-node 2 -m synsight pretrain
    lgsimclr-published --data cat/ --out run/`. To expect, ResNet-34 on RedCaps-2020 (Puniani et al. 2025,
    tables 2 and 3, https://arxiv.org/abs/2504.08140): linear 63.8 and 5-way 5-shot 69.7, SimCLR 64.1 and
    65.8. Not run by us.
    """
    return RunConfig(
        recipe="lgsimclr-published",
        method=LGSimCLRConfig(mask_neighbours=False),
        views=PUBLISHED_VIEWS,
        encoder="resnet50",
        image_size=224,
        steps=250_000,
        batch_size=512,
        optim=OptimConfig(name="adamw", lr=1e-3, weight_decay=0.01, clip_norm=None),
        schedule=ScheduleConfig(warmup=0.02, final=0.001),
    )


def lgsimsiam() -> RunConfig:
    """LG-SimSiam for small machines.

    Command: as `lgsimclr`; what it reached is in docs/results/methods.md.
    """
    return small_run("lgsimsiam", LGSimSiamConfig(num_neighbours=4), crops(2), stopping=STOPPING)


def lgslip() -> RunConfig:
    """LG-SLIP for small machines: caption neighbours and captions, one projection for both.

    Command: as `lgsimclr`; what it reached is in docs/results/methods.md.
    """
    return small_run("lgslip", LGSLIPConfig(num_neighbours=4), crops(2), optim=TEXT_OPTIM, stopping=STOPPING)


def xclr() -> RunConfig:
    """X-CLR for small machines: SimCLR's views, captions' similarities as targets.

    Command: `synsight words cat/ --embed-captions minilm`, then `synsight pretrain xclr --data cat/ --out
    run/`; what it reached is in docs/results/methods.md.
    """
    return small_run("xclr", XCLRConfig(), crops(2), stopping=STOPPING)
