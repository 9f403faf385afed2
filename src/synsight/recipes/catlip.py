"""CatLIP: pretraining by predicting the words of the captions."""

from synsight.data.views import ViewsConfig
from synsight.methods import CatLIPConfig
from synsight.training.config import OptimConfig, RunConfig, ScheduleConfig


def catlip() -> RunConfig:
    """CatLIP for small images and small machines.

    Command: `synsight words cat/`, then `synsight pretrain catlip --data cat/ --out run/`. Emoji
    sample at 48 px, seed 0, two cores: 65 seconds, k-NN 0.670, linear 0.696, 10 labels a class 0.527
    (docs/results/demo.md).

    The paper trains a ViT-B/16 at 224 px with batches of 65,536 (AdamW, weight decay 0.2, gradient clip 1.0,
    weight average 0.9995); here a ResNet-10-t at 64 px with batches of 128, a milder decay and SuperClass's
    crops (0.4 to 1 of the area).
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
