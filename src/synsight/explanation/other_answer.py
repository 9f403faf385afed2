"""Why not another answer: the words that would have had to be seen otherwise, for any head.

Letters: V words, C classes.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from synsight.explanation import contributions, why_not
from synsight.explanation.background import Background
from synsight.explanation.seen_image import SeenImage, several_at_once
from synsight.explanation.word_scores import WordScores
from synsight.models.saved import Model
from synsight.reports.explanation_records import WhyNot, WordChange
from synsight.reports.explanation_words import why_not_sentence

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class _Question:
    """Which answer is asked about, and what stands before it.

    Attributes:
        instead: The class that would be answered.
        against: The class that now is; None: none is in its place, its own score must rise above 0.
        lead: Scores [C] -> by how much the answer as it is leads.
        least: The same against one class alone, for the proof that no fewer words would do.
    """

    instead: int
    against: int | None
    lead: Callable[[Floats], float]
    least: Callable[[Floats], float]


def other_answer(
    model: Model, background: Background, words: WordScores, seen: SeenImage, *, locale: str
) -> WhyNot | None:
    """The fewest words whose change gives another answer: the runner-up, or, where several labels may hold,
    the likeliest that is not given.

    Args:
        model: A model with words and classes.
        background: Within what words may change.
        words: What changed words are called, and their scores.
        seen: The image.
        locale: Of the sentence.

    Returns:
        None: the model has no words, or no other answer.
    """
    if seen.logits is None or seen.scores is None:
        return None
    asked = _of_several(seen.scores) if several_at_once(model) else _of_one(seen.scores)
    if asked is None:
        return None
    weights, scores_of = _by_words(model, background, seen, asked)
    logits, (low, high) = seen.logits, background.bounds

    def fewest(lead: Callable[[Floats], float]) -> why_not.Changes:
        def lead_by(logits: Floats) -> float:
            return lead(scores_of(logits))

        return why_not.fewest_changes(weights, logits, lead=lead_by, low=low, high=high)

    found, least = fewest(asked.lead), fewest(asked.least)
    changes = _changes(words, seen.logits, found, locale)
    instead = model.class_names[asked.instead]
    also = asked.against is None and bool((seen.scores >= 0).any())
    return WhyNot(
        instead=instead,
        also=also,
        margin=asked.least(seen.scores),
        changes=changes,
        # To beat the predicted class alone takes no more words than to beat all: if as many, less won't do.
        exact=background.head_of_words is not None and len(least.words) == len(found.words),
        verified=found.verified,
        sentence=why_not_sentence(locale, instead, changes, most=why_not.MOST_CHANGES, also=also),
    )


def _of_one(scores: Floats) -> _Question | None:
    if len(scores) < 2:
        return None
    best, second = (int(one) for one in np.argsort(-scores, kind="stable")[:2])
    return _Question(
        second,
        best,
        lead=lambda found: float(np.delete(found, second).max() - found[second]),
        least=lambda found: float(found[best] - found[second]),
    )


def _of_several(scores: Floats) -> _Question | None:
    """A label is given from a score of 0, probability 0.5, whatever the others' scores."""
    if (scores >= 0).all():
        return None
    nearest = int(np.where(scores < 0, scores, -np.inf).argmax())

    def lead(found: Floats) -> float:
        return float(-found[nearest])

    return _Question(nearest, None, lead, lead)


def _by_words(
    model: Model, background: Background, seen: SeenImage, asked: _Question
) -> tuple[Floats, Callable[[Floats], Floats]]:
    """What each word's logit adds to the lead, [V], and the scores [C] as they would be with other logits."""
    assert seen.logits is not None and model.head is not None
    known, before = background.head_of_words, seen.logits
    if known is not None:
        weight, bias = known.weight.numpy(), known.bias.numpy()
        against = 0.0 if asked.against is None else weight[asked.against]
        return against - weight[asked.instead], lambda logits: weight @ logits + bias
    way = contributions.direction(
        model.head, seen.features, of=asked.instead, against=asked.against, mean=background.mean
    )
    chosen, weights, _ = contributions.sparse_words(
        -way.gradient, background.word_weights, covariance=background.covariance
    )
    all_weights = np.zeros(len(before))
    all_weights[chosen] = weights
    features = seen.features.double().cpu().numpy()

    def scores_of(logits: Floats) -> Floats:
        rows, moves = background.word_weights[chosen], (logits - before)[chosen]
        moved = why_not.nearest_features(features, rows, moves, covariance=background.covariance)
        row = torch.from_numpy(moved).to(seen.features)
        scores: Floats = model.scores(row[None])[0].double().cpu().numpy()
        return scores

    return all_weights, scores_of


def _changes(words: WordScores, logits: Floats, found: why_not.Changes, locale: str) -> list[WordChange]:
    after = logits.copy()
    after[found.words] = found.after
    before_seen, after_seen = words.probabilities(logits), words.probabilities(after)
    names, keys = words.names(locale), words.vocabulary.keys
    return [
        WordChange(
            key=keys[one],
            name=names[one],
            before=float(logits[one]),
            after=float(after[one]),
            seen_before=float(before_seen[one]),
            seen_after=float(after_seen[one]),
        )
        for one in found.words.tolist()
    ]
