"""The words seen in an image: their scores, at a level of the hypernym tree, in a language.

Letters: V words, G groups.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from synsight.explanation.levels import Level, Rollup, level_of
from synsight.explanation.names import word_names
from synsight.explanation.reference import Reference
from synsight.language.vocabulary import Vocabulary
from synsight.reports.explanation_records import SeenWord
from synsight.reports.explanation_words import say

Floats = NDArray[np.float64]


class WordScores:
    """What a model's word logits say.

    Args:
        vocabulary: The model's.
        reference: Whose calibration holds; None: scores are the model's own.
        level: Height of the words in the hypernym tree; see `levels.level_of`.
        rollup: How words become one word of the level.

    Raises:
        UsageError: A level that is above no word.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        reference: Reference | None,
        *,
        level: int | Sequence[str] | None = None,
        rollup: Rollup = "max",
    ) -> None:
        self.vocabulary, self._reference = vocabulary, reference
        self._known = None if reference is None else reference.calibration
        self._height, self._rollup = level, rollup
        self._levels: dict[str, Level] = {}
        self.level("en")

    def probabilities(self, logits: Floats) -> Floats:
        """Calibrated probabilities of words from their logits, [..., V]; raw ones without a calibration."""
        if self._known is None:
            found: Floats = expit(logits)
            return found
        return self._known.probabilities(logits)

    def named(self, logits: Floats, count: int, locale: str) -> list[tuple[int, SeenWord]]:
        """The words seen most, each with the class that its map is about; of words whose calibrated scores
        are equal the one with the greater score of the model's own comes first.
        """
        level, own = self.level(locale), self.probabilities(logits)
        scores = level.scores(own, rollup=self._rollup)
        raws = level.scores(expit(logits), rollup=self._rollup)
        found = []
        for group in np.lexsort((-raws, -scores))[:count]:
            members = level.members[group]
            word = SeenWord(
                key=level.keys[group],
                name=level.names[group],
                score=float(scores[group]),
                raw=float(raws[group]),
            )
            found.append((int(members[logits[members].argmax()]), word))
        return found

    def names(self, locale: str) -> list[str]:
        """Of the words, [V]."""
        return word_names(self.vocabulary, locale=locale)

    def level(self, locale: str) -> Level:
        """The groups that words are named by."""
        if locale not in self._levels:
            self._levels[locale] = level_of(self.vocabulary, self._height, locale=locale)
        return self._levels[locale]

    def calibration(self, locale: str) -> str:
        """What the scores rest on, in a sentence."""
        if self._known is None or self._reference is None:
            return say(locale, "raw")
        about = {"rows": f"{self._known.rows:,}", "catalog": self._reference.catalog.name}
        error = self._known.error
        if error is None:
            return say(locale, "calibrated.few", **about)
        points = {
            "before": error.before.value,
            "after": error.after.value,
            "low": error.after.low,
            "high": error.after.high,
        }
        return say(
            locale, "calibrated", **about, **{name: f"{100 * value:.1f}" for name, value in points.items()}
        )
