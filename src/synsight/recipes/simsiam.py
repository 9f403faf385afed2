"""SimSiam from images alone."""

from synsight.data.views import ViewsConfig
from synsight.methods import SimSiamConfig
from synsight.recipes.small import small_run
from synsight.training.config import RunConfig


def simsiam() -> RunConfig:
    """SimSiam for small machines: AdamW in place of SGD, heads of 512 in place of 2,048.

    Command: `synsight pretrain simsiam --data cat/ --out run/`; it reached what docs/results/methods.md says.
    The paper's ResNet-50 reaches 68.1% linear on ImageNet after 100 epochs at batch 256 (SGD 0.05).
    """
    return small_run("simsiam", SimSiamConfig(), ViewsConfig(kind="simclr", count=2, min_area=0.2))
