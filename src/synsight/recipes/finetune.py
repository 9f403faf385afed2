"""Fine-tuning the whole network on labels, as SimCLR and CatLIP publish it."""

from collections.abc import Callable, Mapping

from synsight.data.views import ViewsConfig
from synsight.methods import SupervisedConfig
from synsight.training.config import OptimConfig, RunConfig, ScheduleConfig
from synsight.training.monitor_config import MonitorConfig, StoppingConfig

LEAST_STEPS, MOST_STEPS = 200, 1000
"""A few dozen rows are gone through more often than published, many thousands less often: minutes on a
processor. Whoever names `steps` or `epochs` gets those."""
FEW_ROWS = 20
"""Labels a class up to which SimCLR's longer training is taken: its 1% of ImageNet are 13 a class."""


def finetune_simclr(
    label: str = "label", *, rows: int = 1000, labels_per_class: int | None = None
) -> RunConfig:
    """SimCLR's fine-tuning on few labels: SGD with Nesterov's momentum and nothing that regularises.

    Learning rate 0.05 x B / 256, momentum 0.9, no warm-up or weight decay, random crop and flip; 60 epochs on
    1% of the labels of ImageNet, 30 on 10% (Chen et al. 2020, appendix B.5,
    https://arxiv.org/abs/2002.05709). To expect there of ResNet-50: top-5 75.5% and 87.8% (table 7).

    Departures: batches of 64 in place of 4,096; a cosine to zero, as in the released code, where the paper is
    silent; 200 to 1,000 steps.

    Args:
        label: The column to learn.
        rows: Labelled rows.
        labels_per_class: Of a draw of few; None: all labels.
    """
    batch_size = min(64, rows)
    few = labels_per_class is not None and labels_per_class <= FEW_ROWS
    return _finetuning(
        "finetune-simclr",
        label,
        rows=rows,
        batch_size=batch_size,
        epochs=60 if few else 30,
        method=SupervisedConfig(),
        optim=OptimConfig(
            name="sgd",
            lr=0.05 * batch_size / 256,
            momentum=0.9,
            weight_decay=0.0,
            clip_norm=None,
            layer_decay=1.0,
        ),
        schedule=ScheduleConfig(warmup=0.0, final=0.0),
    )


def finetune_catlip(
    label: str = "label", *, rows: int = 1000, labels_per_class: int | None = None
) -> RunConfig:
    """CatLIP's fine-tuning: AdamW at a small rate, an average of the weights, learned augmentation.

    Learning rate 3e-5 to 3e-6 by a cosine after 2% of warm-up, weight decay 0.05, gradients of at most 1,
    label smoothing 0.1, average of the weights with decay 0.9995, random crop and flip, RangeAugment, 10
    epochs (Mehta et al. 2024, table 7, https://arxiv.org/abs/2404.15653; configurations in projects/catlip of
    apple/corenet). To expect on ImageNet of ViT-B/16: 84.3%.

    Departures: batches of 64 in place of 512; pictures of one size in place of 128 to 320 px; 200 to 1,000
    steps. The published classification has no layer-wise decay of the rate (its detection has 0.7 to 0.9):
    `optim.layer_decay`.

    Args:
        label: The column to learn.
        rows: Labelled rows.
        labels_per_class: Of a draw of few; None: all labels.
    """
    return _finetuning(
        "finetune-catlip",
        label,
        rows=rows,
        batch_size=min(64, rows),
        epochs=10,
        method=SupervisedConfig(label_smoothing=0.1, range_augment=True),
        optim=OptimConfig(
            name="adamw", lr=3e-5, weight_decay=0.05, clip_norm=1.0, ema_decay=0.9995, layer_decay=1.0
        ),
        schedule=ScheduleConfig(warmup=0.02, final=0.1),
    )


FINETUNING: Mapping[str, Callable[..., RunConfig]] = {"simclr": finetune_simclr, "catlip": finetune_catlip}
"""Recipe of fine-tuning -> its settings for so many rows."""


def _finetuning(
    recipe: str,
    label: str,
    *,
    rows: int,
    batch_size: int,
    epochs: int,
    method: SupervisedConfig,
    optim: OptimConfig,
    schedule: ScheduleConfig,
) -> RunConfig:
    published = epochs * max(1, rows // batch_size)  # an epoch's last, smaller batch is left out
    return RunConfig(
        recipe=recipe,
        method=method,
        views=ViewsConfig(kind="catlip", min_area=0.08),
        label=label,
        epochs=epochs,
        steps=min(max(published, LEAST_STEPS), MOST_STEPS),
        batch_size=batch_size,
        optim=optim,
        schedule=schedule,
        # Looks cost forward passes alone, and the network is to be stopped by what it answers.
        monitor=MonitorConfig(metric="head_acc1", share=0.15, views_rows=0),
        stopping=StoppingConfig(enabled=True),
    )
