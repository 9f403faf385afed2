"""k-shot with Transfer Init: does it pay to begin a classifier at the rows of the words its labels mean?

Judged three ways, each from the words' rows and from random ones, on the same draws of labels:

    start_fixed_steps    AdamW for CatLIP's 30 epochs at 3e-5, after which random rows have hardly left chance
    start_pulled         to convergence, the distance from the start being penalised: a start is knowledge
    start_converged      to convergence, the distance from zero being penalised: convex, so that where it
                         starts cannot matter

What begins at random rows is called the same with `_random` behind.
"""

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from synsight.errors import DataError
from synsight.evaluation.evidence import check_words, describe_words, words_of_classes
from synsight.evaluation.judged import Judged
from synsight.evaluation.naming import class_names
from synsight.evaluation.questions import Answered, Question, answered, drawn_rows
from synsight.evaluation.scoring import METRICS, Scored, score
from synsight.metrics import (
    Scores,
    Start,
    StartProbe,
    fit_few_from_start,
    fit_fixed_steps,
    paired_difference,
    random_start,
)
from synsight.metrics.arrays import Floats, Integers
from synsight.metrics.few_shot import Draw
from synsight.records import Result

TASK = "start"
RANDOM = "_random"
"""Behind the name of a judgement: from random rows."""

Fit = Callable[..., Start]
"""(features, labels, groups, start=..., seed=...) -> a classifier."""


def _fixed_steps(features: Floats, labels: Integers, groups: Integers, *, start: Start, seed: int) -> Start:
    return fit_fixed_steps(features, labels, start=start, seed=seed)


def _to_convergence(
    features: Floats, labels: Integers, groups: Integers, *, start: Start, seed: int, pull: bool
) -> Start:
    return fit_few_from_start(features, labels, groups, start=start, pull=pull)


JUDGEMENTS: Mapping[str, Fit] = {
    "start_fixed_steps": _fixed_steps,
    "start_pulled": partial(_to_convergence, pull=True),
    "start_converged": partial(_to_convergence, pull=False),
}


def start(judged: Judged) -> Scored:
    """Fit classifiers to a few labels from the rows of words and from random rows, and compare.

    Beside the usual records of each answer stand those of the gain: `acc1_difference` and
    `mean_per_class_recall_difference`, the words' start minus the random one over all draws, with the
    interval of the paired bootstrap over test groups.

    Raises:
        UsageError: The model predicts no words, knows no class's name, or only features are known.
        DataError: No test row is of a class that has enough labels.
    """
    model, options = check_words(judged, TASK), judged.options
    names = class_names(judged)
    init = words_of_classes(judged, model, names)
    details = describe_words(judged, init)
    scored: list[Scored] = []
    for n_labels in options.labels_per_class:
        answers: dict[str, list[Answered]] = {}
        for seed in range(options.seed, options.seed + options.draws):
            draw = drawn_rows(judged.splits, Question(TASK, n_labels, seed))
            assert draw is not None, "a number of labels was asked for"
            starts = {"": init, RANDOM: random_start(*init.weight.shape, seed=seed)}
            for task, fit in JUDGEMENTS.items():
                for suffix, begin in starts.items():
                    question = Question(task + suffix, n_labels, seed)
                    answer = _answer(judged, question, draw, partial(fit, start=begin, seed=seed), details)
                    answers.setdefault(question.task, []).append(answer)
        for answer in (one for some in answers.values() for one in some):
            scored.append(score(answer, origin=judged.origin, config_hash=_hash(judged, answer.question)))
        gains = [
            gain for task in JUDGEMENTS for gain in _gains(judged, answers[task], answers[task + RANDOM])
        ]
        scored.append(Scored(gains, scored[-1].predictions.slice(0, 0)))
    return Scored(
        [one for some in scored for one in some.results],
        pa.concat_tables([one.predictions for one in scored]),
    )


def _answer(
    judged: Judged, question: Question, draw: Draw, fit: Callable[..., Start], details: Mapping[str, Any]
) -> Answered:
    splits, features = judged.splits, judged.features
    asked = np.isin(splits.test.labels, draw.classes)
    if not asked.any():
        raise DataError(
            f"{splits.label}: no test row is of one of the {len(draw.classes)} classes that have "
            f"{question.n_labels} training rows; ask for fewer labels a class."
        )
    train = splits.train.take(draw.rows)
    began = time.perf_counter()
    probe = fit(features.train[draw.rows], train.labels, train.group_codes)
    probabilities = probe.probabilities(features.test[asked])
    seconds = time.perf_counter() - began
    fitted = {"C": probe.c, "converged": probe.converged} if isinstance(probe, StartProbe) else {}
    return answered(question, splits, draw, probabilities, seconds=seconds, details={**details, **fitted})


def _gains(judged: Judged, ours: list[Answered], random: list[Answered]) -> list[Result]:
    first, results = ours[0], []
    for metric, strata in METRICS.items():
        sides = [
            [
                Scores(
                    one.probabilities.argmax(axis=1) == one.test.labels,
                    strata(one.test.labels),
                    one.test.group_codes,
                )
                for one in side
            ]
            for side in (ours, random)
        ]
        seeds = [one.question.seed for one in ours]
        found = paired_difference(*sides, first_seeds=seeds, second_seeds=seeds)
        results.append(
            Result(
                model=judged.name,
                dataset=judged.catalog.name,
                task=first.question.task,
                metric=f"{metric}_difference",
                value=found.value,
                ci_low=found.low,
                ci_high=found.high,
                n_labels=first.question.n_labels,
                seed=judged.options.seed,
                n_test=len(first.test),
                baseline=0.0,
                catalog_version=judged.version,
                config_hash=_hash(judged, first.question),
                seconds=round(sum(one.seconds for one in [*ours, *random]), 4),
                details={
                    "against": first.question.task + RANDOM,
                    "draws": len(ours),
                    "p_value": found.p_value,
                    "interval": found.method,
                },
            )
        )
    return results


def _hash(judged: Judged, question: Question) -> str:
    return judged.question_hash(question.task, n_labels=question.n_labels, seed=question.seed)
