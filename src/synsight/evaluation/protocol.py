"""The verb `evaluate`: features once for each model, then every question, then the records."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synsight.data.catalog import Catalog
from synsight.errors import UsageError
from synsight.evaluation.estimators import ESTIMATORS, TEMPERATURE, Estimator
from synsight.evaluation.questions import Features, Question, ask, questions
from synsight.evaluation.rows import Rows, Splits, read_splits
from synsight.evaluation.scoring import Origin, Scored, score
from synsight.evaluation.storage import write_evaluation
from synsight.models import Model, catalog_features, embed, load
from synsight.progress import progress_bar
from synsight.records import Result, config_hash

FeatureSource = Callable[[Model, Catalog], tuple[NDArray[np.int64], NDArray[np.float32]]]
"""Positions [N], ascending, and features [N, D] of a catalog's rows."""

TASKS = ("knn", "linear", "fewshot", "curve")


def evaluate(
    models: Sequence[str | Path] | str | Path,
    *,
    data: str | Path,
    label: str,
    out: str | Path,
    tasks: Sequence[str] = ("knn", "linear", "fewshot"),
    labels_per_class: Sequence[int] = (10,),
    draws: int = 3,
    seed: int = 0,
    names: Mapping[str, str] | None = None,
    image_size: int | None = None,
    estimators: Mapping[str, Estimator] = ESTIMATORS,
    features: FeatureSource | None = None,
    progress: bool = True,
) -> list[Result]:
    """Measure what frozen encoders know about a label, and write the records.

    Every encoder gets the same training, validation and test rows and the same draws of few labels.
    Features are computed once and kept in the catalog. Rows without a label are left out and counted.

    Args:
        models: MODEL folders, "random:NAME" (untrained), or timm names.
        data: The catalog's folder.
        label: A column of strings or integers.
        out: Folder for results.json, results.parquet, predictions.parquet and evaluation.json.
        tasks: Of `knn`, `linear` (all training labels), `fewshot` (some labels a class, several draws) and
            `curve` (fewshot at 1, 5, 10 and 50 labels, ten draws).
        labels_per_class: Of `fewshot`.
        draws: Of `fewshot`; draw d has the seed `seed + d`.
        seed: Of the draws and of untrained weights.
        names: Model -> what it is called in the records; else it is called what `models` calls it.
        image_size: Input side in pixels of models that are no folder; None: that of the folders beside them
            where they agree, so that an untrained encoder sees the same images, else the model's own.
        estimators: Task -> estimator.
        features: Gives positions and features of all rows with the label, in the order of positions; None:
            they are computed and kept in the catalog.
        progress: Show bars.

    Returns:
        One record for each model, question and metric; a draw is a question. `mean_over_draws` sums draws up.

    Raises:
        UsageError: An unknown column or task, or two models with one name.
        DataError: A split without labelled rows, or one class only.
        ModelError: A model that cannot be loaded.
        StorageError: The disk refused.
    """
    models = [models] if isinstance(models, str | Path) else list(models)
    called = _names(models, names or {})
    catalog = Catalog.open(data)
    splits = read_splits(catalog, label)
    asked = questions(
        tasks, splits, labels_per_class=labels_per_class, draws=draws, seed=seed, estimators=estimators
    )
    hashes = {question: question_hash(question, label) for question in asked}
    version = catalog.version  # before a column of features makes the next
    loaded = _load_all(models, image_size, seed)
    scored: list[Scored] = []
    with progress_bar("evaluate", total=len(models) * len(asked), shown=progress) as bar:
        for name, model in zip(called, loaded, strict=True):
            found = model_features(model, catalog, splits, source=features, progress=progress)
            origin = Origin(
                model=name,
                dataset=catalog.name,
                catalog_version=version,
                class_names=splits.class_names,
            )
            for answer in ask(asked, found, splits, estimators=estimators):
                scored.append(score(answer, origin=origin, config_hash=hashes[answer.question]))
                bar.advance()
    results = [one for some in scored for one in some.results]
    settings = {
        "catalog": str(catalog.path),
        "catalog_version": version,
        "models": [
            {"name": name, "source": str(source), "digest": model.digest}
            for name, source, model in zip(called, models, loaded, strict=True)
        ],
        "tasks": list(tasks),
        "labels_per_class": list(labels_per_class),
        "draws": draws,
        "seed": seed,
        **describe_rows(splits),
    }
    write_evaluation(
        Path(out), results, pa.concat_tables([some.predictions for some in scored]), settings=settings
    )
    return results


def model_features(
    model: Model,
    catalog: Catalog,
    splits: Splits,
    *,
    source: FeatureSource | None = None,
    progress: bool = True,
) -> Features:
    """One model's features of the labelled rows, from the source if there is one.

    Else, where most rows have a label, the features of all rows are computed once and kept in the catalog;
    where few have one, only theirs are computed, unless the catalog keeps them already.
    """
    if source is None:
        labelled = len(splits.train) + len(splits.val) + len(splits.test)
        if 2 * labelled >= catalog.count_rows():
            embed(model, catalog, progress=progress)
        where = f"`{splits.label}` IS NOT NULL"
        positions, features = catalog_features(model, catalog, where=where, progress=progress)
    else:
        positions, features = source(model, catalog)

    def of(rows: Rows) -> Any:
        return features[np.searchsorted(positions, rows.positions)]

    return Features(train=of(splits.train), val=of(splits.val), test=of(splits.test))


def describe_rows(splits: Splits) -> dict[str, Any]:
    """Which rows took part, for a reader."""
    return {
        "label": splits.label,
        "classes": list(splits.class_names),
        "rows": {"train": len(splits.train), "val": len(splits.val), "test": len(splits.test)},
        "test_groups": len(np.unique(splits.test.group_codes)),
        "unlabelled": splits.unlabelled,
        "classes_only_in_test": [splits.class_names[one] for one in splits.only_in_test],
    }


def question_hash(question: Question, label: str) -> str:
    """Equal for two records that answer the same question in the same way."""
    return config_hash(
        {
            "task": question.task,
            "label": label,
            "n_labels": question.n_labels,
            "seed": question.seed,
            "temperature": TEMPERATURE,
        }
    )


def _names(models: Sequence[str | Path], names: Mapping[str, str]) -> list[str]:
    called = [names.get(str(model), str(model)) for model in models]
    if not called:
        raise UsageError("evaluate needs a model; name a MODEL folder, 'random:resnet18' or a timm name.")
    twice = sorted({one for one in called if called.count(one) > 1})
    if twice:
        raise UsageError(f"two models are called {twice[0]!r}; give each its own name.")
    return called


def _load_all(models: Sequence[str | Path], image_size: int | None, seed: int) -> list[Model]:
    """Folders first, since they say at which size the others are looked at."""
    folders = {number: load(model) for number, model in enumerate(models) if Path(model).is_dir()}
    sizes = {model.config.image_size for model in folders.values()}
    size = image_size or (sizes.pop() if len(sizes) == 1 else None)
    return [
        folders[number] if number in folders else load(model, image_size=size, seed=seed)
        for number, model in enumerate(models)
    ]
