"""5-way 5-shot episodes over the classes of the test rows."""

import time

import numpy as np
from numpy.typing import NDArray

from synsight.errors import DataError
from synsight.evaluation.judged import Judged
from synsight.evaluation.rows import Rows
from synsight.evaluation.scoring import PREDICTIONS, Scored
from synsight.metrics import Scores, few_shot_episodes, score_interval
from synsight.metrics.episodes import Tally
from synsight.records import Result

TASK = "episodes"
WAYS, SHOTS, QUERIES = 5, 5, 6
BLOCKS = 20
"""How often the row that stands for a group is drawn anew."""


def episodes(judged: Judged) -> Scored:
    """Draw episodes from the test rows: 5 classes, 5 rows of each to learn from, 6 others to ask about.

    Of rows of one class and group, as near-duplicates, one takes part in an episode, so that none is learnt
    from and its copy asked about; data without groups give the published protocol. Classes with too few
    rows (or groups) are left out and counted; with fewer than five classes all take part, and the baseline
    is 1 / classes. The interval resamples the test groups that were asked about; the standard error in the
    details is that of drawing the episodes. There are no predictions, since a row is asked many times.

    Raises:
        DataError: There are not two classes with six rows (or groups).

    Reference: El Banani et al. 2023, section 4, https://arxiv.org/abs/2302.12248
    """
    test, features, options = judged.splits.test, judged.features.test, judged.options
    began = time.perf_counter()
    tally, accuracies = Tally.of(len(test)), []
    found = None
    for block in range(BLOCKS):
        rng = np.random.default_rng([options.seed, block])
        rows = one_of_each_group(test, rng)
        part = Tally.of(len(rows))
        found = few_shot_episodes(
            features[rows],
            test.labels[rows],
            ways=WAYS,
            shots=SHOTS,
            queries=QUERIES,
            episodes=max(2, -(-options.episodes // BLOCKS)),
            rng=rng,
            tally=part,
        )
        if found is None:
            raise DataError(
                f"{judged.splits.label}: episodes need two classes with {SHOTS + 1} test rows of different "
                f"groups; the largest have {_largest(test.labels[rows])}; choose another label, or leave the "
                "task out."
            )
        tally.asked[rows] += part.asked
        tally.right[rows] += part.right
        accuracies.append(found)
    assert found is not None
    classes = np.bincount(test.labels[rows])
    taking_part = int((classes >= found.shots + found.queries).sum())
    errors = np.array([one.standard_error for one in accuracies])
    interval = score_interval([_answers(tally, test)])
    count = BLOCKS * max(2, -(-options.episodes // BLOCKS))
    settings = {"ways": found.ways, "shots": found.shots, "queries": found.queries, "episodes": count}
    result = Result(
        model=judged.name,
        dataset=judged.catalog.name,
        task=TASK,
        metric="acc1",
        value=float(np.mean([one.acc1 for one in accuracies])),
        ci_low=interval.low,
        ci_high=interval.high,
        n_labels=found.shots,
        seed=options.seed,
        n_test=int((tally.asked > 0).sum()),
        baseline=1 / found.ways,
        catalog_version=judged.version,
        config_hash=judged.question_hash(TASK, seed=options.seed, **settings),
        seconds=round(time.perf_counter() - began, 4),
        details={
            **settings,
            "standard_error": round(float(np.sqrt((errors**2).sum()) / BLOCKS), 5),
            "classes": taking_part,
            "classes_dropped": int((classes > 0).sum()) - taking_part,
            "classifier": "nearest mean of centred unit rows",
            "interval": interval.method,
        },
    )
    return Scored([result], PREDICTIONS.empty_table())


def one_of_each_group(test: Rows, rng: np.random.Generator) -> NDArray[np.int64]:
    """A random row of each (class, group), ascending."""
    order = rng.permutation(len(test))
    keys = np.stack([test.labels[order], test.group_codes[order]], axis=1)
    rows: NDArray[np.int64] = np.sort(order[np.unique(keys, axis=0, return_index=True)[1]])
    return rows


def _answers(tally: Tally, test: Rows) -> Scores:
    """Every time that a row was asked about, as an answer of its own."""
    rows = np.repeat(np.arange(len(test)), tally.asked)
    number = np.arange(len(rows)) - np.repeat(np.cumsum(tally.asked) - tally.asked, tally.asked)
    return Scores(number < tally.right[rows], np.zeros(len(rows), np.int64), test.group_codes[rows])


def _largest(labels: NDArray[np.int64]) -> list[int]:
    return sorted(np.bincount(labels).tolist(), reverse=True)[:3]
