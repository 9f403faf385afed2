"""The verb `distill`: any model into a small student, and what the student keeps, costs and saves."""

from dataclasses import dataclass, replace
from pathlib import Path

from synsight.data.catalog import Catalog
from synsight.errors import Interrupted, ModelError, UsageError, near_names
from synsight.finetuning.student_comparison import Cost, compared, device_name
from synsight.models import load
from synsight.recipes.distill import distill as recipe
from synsight.training import override, train


@dataclass(frozen=True, kw_only=True)
class Distilled:
    """What `distill` made."""

    model: str
    run: str
    """The run's folder, with its curves and its report."""
    agreement: float | None
    """Share of validation images to which both give the same top label (or word); None: no heads."""
    neighbours_kept: float
    """Share of the ten nearest training images of a validation image that are the same for both."""
    teacher: Cost
    student: Cost
    images: int
    """Validation images asked."""
    device: str
    """Where the times were taken."""
    steps: int
    stopped_because: str


def distill(
    model: str | Path,
    *,
    student: str,
    data: str | Path,
    out: str | Path,
    label: str | None = None,
    image_size: int | None = None,
    progress: bool = True,
    **overrides: object,
) -> Distilled:
    """Train a small student to see as a model does, on the training images of a catalog, without labels.

    The student gets the teacher's heads under the same names (labels, words, the space of texts). The run
    stands beside the student, in `OUT-run`; what was stopped there goes on, what is finished is not repeated.

    Args:
        model: The teacher: a MODEL folder, or another name that `load` knows.
        student: A timm name, as mobilenetv3_small_100; "pretrained:NAME" begins with timm's weights.
        data: The catalog's folder.
        out: The student's MODEL folder.
        label: Column by which the run's monitor and the table judge; nothing is trained on it.
        image_size: Side of the student's input, pixels; None: the teacher's.
        progress: Show bars.
        overrides: Settings of the run to change by dotted path, as `epochs=100`, `**{"optim.lr": 1e-3}`.

    Raises:
        ModelError: No such teacher or student, or `out` holds something else.
        UsageError: An unknown column or setting.
        DataError: The catalog has no training or validation images.
        TrainingError: The run cannot go on.
        Interrupted: Stopped from outside; the same call goes on.
    """
    out, catalog, name = Path(out), Catalog.open(data), str(model)
    _check(out, catalog, label)
    teacher = load(model)
    source = str(Path(model).resolve()) if Path(model).is_dir() else name
    config = recipe(
        source,
        teacher_digest=teacher.digest,
        student=student,
        image_size=image_size or teacher.config.image_size,
    )
    changes = {"data": str(data), "label": label, **overrides}
    if {"epochs", "steps"} & set(overrides):  # who names a length gets that length
        changes.setdefault("least_steps", 0)
    config = override(config, {key: value for key, value in changes.items() if value is not None})
    rows = catalog.count_rows(config.where)
    if "batch_size" not in overrides and 2 <= rows < config.batch_size:
        config = replace(config, batch_size=rows)
    run = out.with_name(f"{out.name}-run")
    try:
        summary = train(config, out=run, resume=True)
    except Interrupted:
        raise Interrupted(f"stopped; all is saved in {run}: run the same command again to go on.") from None
    made = load(summary.model)
    made.save_pretrained(out)
    kept = compared(teacher, made, catalog, label=label, seed=config.seed, progress=progress)
    return Distilled(
        model=str(out),
        run=str(run),
        steps=summary.steps,
        stopped_because=summary.stopped_because,
        device=device_name(),
        agreement=kept.agreement,
        neighbours_kept=kept.neighbours_kept,
        teacher=kept.teacher,
        student=kept.student,
        images=kept.images,
    )


def _check(out: Path, catalog: Catalog, label: str | None) -> None:
    if label is not None and label not in catalog.columns:
        raise UsageError(
            f"{catalog.path}: there is no column {label!r}; {near_names(label, catalog.columns)}"
        )
    if out.exists() and not (out / "config.json").exists() and (not out.is_dir() or any(out.iterdir())):
        raise ModelError(
            f"{out}: expected a model folder or a new one, found other files; choose another folder."
        )
