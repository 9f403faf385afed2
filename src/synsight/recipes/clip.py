"""Images and captions in one space: CLIP, SigLIP, SuperCLIP, and a frozen image encoder (LiT)."""

from synsight.data.views import ViewsConfig
from synsight.methods import CLIPConfig, SigLIPConfig, SuperCLIPConfig
from synsight.recipes.small import crops, small_run
from synsight.training.config import OptimConfig, RunConfig, ScheduleConfig

TEXT_OPTIM = OptimConfig(name="adamw", lr=2e-3, weight_decay=0.1, betas=(0.9, 0.98), eps=1e-6)
"""Of the small recipes with a text tower: CLIP's betas and eps, half the rate of the recipes without one."""


def clip() -> RunConfig:
    """CLIP for small machines: a transformer of four layers reads the captions.

    Command: `synsight pretrain clip --data cat/ --out run/`; what it reached is in docs/results/methods.md.
    """
    return small_run("clip", CLIPConfig(), crops(), optim=TEXT_OPTIM)


def clip_vit_b32() -> RunConfig:
    """CLIP as published, ViT-B/32: batches of 32,768, 32 epochs, AdamW 5e-4, weight decay 0.2.

    Command: `torchrun --nproc-per-node 8 -m synsight pretrain clip-vit-b32 --data cat/ --out run/`. To expect
    with 400 million pairs: 63% zero-shot on ImageNet (Radford et al. 2021); on CC12M 36.5% (ViT-B/16, table
    of https://github.com/facebookresearch/SLIP). Not run by us.
    """
    return RunConfig(
        recipe="clip-vit-b32",
        method=CLIPConfig(text="clip-transformer", projection_dim=512),
        views=ViewsConfig(kind="catlip", min_area=0.9, flip_probability=0.0),
        encoder="vit_base_patch32_224",
        image_size=224,
        epochs=32,
        batch_size=32_768,
        optim=OptimConfig(
            name="adamw", lr=5e-4, weight_decay=0.2, betas=(0.9, 0.98), eps=1e-6, clip_norm=None
        ),
        schedule=ScheduleConfig(warmup=0.026),  # 10,000 steps of 390,000
    )


def siglip() -> RunConfig:
    """SigLIP for small machines: every pair of image and caption is judged by itself; beta2 0.95.

    Command: `synsight pretrain siglip --data cat/ --out run/`; what it reached is in docs/results/methods.md.
    """
    optim = OptimConfig(name="adamw", lr=2e-3, weight_decay=0.1, betas=(0.9, 0.95), eps=1e-6)
    return small_run("siglip", SigLIPConfig(), crops(), optim=optim)


def superclip() -> RunConfig:
    """SuperCLIP for small machines: CLIP, and the words of the caption from one more linear layer.

    Command: `synsight words cat/`, then `synsight pretrain superclip --data cat/ --out run/`; what it reached
    is in docs/results/methods.md. The paper: +3.0 zero-shot and +1.5 linear over CLIP at ViT-B, 512 million
    images seen.
    """
    return small_run("superclip", SuperCLIPConfig(), crops(), optim=TEXT_OPTIM)
