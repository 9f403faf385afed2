"""`method="auto"`: logistic regression, unless another estimator is shown to be better.

N rows, D dimensions, C classes.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from synsight.adaptation import trials
from synsight.adaptation.base import ClassWeight, FeatureEstimator, LabelledRows, Missing
from synsight.adaptation.calibration import fit_temperature
from synsight.adaptation.class_vectors import ClassVectors
from synsight.adaptation.clip_adapter import CLIPAdapter
from synsight.adaptation.contest import BASELINE, POOL, Contest
from synsight.adaptation.discriminant import DiscriminantAnalysis
from synsight.adaptation.fitting_costs import baseline_operations
from synsight.adaptation.logistic import LogisticRegression
from synsight.adaptation.lp_plus import LPPlusPlus
from synsight.adaptation.neighbours import NearestMean, NearestNeighbours
from synsight.adaptation.projector import ContrastiveProjector
from synsight.adaptation.tip_adapter import TipAdapter, TipAdapterF
from synsight.adaptation.trials import Budget, Trial
from synsight.adaptation.tuning import folds
from synsight.errors import ConfigError, near_names
from synsight.metrics.linear_probe import FOLDS
from synsight.models.head_layers import Layer, Scale, Sequence_, Sum

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
        budget.learn(baseline_operations(*train.features.shape), seconds)
        contest = Contest(
            train,
            self.parts_,
            budget,
            fit=self._fitted,
            classes=self.classes_,
            alike=self.class_weight == "balanced",
        )
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

    def _conclude(self, contest: Contest, baseline: FeatureEstimator, train: LabelledRows) -> None:
        """Decide, fit what was taken to all rows, and say why."""
        if self.pool and len(contest.found) > 1:
            contest.enter_pool()
        gains = contest.gains(self.level)
        passing = [name for name, one in gains.items() if one.low > 0]
        self.method_ = max(passing, key=lambda name: gains[name].value, default=BASELINE)
        self.tried_ = contest.table(gains, taken=self.method_)
        self.reason_ = contest.reason(self.method_, gains, self.tried_)
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
