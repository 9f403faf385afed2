"""Which words carried an image's score, listed at a level of the hypernym tree."""

import numpy as np

from synsight.explanation import contributions
from synsight.explanation.background import Background
from synsight.explanation.levels import Level
from synsight.explanation.seen_image import SeenImage
from synsight.models.saved import Model
from synsight.reports.explanation_records import Contribution, Contributions

MOST_LISTED = 8
"""Contributions that are listed by name."""


def carried(
    model: Model, background: Background, level: Level, seen: SeenImage, *, of: int
) -> Contributions | None:
    """The score of a class as a sum over words; None: the model knows no words.

    Args:
        model: The model.
        background: What contributions count from.
        level: What the words are called.
        seen: The image.
        of: The class.
    """
    if seen.logits is None or model.head is None:
        return None
    if background.head_of_words is not None:
        found = contributions.from_words(background.head_of_words, seen.logits, of=of)
    else:
        features = seen.features.double().cpu().numpy()
        way = contributions.direction(model.head, seen.features, of=of, mean=background.mean)
        found = contributions.in_span(
            way,
            features,
            background.word_weights,
            mean=background.mean,
            covariance=background.covariance,
        )
    sums = level.sums(found.values)
    listed = [int(one) for one in np.argsort(-np.abs(sums), kind="stable")[:MOST_LISTED] if sums[one]]
    return Contributions(
        of=model.class_names[of],
        score=found.score,
        baseline=found.baseline,
        words=[Contribution(key=level.keys[n], name=level.names[n], value=float(sums[n])) for n in listed],
        rest=float(sums.sum() - sums[listed].sum()),
        residual=found.residual,
        exact=found.exact,
        said=found.said,
        method=found.method,
    )
