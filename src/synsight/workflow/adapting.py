"""The verb `adapt`: a frozen encoder, few labels of one's own domain, and a model that predicts raw images.

OUT/                MODEL
OUT.evaluation/     results.json, results.parquet, predictions.parquet, evaluation.json
"""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from synsight.data.catalog import Catalog
from synsight.errors import UsageError
from synsight.evaluation.comparison import Difference, paired_differences
from synsight.evaluation.estimators import Answer, Estimator, knn
from synsight.evaluation.judged import Judged
from synsight.evaluation.options import Options, Training
from synsight.evaluation.protocol import describe_rows
from synsight.evaluation.questions import Answered, Features
from synsight.evaluation.rows import Splits
from synsight.evaluation.scoring import METRICS, PREDICTIONS, Origin, Scored, score
from synsight.evaluation.seen_rows import SeenReport, check_unseen
from synsight.evaluation.shifts import Shift
from synsight.evaluation.shots import ShotProblem, asked, gains, shot_problem, tuned_logistic
from synsight.evaluation.storage import write_evaluation
from synsight.finetuning.finetune import finetuned
from synsight.models import Model, embed, features_at, load
from synsight.models.several import several_encoders
from synsight.records import Result, config_hash
from synsight.workflow.adapt_fit import AUTO, BASELINE, Combine, Fitted, Task, check_method, fit_method
from synsight.workflow.adapt_rows import (
    AdaptRows,
    RowFeatures,
    Where,
    adapt_rows,
    limited_to,
    unlabelled_positions,
)

TASK = "adapt:"
ROWS_FOR_WORKERS = 2000


def adapt(
    models: Sequence[str | Path] | str | Path,
    *,
    data: str | Path,
    label: str,
    out: str | Path,
    method: str = AUTO,
    labels_per_class: int | None = None,
    source_where: str | None = None,
    target_where: str | None = None,
    combine: Combine = "concat",
    budget: float | None = None,
    seed: int = 0,
    with_finetune: bool = False,
    steps: int | None = None,
    evaluation: str | Path | None = None,
    image_size: int | None = None,
    allow_seen: bool = False,
    progress: bool = True,
) -> list[Result]:
    """Fit frozen encoders to a label, judge that beside the baselines, and save a model of raw images.

    Features are computed once and kept in the catalog. What is fitted sees training rows; with all labels,
    settings are chosen on validation rows, with few, by cross-validation inside them. Test rows are answered
    once, at the end, and no choice depends on them.

    With `source_where` or `target_where` there are two domains: all labels of the source are learnt from and
    `labels_per_class` of the target, further training rows of the target are looked at without their labels
    by methods that can, and the test rows are the target's.

    Args:
        models: One MODEL or name that `load` knows, or several, whose features are put side by side.
        data: The catalog's folder.
        label: A column of strings or integers.
        out: Folder for the MODEL: new, empty, or a model folder, which is replaced.
        method: `auto`, which chooses within a budget of time, a name in `adaptation.ESTIMATORS`, `words` (a
            few named words a class; for models that know words) or `lora` (the encoder learns, too).
        labels_per_class: Labels of each class, drawn as by `fewshot`; of a class with fewer rows, all. None:
            all. With two domains, the target's; 0: none of them.
        source_where: SQL condition of the rows of the old domain; None: those that are not the target's.
        target_where: Of the new domain; None: those that are not the source's.
        combine: `concat`, or `gated`: each encoder answers by itself, and a gate weighs the answers.
        budget: Seconds that `auto` may take.
        seed: Of the draw, and of the method.
        with_finetune: Also train the whole encoder on the same labels, and record how that does.
        steps: Of that training; None: as its recipe says.
        evaluation: Folder of the records; None: `out` with ".evaluation" behind.
        image_size: Of models that are no folder; None: their own.
        allow_seen: Judge models that were trained on test images, and say so in the records.
        progress: Show bars.

    Returns:
        Records of the tasks `adapt:METHOD`, `logistic` (the tuned baseline), `knn` and `finetune`, and of
        their differences to the baseline (`acc1_difference`), compared row by row.

    Raises:
        UsageError: An unknown column, condition or method.
        ConfigError: A number of labels that leaves nothing to learn from.
        DataError: A split without labelled rows, one class only, or a model that was trained on test images.
        ModelError: A model that cannot be loaded.
        StorageError: The disk refused.
    """
    out = Path(out)
    folder = Path(evaluation) if evaluation is not None else out.with_name(f"{out.name}.evaluation")
    check_method(method)
    settings: dict[str, Any] = {
        "label": label,
        "method": method,
        "labels_per_class": labels_per_class,
        "source_where": source_where,
        "target_where": target_where,
        "combine": combine,
        "seed": seed,
    }
    catalog = Catalog.open(data)
    rows = adapt_rows(catalog, label, Where(source_where, target_where), seed=seed)
    limited_to(rows, labels_per_class)
    named = _loaded(_listed(models), image_size=image_size, seed=seed)
    seen = [check_unseen(one, catalog, rows.test, allow_seen=allow_seen) for one in named.values()]
    origin = Origin(
        model=" | ".join(named),
        dataset=catalog.name,
        catalog_version=catalog.version,  # before a column of features makes the next
        class_names=rows.splits.class_names,
    )
    model = next(iter(named.values())) if len(named) == 1 else several_encoders([*named.values()])
    shift = rows.shift(row_features(model, catalog, rows, progress=progress), name=target_where or "target")
    problem = shot_problem(shift, per_class=labels_per_class, seed=seed)
    task = Task(
        model=model,
        catalog=catalog,
        problem=problem,
        class_names=rows.splits.class_names,
        test=rows.test,
        unlabelled=unlabelled_positions(rows, problem),
        combine=combine,
        budget=budget,
        progress=progress,
    )
    began = time.perf_counter()
    fitted = fit_method(method, task)
    answers = _answers(shift, problem, fitted, labels_per_class, time.perf_counter() - began)
    scored = _scored(answers, origin, config_hash(settings))
    fitted.model.save_pretrained(out)
    if with_finetune:
        tuned = _finetuned(task, rows.splits, shift, labels_per_class, folder, steps, origin)
        scored += [tuned, _beside_baseline(tuned, scored)]
    results = [_marked(one, seen) for some in scored for one in some.results]
    told = {
        **settings,
        "catalog": str(catalog.path),
        "catalog_version": origin.catalog_version,
        "model": str(out),
        "models": [{"name": name, "source": name, "digest": one.digest} for name, one in named.items()],
        "adapted": {"name": origin.model, "source": str(out), "digest": fitted.model.digest},
        "chosen": fitted.method,
        "reason": fitted.reason,
        "tasks": list(dict.fromkeys(one.task for one in results)),
        "trained_on": [one.as_settings() for one in seen],
        **describe_rows(rows.splits),
        "rows": _counts(rows, problem),
    }
    predictions = pa.concat_tables([PREDICTIONS.empty_table(), *(some.predictions for some in scored)])
    write_evaluation(folder, results, predictions, settings=told, catalog=catalog)
    return results


def _loaded(named: Sequence[str | Path], *, image_size: int | None, seed: int) -> dict[str, Model]:
    """The models by their names, in their order.

    Raises:
        UsageError: No model, or one that is named twice.
        ModelError: A model that cannot be loaded.
    """
    names = [str(one) for one in named]
    if not names or len(set(names)) < len(names):
        raise UsageError(
            f"adapt needs one model or several different ones; got {', '.join(names) or 'none'}; name a "
            "MODEL folder, a timm name, or random:resnet18."
        )
    return {
        str(one): load(one, image_size=None if Path(one).is_dir() else image_size, seed=seed) for one in named
    }


def row_features(model: Model, catalog: Catalog, rows: AdaptRows, *, progress: bool) -> RowFeatures:
    """Features of all parts; where most rows of the catalog take part, they are kept in it."""
    wanted = rows.positions
    if 2 * sum(map(len, wanted)) >= catalog.count_rows():
        embed(model, catalog, progress=progress)
    return RowFeatures(*features_at(model, catalog, wanted, progress=progress))


def _answers(
    shift: Shift, problem: ShotProblem, fitted: Fitted, n_labels: int | None, seconds: float
) -> list[Answered]:
    """The adaptation's answer, then the baselines'."""

    def adapted(_: object) -> Answer:
        why = {"reason": fitted.reason} if fitted.reason else {}
        return Answer(fitted.probabilities, {**fitted.details, **why})

    mine = asked(shift, problem, TASK + fitted.method, adapted, n_labels=n_labels)
    baselines: dict[str, Estimator] = {BASELINE: tuned_logistic, "knn": knn}
    return [
        replace(mine, seconds=seconds),
        *(asked(shift, problem, name, estimator, n_labels=n_labels) for name, estimator in baselines.items()),
    ]


def _scored(answers: Sequence[Answered], origin: Origin, hashed: str) -> list[Scored]:
    """The answers' records, then those of their differences to the baseline."""
    scored = [score(one, origin=origin, config_hash=hashed) for one in answers]
    found = gains(answers, against=BASELINE, origin=origin, config_hash=hashed)
    return [*scored, Scored(found, PREDICTIONS.empty_table())]


def _finetuned(
    task: Task,
    splits: Splits,
    shift: Shift,
    n_labels: int | None,
    folder: Path,
    steps: int | None,
    origin: Origin,
) -> Scored:
    """Full fine-tuning of the encoder on the very rows that the adaptation learnt from."""
    problem, nobody = task.problem, np.empty(0, np.int64)
    few = n_labels is not None
    val = shift.target_val if not few else shift.target_val.take(nobody)
    splits = replace(splits, train=problem.train_rows, val=val.rows, test=shift.test.rows)
    features = Features(train=problem.train_features, val=val.features, test=problem.test_features)
    judged = Judged(
        name=origin.model,
        model=task.model,
        catalog=task.catalog,
        version=origin.catalog_version,
        options=Options(
            labels_per_class=(),
            seed=problem.seed,
            training=Training(steps=steps, overrides=_overrides(len(problem.train_labels), few=few)),
        ),
        out=folder,
        splits=splits,
        compute=lambda: features,
        progress=task.progress,
    )
    scored = finetuned(judged)
    results = [replace(one, n_labels=n_labels) for one in scored.results]
    place = scored.predictions.schema.get_field_index("n_labels")
    told = pa.array([n_labels] * scored.predictions.num_rows, pa.int64())
    table = scored.predictions.set_column(place, scored.predictions.schema.field(place), told)
    return Scored(results, table)


def _overrides(rows: int, *, few: bool) -> dict[str, object]:
    # Without validation rows nothing may choose among the steps: the last weights are kept.
    kept: dict[str, object] = {"monitor.metric": "none"} if few else {}
    # Processes that prepare batches take longer to start than so few rows need.
    return kept | ({"workers": 0} if rows < ROWS_FOR_WORKERS else {})


def _beside_baseline(tuned: Scored, scored: Sequence[Scored]) -> Scored:
    """The difference of fine-tuning to the baseline, by the predictions of both."""
    theirs = pa.concat_tables([one.predictions for one in scored])
    theirs = theirs.filter(pc.field("task") == BASELINE)
    found = [
        difference_record(one, paired_differences(tuned.predictions, theirs, metric=one.metric))
        for one in tuned.results
        if one.metric in METRICS
    ]
    return Scored(found, PREDICTIONS.empty_table())


def difference_record(own: Result, difference: Difference) -> Result:
    """A record of how much better one is than the baseline."""
    return replace(
        own,
        metric=f"{own.metric}_difference",
        value=difference.value,
        ci_low=difference.ci_low,
        ci_high=difference.ci_high,
        baseline=0.0,
        seconds=0.0,
        details={
            "against": BASELINE,
            "p_value": float(f"{difference.p_value:.4g}"),
            "detectable": round(difference.detectable, 4),
            "interval": difference.method,
        },
    )


def _counts(rows: AdaptRows, problem: ShotProblem) -> dict[str, int]:
    target = int(problem.train_is_target.sum())
    return {
        "source": len(problem.train_labels) - target,
        "target": target,
        "val": len(problem.val_labels),
        "unlabelled": len(problem.unlabelled_features),
        "test": len(rows.test),
        "left_out_for_their_group": rows.left_out,
    }


def _marked(one: Result, seen: Sequence[SeenReport]) -> Result:
    rows = sum(report.seen_test_rows for report in seen)
    return replace(one, details={**one.details, "seen_test_rows": rows}) if rows else one


def _listed(several: Sequence[str | Path] | str | Path) -> list[str | Path]:
    return [several] if isinstance(several, str | Path) else list(several)
