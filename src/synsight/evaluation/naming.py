"""What tasks share that know classes by their names alone: the names, and the scoring of what they answer."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synsight.evaluation.judged import Judged
from synsight.evaluation.questions import Question, answered
from synsight.evaluation.scoring import Scored, score
from synsight.language.prompts import names_of_labels, read_class_names
from synsight.metrics import Scores, score_interval

MOST_SHOWN = 50
"""Classes whose names stand in a record."""

Names = Sequence[tuple[str, ...]]
"""For each class its names."""


def class_names(judged: Judged) -> Names:
    """Names of the classes: from the file that the options name, else the labels themselves.

    Raises:
        DataError: See `read_class_names`.
        UsageError: See `read_class_names`.
    """
    labels, options = judged.splits.class_names, judged.options
    if options.wording.class_names is None:
        return names_of_labels(labels)
    return read_class_names(options.wording.class_names, labels, dataset=options.wording.dataset)


def score_by_name(
    judged: Judged,
    task: str,
    probabilities: NDArray[np.float32],
    *,
    names: Names,
    seconds: float,
    details: Mapping[str, Any],
    settings: Mapping[str, Any],
) -> Scored:
    """Records and predictions of an answer that has seen no label: n_labels is 0.

    With more than five classes `acc5` is one of the records: the right class is among the five likeliest.

    Args:
        judged: Whose answer it is.
        task: What the records call it.
        probabilities: [M, C] of the test rows.
        names: What the classes were called.
        seconds: What it took.
        details: For the records.
        settings: What makes the question another one.
    """
    called = dict(zip(judged.splits.class_names, map(list, names), strict=True))
    shown = {"names": called} if len(called) <= MOST_SHOWN else {}
    answer = answered(
        Question(task, 0, judged.options.seed),
        judged.splits,
        None,
        probabilities,
        seconds=seconds,
        details={**details, **shown},
    )
    answer = replace(answer, details={**answer.details, "train_rows": 0})
    scored = score(
        answer,
        origin=judged.origin,
        config_hash=judged.question_hash(task, names=called, **settings),
    )
    known = {one.metric: one for one in scored.results}
    if probabilities.shape[1] <= 5 or "acc5" in known:
        return scored
    test = answer.test
    best = np.argpartition(-probabilities, 4, axis=1)[:, :5]
    hits = (best == test.labels[:, None]).any(axis=1)
    interval = score_interval([Scores(hits, np.zeros_like(test.labels), test.group_codes)])
    frequent = np.argsort(-np.bincount(answer.train_labels), kind="stable")[:5]
    record = replace(
        known["acc1"],
        metric="acc5",
        value=interval.value,
        ci_low=interval.low,
        ci_high=interval.high,
        baseline=float(np.isin(test.labels, frequent).mean()),
        details={**known["acc1"].details, "interval": interval.method},
    )
    return Scored([*scored.results, record], scored.predictions)
