"""What share of pairs is mismatched, and how likely each is: a mixture one part of which is known.

Scores of mismatched pairs can be made at will: give an image the caption of another. Scores as found are
then a mixture of these (share p) and of matched pairs. The density of matched pairs is taken to be that of
mismatched ones times exp(b s), normalised: the better the score s, the likelier a match.

Where image and caption tell partners hardly apart at all, matched and mismatched pairs look the same, and no
method can count them. So p is read off the quarter of pairs that tells them apart best, whatever their own
partner is, and b fitted in four strata with this p. Half and an eighth of the pairs give p too; the interval
holds the intervals of all three.

Pairs whose caption says nothing that can be seen and learnt count as mismatched: p is the share of pairs that
agree no better than shuffled ones.

Reference: Qin 1999, "Empirical likelihood ratio based confidence intervals for mixture proportions", Annals
of Statistics 27, for the tilted mixture; strata and histograms are ours.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synsight.curation.agreement import PairScores
from synsight.seeding import generator

STRATA, BINS = 4, 40
SHARES = np.linspace(0, 1, 101)
TILTS = np.geomspace(0.5, 8, 30)
"""b where p is read off. From 0.5 on: many matched pairs hardly better than shuffled ones cannot be told from
few that are much better."""
ALL_TILTS = np.concatenate([[0.0], np.geomspace(0.02, 8, 40)])
PARTS = (0.5, 0.25, 0.125)
READ_OFF = 0.25
RESAMPLES = 200
SURE = 3.0
"""Standard errors that the agreement must lie above a half; else the judge may have learnt nothing."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class MismatchShare:
    """The mixture, fitted."""

    share: float
    low: float
    high: float
    """95%: bootstrap over groups, and over how many pairs p is read off."""
    agreement: float
    """Chance that an image scores better with its own caption than with another's; 0.5: no relation."""
    can_tell: bool
    """Whether own captions score better than others beyond doubt; if not, p may be anything."""
    log_odds: Floats
    """[N]: logarithm of how much likelier a pair's score is of a mismatched pair than of a matched one."""
    probability: Floats
    """[N]: that a pair is mismatched, when so many of all are."""
    better: Floats
    """[N]: share of other captions that score better than the own one."""


def mismatch_share(scores: PairScores, groups: NDArray[np.int64], *, seed: int = 0) -> MismatchShare:
    """Fit the mixture to N pairs.

    Args:
        scores: Of own captions and of others.
        groups: [N] integers; rows of one group are resampled together.
        seed: Of the resampling.
    """
    is_other = np.isfinite(scores.others)
    null, null_spread = scores.others[is_other], scores.other_spread[is_other]
    readings = {part: _read_off(scores, null, null_spread, groups, part, seed) for part in PARTS}
    share = readings[READ_OFF][0]
    log_odds = _log_odds(scores, null, null_spread, share)
    rank = _rank(null, scores.own)
    agreement = float(rank.mean())
    prior = np.log(max(share, 1e-12)) - np.log(max(1 - share, 1e-12))
    error = float(rank.std()) / np.sqrt(len(np.unique(groups)))
    can_tell = bool(agreement - 0.5 > SURE * error)
    return MismatchShare(
        share=share,
        low=min(one[1] for one in readings.values()) if can_tell else 0.0,
        high=max(one[2] for one in readings.values()),
        agreement=agreement,
        can_tell=can_tell,
        log_odds=log_odds,
        probability=1 / (1 + np.exp(-np.clip(log_odds + prior, -500, 500))),
        better=1 - rank,
    )


def _rank(null: Floats, own: Floats) -> Floats:
    """Share of the null that lies below each score, ties half."""
    ordered = np.sort(null)
    below = np.searchsorted(ordered, own, "left") + np.searchsorted(ordered, own, "right")
    return below / (2 * max(len(ordered), 1))


@dataclass(frozen=True)
class _Histogram:
    """The scores of mismatched pairs in bins of equal weight."""

    edges: Floats
    centres: Floats
    weights: Floats

    @staticmethod
    def of(null: Floats) -> "_Histogram":
        edges = np.quantile(null, np.arange(1, BINS) / BINS)
        place = np.digitize(null, edges)
        counts = np.bincount(place, minlength=BINS)
        centres = np.bincount(place, null, minlength=BINS) / np.maximum(counts, 1)
        return _Histogram(edges, centres, counts / len(null))

    def log_ratios(self, tilts: Floats) -> Floats:
        """Logarithm of matched over mismatched density in each bin, [BINS, tilts]."""
        tilted = tilts * self.centres[:, None]
        return np.asarray(tilted - np.log(self.weights @ np.exp(tilted)))


def _read_off(
    scores: PairScores, null: Floats, null_spread: Floats, groups: NDArray[np.int64], part: float, seed: int
) -> tuple[float, float, float]:
    """The share and its bootstrap interval, from the `part` of pairs that tells partners apart best."""
    edge = np.quantile(scores.own_spread, 1 - part)
    kept = scores.own_spread >= edge
    histogram = _Histogram.of(_some(null, null_spread >= edge))
    ratios = np.exp(histogram.log_ratios(TILTS))[:, None]
    table = np.log(SHARES[:, None] + (1 - SHARES[:, None]) * ratios).reshape(BINS, -1)
    cells = np.digitize(scores.own[kept], histogram.edges)

    def fit(counts: Floats) -> float:
        best = (counts @ table).reshape(len(SHARES), -1).max(axis=1)
        return float(SHARES[best.argmax()])

    value = fit(np.bincount(cells, minlength=BINS).astype(np.float64))
    drawn = [fit(counts) for counts in _resampled(cells, groups[kept], seed)]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return value, float(low), float(high)


def _log_odds(scores: PairScores, null: Floats, null_spread: Floats, share: float) -> Floats:
    edges = np.quantile(scores.own_spread, np.arange(1, STRATA) / STRATA)
    stratum, null_stratum = np.digitize(scores.own_spread, edges), np.digitize(null_spread, edges)
    log_odds = np.zeros(len(scores.own))
    for number in range(STRATA):
        inside = stratum == number
        own = scores.own[inside]
        histogram = _Histogram.of(_some(null, null_stratum == number))
        ratios = histogram.log_ratios(ALL_TILTS)
        counts = np.bincount(np.digitize(own, histogram.edges), minlength=BINS)
        # Were all pairs mismatched, no b would be better than another.
        prior = min(share, 0.9)
        tilt = ALL_TILTS[(counts @ np.log(prior + (1 - prior) * np.exp(ratios))).argmax()]
        scale = np.log(histogram.weights @ np.exp(tilt * histogram.centres))
        log_odds[inside] = scale - tilt * np.maximum(own, histogram.centres[0])
    return log_odds


def _some(null: Floats, wanted: NDArray[np.bool_]) -> Floats:
    """The wanted scores; all, where too few are for a histogram."""
    return null[wanted] if wanted.sum() >= 10 * BINS else null


def _resampled(cells: NDArray[np.int64], groups: NDArray[np.int64], seed: int) -> Iterator[Floats]:
    """Counts in the bins when groups are drawn again (Poisson bootstrap)."""
    drawing = generator(seed, "mismatch share")
    codes = np.unique(groups, return_inverse=True)[1]
    for _ in range(RESAMPLES):
        weights = drawing.poisson(1.0, size=codes.max() + 1)[codes]
        yield np.bincount(cells, weights, minlength=BINS).astype(np.float64)
