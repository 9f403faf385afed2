"""`method="auto"`: logistic regression, unless another estimator is shown to be better.

N rows, D dimensions, C classes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logit

from synsight.adaptation import trials
from synsight.adaptation.base import ClassWeight, FeatureEstimator, LabelledRows, Missing
from synsight.adaptation.calibration import fit_temperature
from synsight.adaptation.class_vectors import ClassVectors
from synsight.adaptation.clip_adapter import CLIPAdapter
from synsight.adaptation.discriminant import DiscriminantAnalysis
from synsight.adaptation.logistic import LogisticRegression
from synsight.adaptation.lp_plus import LPPlusPlus
from synsight.adaptation.neighbours import NearestMean, NearestNeighbours
from synsight.adaptation.projector import ContrastiveProjector
from synsight.adaptation.tip_adapter import TipAdapter, TipAdapterF
from synsight.adaptation.trials import Budget, Gain, Trial
from synsight.adaptation.tuning import LEAST_CHANCE, Fold, folds, log_softmax_or_sigmoid
from synsight.errors import ConfigError, SynsightError, near_names
from synsight.metrics.linear_probe import FOLDS
from synsight.models.feature_head import Layer, Scale, Sequence_, Sum

BASELINE, POOL = "logistic", "pool"
CANDIDATES: Mapping[str, type[FeatureEstimator]] = {
    "prototypes": NearestMean,
    "knn": NearestNeighbours,
    "lda": DiscriminantAnalysis,
    "lp++": LPPlusPlus,
    "tip-adapter": TipAdapter,
    "clip-adapter": CLIPAdapter,
    "tip-adapter-f": TipAdapterF,
    "projector": ContrastiveProjector,
}
"""In the order in which they are tried: cheap ones first."""
_OVERHEAD = 1e7
"""Multiplications that the checks of a fit are worth."""
OPERATIONS: Mapping[str, Callable[[int, int, int], float]] = {
    "prototypes": lambda n, d, c: 10 * n * d + n * d * c,
    "knn": lambda n, d, c: 10 * n * d + n * n * d / 4,
    "lda": lambda n, d, c: 2.5 * n * d * d + d**3 / 4,
    "lp++": lambda n, d, c: 160 * n * d * c + n * d * min(n, d) / 4,
    "tip-adapter": lambda n, d, c: 10 * n * d * min(n, d) + 200 * n * d * c,
    "clip-adapter": lambda n, d, c: 16 * n * d * d,
    "tip-adapter-f": lambda n, d, c: 10 * n * d * min(n, d) + 200 * n * d * c + 10 * n * n * d,
    "projector": lambda n, d, c: 4 * n * d * min(n, d) + 5e6 * n,
}
"""What one fit to N rows takes, in units that are alike for all; how long a unit is, is measured."""
_BASELINE_OPERATIONS = 12
"""Times N D min(N, D): five folds and the fit itself, most of it their principal axes."""
_SAFETY = 1.25
"""What a fit to all rows takes, over what a fold of them took for each of its rows."""


class Automatic(FeatureEstimator):
    """Tuned logistic regression, or whichever estimator is better on held-out rows beyond its interval.

    All are compared on the same folds, which part no group, by the rows that each was not fitted to; settings
    are chosen inside the fitted part. Another estimator is taken only where the interval of its paired gain
    over logistic regression lies above zero, at a level widened for the number of comparisons (Bonferroni);
    of several such, the one with the largest gain. Logistic regression's C is chosen on the same folds that
    score it, which flatters it and nobody else. So the choice errs towards the baseline, and chance takes
    another estimator in at most about one of twenty problems where it is no better.

    Logistic regression is always fitted. The others follow, cheap ones first, while the time lasts: each must
    be expected to end in it with all its folds and a last fit to all rows; what has been measured corrects
    the prediction, and whoever turns out slower than expected is given up. So with a time limit the choice
    can depend on the machine; without one it depends on the seed alone. The probabilities of what is taken
    are divided by a temperature, fitted on the held-out rows.

    Args:
        seconds: Time for everything; None: no limit.
        candidates: Names from `CANDIDATES` to compare with logistic regression; None: all of them.
        pool: Whether a logarithmic pool of all that were tried is a candidate too. It is better where their
            errors differ, but costs the sum of their times when it predicts.
        folds: Most folds.
        level: Of the intervals, before it is widened.
        class_vectors: From class to its vector, as a text encoder embeds its name; for those that use them.
        blocks, missing, class_weight, seed: See `FeatureEstimator`.

    Attributes:
        method_: The name of what was taken: `logistic`, a candidate, or `pool`.
        reason_: Why, as a sentence.
        tried_: A `Trial` for each.
        estimators_: What was taken, fitted to all rows; of a pool, its members.
        shares_: The weight of each; of a single one, 1 over its temperature.
    """

    def __init__(
        self,
        *,
        seconds: float | None = 2.0,
        candidates: Sequence[str] | None = None,
        pool: bool = False,
        folds: int = FOLDS,
        level: float = 0.95,
        class_vectors: ClassVectors = None,
        blocks: Sequence[int] | None = None,
        missing: Missing = "error",
        class_weight: ClassWeight = None,
        seed: int = 0,
    ) -> None:
        super().__init__(blocks=blocks, prepare="none", missing=missing, class_weight=class_weight, seed=seed)
        self.seconds = seconds
        self.candidates = candidates
        self.pool = pool
        self.folds = folds
        self.level = level
        self.class_vectors = class_vectors

    def _fit(self, train: LabelledRows) -> None:
        names = self._names(train)
        budget = Budget(self.seconds)
        began = trials.clock()
        baseline = self._fitted(BASELINE, train)
        self.parts_ = folds(train, most=self.folds, seed=self.seed)
        if not self.parts_:
            self._take({BASELINE: baseline}, [1.0])
            self.method_ = BASELINE
            self.tried_: tuple[Trial, ...] = (Trial(BASELINE, outcome="taken"),)
            self.reason_ = (
                "logistic regression is taken, because no class has two labels (or groups), so that no rows "
                "can be held out to compare by"
            )
            return
        seconds = trials.clock() - began
        rows, dimension = train.features.shape
        budget.learn(_BASELINE_OPERATIONS * rows * dimension * min(rows, dimension) + _OVERHEAD, seconds)
        contest = _Contest(self, train, self.parts_, budget)
        contest.enter_baseline(baseline.out_of_fold_, seconds)
        for name in names:
            contest.enter(name)
        self._conclude(contest, baseline, train)

    def _names(self, train: LabelledRows) -> list[str]:
        if not 0 < self.level < 1 or (self.seconds is not None and self.seconds < 0):
            raise ConfigError(
                f"level must lie in 0 to 1 and seconds be >= 0; got {self.level!r}, {self.seconds!r}."
            )
        names = list(CANDIDATES if self.candidates is None else self.candidates)
        for name in names:
            if name not in CANDIDATES:
                raise ConfigError(f"candidate {name!r} is not known; {near_names(name, CANDIDATES)}")
        several = train.labels is None
        return [one for one in names if not several or getattr(CANDIDATES[one], "several_labels", True)]

    def made(self, name: str) -> FeatureEstimator:
        """An estimator of that name, with the settings it shares with this one."""
        kind: Any = LogisticRegression if name == BASELINE else CANDIDATES[name]
        settings: dict[str, Any] = {"blocks": self.blocks, "seed": self.seed}
        known = kind().get_params()
        if "class_vectors" in known:
            settings["class_vectors"] = self.class_vectors
        if "folds" in known:
            settings["folds"] = self.folds
        made: FeatureEstimator = kind(**settings)
        return made

    def _fitted(self, name: str, train: LabelledRows) -> Any:
        """That estimator on these rows; row weights hold those of the classes."""
        labels: ArrayLike = (
            train.truth.astype(np.int64) if train.labels is None else self.classes_[train.labels]
        )
        weights = train.weights if train.weighted else None
        return self.made(name).fit(train.features, labels, weights, groups=train.groups)

    def _conclude(self, contest: "_Contest", baseline: FeatureEstimator, train: LabelledRows) -> None:
        """Decide, fit what was taken to all rows, and say why."""
        if self.pool and len(contest.found) > 1:
            contest.enter_pool()
        gains = contest.gains(self.level)
        passing = [name for name, one in gains.items() if one.low > 0]
        self.method_ = max(passing, key=lambda name: gains[name].value, default=BASELINE)
        self.tried_ = contest.table(gains, taken=self.method_)
        self.reason_ = _reason(self.method_, gains, self.tried_, contest)
        if self.method_ == POOL:
            kept = {name: weight for name, weight in contest.weights.items() if weight > 0}
            fitted = {name: baseline if name == BASELINE else self._fitted(name, train) for name in kept}
            self._take(fitted, list(kept.values()))
            return
        chosen = baseline if self.method_ == BASELINE else self._fitted(self.method_, train)
        temperature = fit_temperature(
            contest.found[self.method_],
            contest.rows.truth,
            several=train.labels is None,
            weights=contest.rows.weights,
        )
        self._take({self.method_: chosen}, [1 / temperature])

    def _take(self, fitted: Mapping[str, FeatureEstimator], shares: Sequence[float]) -> None:
        self.estimators_ = dict(fitted)
        self.shares_ = dict(zip(fitted, map(float, shares), strict=True))

    def _score_layers(self) -> list[Layer]:
        members = [
            Sequence_(*one.preparation_, *one._score_layers(), Scale(self.shares_[name]))
            for name, one in self.estimators_.items()
        ]
        return list(members) if len(members) == 1 else [Sum(*members)]

    def _embedding_layers(self) -> list[Layer]:
        """Of a single estimator what its `transform` gives; of a pool, the features as they came."""
        if len(self.estimators_) > 1:
            return []
        one = next(iter(self.estimators_.values()))
        return [*one.preparation_, *one._embedding_layers()]


class _Contest:
    """What each estimator said about the rows that it had not seen."""

    def __init__(
        self, automatic: Automatic, train: LabelledRows, parts: Sequence[Fold], budget: Budget
    ) -> None:
        self.automatic, self.train, self.parts, self.budget = automatic, train, parts, budget
        self.asked = trials.asked_rows(parts)
        self.rows = train.take(self.asked)
        self.alike = automatic.class_weight == "balanced"
        self.found: dict[str, NDArray[np.float64]] = {}
        """Of each, scores [rows that were asked, C]."""
        self.table_: dict[str, Trial] = {}
        self.last_fit = 0.0
        """Most seconds that a fit to all rows may still take."""
        self.weights: dict[str, float] = {}

    def enter_baseline(self, log_chances: NDArray[np.float64], seconds: float) -> None:
        found = log_chances[self.asked]
        self.found[BASELINE] = logit(np.exp(found)) if self.train.labels is None else found
        self._note(BASELINE, seconds)

    def enter(self, name: str) -> None:
        """Try it, if there is time."""
        dimension, classes = self.train.features.shape[1], self.train.num_classes
        fits = [len(part.fitted) for part in self.parts]
        operations = [OPERATIONS[name](rows, dimension, classes) + _OVERHEAD for rows in fits]
        every = OPERATIONS[name](len(self.train.features), dimension, classes) + _OVERHEAD
        left, needed = self.budget.left(), self.budget.prediction(sum(operations))
        if needed + max(self.last_fit, self.budget.prediction(every)) > left:
            self.table_[name] = Trial(
                name,
                seconds=needed,
                outcome=f"not tried: {needed:.1f} s expected, {max(0.0, left):.1f} s left",
            )
            return
        scores = np.full(self.train.truth.shape, np.log(LEAST_CHANCE))
        began = trials.clock()
        for done, part in enumerate(self.parts, start=1):
            try:
                self._ask(name, part, scores)
            except SynsightError as error:
                self.table_[name] = Trial(name, outcome=f"not possible: {error}")
                return
            spent = trials.clock() - began
            a_row = _SAFETY * spent / sum(fits[:done])
            last_fit = a_row * len(self.train.features)
            if a_row * sum(fits[done:]) + max(self.last_fit, last_fit) > self.budget.left():
                self.table_[name] = Trial(
                    name, seconds=spent, outcome=f"given up after {spent:.1f} s, too slow"
                )
                return
        self.budget.learn(sum(operations), spent)
        self.last_fit = max(self.last_fit, last_fit)
        self.found[name] = scores[self.asked]
        self._note(name, spent)

    def _ask(self, name: str, part: Fold, scores: NDArray[np.float64]) -> None:
        fitted = self.automatic._fitted(name, self.train.take(part.fitted))
        found = fitted._scores(self.train.features[part.held_out])
        if self.train.labels is None:
            scores[part.held_out] = found
            return
        places = np.searchsorted(self.automatic.classes_, fitted.classes_)
        found = np.maximum(log_softmax_or_sigmoid(found, several=False), np.log(LEAST_CHANCE))
        scores[np.ix_(part.held_out, places)] = found

    def enter_pool(self) -> None:
        """The pool answers each fold with weights from the others; those of all rows are kept for later."""
        began = trials.clock()
        members = list(self.found)
        places = np.full(len(self.train.features), -1)
        for number, part in enumerate(self.parts):
            places[part.held_out] = number
        fold = places[self.asked]
        pooled = np.zeros_like(self.found[BASELINE])
        for number in range(len(self.parts)):
            weights = trials.pool_weights(
                [self.found[name][fold != number] for name in members], self.rows.take(fold != number)
            )
            inside = np.stack([self.found[name][fold == number] for name in members])
            pooled[fold == number] = np.tensordot(weights, inside, axes=1)
        weights = trials.pool_weights(list(self.found.values()), self.rows)
        self.weights = dict(zip(members, weights.tolist(), strict=True))
        needed = sum(
            self.table_[name].seconds / max(1, len(self.parts) - 1)
            for name in members
            if name != BASELINE and self.weights[name] > 0
        )
        if _SAFETY * needed > self.budget.left():
            self.table_[POOL] = Trial(POOL, seconds=needed, outcome="not tried: no time to fit its members")
            return
        self.found[POOL] = pooled
        self._note(POOL, trials.clock() - began)

    def gains(self, level: float) -> dict[str, Gain]:
        """Over logistic regression, at a level widened for their number."""
        others = [name for name in self.found if name != BASELINE]
        widened = 1 - (1 - level) / max(1, len(others))
        return {
            name: trials.gain(
                self.found[name], self.found[BASELINE], self.rows, level=widened, alike=self.alike
            )
            for name in others
        }

    def table(self, gains: Mapping[str, Gain], *, taken: str) -> tuple[Trial, ...]:
        rows = []
        for name, trial in self.table_.items():
            if name not in self.found:
                rows.append(trial)
                continue
            outcome = (
                "taken" if name == taken else "baseline" if name == BASELINE else "not shown to be better"
            )
            if name in gains:
                value, low, high = gains[name]
                if low > 0 and name != taken:
                    outcome = "better than logistic, but less so than what was taken"
                trial = replace(trial, gain=value, low=low, high=high)
            rows.append(replace(trial, outcome=outcome))
        return tuple(rows)

    def _note(self, name: str, seconds: float) -> None:
        reached = trials.score(self.found[name], self.rows, alike=self.alike)
        self.table_[name] = Trial(name, score=reached, seconds=seconds)


def _reason(taken: str, gains: Mapping[str, Gain], tried: Sequence[Trial], contest: _Contest) -> str:
    groups = len(np.unique(contest.rows.groups))
    over = f"{len(contest.parts)} folds of {groups:,} {'rows' if groups == len(contest.asked) else 'groups'}"
    untried = [one.method for one in tried if one.score is None]
    rest = f"; not compared: {', '.join(untried)}" if untried else ""
    if not gains:
        return f"logistic regression is taken, because nothing else was compared with it{rest}"
    best = max(gains, key=lambda name: gains[name].value)
    value, low, high = gains[taken if taken != BASELINE else best]
    measured = f"{100 * value:+.1f} points [{100 * low:+.1f} to {100 * high:+.1f}] in {over}"
    if taken != BASELINE:
        return f"{taken} is taken, because it gains {measured} over logistic regression{rest}"
    return (
        f"logistic regression is taken, because none of {len(gains)} others is shown to be better; the best, "
        f"{best}, gains {measured}{rest}"
    )
