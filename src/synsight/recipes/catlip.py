"""CatLIP, pretraining by predicting the words of the captions: for small machines, and as published."""

from synsight.data.views import ViewsConfig
from synsight.methods import CatLIPConfig
from synsight.recipes.small import crops, small_run
from synsight.training.config import OptimConfig, RunConfig, ScheduleConfig
from synsight.training.levers import LeversConfig

SIZES = tuple(range(128, 321, 16))
"""Sides in pixels of the published runs: 25 points from 128 to 320, each rounded to a multiple of the patch's
16, which makes these 13."""


def catlip() -> RunConfig:
    """CatLIP for small images and small machines.

    Command: `synsight words cat/`, then `synsight pretrain catlip --data cat/ --out run/`. Emoji
    sample at 48 px, seed 0, two cores: 65 seconds, k-NN 0.670, linear 0.696, 10 labels a class 0.527
    (docs/results/demo.md).

    The paper trains a ViT-B/16 at 224 px with batches of 65,536 (`catlip_vit_b16`); here a ResNet-10-t at 64
    px with batches of 128, a milder decay and SuperClass's crops (0.4 to 1 of the area).
    """
    return small_run("catlip", CatLIPConfig(), crops())


def catlip_vit_b16() -> RunConfig:
    """CatLIP as published for DataComp-1.3B: ViT-B/16, batches of 65,536 for 200,000 steps.

    Command: `synsight words datacomp/ --compat corenet --min-count 500`, then `torchrun --nnodes 8
    --nproc-per-node 8 -m synsight pretrain catlip-vit-b16 --data datacomp/ --out run/`; the paper had 64 A100
    for it. To expect on ImageNet-1k: linear probe 80.1%, fine-tuned 84.3% at 224 px and 86.1% at 512 px;
    Places365 53.6% and 59.2% (Mehta et al. 2024, tables 1 and 2, https://arxiv.org/abs/2404.15653); a
    training loss of about 15 to 20 (figure 8). Not run by us.

    Departures: rows without a word are masked, and RangeAugment begins with small changes
    (docs/methods/catlip.md).
    """
    return _published("catlip-vit-b16", encoder="vit_base_patch16_224", lr=1e-3)


def catlip_vit_l16() -> RunConfig:
    """CatLIP as published for DataComp-1.3B with a ViT-L/16; else as `catlip_vit_b16`.

    The paper had 128 A100 for it. To expect on ImageNet-1k: fine-tuned 86.5% at 224 px and 88.6% at 512 px;
    Places365 fine-tuned 60.3%; linear probe 85.2% (table 2, section 4.2). Not run by us.
    """
    return _published("catlip-vit-l16", encoder="vit_large_patch16_224", lr=6e-4)


def catlip_vit_h16() -> RunConfig:
    """CatLIP as published for DataComp-1.3B with a ViT-H/16; else as `catlip_vit_b16`.

    The paper had 256 A100 for it. To expect on ImageNet-1k: fine-tuned 86.7% at 224 px and 88.8% at 512 px;
    Places365 fine-tuned 60.2%; linear probe 86.1% (table 2, section 4.2). Not run by us. timm's ViT-H/16
    takes the mean of the patches as its features, the paper's a class token.
    """
    return _published("catlip-vit-h16", encoder="vit_huge_patch16_gap_448", lr=4e-4)


def catlip_cc3m() -> RunConfig:
    """CatLIP as published for CC3M: ViT-B/16, batches of 2,048, learning rate 2e-3.

    Command: `synsight words cc3m/ --compat corenet --min-count 500`, then `torchrun --nproc-per-node 4 -m
    synsight pretrain catlip-cc3m --data cc3m/ --out run/`; the paper had 4 A100. To expect on ImageNet-1k:
    linear probe 58.0%, fine-tuned 67.3%; Places365 49.1% and 54.5% (Mehta et al. 2024, tables 1 and 6,
    https://arxiv.org/abs/2404.15653). Not run by us. The paper trains for 25 to 100 epochs, and CatLIP still
    improves at 100 (figure 4); which of them table 1 shows, it does not say. What table 6 leaves open is
    taken from the DataComp runs.
    """
    return _published(
        "catlip-cc3m", encoder="vit_base_patch16_224", lr=2e-3, batch_size=2048, steps=None, epochs=25
    )


def _published(
    recipe: str,
    *,
    encoder: str,
    lr: float,
    batch_size: int = 65_536,
    steps: int | None = 200_000,
    epochs: int = 20,
) -> RunConfig:
    """The settings of the released configurations, projects/catlip/pretraining in apple/corenet."""
    return RunConfig(
        recipe=recipe,
        method=CatLIPConfig(start_probability=0.5, range_augment=True),  # a half: biases of zero
        views=ViewsConfig(kind="catlip", min_area=0.08),
        encoder=encoder,
        image_size=224,
        image_sizes=SIZES,
        epochs=epochs,
        steps=steps,
        batch_size=batch_size,
        levers=LeversConfig(activation_checkpointing=True),
        optim=OptimConfig(
            name="adamw", lr=lr, weight_decay=0.2, betas=(0.9, 0.999), clip_norm=1.0, ema_decay=0.9995
        ),
        schedule=ScheduleConfig(warmup=0.05, final=0.01),
    )
