"""A learning rate chosen on labels that are held back, not on those that are asked about.

Of few labels a third is held back, whole groups and of every class alike; with all labels the validation
split has this part. Each rate is tried on the rest for as many steps as the run itself takes, and the run
then learns from all labels at the rate that was best. So k rates cost about k + 1 trainings in place of one.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synsight.data.catalog import Catalog
from synsight.evaluation.rows import Rows, Splits
from synsight.finetuning.supervised import Training, answer_by_training
from synsight.metrics.arrays import Integers
from synsight.seeding import generator
from synsight.training import override

HELD_BACK = 3
"""One of so many labels of a class."""

WithHead = Callable[[Training, Path], Training]
"""A training with the rows its classifier begins with, made of the rows it learns from alone."""


@dataclass(frozen=True)
class Choice:
    """The learning rate of a run."""

    lr: float
    details: Mapping[str, Any] = field(default_factory=dict)
    """What a reader must know: what was tried, on what it was chosen."""
    seconds: float = 0.0
    """What the choice took."""


def choose_rate(
    training: Training,
    rates: Sequence[float],
    *,
    splits: Splits,
    catalog: Catalog,
    run: Path,
    with_head: WithHead,
) -> Choice:
    """Try learning rates on labels that are held back.

    Ties go to the rate nearest to the recipe's. Where a class has too few labels to hold one back, nothing is
    tried and the recipe's rate stays. Trials stand beside the run; what is finished is not repeated.

    Args:
        training: The run whose rate is asked for.
        rates: Multiples of its rate.
        splits: The labelled rows.
        catalog: Where they are.
        run: The run's folder.
        with_head: Makes the classifier's first rows.
    """
    own = training.config.optim.lr
    few = training.draw is not None
    if few or not len(splits.val):
        held = held_back(training.rows.labels, training.rows.group_codes, seed=training.question.seed)
        asked, chosen_on = training.rows.take(held), f"one in {HELD_BACK} labels, held back"
    else:
        held, asked, chosen_on = np.zeros(len(training.rows), bool), splits.val, "val"
    if not len(asked):
        return Choice(own, {"lr_chosen_on": "nothing: too few labels to hold one back"})
    began, found = time.perf_counter(), dict[float, float]()
    for rate in dict.fromkeys(rates):
        trial = with_head(
            _part(training, ~held, own * rate), run.with_name(f"{run.name}_head_{rate:g}.safetensors")
        )
        answer = answer_by_training(
            trial,
            catalog=catalog,
            splits=replace(splits, test=asked),
            run=run.with_name(f"{run.name}_lr_{rate:g}"),
        )
        found[rate] = float((answer.probabilities.argmax(axis=1) == answer.test.labels).mean())
    best = max(found, key=lambda rate: (found[rate], -abs(np.log(rate))))
    details = {
        "lr_chosen_on": chosen_on,
        "lr_held_back": len(asked),
        "lr_tried": {f"{own * rate:.6g}": round(share, 6) for rate, share in found.items()},
    }
    return Choice(own * best, details, time.perf_counter() - began)


def held_back(labels: Integers, groups: Integers, *, seed: int) -> NDArray[np.bool_]:
    """Which of a few labelled rows only judge a rate, [N]: a third of each class at most, groups whole.

    Nothing is held back of any class unless every class has a row to spare.

    Args:
        labels: [N]
        groups: [N] one number a group.
        seed: Of the order in which groups are taken.
    """
    classes, numbers = np.unique(labels, return_inverse=True)
    spare = np.bincount(numbers) // HELD_BACK
    held = np.zeros(len(labels), bool)
    for group in generator(seed, "held back labels").permutation(np.unique(groups)):
        rows = groups == group
        counts = np.bincount(numbers[rows], minlength=len(classes))
        if (counts <= spare).all():
            spare -= counts
            held |= rows
    enough = len(np.unique(numbers[held])) == len(classes)
    return held if enough else np.zeros(len(labels), bool)


def _part(training: Training, kept: NDArray[np.bool_], lr: float) -> Training:
    rows: Rows = training.rows.take(kept)
    draw = training.draw
    batch = min(training.config.batch_size, len(rows))
    config = override(training.config, {"optim.lr": lr, "batch_size": batch})
    return replace(
        training, rows=rows, draw=None if draw is None else replace(draw, rows=draw.rows[kept]), config=config
    )
