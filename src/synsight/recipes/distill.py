"""A small student that learns from a trained model."""

from synsight.data.views import ViewsConfig
from synsight.methods import DistillConfig
from synsight.recipes.small import small_run
from synsight.training.config import OptimConfig, RunConfig


def distill(
    teacher: str, *, teacher_digest: str = "", student: str = "mobilenetv3_small_100", image_size: int = 64
) -> RunConfig:
    """Distillation for small machines: AdamW at 2e-3, batches of 128, 30 epochs but at least 300 steps.

    Command: `synsight distill MODEL --student mobilenetv3_small_100 --data cat/ --out model/`. What it
    reaches on the emoji sample stands in docs/distill.md.

    The crops hold 0.4 to 1 of the area: what the teacher names must still be there. A patient run is what
    makes distillation pay (Beyer et al. 2022, https://arxiv.org/abs/2106.05237), so give it epochs before a
    larger student.

    Args:
        teacher: A MODEL folder or another name of a model.
        teacher_digest: Its digest.
        student: A timm name; "pretrained:NAME" begins with timm's weights.
        image_size: Side of the student's input, pixels.
    """
    return small_run(
        "distill",
        DistillConfig(teacher=teacher, teacher_digest=teacher_digest),
        ViewsConfig(kind="catlip", min_area=0.4),
        encoder=student,
        image_size=image_size,
        epochs=30,
        optim=OptimConfig(name="adamw", lr=2e-3, weight_decay=0.05),
    )
