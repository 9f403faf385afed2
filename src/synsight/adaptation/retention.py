"""Does an adapted space still tell apart what the frozen one did? Asked on classes it has not learnt from."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from synsight.adaptation.base import FeatureEstimator, FitError
from synsight.metrics import Episodes, few_shot_episodes
from synsight.seeding import generator


@dataclass(frozen=True)
class Retention:
    """Few-shot accuracy on held-out classes in both spaces, over the same episodes."""

    frozen: Episodes
    """In the features, prepared as the estimator prepares them."""
    adapted: Episodes
    """In what `transform` gives."""

    @property
    def change(self) -> float:
        """Accuracy that was gained (or lost, below 0)."""
        return self.adapted.acc1 - self.frozen.acc1


def retention(
    estimator: FeatureEstimator,
    X: ArrayLike,
    y: ArrayLike,
    *,
    ways: int = 5,
    shots: int = 5,
    episodes: int = 600,
    seed: int = 0,
) -> Retention:
    """Ask episodes of the nearest class mean on held-out classes, before and after the adaptation.

    Args:
        estimator: Fitted.
        X: [N, D] features of classes that the estimator has not learnt from.
        y: [N] their classes.
        ways, shots, episodes: See `few_shot_episodes`; fewer where the rows do not reach.
        seed: Of the episodes, which are the same for both spaces.

    Raises:
        FitError: A class that the estimator has learnt, or too few rows for an episode.
    """
    given = np.asarray(y)
    known = np.isin(given, estimator.classes_) if not estimator.multilabel_ else np.zeros(len(given), bool)
    if known.any():
        raise FitError(
            f"expected classes that the estimator has not learnt; found {given[known][0]!r}; hold classes "
            "out before the fit."
        )
    labels = np.unique(given, return_inverse=True)[1].astype(np.int64)
    found = [
        few_shot_episodes(
            space,
            labels,
            ways=ways,
            shots=shots,
            episodes=episodes,
            rng=generator("retention", seed),
        )
        for space in (estimator._prepared(X), estimator.transform(X))
    ]
    if found[0] is None or found[1] is None:
        raise FitError(
            f"expected two held-out classes of {shots + 1} rows or more; found none such in {len(labels)} "
            "rows; lower shots, or hold more out."
        )
    return Retention(found[0], found[1])
