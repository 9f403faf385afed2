"""The verb `evaluate`: the rows, the models, then every task, then the records."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from synsight.data.catalog import Catalog
from synsight.errors import UsageError, near_names
from synsight.evaluation.asking import Asking, TaskTable
from synsight.evaluation.estimators import ESTIMATORS, Estimator
from synsight.evaluation.judged import Subject
from synsight.evaluation.near_copies import NearCopies, near_copies, without_copies
from synsight.evaluation.options import Options
from synsight.evaluation.questions import questions
from synsight.evaluation.rows import Splits, read_splits, read_test_rows
from synsight.evaluation.scoring import PREDICTIONS, Scored
from synsight.evaluation.seen_rows import SeenReport, check_unseen
from synsight.evaluation.storage import check_out, write_evaluation
from synsight.evaluation.subjects import FeatureSource, Named, judge, load_subjects
from synsight.progress import progress_bar
from synsight.records import Result

CURVE = "curve"


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
    estimators: Mapping[str, Estimator] = ESTIMATORS,
    table: TaskTable | None = None,
    source: FeatureSource | None = None,
    progress: bool = True,
) -> list[Result]:
    """Measure what encoders know about a label, and write the records.

    Every encoder gets the same training, validation and test rows and the same draws of few labels.
    Features are computed once and kept in the catalog. Rows without a label are left out and counted.

    A task that does not apply to one of several models (`zeroshot` to one without texts) is left out for it
    and named in evaluation.json; one that applies to none is an error.

    Args:
        models: MODEL folders, "random:NAME" (untrained), or timm names.
        data: The catalog's folder.
        out: Folder for results.json, results.parquet, predictions.parquet and evaluation.json.
        label: A column of strings or integers; None where no task reads one.
        tasks: Of `knn`, `linear` (all training labels), `fewshot` (some labels a class, several draws),
            `curve` (fewshot at many numbers of labels), and the names in `table`.
        labels_per_class: Of `fewshot` and of other tasks with few labels.
        draws: Of the same; draw d has the seed `seed + d`.
        seed: Of the draws and of untrained weights.
        features: Parquet files with `id` and features, each judged like a model.
        names: Model or file -> what it is called in the records; else a model is called what `models` calls
            it and a file by its stem.
        image_size: Input side in pixels of models that are no folder; None: that of the folders beside them
            where they agree, so that an untrained encoder sees the same images, else the model's own.
        allow_seen: Judge a model that was trained on test images, and say so in its records.
        check_copies: Look for near copies of the test images among the training images, and say what the
            accuracy is without them.
        options: Settings of single tasks; labels_per_class, draws and seed above go before theirs.
        estimators: Task -> estimator.
        table: Further tasks.
        source: Gives positions and features of all rows with the label, in the order of positions; None:
            they are computed and kept in the catalog.
        progress: Show bars.

    Returns:
        One record for each model, question and metric; a draw is a question. `mean_over_draws` sums draws up.

    Raises:
        UsageError: An unknown column or task, no task, two models with one name, a task that applies to no
            model, or an `out` with another catalog's evaluation.
        DataError: A split without labelled rows, one class only, no test row of a class that is learnt, or a
            model that was trained on test images.
        ModelError: A model that cannot be loaded.
        StorageError: The disk refused.
    """
    out, table = Path(out), table or TaskTable()
    catalog = Catalog.open(data)
    check_out(out, catalog.path)
    splits = _splits(catalog, label, tasks, table, estimators)
    named = load_subjects(
        _listed(models), _listed(features), names=names or {}, image_size=image_size, seed=seed
    )
    seen = _seen(named, catalog, splits, allow_seen=allow_seen)
    simple = [task for task in tasks if task not in table]
    asked = []
    if splits is not None and simple:
        asked = questions(
            simple, splits, labels_per_class=labels_per_class, draws=draws, seed=seed, estimators=estimators
        )
    options = replace(options or Options(), labels_per_class=tuple(labels_per_class), draws=draws, seed=seed)
    version = catalog.version  # before a column of features makes the next
    asking = Asking(asked, [task for task in tasks if task in table], estimators, table)
    scored: list[Scored] = []
    with progress_bar("evaluate", total=len(named) * asking.count, shown=progress) as bar:
        for one in named:
            subject = Subject(
                name=one.name,
                model=one.model,
                source=one.source,
                catalog=catalog,
                version=version,
                options=options,
                out=out,
                progress=progress,
            )
            scored += asking.all_of(judge(subject, one, splits, source=source), bar.advance)
    asking.check_asked(len(named))
    results = [_marked(one, seen.get(one.model)) for some in scored for one in some.results]
    predictions = pa.concat_tables([PREDICTIONS.empty_table(), *(some.predictions for some in scored)])
    copies = near_copies(catalog, splits) if check_copies and splits is not None else None
    if copies is not None:
        results = without_copies(results, predictions, copies)
    settings = {
        "catalog": str(catalog.path),
        "catalog_version": version,
        "models": [{"name": one.name, "source": one.source, "digest": one.digest} for one in named],
        "tasks": list(tasks),
        "labels_per_class": list(labels_per_class),
        "draws": draws,
        "seed": seed,
        **describe_findings(asking, seen, copies),
        **({} if splits is None else describe_rows(splits)),
    }
    write_evaluation(out, results, predictions, settings=settings, catalog=catalog)
    return results


def describe_findings(
    asking: Asking, seen: Mapping[str, SeenReport], copies: NearCopies | None
) -> dict[str, Any]:
    """What a reader must know before believing the numbers."""
    found: dict[str, Any] = {
        "left_out": asking.left_out,
        "trained_on": [report.as_settings() for report in seen.values()],
    }
    return found if copies is None else {**found, "near_copies": copies.as_settings()}


def describe_rows(splits: Splits) -> dict[str, Any]:
    """Which rows took part, for a reader."""
    return {
        "label": splits.label,
        "classes": list(splits.class_names),
        "rows": {"train": len(splits.train), "val": len(splits.val), "test": len(splits.test)},
        "test_groups": len(np.unique(splits.test.group_codes)),
        "unlabelled": splits.unlabelled,
        "classes_only_in_test": [splits.class_names[one] for one in splits.only_in_test],
        "classes_spelt_alike": [list(names) for names in splits.spelt_alike],
    }


def _listed(several: Sequence[str | Path] | str | Path) -> list[str | Path]:
    return [several] if isinstance(several, str | Path) else list(several)


def _seen(
    named: Sequence[Named], catalog: Catalog, splits: Splits | None, *, allow_seen: bool
) -> dict[str, SeenReport]:
    """What each model was trained on, by its name in the records."""
    test = read_test_rows(catalog) if splits is None else splits.test
    return {
        one.name: replace(check_unseen(one.model, catalog, test, allow_seen=allow_seen), model=one.name)
        for one in named
        if one.model is not None
    }


def _marked(one: Result, seen: SeenReport | None) -> Result:
    more = {} if seen is None else seen.as_details()
    return replace(one, details={**one.details, **more}) if more else one


def _splits(
    catalog: Catalog,
    label: str | None,
    tasks: Sequence[str],
    table: TaskTable,
    estimators: Mapping[str, Estimator],
) -> Splits | None:
    """The labelled rows; None where no label is named and none is needed."""
    known = [*estimators, CURVE, *table.of_label, *table.label_free]
    if not tasks:
        raise UsageError(f"evaluate needs a task; name some of {', '.join(known)} with --tasks.")
    for task in tasks:
        if task not in known:
            raise UsageError(f"there is no task {task!r}; {near_names(task, known)}")
    if label is not None:
        return read_splits(catalog, label)
    if needing := [task for task in tasks if task not in table.label_free]:
        raise UsageError(
            f"the task {needing[0]!r} asks for a label, and none was named; name its column with --label."
        )
    return None
