"""Which questions are asked: each is one estimator, on all labels or on one draw of a few."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synsight.errors import ConfigError, DataError, UsageError, near_names
from synsight.evaluation.estimators import Estimator, Problem
from synsight.evaluation.rows import Rows, Splits
from synsight.metrics import Draw, draw_per_class
from synsight.metrics.arrays import Floats

CURVE_LABELS = (1, 2, 5, 10, 20, 50)
CURVE_DRAWS = 10
ALL_LABELS = "linear"
"""The task that closes a curve: all labels of the training rows, C chosen on the validation rows."""
FEW_LABEL_TASKS = frozenset({"fewshot"})
"""Tasks whose estimator learns from a draw and sees no validation row."""


@dataclass(frozen=True, order=True)
class Question:
    """One estimator, asked once."""

    task: str
    n_labels: int | None
    """Labels a class; None: all of the training split."""
    seed: int
    """Of the draw."""


@dataclass(frozen=True, eq=False)
class Features:
    """One model's features of the labelled rows, in their order."""

    train: Floats
    """[N, D]"""
    val: Floats
    test: Floats


@dataclass(frozen=True, eq=False)
class Answered:
    """A question with its answer, ready to be scored."""

    question: Question
    test: Rows
    """Rows that were asked about: M."""
    train_labels: NDArray[np.int64]
    """Labels that the most frequent class is counted in: the whole training split without dropped classes."""
    probabilities: NDArray[np.float32]
    """[M, C]"""
    seconds: float
    details: Mapping[str, Any] = field(default_factory=dict)


def questions(
    tasks: Sequence[str],
    splits: Splits,
    *,
    labels_per_class: Sequence[int],
    draws: int,
    seed: int,
    estimators: Mapping[str, Estimator],
) -> list[Question]:
    """Spell the tasks out as single questions, each once.

    "curve" is "fewshot" with 1, 2, 5, 10, 20 and 50 labels a class, as far as two classes have them, and ten
    draws, or more if more are asked for; then "linear" with all labels, where there are validation rows to
    choose by. Draw d has the seed `seed + d`.

    Raises:
        UsageError: An unknown task.
        ConfigError: No draws, or fewer than one label a class.
        DataError: No test row is of a class that a training row shows.
    """
    splits.check_learnable()
    if draws < 1 or not labels_per_class or min(labels_per_class) < 1:
        raise ConfigError(
            f"draws and labels_per_class must be at least 1; got {draws!r} and {list(labels_per_class)!r}."
        )
    asked: list[Question] = []
    for task in tasks:
        if task == "curve":
            enough = sorted(np.bincount(splits.train.labels), reverse=True)[1]
            sizes = [size for size in CURVE_LABELS if size <= enough]
            many = range(max(CURVE_DRAWS, draws))
            asked += [Question("fewshot", size, seed + draw) for size in sizes for draw in many]
            if ALL_LABELS in estimators and len(splits.val):
                asked.append(Question(ALL_LABELS, None, seed))
        elif task not in estimators:
            raise UsageError(f"there is no task {task!r}; {near_names(task, [*estimators, 'curve'])}")
        elif task in FEW_LABEL_TASKS:
            for size in labels_per_class:  # before any feature is computed
                draw_per_class(splits.train.labels, per_class=size, seed=seed)
            asked += [Question(task, size, seed + draw) for size in labels_per_class for draw in range(draws)]
        else:
            asked.append(Question(task, None, seed))
    return list(dict.fromkeys(asked))


def ask(
    asked: Sequence[Question], features: Features, splits: Splits, *, estimators: Mapping[str, Estimator]
) -> Iterator[Answered]:
    """Answer the questions one by one with one model's features.

    Raises:
        DataError: No test row is of a class that has enough labels.
    """
    for question in asked:
        draw = drawn_rows(splits, question)
        train, train_features = splits.train, features.train
        kept = np.ones(len(splits.test), dtype=bool)
        val = slice(None)
        if draw is not None:
            kept = np.isin(splits.test.labels, draw.classes)
            if not kept.any():
                raise DataError(
                    f"{splits.label}: no test row is of one of the {len(draw.classes)} classes that have "
                    f"{question.n_labels} training rows; ask for fewer labels a class."
                )
            train, train_features = splits.train.take(draw.rows), features.train[draw.rows]
            val = slice(0)
        problem = Problem(
            train_features=train_features,
            train_labels=train.labels,
            train_groups=train.group_codes,
            val_features=features.val[val],
            val_labels=splits.val.labels[val],
            test_features=features.test[kept],
            num_classes=splits.num_classes,
        )
        began = time.perf_counter()
        answer = estimators[question.task](problem)
        seconds = time.perf_counter() - began
        yield answered(question, splits, draw, answer.probabilities, seconds=seconds, details=answer.settings)


def drawn_rows(splits: Splits, question: Question) -> Draw | None:
    """The draw of a question with few labels: the same for every model and for training from scratch."""
    if question.n_labels is None:
        return None
    return draw_per_class(splits.train.labels, per_class=question.n_labels, seed=question.seed)


def answered(
    question: Question,
    splits: Splits,
    draw: Draw | None,
    probabilities: NDArray[np.float32],
    *,
    seconds: float,
    details: Mapping[str, Any],
) -> Answered:
    """Put probabilities of the test rows beside what a reader must know about them.

    Args:
        question: What was asked.
        splits: The labelled rows.
        draw: The draw of few labels; test rows of its dropped classes are not asked about. None: all labels.
        probabilities: [M, C] of the test rows that are asked about.
        seconds: Fit plus predict.
        details: Settings of the estimator.
    """
    names = np.array(splits.class_names, dtype=object)
    if draw is None:
        only_in_test = names[splits.only_in_test].tolist()
        rows = {"train_rows": len(splits.train), "classes": splits.num_classes}
        if only_in_test:
            rows["classes_only_in_test"] = only_in_test
        return Answered(
            question, splits.test, splits.train.labels, probabilities, seconds, {**details, **rows}
        )
    asked = np.isin(splits.test.labels, draw.classes)
    rows = {
        "train_rows": len(draw.rows),
        "classes": len(draw.classes),
        "classes_dropped": len(splits.class_names) - len(draw.classes),
        "test_rows_dropped": int((~asked).sum()),
    }
    train_labels = splits.train.labels[np.isin(splits.train.labels, draw.classes)]
    return Answered(
        question, splits.test.take(asked), train_labels, probabilities, seconds, {**details, **rows}
    )
