"""How often is a model right where there are no labels? Two estimates from its confidence, with their error.

What an estimate is off by is not assumed but seen: it is made on halves of the labelled reference whose
class mix was changed, and compared with the truth there. Where the current images lie outside of what the
reference covers, nothing there tells how sure a model is of what it gets wrong: then there is no estimate.

n reference rows, m current rows, R resamples.
"""

import math
from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from synsight.deployment.label_shift import Answers
from synsight.errors import ShapeError
from synsight.metrics.arrays import Floats
from synsight.metrics.intervals import score_interval
from synsight.metrics.scores import Scores
from synsight.reports.drift_records import AccuracyEstimate, Doubt

RESAMPLES = 200
FEW_LABELS = 200
"""Labelled reference rows below which the error itself is poorly known."""
CONCENTRATION = 10.0
"""Of the class mixes that are tried: Dirichlet around that of the reference, times the number of classes."""
PRECISION = 0.05
"""What labels of current images should tell the accuracy to."""
MOST_APART = 0.9
"""AUC of the classifier that tells reference from current, above which confidence there is no guide here."""
MOST_NOVEL = 0.5
"""Share of novel images with the same meaning."""
Method = Literal["atc", "doc"]


def thresholded_confidence(confidences: Floats, hits: NDArray[np.bool_], asked: Floats) -> float:
    """Share of the asked rows that are surer than a threshold (ATC).

    The threshold is where the share of reference rows above it is their accuracy.

    Args:
        confidences: [n] of the reference rows.
        hits: [n] whether the answer was right.
        asked: [m] of the rows without labels.

    Raises:
        ShapeError: A side without a row, or confidences and hits that do not fit.

    Reference: Garg et al. 2022, "Leveraging unlabeled data to predict out-of-distribution performance",
        section 3, https://arxiv.org/abs/2201.04234 (with the largest probability as the score).
    """
    _check(confidences, hits, asked)
    wrong = int(len(hits) - np.sum(hits))
    if wrong == 0:
        return float(np.mean(asked >= confidences.min()))
    threshold = np.sort(confidences)[wrong - 1]
    return float(np.mean(asked > threshold))


def difference_of_confidences(confidences: Floats, hits: NDArray[np.bool_], asked: Floats) -> float:
    """Accuracy of the reference less what the mean confidence has fallen by (DoC), 0 to 1.

    Arguments and errors as `thresholded_confidence`.

    Reference: Guillory et al. 2021, "Predicting with confidence on unseen distributions", eq. 4,
        https://arxiv.org/abs/2107.03315
    """
    _check(confidences, hits, asked)
    value = (
        float(np.mean(hits))
        - float(np.mean(confidences, dtype=np.float64))
        + float(np.mean(asked, dtype=np.float64))
    )
    return min(1.0, max(0.0, value))


METHODS: Mapping[Method, Callable[[Floats, NDArray[np.bool_], Floats], float]] = {
    "atc": thresholded_confidence,
    "doc": difference_of_confidences,
}


def estimated_accuracy(
    reference: Answers,
    current: Answers,
    *,
    drifted: bool,
    apart: float = 0.5,
    novel: float = 0.0,
    trained_on: float = 0.0,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> AccuracyEstimate | None:
    """The accuracy on the current rows, by the method that errs less on the reference.

    Args:
        reference: Answers with labels; rows without one are left out.
        current: Answers to the current rows.
        drifted: Whether drift was found: the error was measured without any but in the class mix.
        apart: AUC of the classifier that tells the sides apart; where drift was found and it is above
            `MOST_APART`, the estimate is withheld.
        novel: Share of current images unlike the reference; above `MOST_NOVEL` likewise.
        trained_on: Share of the reference rows that the model has learnt from.
        resamples: R.
        seed: Of the resamples.

    Returns:
        None: fewer than ten reference rows have a label, or each label stands by itself.
    """
    labels = reference.labels
    if labels is None or not reference.one_of or (labels >= 0).sum() < 10:
        return None
    known = labels >= 0
    confidences = reference.probabilities[known].max(axis=1).astype(np.float64)
    hits = reference.predictions[known] == labels[known]
    asked = current.probabilities.max(axis=1).astype(np.float64)
    groups = reference.groups[known]
    errors = _errors(
        confidences, hits, labels[known], groups, rows=len(asked), resamples=resamples, seed=seed
    )
    method = min(METHODS, key=lambda name: float(np.mean(errors[name] ** 2)))
    measured = score_interval([Scores(hits, np.zeros(len(hits), np.int64), groups)], seed=seed)
    values: dict[str, float] = {name: compute(confidences, hits, asked) for name, compute in METHODS.items()}
    error = float(np.quantile(np.abs(errors[method]), 0.95))
    doubts: list[Doubt] = []
    outside = drifted and (apart > MOST_APART or novel > MOST_NOVEL)
    if drifted:
        doubts.append("outside" if outside else "drift")
    if known.sum() < FEW_LABELS:
        doubts.append("few_labels")
    if trained_on > 0.01:
        doubts.append("trained_on")
    value = values.pop(method)
    if outside:
        return AccuracyEstimate(
            reference=measured.value,
            reference_low=measured.low,
            reference_high=measured.high,
            value=None,
            low=None,
            high=None,
            error=error,
            method=method,
            labelled_rows=int(known.sum()),
            reliable=False,
            doubts=doubts,
            labels_needed=labels_needed(0.5),
        )
    return AccuracyEstimate(
        reference=measured.value,
        reference_low=measured.low,
        reference_high=measured.high,
        value=value,
        low=max(0.0, value - error),
        high=min(1.0, value + error),
        error=error,
        method=method,
        others=values,
        labelled_rows=int(known.sum()),
        reliable=not doubts,
        doubts=doubts,
        labels_needed=labels_needed(value),
    )


def labels_needed(accuracy: float, *, precision: float = PRECISION) -> int:
    """Labels that measure an accuracy to within so much, in 95 of 100 cases."""
    spread = max(accuracy * (1 - accuracy), 0.09)  # nobody can be sure of more than 0.9 beforehand
    return math.ceil(float(ndtri(0.975)) ** 2 * spread / precision**2)


def _errors(
    confidences: Floats,
    hits: NDArray[np.bool_],
    labels: NDArray[np.int64],
    groups: NDArray[np.int64],
    *,
    rows: int,
    resamples: int,
    seed: int,
) -> dict[Method, NDArray[np.float64]]:
    """Estimate minus truth of each method, [R]: one half of the groups calibrates, the other is asked."""
    generator = np.random.default_rng(seed)
    codes = np.unique(groups, return_inverse=True)[1]
    present, classes = np.unique(labels, return_inverse=True)
    base = np.bincount(classes) / len(classes)
    found: dict[Method, list[float]] = {name: [] for name in METHODS}
    for _ in range(resamples):
        known = (generator.random(int(codes.max()) + 1) < 0.5)[codes]
        if known.all() or not known.any():
            continue
        mix = generator.dirichlet(CONCENTRATION * len(present) * base)
        rest = np.flatnonzero(~known)
        weights = mix[classes[rest]] / np.bincount(classes[rest], minlength=len(present))[classes[rest]]
        drawn = generator.choice(rest, size=rows, p=weights / weights.sum())
        truth = float(hits[drawn].mean())
        for name, compute in METHODS.items():
            found[name].append(compute(confidences[known], hits[known], confidences[drawn]) - truth)
    return {name: np.array(some or [1.0]) for name, some in found.items()}


def _check(confidences: Floats, hits: NDArray[np.bool_], asked: Floats) -> None:
    if confidences.shape != hits.shape or not len(hits) or not len(asked):
        raise ShapeError(
            f"confidences and hits must be [n] of the same n >= 1, and some rows be asked about; got "
            f"{confidences.shape}, {hits.shape} and {asked.shape}."
        )
