"""One classifier, learnt from clean features, asked about altered test images: what `corruptions` and
`resolution` share.

M asked test rows, C classes.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from PIL import Image

from synsight.data.images import decode_image
from synsight.errors import DataError
from synsight.evaluation.judged import Judged
from synsight.evaluation.questions import Answered, Question
from synsight.evaluation.resampling import Resampling
from synsight.evaluation.rows import Rows
from synsight.evaluation.scoring import Scored, score
from synsight.metrics import LinearProbe
from synsight.models import Model
from synsight.progress import progress_bar
from synsight.records import Result
from synsight.seeding import generator

BATCH = 32
"""Test images in memory at once."""
CLEAN = "clean"

Altered = Callable[[Model, Sequence[Image.Image], Sequence[str]], Iterator[torch.Tensor]]
"""The model, decoded images and the ids of their rows -> for each alteration what the encoder is shown, uint8
[B, 3, S, S]."""


@dataclass(frozen=True, eq=False)
class Asked:
    """The classifier and the test rows it is asked about."""

    probe: LinearProbe
    rows: Rows
    """M of the test rows, in their order."""
    clean: NDArray[np.float32]
    """Probabilities of the images as they are, [M, C]."""
    details: Mapping[str, Any]
    """What a reader needs to repeat it."""
    seconds: float
    """Of the fit."""


def ask_clean(judged: Judged) -> Asked:
    """Fit the linear probe on the features of clean images, and choose the test rows.

    Of more than `options.robustness.rows` test rows so many are drawn by the seed: each altered image is
    embedded anew, and nothing of it is kept.

    Raises:
        UsageError: Only features are known.
        DataError: There is no validation row to choose the probe's regularisation on.
    """
    image_size = judged.network.config.image_size  # refuses a file of features before anything is computed
    splits, features, options = judged.splits, judged.features, judged.options
    if not len(splits.val):
        raise DataError(
            "the linear probe chooses its regularisation on val rows, and the val split has no labelled "
            "row; ingest with a split column, or leave 'corruptions' and 'resolution' out."
        )
    began = time.perf_counter()
    probe = judged.linear_probe()
    seconds = time.perf_counter() - began
    chosen = np.arange(len(splits.test))
    if len(chosen) > options.robustness.rows:
        rng = generator(options.seed, "robustness rows")
        chosen = np.sort(rng.choice(chosen, size=options.robustness.rows, replace=False))
    details = {
        "classifier": "linear probe on clean features",
        "C": probe.c,
        "chosen_on": "val",
        "train_rows": len(splits.train),
        "test_rows_asked": len(chosen),
        "test_rows": len(splits.test),
        "image_size": image_size,
    }
    rows = splits.test.take(chosen)
    return Asked(probe, rows, probe.probabilities(features.test[chosen]), details, seconds)


@dataclass(frozen=True, eq=False)
class Answers:
    """What the classifier says of altered images."""

    probabilities: list[NDArray[np.float32]]
    """One [M, C] for each alteration."""
    seconds: float
    """Of one of them."""


def ask_altered(judged: Judged, asked: Asked, altered: Altered, *, count: int, title: str) -> Answers:
    """Ask about the rows under `count` alterations; every image is decoded once."""
    model = judged.network
    found = [np.empty_like(asked.clean) for _ in range(count)]
    began = time.perf_counter()
    total = len(asked.rows) * count
    with progress_bar(f"{title}, {judged.name}", total=total, shown=judged.progress) as bar:
        for part, ids, images in _batches(judged, asked.rows):
            for rows, pixels in zip(found, altered(model, images, ids), strict=True):
                rows[part] = asked.probe.probabilities(model.features(pixels).cpu().numpy())
                bar.advance(len(ids))
    return Answers(found, (time.perf_counter() - began) / count)


def score_altered(
    judged: Judged,
    asked: Asked,
    answers: Sequence[NDArray[np.float32]],
    *,
    task: str,
    seconds: float,
    details: Mapping[str, Any],
) -> Scored:
    """Score one or several answers to the asked rows as one: the mean over the answers.

    `acc1` says in its details what it lost against the clean images, and a record `acc1_relative_drop` says
    which share of the clean accuracy that is: both on the same rows.
    """
    count, splits = len(asked.rows), judged.splits
    settings = {**asked.details, **details}
    hashed = judged.question_hash(task, seed=judged.options.seed, **details, rows=count)
    answer = Answered(
        Question(task, None, judged.options.seed),
        asked.rows.take(np.tile(np.arange(count), len(answers))),
        splits.train.labels,
        np.concatenate(answers),
        seconds,
        settings,
    )
    scored = score(answer, origin=judged.origin, config_hash=hashed)
    results = [replace(one, n_test=count) for one in scored.results]
    if task.rpartition(":")[2] != CLEAN:
        results.append(_drop(asked, answers, next(one for one in results if one.metric == "acc1")))
    return Scored(results, scored.predictions)


def joined(parts: Sequence[Scored]) -> Scored:
    """The records and predictions of several answers."""
    return Scored(
        [one for part in parts for one in part.results],
        pa.concat_tables([part.predictions for part in parts]),
    )


def _drop(asked: Asked, answers: Sequence[NDArray[np.float32]], accuracy: Result) -> Result:
    """1 - altered / clean accuracy; both see the same groups in every resample."""
    labels = asked.rows.labels
    clean = (asked.clean.argmax(axis=1) == labels).astype(np.float64)
    altered = np.mean([one.argmax(axis=1) == labels for one in answers], axis=0)
    sums = Resampling(asked.rows.group_codes).sums(np.stack([clean, altered], axis=1))
    with np.errstate(divide="ignore", invalid="ignore"):
        drops = 1 - sums[:, 1] / sums[:, 0]  # [R + 1]; no number where no clean image was answered rightly
    known = drops[1:][np.isfinite(drops[1:])]
    low, high = np.quantile(known, [0.025, 0.975]) if len(known) else (None, None)
    details = {**accuracy.details, "clean_acc1": float(clean.mean()), "acc1": float(altered.mean())}
    return replace(
        accuracy,
        metric="acc1_relative_drop",
        value=float(drops[0]) if clean.any() else 0.0,
        ci_low=None if low is None else float(low),
        ci_high=None if high is None else float(high),
        baseline=0.0,
        details=details,
    )


def _batches(judged: Judged, rows: Rows) -> Iterator[tuple[slice, list[str], list[Image.Image]]]:
    for start in range(0, len(rows), BATCH):
        part = slice(start, min(start + BATCH, len(rows)))
        table = judged.catalog.take(rows.positions[part], ["image"])
        yield part, rows.ids[part].tolist(), [decode_image(one) for one in table["image"].to_pylist()]
