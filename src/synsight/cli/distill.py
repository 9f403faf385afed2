"""`synsight distill`."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType

from synsight.cli.console import Json, show

if TYPE_CHECKING:
    from synsight.finetuning.distillation import Distilled
    from synsight.finetuning.student_comparison import Cost


def distill(
    model: str,
    *,
    student: str,
    data: Path,
    out: Path,
    label: str | None = None,
    steps: int | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    image_size: int | None = None,
    lr: float | None = None,
    seed: int | None = None,
    workers: int | None = None,
    json: Json = False,
) -> None:
    """Teach a small network what a model sees, on images without labels.

    Args:
        model: The teacher: a MODEL folder, or another name of a model.
        student: A timm name, as mobilenetv3_small_100, resnet18, vit_tiny_patch16_224.
        data: The catalog's folder.
        out: The student's MODEL folder; its run stands beside it, in OUT-run.
        label: Column by which the table and the monitor judge; nothing is trained on it.
        steps: Length of the run.
        epochs: Length in passes over the training images; else 30.
        batch_size: Images a step; else 128.
        image_size: Side of the student's input; else the teacher's.
        lr: Peak learning rate; else 2e-3.
        seed: Of the run.
        workers: Processes that decode images.
        json: Print one JSON object.
    """
    from synsight.finetuning.distillation import distill as run

    given = {
        "steps": steps,
        "epochs": epochs,
        "batch_size": batch_size,
        "optim.lr": lr,
        "seed": seed,
        "workers": workers,
    }
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    done = run(model, student=student, data=data, out=out, label=label, image_size=image_size, **changes)
    show(asdict(done), as_json=json, table=lambda: _table(done))


def _table(done: "Distilled") -> Iterator[RenderableType | str]:
    from rich.table import Table

    table = Table(title=done.device, title_justify="left", box=None, padding=(0, 2, 0, 0))
    for name in ("", "parameters", "MB", "ms an image", "k-NN on val", "head on val"):
        table.add_column(name, justify="left" if not name else "right")
    for kind, cost in (("teacher", done.teacher), ("student", done.student)):
        table.add_row(f"{kind} {cost.encoder}", *_cells(cost))
    yield table
    if done.agreement is not None:
        yield f"same top answer on {done.agreement:.1%} of {done.images:,} val images"
    yield f"same nearest training images: {done.neighbours_kept:.1%} of ten"
    yield f"model: {done.model} (run: {done.run}, {done.steps:,} steps, {done.stopped_because})"


def _cells(cost: "Cost") -> tuple[str, ...]:
    knn = "–" if cost.knn_acc1 is None else f"{cost.knn_acc1:.3f} {cost.knn_low:.3f}–{cost.knn_high:.3f}"
    head = "–" if cost.head_acc1 is None else f"{cost.head_acc1:.3f}"
    return (f"{cost.parameters:,}", f"{cost.size_bytes / 1e6:.1f}", f"{cost.milliseconds:.2f}", knn, head)
