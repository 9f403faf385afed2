"""What a word's score is worth: scores put right on images whose captions say what is there.

Letters: N images, V words, K knots.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from synsight.errors import ShapeError
from synsight.metrics.calibration import Confidences, calibration_interval
from synsight.metrics.intervals import Interval
from synsight.seeding import generator

Floats = NDArray[np.floating]

BINS = 64
"""Of equal width over the logits; more follow the sample, fewer bend the curve."""
NAMED = 5
"""Words of an image that the error is about, those seen most: the ones that people read."""
FOLDS = 5
LEAST_ROWS = 100
"""Images from which on the error of the scores is measured; of fewer it would be mostly chance."""
_SURE = 1e-9
_ROWS_AT_ONCE = 256


@dataclass(frozen=True)
class CalibrationError:
    """By how much scores of the named words miss the share of them that stand in a caption, on average.

    Attributes:
        before: The model's own scores, 0 to 1, with an interval over groups.
        after: Calibrated on other groups.
    """

    before: Interval
    after: Interval


@dataclass(frozen=True)
class WordCalibration:
    """Probability that a caption has the word, as a rising curve over the logit, the same for all words.

    Attributes:
        logits: Of the knots, rising, [K].
        log_odds: There, rising, [K]; straight between the knots, constant beyond them.
        rows: Images it was fitted on.
        error: On groups left out of the fitting; None: too few images to say.
    """

    logits: NDArray[np.float64]
    log_odds: NDArray[np.float64]
    rows: int
    error: CalibrationError | None = None

    def probabilities(self, logits: Floats) -> NDArray[np.float64]:
        """Calibrated probabilities, in the shape of the logits."""
        calibrated: NDArray[np.float64] = expit(np.interp(logits, self.logits, self.log_odds))
        return calibrated


def fit_calibration(
    logits: Floats,
    present: NDArray[np.bool_],
    *,
    known: NDArray[np.bool_] | None = None,
    groups: NDArray[np.int64] | None = None,
) -> WordCalibration:
    """Isotonic regression over the pairs of image and word, pooled over the words.

    One curve for all words, since a word's own captions are few, and what a curve for each gains on some
    catalogs it loses on others (benchmarks/word_calibration.py). No straight line in the logit: it would be
    fitted to the many pairs that nobody would name, and be wrong about the few that are shown. The
    probability is that a caption would name the word, not that the thing is
    there: captions leave things out.

    Departures: pairs are counted in bins of equal width; each bin has one more pair with the model's own
    probability, so that few images leave scores near those; flat stretches become single knots between which
    the curve rises (centred isotonic regression), so that words keep their order.

    Args:
        logits: Of the words, [N, V].
        present: Whether the caption has the word, [N, V].
        known: Words whose presence is known, [V]; the others have no part in the fitting. None: all.
        groups: Number of each image's group, [N], for the error; None: each image is one.

    Raises:
        ShapeError: No known word is present in any image.

    References: Zadrozny and Elkan 2002 (isotonic calibration), https://doi.org/10.1145/775047.775151;
        Oron and Flournoy 2017 (centred), https://arxiv.org/abs/1701.05964
    """
    if known is not None and not known.all():
        logits, present = logits[:, known], present[:, known]
    if not present.any():
        raise ShapeError(
            "calibration needs images whose captions have words of the model; found none, leave it out."
        )
    groups = np.arange(len(logits)) if groups is None else np.unique(groups, return_inverse=True)[1]
    folds = _folds(groups)
    edges = np.linspace(float(logits.min()), float(logits.max()), BINS + 1)
    counts = np.stack([_counts(logits, present, folds == fold, edges) for fold in range(FOLDS)])
    knots, values = _curve(counts.sum(axis=0), edges)
    error = None
    if len(logits) >= LEAST_ROWS and groups.max() + 1 >= FOLDS:
        error = _error(logits, present, groups=groups, folds=folds, counts=counts, edges=edges)
    return WordCalibration(knots, values, len(logits), error)


def _folds(groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """A fold for each image, whole groups together, [N]."""
    order = generator(0, "calibration").permutation(int(groups.max()) + 1)
    folds: NDArray[np.int64] = order[groups] % FOLDS
    return folds


def _counts(
    logits: Floats, present: NDArray[np.bool_], chosen: NDArray[np.bool_], edges: Floats
) -> NDArray[np.float64]:
    """Pairs, their logits' sum, and pairs whose word is present, by bin, [3, bins]."""
    total = np.zeros((3, BINS))
    rows = np.flatnonzero(chosen)
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        some = rows[start : start + _ROWS_AT_ONCE]
        z = logits[some].astype(np.float64).ravel()
        place = np.clip(np.searchsorted(edges, z, side="right") - 1, 0, BINS - 1)
        weights = (None, z, present[some].ravel())
        total += np.stack([np.bincount(place, one, BINS) for one in weights])
    return total


def _curve(counts: NDArray[np.float64], edges: Floats) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Logits and log-odds of the knots, [K] each."""
    from sklearn.isotonic import isotonic_regression

    pairs, sums, there = counts
    middles = np.where(pairs > 0, sums / np.maximum(pairs, 1), (edges[:-1] + edges[1:]) / 2)
    weights = pairs + 1
    shares = (there + expit(middles)) / weights
    rising = isotonic_regression(shares, sample_weight=weights, y_min=_SURE, y_max=1 - _SURE)
    block = np.cumsum(np.diff(rising, prepend=rising[0]) > 0)
    sizes = np.bincount(block, weights)
    knots = np.bincount(block, weights * middles) / sizes
    return knots, logit(np.bincount(block, weights * rising) / sizes)


def _error(
    logits: Floats,
    present: NDArray[np.bool_],
    *,
    groups: NDArray[np.int64],
    folds: NDArray[np.int64],
    counts: NDArray[np.float64],
    edges: Floats,
) -> CalibrationError:
    """Each fold's groups are scored by what the other folds say."""
    named = np.argsort(-logits, axis=1, kind="stable")[:, :NAMED]
    z = np.take_along_axis(logits, named, axis=1).astype(np.float64)
    hits = np.take_along_axis(present, named, axis=1).ravel()
    after = np.empty_like(z)
    for fold in range(FOLDS):
        curve = WordCalibration(*_curve(counts.sum(axis=0) - counts[fold], edges), rows=0)
        after[folds == fold] = curve.probabilities(z[folds == fold])
    of_pairs = np.repeat(groups, z.shape[1])
    before_after = [
        calibration_interval(Confidences(one.ravel(), hits, of_pairs)) for one in (expit(z), after)
    ]
    return CalibrationError(*before_after)
