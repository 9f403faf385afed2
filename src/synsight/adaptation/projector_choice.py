"""How long to train a projector, and whether to project at all: held-out rows decide.

N rows, V held-out rows, C classes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from synsight.adaptation.base import LabelledRows
from synsight.adaptation.calibration import fit_temperature
from synsight.adaptation.logistic import path
from synsight.adaptation.projector_settings import ProjectorSettings
from synsight.adaptation.projector_training import Projector
from synsight.adaptation.tuning import LEAST_CHANCE, folds, log_softmax_or_sigmoid
from synsight.metrics.linear_probe import DEFAULT_C, FEW_C_GRID

FROZEN = 0
"""The candidate that projects nothing."""
ENOUGH_ROWS = 100
"""Held-out rows that are asked about; with so many, further folds cost more than they tell."""
STANDARD_ERRORS = 2.0
"""Of the paired difference, that a projector has to be better by: about a 95% interval without zero."""
_PATIENCE = 1
"""Values of C that may lower the likelihood before no weaker penalty is tried."""

Trained = Callable[[LabelledRows, Sequence[int]], list[Projector]]
"""Rows and epochs -> the projector after each of these epochs."""


@dataclass(frozen=True)
class ProjectorChoice:
    """What held-out rows said."""

    epochs: int
    """How long the projector was trained."""
    projected: bool
    """Whether it is used; False: the prepared features are kept."""
    C: float
    """Inverse strength of the classifier's penalty."""
    temperature: float
    """By which scores are divided."""
    log_likelihoods: Mapping[int, float]
    """Mean over the held-out rows, in nats, after so many epochs (0: the prepared features), each at its own
    C and temperature."""
    rows: int
    """Held-out rows that were asked about."""
    reason: str
    """The choice in a sentence."""


@dataclass(frozen=True, eq=False)
class _Trial:
    """One candidate on the held-out rows, with the penalty that suits it."""

    c: float
    temperature: float
    log_likelihoods: NDArray[np.float64]
    """[V] of scores divided by the temperature: a strong penalty makes unsure, which is no reason to weaken
    it where the order of the classes is right."""
    hits: float
    """Weighted share of right answers; of several labels, of right entries."""


def choose(
    train: LabelledRows,
    held_out: LabelledRows | None,
    settings: ProjectorSettings,
    *,
    trained: Trained,
    seed: int,
) -> ProjectorChoice:
    """Compare the frozen features with projectors of several lengths of training, each with its own C.

    A projector is taken up if it tells the held-out rows better than the frozen features by more than two
    standard errors of the paired difference (groups are the unit), and names no fewer rightly. Where no row
    can be held out, the frozen features are kept if the setting is `validated`.

    Args:
        train: Prepared rows.
        held_out: Rows to choose by; None: folds of the training rows.
        settings: What is trained; `validated` False: only the full length is a candidate.
        trained: Trains projectors.
        seed: Of the folds.
    """
    pairs = [(train, held_out)] if held_out is not None else _folds(train, settings, seed)
    grid = FEW_C_GRID if isinstance(settings.C, str) else (settings.C,)
    stops = _stops(settings.epochs) if settings.validated else [settings.epochs]
    if not pairs:
        projected = not settings.validated
        c = DEFAULT_C if isinstance(settings.C, str) else settings.C
        reason = "nothing was held out" if projected else "no row could be held out: the features are kept"
        return ProjectorChoice(settings.epochs if projected else 0, projected, c, 1.0, {}, 0, reason)
    asked = _joined([held for _, held in pairs])
    trials = _trials(pairs, stops, grid, settings, trained)
    best, reason = (
        _best(trials, asked) if settings.validated else (settings.epochs, "the full length was set")
    )
    trial = trials[best]
    temperature = trial.temperature if settings.calibrate else 1.0
    means = {
        stop: float(asked.weights @ one.log_likelihoods / asked.weights.sum()) for stop, one in trials.items()
    }
    projected = best != FROZEN or not settings.validated
    return ProjectorChoice(best, projected, trial.c, temperature, means, len(asked.weights), reason)


def projected(rows: LabelledRows, projector: Projector | None) -> LabelledRows:
    """The rows in the projector's space; None: as they are."""
    if projector is None:
        return rows
    with torch.inference_mode():
        return replace(rows, features=projector(torch.from_numpy(rows.features)).numpy())


def _folds(
    train: LabelledRows, settings: ProjectorSettings, seed: int
) -> list[tuple[LabelledRows, LabelledRows]]:
    """Fitted and held-out rows of as many folds as are needed."""
    if not (settings.validated or settings.calibrate or isinstance(settings.C, str)):
        return []
    pairs, asked = [], 0
    for fold in folds(train, seed=seed):
        pairs.append((train.take(fold.fitted), train.take(fold.held_out)))
        asked += len(fold.held_out)
        if asked >= ENOUGH_ROWS:
            break
    return pairs


def _stops(epochs: int) -> list[int]:
    """The half and the whole of the epochs."""
    return sorted({-(-epochs // 2), epochs} - {0})


def _trials(
    pairs: Sequence[tuple[LabelledRows, LabelledRows]],
    stops: Sequence[int],
    grid: Sequence[float],
    settings: ProjectorSettings,
    trained: Trained,
) -> dict[int, _Trial]:
    candidates: dict[int, list[Projector | None]] = (
        {FROZEN: [None] * len(pairs)} if settings.validated else {}
    )
    for stop in stops:
        candidates[stop] = []
    for fitted, _ in pairs:
        for stop, projector in zip(stops, trained(fitted, stops), strict=True):
            candidates[stop].append(projector)
    found = {}
    for stop, projectors in candidates.items():
        spaces = [
            (projected(fitted, one), projected(held, one))
            for (fitted, held), one in zip(pairs, projectors, strict=True)
        ]
        found[stop] = _trial(spaces, grid)
    return found


def _trial(spaces: Sequence[tuple[LabelledRows, LabelledRows]], grid: Sequence[float]) -> _Trial:
    """The likeliest C of a path over the folds, and what its fits say."""
    asked = _joined([held for _, held in spaces])
    tried: list[_Trial] = []
    paths = [path(fitted, grid, coarse=len(grid) > 1) for fitted, _ in spaces]
    for c, fits in zip(grid, zip(*paths, strict=True), strict=False):
        scores = np.concatenate(
            [held.features @ fit.weight.T + fit.bias for fit, (_, held) in zip(fits, spaces, strict=True)]
        )
        tried.append(_judged(c, scores, asked))
        means = [float(asked.weights @ one.log_likelihoods) for one in tried]
        if len(means) - int(np.argmax(means)) > _PATIENCE + 1:
            break
    return tried[int(np.argmax(means))]


def _judged(c: float, scores: NDArray[np.float64], asked: LabelledRows) -> _Trial:
    several = asked.labels is None
    temperature = fit_temperature(scores, asked.truth, several=several, weights=asked.weights)
    least, scaled = np.log(LEAST_CHANCE), scores / temperature
    chances = np.maximum(log_softmax_or_sigmoid(scaled, several), least)
    if several:
        others = np.maximum(log_softmax_or_sigmoid(-scaled, True), least)
        likelihoods = np.where(asked.truth, chances, others).mean(axis=1)
        right = ((scores > 0) == asked.truth).mean(axis=1)
    else:
        likelihoods = chances[asked.truth]
        right = scores.argmax(axis=1) == asked.labels
    return _Trial(c, temperature, likelihoods, float(asked.weights @ right / asked.weights.sum()))


def _best(trials: Mapping[int, _Trial], asked: LabelledRows) -> tuple[int, str]:
    """The stop that is taken up, and why."""
    frozen = trials[FROZEN]
    totals = {
        stop: float(asked.weights @ one.log_likelihoods) for stop, one in trials.items() if stop != FROZEN
    }
    if not totals:
        return FROZEN, "no epoch was trained"
    stop = max(totals, key=lambda one: totals[one])
    gain, error = _paired(trials[stop].log_likelihoods - frozen.log_likelihoods, asked)
    said = f"{gain:+.3f} nats a row (standard error {error:.3f}) on {len(asked.weights):,} held-out rows"
    if gain > STANDARD_ERRORS * error and trials[stop].hits >= frozen.hits:
        return stop, f"projected after {stop} epochs: {said}"
    return FROZEN, f"the features are kept: the best projector brought {said}"


def _paired(differences: NDArray[np.float64], asked: LabelledRows) -> tuple[float, float]:
    """Weighted mean and its standard error over groups."""
    shares = asked.weights / asked.weights.sum()
    mean = float(shares @ differences)
    numbers = np.unique(asked.groups, return_inverse=True)[1]
    of_groups = np.bincount(numbers, shares * (differences - mean))
    count = len(of_groups)
    return mean, float(np.sqrt((of_groups**2).sum() * count / max(1, count - 1)))


def _joined(parts: Sequence[LabelledRows]) -> LabelledRows:
    labels = [one.labels for one in parts if one.labels is not None]
    return LabelledRows(
        np.concatenate([one.features for one in parts]),
        np.concatenate(labels) if labels else None,
        np.concatenate([one.truth for one in parts]),
        np.concatenate([one.weights for one in parts]),
        np.concatenate([one.groups for one in parts]),
    )
