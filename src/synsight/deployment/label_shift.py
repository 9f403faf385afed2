"""The class mix: as the model predicts it, and as it is likely to be, corrected for what it confuses.

Both corrections suppose that images of a class still look as they did (label shift): then what the model
makes of a class is known from the reference, and the shares that explain its answers can be solved for.

n reference rows, m current rows, C classes, R resamples.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from synsight.errors import ShapeError
from synsight.metrics.arrays import Floats, Integers
from synsight.metrics.bca import group_counts
from synsight.metrics.mean_differences import discoveries, mean_differences
from synsight.reports.drift_records import ClassShare, LabelShift

RESAMPLES = 200
LEAST_SINGULAR = 0.1
"""Of the confusion matrix, in columns of sum 1; below it the equations turn noise into shares."""
_STEPS = 200
_SETTLED = 1e-6


@dataclass(frozen=True, eq=False)
class Answers:
    """What a model answered to the rows of one side."""

    probabilities: NDArray[np.float32]
    """[N, C]"""
    groups: NDArray[np.int64]
    """[N] the same numbers on both sides for the same groups."""
    labels: NDArray[np.int64] | None = None
    """[N] classes, -1 where there is none; None: there are no labels."""
    one_of: bool = True
    """Exactly one class is right; else each label stands by itself."""

    @property
    def predictions(self) -> NDArray[np.int64]:
        """[N]"""
        return np.asarray(self.probabilities.argmax(axis=1), np.int64)

    @property
    def shares(self) -> NDArray[np.float32]:
        """[N, C] one where the class is predicted."""
        if not self.one_of:
            return (self.probabilities > 0.5).astype(np.float32)
        return np.eye(self.probabilities.shape[1], dtype=np.float32)[self.predictions]


def label_shift(
    names: Sequence[str],
    reference: Answers,
    current: Answers,
    *,
    predicted_by: Literal["model", "probe"],
    alpha: float = 0.05,
    seed: int = 0,
) -> LabelShift:
    """The mix of classes on both sides, largest change first.

    Args:
        names: Of the C classes.
        reference: Answers to the reference rows; with labels the true shares are estimated, too.
        current: Answers to the current rows.
        predicted_by: For the record.
        alpha: Of the intervals and of what is called moved.
        seed: Of the resamples.
    """
    found = mean_differences(
        reference.shares, current.shares, first_groups=reference.groups, second_groups=current.groups
    )
    told = discoveries(found.p_values, alpha=alpha)
    half = np.where(told.found, found.half_widths(told.level), found.half_widths(1 - alpha))
    half = np.where(np.isfinite(half), half, 1.0)
    method: Literal["bbse", "em", ""] = ""
    truth, ends = None, None
    if reference.one_of and reference.labels is not None and (reference.labels >= 0).any():
        method, truth, ends = _estimated(reference, current, alpha=alpha, seed=seed)
    order = np.lexsort((-np.abs(found.value), ~told.found))
    return LabelShift(
        predicted_by=predicted_by,
        method=method,
        classes=[
            ClassShare(
                name=names[one],
                predicted_reference=float(found.first[one]),
                predicted_current=float(found.second[one]),
                low=max(-1.0, float(found.value[one] - half[one])),
                high=min(1.0, float(found.value[one] + half[one])),
                moved=bool(told.found[one]),
                true_reference=None if truth is None else float(truth[one]),
                estimate=None if ends is None else float(ends[0][one]),
                estimate_low=None if ends is None else float(ends[1][one]),
                estimate_high=None if ends is None else float(ends[2][one]),
            )
            for one in order.tolist()
        ],
        one_of=reference.one_of,
    )


def black_box_shares(confusion: NDArray[np.float64], predicted: NDArray[np.float64]) -> NDArray[np.float64]:
    """True shares of classes that explain the predicted ones, [C], sum 1 (BBSE).

    Args:
        confusion: [C, C] chance that class j is called i, columns of sum 1; a column of zeros: never seen.
        predicted: [C] shares of the predictions.

    Reference: Lipton, Wang and Smola 2018, "Detecting and correcting for label shift with black box
        predictors", https://arxiv.org/abs/1802.03916. Departure: shares are kept >= 0 by solving the
        equations as non-negative least squares.
    """
    shares = nnls(confusion, predicted)[0]
    total = shares.sum()
    return np.asarray(shares / total if total > 0 else predicted)


def expected_shares(
    probabilities: Floats, trained_on: NDArray[np.float64], *, steps: int = _STEPS
) -> NDArray[np.float64]:
    """True shares of classes by expectation and maximisation over calibrated probabilities, [C].

    Args:
        probabilities: [m, C] of the current rows.
        trained_on: [C] shares that the probabilities suppose.
        steps: At most.

    Reference: Saerens, Latinne and Decaestecker 2002, "Adjusting the outputs of a classifier to new a priori
        probabilities", eqs. 2.4 and 2.9, Neural Computation 14.
    """
    known = trained_on > 0
    shares = np.where(known, trained_on, 0)
    for _ in range(steps):
        weighted = probabilities * np.where(known, shares / np.where(known, trained_on, 1), 0)
        total = weighted.sum(axis=1, keepdims=True)
        new = (weighted / np.where(total > 0, total, 1)).mean(axis=0)
        new /= max(new.sum(), 1e-12)
        if np.abs(new - shares).max() < _SETTLED:
            return np.asarray(new)
        shares = new
    return shares


def _estimated(
    reference: Answers, current: Answers, *, alpha: float, seed: int
) -> tuple[
    Literal["bbse", "em"],
    NDArray[np.float64],
    tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]],
]:
    """Method, true shares of the reference, and (estimate, low, high) of the current rows."""
    labels = reference.labels
    if labels is None:
        raise ShapeError("shares can be estimated from labelled reference rows only.")
    known = labels >= 0
    classes = reference.probabilities.shape[1]
    cells = reference.predictions[known] * classes + labels[known]
    counts = _by_group(cells, reference.groups[known], classes**2)
    answers = _by_group(current.predictions, current.groups, classes)
    truth = np.bincount(labels[known], minlength=classes) / known.sum()
    seen = truth > 0
    confusion = _columns(counts.sum(axis=0), classes)
    singular = np.linalg.svd(confusion[:, seen], compute_uv=False)
    use_em = not len(singular) or singular.min() < LEAST_SINGULAR
    generator = np.random.default_rng(seed)

    def drawn(table: NDArray[np.float64], times: int) -> NDArray[np.float64]:
        return group_counts(generator, times, len(table)) @ table

    if use_em:
        value = expected_shares(current.probabilities, truth)
        sums = _by_group_of_rows(current.probabilities, current.groups)
        again = [_resampled_em(sums, truth, generator) for _ in range(RESAMPLES // 4)]
    else:
        value = black_box_shares(confusion, answers.sum(axis=0) / answers.sum())
        both = zip(drawn(counts, RESAMPLES), drawn(answers, RESAMPLES), strict=True)
        again = [black_box_shares(_columns(one, classes), two / max(two.sum(), 1)) for one, two in both]
    low, high = np.quantile(again, [alpha / 2, 1 - alpha / 2], axis=0)
    return "em" if use_em else "bbse", truth, (value, np.minimum(low, value), np.maximum(high, value))


def _by_group(cells: Integers, groups: Integers, width: int) -> NDArray[np.float64]:
    """How often each group has each cell, [G, width]."""
    codes = np.unique(groups, return_inverse=True)[1]
    size = int(codes.max()) + 1
    return np.bincount(codes * width + cells, minlength=size * width).reshape(size, width).astype(np.float64)


def _by_group_of_rows(rows: Floats, groups: Integers) -> list[NDArray[np.float64]]:
    """The rows of each group."""
    order = np.argsort(groups, kind="stable")
    starts = np.unique(groups[order], return_index=True)[1][1:]
    return [np.asarray(part, np.float64) for part in np.split(rows[order], starts)]


def _resampled_em(
    parts: list[NDArray[np.float64]], truth: NDArray[np.float64], generator: np.random.Generator
) -> NDArray[np.float64]:
    chosen = generator.integers(len(parts), size=len(parts))
    return expected_shares(np.concatenate([parts[one] for one in chosen]), truth, steps=_STEPS // 4)


def _columns(counts: NDArray[np.float64], classes: int) -> NDArray[np.float64]:
    """Counts of (called, is) as chances of being called, columns of sum 1."""
    table = counts.reshape(classes, classes)
    totals = table.sum(axis=0)
    return np.asarray(table / np.where(totals > 0, totals, 1))
