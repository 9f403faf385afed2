"""CatLIP: pretraining by predicting the words of the captions."""

from synsight.data.views import ViewsConfig
from synsight.methods import CatLIPConfig
from synsight.training.config import OptimConfig, RunConfig, ScheduleConfig


def catlip() -> RunConfig:
    """CatLIP for small images and small machines.

    Command: `synsight words cat/`, then `synsight pretrain catlip --data cat/ --out run/`. Machine, time and
    score: see docs/results.

    The paper trains a ViT-B/16 at 224 px with batches of 65,536 (AdamW, weight decay 0.2, gradient clip 1.0,
    weight average 0.9995); here a ResNet-18 at 64 px with batches of 128 and a milder decay.
    """
    return RunConfig(
        recipe="catlip",
        method=CatLIPConfig(),
        views=ViewsConfig(kind="catlip", min_area=0.4),
        encoder="resnet10t",
        image_size=64,
        epochs=10,
        least_steps=300,
        batch_size=128,
        optim=OptimConfig(name="adamw", lr=4e-3, weight_decay=0.05),
        schedule=ScheduleConfig(warmup=0.1),
    )
