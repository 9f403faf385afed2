"""A few labels of a new domain: what do k of each class buy, beside the labels of the old ones?

The source is what is labelled already (other vendors, the other camera); the target is what the model will
see. k rows of each class of the target's training rows are labelled, k from none to many; the others of them
may be looked at without their labels; the test rows are the target's alone. Every estimator gets the same
rows. Without a source it is the plain k-shot protocol.
"""

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synsight.errors import ConfigError, DataError
from synsight.evaluation.domains import joined_rows
from synsight.evaluation.estimators import Answer, Estimator, Problem, few_labels, linear
from synsight.evaluation.questions import Answered, Question
from synsight.evaluation.rows import Rows
from synsight.evaluation.scoring import METRICS, Origin
from synsight.evaluation.shifts import Shift
from synsight.metrics import Scores, paired_difference
from synsight.metrics.arrays import Floats, Integers
from synsight.records import Result

SHOTS = (0, 1, 4, 16, 64)
DRAWS = 10


@dataclass(frozen=True, eq=False)
class ShotProblem(Problem):
    """All that an estimator may see of a shift. The training rows are the source's, then the target's."""

    train_rows: Rows
    """[N] where the images of the training rows are."""
    train_is_target: NDArray[np.bool_]
    """[N]"""
    unlabelled_features: Floats
    """[U, D] of the target, without labels; no row is a test row."""
    seed: int
    """Of the draw, and of what the estimator draws."""


def few_of(labels: Integers, *, per_class: int, seed: int) -> NDArray[np.int64]:
    """Draw rows of every class, `per_class` of them or all that there are; ascending.

    Classes with enough rows get the rows of `metrics.draw_per_class`, and the draw of 4 is part of the draw
    of 16. No class is dropped, so that one curve is asked about the same test rows at each of its points.

    Raises:
        ConfigError: per_class < 0 or seed < 0.
    """
    if per_class < 0 or seed < 0:
        raise ConfigError(f"labels of each class and seed must be >= 0; got {per_class!r} and {seed!r}.")
    rows = [
        np.random.default_rng([seed, int(one)]).permutation(np.flatnonzero(labels == one))[:per_class]
        for one in np.unique(labels)
    ]
    drawn: NDArray[np.int64] = np.sort(np.concatenate([np.empty(0, np.int64), *rows]))
    return drawn


def shot_problem(shift: Shift, *, per_class: int | None, seed: int) -> ShotProblem:
    """What may be seen when k rows of each class of the target are labelled.

    Validation rows: the target's where all of its labels are known (k is None), the source's where none is;
    in between there are none, as a validation split of hundreds of labels would be hidden labels, and what is
    chosen is chosen by cross-validation.

    Raises:
        DataError: The rows show fewer than two classes.
    """
    target = shift.target
    drawn = (
        np.arange(len(target))
        if per_class is None
        else few_of(target.rows.labels, per_class=per_class, seed=seed)
    )
    others = np.setdiff1d(np.arange(len(target)), drawn)
    labelled = target.take(drawn)
    labels = np.concatenate([shift.source.rows.labels, labelled.rows.labels])
    if len(np.unique(labels)) < 2:
        raise DataError(
            f"{shift.label}: a classifier needs labelled rows of two classes; found {len(labels)} rows of "
            f"{len(np.unique(labels))} with {per_class} labels of each class of {shift.name!r}; ask for more "
            "labels, or name source rows."
        )
    val = shift.target_val if per_class is None else shift.source_val
    if per_class:
        val = val.take(np.empty(0, np.int64))
    return ShotProblem(
        train_features=np.concatenate([shift.source.features, labelled.features]),
        train_labels=labels,
        train_groups=np.concatenate([shift.source.rows.group_codes, labelled.rows.group_codes]),
        val_features=val.features,
        val_labels=val.rows.labels,
        test_features=shift.test.features,
        num_classes=shift.num_classes,
        train_rows=joined_rows([shift.source.rows, labelled.rows]),
        train_is_target=np.arange(len(labels)) >= len(shift.source),
        unlabelled_features=np.concatenate([target.features[others], shift.unlabelled]),
        seed=seed,
    )


def shots(
    shift: Shift,
    estimators: Mapping[str, Estimator],
    *,
    sizes: Sequence[int] = SHOTS,
    draws: int = DRAWS,
    seed: int = 0,
    need_target: Collection[str] = (),
) -> Iterator[Answered]:
    """Ask every estimator about the target's test rows at every number of labels; one answer a draw.

    Draw d has the seed `seed + d`, the same for all estimators. Without a label there is nothing to draw, so
    that question is asked once.

    Args:
        shift: The rows.
        estimators: Name in the records -> estimator; it is handed a `ShotProblem`.
        sizes: Labels of each class of the target.
        draws: Of each number of labels.
        seed: Of the first draw.
        need_target: Names of estimators that learn from the target alone and are not asked without labels.

    Raises:
        ConfigError: No draw.
        DataError: No test row, or too few labelled rows for a classifier.
    """
    if draws < 1:
        raise ConfigError(f"draws must be at least 1; got {draws!r}.")
    if not len(shift.test):
        raise DataError(f"{shift.label}: {shift.name!r} has no labelled test row; name another domain.")
    for size in sizes:
        for draw in range(draws if size else 1):
            problem = shot_problem(shift, per_class=size, seed=seed + draw)
            for name, estimator in estimators.items():
                if size or name not in need_target:
                    yield asked(shift, problem, name, estimator, n_labels=size)


def asked(
    shift: Shift, problem: ShotProblem, name: str, estimator: Estimator, *, n_labels: int | None
) -> Answered:
    """One estimator's answer, with what a reader must know about it."""
    began = time.perf_counter()
    answer = estimator(problem)
    seconds = time.perf_counter() - began
    target = shift.target.rows.labels
    counts = np.bincount(target, minlength=shift.num_classes)
    details: dict[str, Any] = {
        **answer.settings,
        "target": shift.name,
        "train_rows": len(problem.train_labels),
        "target_rows": int(problem.train_is_target.sum()),
        "unlabelled_rows": len(problem.unlabelled_features),
    }
    if n_labels:
        details["classes_with_fewer_labels"] = int(((counts > 0) & (counts < n_labels)).sum())
    if shift.left_out:
        details["train_rows_left_out_for_their_group"] = shift.left_out
    return Answered(
        Question(name, n_labels, problem.seed),
        shift.test.rows,
        target if len(target) else shift.source.rows.labels,
        answer.probabilities,
        seconds,
        details,
    )


def gains(answers: Sequence[Answered], *, against: str, origin: Origin, config_hash: str) -> list[Result]:
    """Records of how much better each estimator is than one of them, at each number of labels.

    `acc1_difference` and `mean_per_class_recall_difference`: over all draws, with the interval of the paired
    comparison over test groups, which counts the variation of the draws where there are three or more.

    Args:
        answers: Of one shift; the draws of all estimators.
        against: Name of the estimator that is taken off.
        origin: Whose features they are.
        config_hash: Of the records.
    """
    families: dict[tuple[int | None, str], list[Answered]] = {}
    for one in answers:
        families.setdefault((one.question.n_labels, one.question.task), []).append(one)
    found = []
    for (n_labels, name), mine in families.items():
        theirs = families.get((n_labels, against))
        if name != against and theirs is not None:
            found += [
                _gain(mine, theirs, metric, origin=origin, config_hash=config_hash) for metric in METRICS
            ]
    return found


def _gain(
    mine: Sequence[Answered], theirs: Sequence[Answered], metric: str, *, origin: Origin, config_hash: str
) -> Result:
    first = mine[0]
    sides = [[_scores(one, metric) for one in side] for side in (mine, theirs)]
    seeds = [[one.question.seed for one in side] for side in (mine, theirs)]
    found = paired_difference(*sides, first_seeds=seeds[0], second_seeds=seeds[1])
    return Result(
        model=origin.model,
        dataset=origin.dataset,
        task=first.question.task,
        metric=f"{metric}_difference",
        value=found.value,
        ci_low=found.low,
        ci_high=found.high,
        n_labels=first.question.n_labels,
        seed=first.question.seed,
        n_test=len(first.test),
        baseline=0.0,
        catalog_version=origin.catalog_version,
        config_hash=config_hash,
        details={
            "against": theirs[0].question.task,
            "draws": len(mine),
            "p_value": float(f"{found.p_value:.4g}"),
            "detectable": round(found.detectable, 4),
            "interval": found.method,
        },
    )


def _scores(answer: Answered, metric: str) -> Scores:
    test = answer.test
    hits = answer.probabilities.argmax(axis=1) == test.labels
    return Scores(hits, METRICS[metric](test.labels), test.group_codes)


def tuned_logistic(problem: Problem) -> Answer:
    """The baseline to beat: logistic regression, C chosen on validation rows where there are any, else by
    cross-validation inside the labelled rows.
    """
    return linear(problem) if len(problem.val_labels) else few_labels(problem)


def target_only(estimator: Estimator) -> Estimator:
    """The same estimator, to which the source is not shown."""

    def ask(problem: Problem) -> Answer:
        assert isinstance(problem, ShotProblem)
        own = problem.train_is_target
        if len(np.unique(problem.train_labels[own])) < 2:
            raise DataError("an estimator that learns from the target alone needs labels of two classes.")
        return estimator(
            replace(
                problem,
                train_features=problem.train_features[own],
                train_labels=problem.train_labels[own],
                train_groups=problem.train_groups[own],
                train_rows=problem.train_rows.take(own),
                train_is_target=own[own],
            )
        )

    return ask
