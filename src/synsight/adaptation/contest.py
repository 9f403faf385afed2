"""Estimators side by side on the rows that they had not seen, within a budget of time."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from synsight.adaptation import trials
from synsight.adaptation.base import FeatureEstimator, LabelledRows
from synsight.adaptation.fitting_costs import operations
from synsight.adaptation.trials import Budget, Gain, Trial
from synsight.adaptation.tuning import LEAST_CHANCE, Fold, log_softmax_or_sigmoid
from synsight.errors import SynsightError

BASELINE, POOL = "logistic", "pool"
_SAFETY = 1.25
"""What a fit to all rows takes, over what a fold of them took for each of its rows."""


class Contest:
    """What each estimator said about the rows that it had not seen."""

    def __init__(
        self,
        train: LabelledRows,
        parts: Sequence[Fold],
        budget: Budget,
        *,
        fit: Callable[[str, LabelledRows], FeatureEstimator],
        classes: NDArray[Any],
        alike: bool,
    ) -> None:
        self.train, self.parts, self.budget = train, parts, budget
        self.fit, self.classes, self.alike = fit, classes, alike
        self.asked = trials.asked_rows(parts)
        self.rows = train.take(self.asked)
        self.found: dict[str, NDArray[np.float64]] = {}
        """Of each, scores [rows that were asked, C]."""
        self._tried: dict[str, Trial] = {}
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
        work = sum(operations(name, rows, dimension, classes) for rows in fits)
        every = operations(name, len(self.train.features), dimension, classes)
        left, needed = self.budget.left(), self.budget.prediction(work)
        if needed + max(self.last_fit, self.budget.prediction(every)) > left:
            self._tried[name] = Trial(
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
                self._tried[name] = Trial(name, outcome=f"not possible: {error}")
                return
            spent = trials.clock() - began
            a_row = _SAFETY * spent / sum(fits[:done])
            last_fit = a_row * len(self.train.features)
            if a_row * sum(fits[done:]) + max(self.last_fit, last_fit) > self.budget.left():
                self._tried[name] = Trial(
                    name, seconds=spent, outcome=f"given up after {spent:.1f} s, too slow"
                )
                return
        self.budget.learn(work, spent)
        self.last_fit = max(self.last_fit, last_fit)
        self.found[name] = scores[self.asked]
        self._note(name, spent)

    def _ask(self, name: str, part: Fold, scores: NDArray[np.float64]) -> None:
        fitted = self.fit(name, self.train.take(part.fitted))
        found = fitted._scores(self.train.features[part.held_out])
        if self.train.labels is None:
            scores[part.held_out] = found
            return
        places = np.searchsorted(self.classes, fitted.classes_)
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
            self._tried[name].seconds / max(1, len(self.parts) - 1)
            for name in members
            if name != BASELINE and self.weights[name] > 0
        )
        if _SAFETY * needed > self.budget.left():
            self._tried[POOL] = Trial(POOL, seconds=needed, outcome="not tried: no time to fit its members")
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
        for name, trial in self._tried.items():
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

    def reason(self, taken: str, gains: Mapping[str, Gain], tried: Sequence[Trial]) -> str:
        """One sentence on what was taken."""
        groups = len(np.unique(self.rows.groups))
        over = f"{len(self.parts)} folds of {groups:,} {'rows' if groups == len(self.asked) else 'groups'}"
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
            f"logistic regression is taken, because none of {len(gains)} others is shown to be better; the "
            f"best, {best}, gains {measured}{rest}"
        )

    def _note(self, name: str, seconds: float) -> None:
        reached = trials.score(self.found[name], self.rows, alike=self.alike)
        self._tried[name] = Trial(name, score=reached, seconds=seconds)
