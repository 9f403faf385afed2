"""`synsight adapt`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from rich.console import RenderableType

from synsight.cli.console import Flag, Json, show
from synsight.errors import UsageError
from synsight.records import Result, as_json


def adapt(
    *models: str,
    data: Path,
    label: str,
    out: Path,
    method: str = "auto",
    labels_per_class: int | None = None,
    source_where: str | None = None,
    target_where: str | None = None,
    combine: Literal["concat", "gated"] = "concat",
    budget: float | None = None,
    seed: int = 0,
    with_finetune: Flag = False,
    steps: int | None = None,
    evaluation: Path | None = None,
    image_size: int | None = None,
    allow_seen: Flag = False,
    json: Json = False,
) -> None:
    """Fit frozen encoders to a label with few labels, on a CPU, and save a MODEL that predicts raw images.

    Judged on the test rows beside tuned logistic regression, k-NN and, if asked for, full fine-tuning.

    Args:
        models: MODEL folders or names; of several, the features are put side by side.
        data: The catalog's folder.
        label: Column with the classes.
        out: Folder for the MODEL.
        method: auto, projector, logistic, knn, prototypes, lda, lp++, tip-adapter, tip-adapter-f,
            clip-adapter, words (a few named words a class), or lora (the encoder learns, too).
        labels_per_class: Labels of each class; else all. With two domains the target's, 0: none of them.
        source_where: SQL condition of rows of the old domain, all of whose labels are learnt from.
        target_where: SQL condition of rows of the new domain, which is what the model is judged on.
        combine: Of several models: side by side, or each by itself and weighed by a gate.
        budget: Seconds that auto may take.
        seed: Of the draw of labels, and of the method.
        with_finetune: Also train the whole encoder on the same labels, to compare.
        steps: Length of that training; else as the recipe says.
        evaluation: Folder for the records; else OUT with ".evaluation" behind.
        image_size: Input side of models that are no folder.
        allow_seen: Judge models that were trained on test images, and say so.
        json: Print the records as one JSON list.
    """
    if not models:
        raise UsageError("adapt needs a model; give a MODEL folder, a timm name, or random:resnet18.")
    from synsight.workflow.adapting import adapt as run

    results = run(
        models,
        data=data,
        label=label,
        out=out,
        method=method,
        labels_per_class=labels_per_class,
        source_where=source_where,
        target_where=target_where,
        combine=combine,
        budget=budget,
        seed=seed,
        with_finetune=with_finetune,
        steps=steps,
        evaluation=evaluation,
        image_size=image_size,
        allow_seen=allow_seen,
    )
    folder = evaluation or out.with_name(f"{out.name}.evaluation")
    show([as_json(one) for one in results], as_json=json, table=lambda: _table(results, out, folder))


def _table(results: list[Result], out: Path, folder: Path) -> Iterator[RenderableType | str]:
    from synsight.files import read_json
    from synsight.reports.adapt_table import adapt_table

    yield adapt_table(results)
    told = read_json(folder / "evaluation.json")
    if told["reason"]:
        yield f"{told['method']} chose {told['chosen']}: {told['reason']}"
    for one in told["trained_on"]:
        if one["seen_test_rows"]:
            found = f"{one['seen_test_rows']:,} of {one['test_rows']:,} test images"
            yield f"{one['model']} was trained on {found}; its numbers on them prove nothing"
    yield f"model:   {out}"
    yield f"records: {folder / 'results.json'}"
