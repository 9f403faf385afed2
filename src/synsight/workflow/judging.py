"""The verb `evaluate` with every task there is: those on features and those that train a network."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from synsight.errors import Interrupted
from synsight.evaluation import Options, TaskTable
from synsight.evaluation import evaluate as ask
from synsight.evaluation.corruptions import corruptions
from synsight.evaluation.domains import domains
from synsight.evaluation.episodes import episodes
from synsight.evaluation.evidence import evidence
from synsight.evaluation.multilabel import multilabel
from synsight.evaluation.resolution import resolution
from synsight.evaluation.retrieval import retrieval
from synsight.evaluation.start import start
from synsight.evaluation.zeroshot import zeroshot
from synsight.finetuning.dense_tasks import DENSE_TASKS
from synsight.finetuning.finetune import finetuned
from synsight.records import Result

TASK_TABLE = TaskTable(
    of_label={
        "episodes": episodes,
        "start": start,
        "zeroshot": zeroshot,
        "evidence": evidence,
        "corruptions": corruptions,
        "resolution": resolution,
        "domains": domains,
        "finetune": finetuned,
    },
    label_free={"retrieval": retrieval, "multilabel": multilabel, **DENSE_TASKS},
)


def evaluate(
    models: Sequence[str | Path] | str | Path = (),
    *,
    data: str | Path,
    out: str | Path,
    label: str | None = None,
    tasks: Sequence[str] = ("knn", "linear", "fewshot"),
    labels_per_class: Sequence[int] = (10,),
    draws: int = 3,
    seed: int = 0,
    features: Sequence[str | Path] | str | Path = (),
    names: Mapping[str, str] | None = None,
    image_size: int | None = None,
    allow_seen: bool = False,
    check_copies: bool = True,
    options: Options | None = None,
    progress: bool = True,
) -> list[Result]:
    """Measure models on the test rows of a catalog, each by every task, and write the records.

    The arguments are those of `synsight.evaluation.evaluate`; here all tasks are known: `knn`, `linear`,
    `fewshot`, `curve`, and the names in `TASK_TABLE`.

    Returns:
        One record for each model, question and metric.

    Raises:
        UsageError: An unknown column or task, two models with one name, or a task that applies to no model.
        DataError: A split without labelled rows, one class only, or a model that was trained on test images.
        ModelError: A model that cannot be loaded.
        StorageError: The disk refused.
        Interrupted: Stopped from outside; runs of networks go on when the same is called again.
    """
    try:
        return ask(
            models,
            data=data,
            label=label,
            out=out,
            tasks=tasks,
            labels_per_class=labels_per_class,
            draws=draws,
            seed=seed,
            features=features,
            names=names,
            image_size=image_size,
            allow_seen=allow_seen,
            check_copies=check_copies,
            options=options,
            table=TASK_TABLE,
            progress=progress,
        )
    except (Interrupted, KeyboardInterrupt):
        raise Interrupted(
            f"the evaluation in {out} was stopped; what is finished is kept, so run the same command "
            "again to go on."
        ) from None
