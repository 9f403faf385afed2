"""What the labels alone would have given: a network trained from scratch, judged on the same test rows.

Pretraining has to beat this. The network gets as many steps as the pretraining run, and, when labels are few,
exactly the drawn rows that the frozen encoders' classifiers get.
"""

import dataclasses
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synsight.data.catalog import Catalog
from synsight.evaluation import write_evaluation
from synsight.evaluation.protocol import describe_rows
from synsight.evaluation.questions import Answered, Question, answered, drawn_rows
from synsight.evaluation.rows import Rows, Splits, read_splits
from synsight.evaluation.scoring import Origin, Scored, score
from synsight.evaluation.storage import check_out
from synsight.metrics import Draw
from synsight.models import Model, load
from synsight.recipes import supervised
from synsight.records import Result, RunSummary, config_hash
from synsight.training import RunConfig, override, to_plain, train

TASK = "supervised"
NAME = "supervised from scratch"


def supervised_baseline(
    data: str | Path,
    *,
    label: str,
    out: str | Path,
    steps: int,
    labels_per_class: int | None = None,
    draws: int = 3,
    seed: int = 0,
    name: str = NAME,
    **overrides: object,
) -> list[Result]:
    """Train from scratch on labels, predict the test rows with the trained head, and write the records.

    The runs stand in `out`, one folder each; what is finished there is not repeated, what was stopped goes
    on. With few labels no other label is looked at: the last weights are kept, since a monitor's validation
    split would be hidden labels. With all labels the monitor chooses the weights on the validation split,
    as in pretraining.

    Args:
        data: The catalog's folder.
        label: A column of strings or integers.
        out: Folder for the runs, results.json, results.parquet, predictions.parquet and evaluation.json.
        steps: Length of each run: that of the pretraining run it is compared with.
        labels_per_class: Labels of each class in a draw; None: all labelled rows of the training split, once.
        draws: Draws of few labels; draw d has the seed `seed + d`, and is that of `evaluate`'s `fewshot`.
        seed: Of the first draw and of its training.
        name: What the network is called in the records.
        overrides: Settings of the recipe `supervised` to change by dotted path, as `image_size=32` or
            `**{"optim.lr": 5e-4}`.

    Returns:
        One record for each draw and metric, task `supervised`.

    Raises:
        UsageError: An unknown column or setting.
        DataError: A split without labelled rows, or one class only.
        TrainingError: A run cannot go on.
        Interrupted: Stopped from outside; the same call goes on.
    """
    out, catalog = Path(out), Catalog.open(data)
    check_out(out, catalog.path)
    splits = read_splits(catalog, label)
    config = override(supervised(label), {"data": str(data), "label": label, "steps": steps, **overrides})
    origin = Origin(
        model=name, dataset=catalog.name, catalog_version=catalog.version, class_names=splits.class_names
    )
    few = labels_per_class is not None
    asked = [Question(TASK, labels_per_class, seed + draw) for draw in range(draws if few else 1)]
    scored = [
        _scored(training_of(question, config, splits), catalog, splits, origin, out) for question in asked
    ]
    results = [one for some in scored for one in some.results]
    settings = {
        "catalog": str(catalog.path),
        "catalog_version": catalog.version,
        "models": [
            {"name": name, "source": str(out / run_name(question.n_labels, question.seed))}
            for question in asked
        ],
        "tasks": [TASK],
        "labels_per_class": [labels_per_class] if few else [],
        "draws": len(asked),
        "seed": seed,
        **describe_rows(splits),
    }
    predictions = pa.concat_tables([some.predictions for some in scored])
    write_evaluation(out, results, predictions, settings=settings, catalog=catalog)
    return results


def run_name(n_labels: int | None, seed: int) -> str:
    """Folder of one run below `out`: "all_labels_seed_0" or "10_labels_seed_0"."""
    return f"{'all' if n_labels is None else n_labels}_labels_seed_{seed}"


@dataclass(frozen=True, eq=False)
class Training:
    """A question that is answered by training a network, ready to be run."""

    question: Question
    draw: Draw | None
    """None: all labels."""
    rows: Rows
    """What is trained on."""
    config: RunConfig


def training_of(question: Question, config: RunConfig, splits: Splits) -> Training:
    """Choose the rows of a question, and fit the settings to them."""
    draw = drawn_rows(splits, question)
    rows = splits.train if draw is None else splits.train.take(draw.rows)
    return Training(question, draw, rows, _run_config(config, question, rows))


def answer_by_training(
    training: Training,
    *,
    catalog: Catalog,
    splits: Splits,
    run: Path,
    details: Mapping[str, Any] | None = None,
) -> Answered:
    """Train, or go on with, the run in a folder, and predict the test rows with its head.

    Args:
        training: What to train.
        catalog: Where the rows are.
        splits: The labelled rows.
        run: The run's folder.
        details: What a reader must know besides the run's length and batch.
    """
    question, draw = training.question, training.draw
    summary = train(training.config, out=run, rows=training.rows.positions, resume=True)
    asked = splits.test if draw is None else splits.test.take(np.isin(splits.test.labels, draw.classes))
    began = time.perf_counter()
    probabilities = predict_rows(load(summary.model), catalog, asked, splits.class_names)
    return answered(
        question,
        splits,
        draw,
        probabilities,
        seconds=summary.seconds + time.perf_counter() - began,
        details={**_details(training.config, summary), **(details or {})},
    )


def _scored(training: Training, catalog: Catalog, splits: Splits, origin: Origin, out: Path) -> Scored:
    question = training.question
    run = out / run_name(question.n_labels, question.seed)
    answer = answer_by_training(training, catalog=catalog, splits=splits, run=run)
    settings = {"task": TASK, "n_labels": question.n_labels, **to_plain(training.config)}
    return score(answer, origin=origin, config_hash=config_hash(settings))


def _run_config(config: RunConfig, question: Question, rows: Rows) -> RunConfig:
    config = dataclasses.replace(config, seed=question.seed, batch_size=min(config.batch_size, len(rows)))
    if question.n_labels is None:
        return config
    # One look, which chooses nothing: the last weights are kept, and no validation label has a say.
    length = config.steps or config.epochs * math.ceil(len(rows) / config.batch_size)
    monitor = dataclasses.replace(config.monitor, every_steps=length, metric="none")
    return dataclasses.replace(config, monitor=monitor)


def _details(config: RunConfig, summary: RunSummary) -> dict[str, Any]:
    return {
        "encoder": config.encoder,
        "image_size": config.image_size,
        "steps": summary.steps,
        "batch_size": config.batch_size,
        "kept_step": summary.best_step,
    }


def predict_rows(
    model: Model, catalog: Catalog, rows: Rows, class_names: Sequence[str], *, batch_size: int = 256
) -> NDArray[np.float32]:
    """A model's label probabilities [N, C] of some rows, its own names put in the order of `class_names`.

    A class the model does not know gets zero.
    """
    places = [class_names.index(one) for one in model.class_names]
    probabilities = np.zeros((len(rows), len(class_names)), dtype=np.float32)
    for start in range(0, len(rows), batch_size):
        part = slice(start, start + batch_size)
        images = catalog.take(rows.positions[part], ["image"])["image"].to_pylist()
        probabilities[part, places] = model.predict(images)
    return probabilities
