"""Drift between two sets of rows: all tests over one set of exchanges, then the sizes, words and causes.

n reference rows, m current rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from synsight.deployment import drift_verdict
from synsight.deployment.estimated_accuracy import estimated_accuracy
from synsight.deployment.label_shift import Answers, label_shift
from synsight.deployment.novel_images import (
    Novelty,
    measure_novelty,
    most_novel,
    novel_share,
    periods,
)
from synsight.deployment.watched_rows import WatchedRows, joint_codes
from synsight.deployment.word_drift import SeenWords, moved
from synsight.errors import ConfigError
from synsight.metrics.drift import DriftTest, distance_tests, domain_classifier, standardised
from synsight.metrics.exchanges import EXCHANGES, draw_exchanges
from synsight.metrics.mean_differences import largest_difference
from synsight.reports.drift_records import DriftResult, DriftSummary, Moved, TestName


@dataclass(frozen=True, eq=False)
class Columns:
    """Named numbers of both sides."""

    names: tuple[str, ...]
    """[V]"""
    reference: NDArray[np.float32]
    """[n, V]"""
    current: NDArray[np.float32]
    """[m, V]"""


@dataclass(frozen=True, eq=False)
class Predicted:
    """Classes that a model, or a probe, gives to both sides."""

    names: tuple[str, ...]
    """[C]"""
    reference: NDArray[np.float32]
    """Probabilities, [n, C]."""
    current: NDArray[np.float32]
    """[m, C]"""
    labels: NDArray[np.int64] | None
    """[n] of the reference, -1 where a row has none; None: there are none."""
    by: Literal["model", "probe"]
    trained_on: float = 0.0
    """Share of the reference images that the model has learnt from."""
    one_of: bool = True
    """Exactly one class is right; else each label stands by itself, and there is no accuracy to estimate."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """What there is besides features; None: nothing of the kind."""

    words: SeenWords | None = None
    predicted: Predicted | None = None
    measures: Columns | None = None
    """Of the images: blur, darkness, ... of readable rows."""
    flags: Columns | None = None
    """1 where an image has a flag of the audit."""


@dataclass(frozen=True, eq=False)
class Found:
    """A summary, and the rows worth a label."""

    summary: DriftSummary
    collect: NDArray[np.int64]
    """Rows of the current side, most novel first."""
    novelty: Novelty
    scores: NDArray[np.float64]
    """[m] how much each current row is like the current side, by the classifier, 0 to 1."""


def find_drift(
    reference: WatchedRows,
    current: WatchedRows,
    evidence: Evidence,
    *,
    model: str,
    alpha: float = 0.03,
    exchanges: int = EXCHANGES,
    collect: int = 100,
    seed: int = 0,
) -> Found:
    """Compare two sides in everything that is known of them.

    One p-value stands for all tests: where nothing has changed the verdict is `drift` in at most a share
    alpha of such comparisons. Words are named only if the verdict is not `none`.

    Args:
        reference: How it was.
        current: How it is.
        evidence: Words, classes, measures.
        model: Its name, for the record.
        alpha: Largest share of false alarms.
        exchanges: P of the permutation tests.
        collect: Most images in the list of those worth a label.
        seed: Of everything drawn.

    Raises:
        ConfigError: Alpha, or the number of exchanges, is out of its range.
    """
    if not 0 < alpha < 1:
        raise ConfigError(f"alpha must be between 0 and 1; got {alpha!r}.")
    if exchanges < 1 / alpha - 1:
        raise ConfigError(
            f"exchanges must be at least {int(1 / alpha)} for alpha {alpha}; got {exchanges}, with which no "
            "p-value could be as small."
        )
    codes = joint_codes(reference, current)
    dealt = draw_exchanges(*codes, exchanges=exchanges, seed=seed)
    rows = standardised(reference.features, current.features)
    distances = distance_tests(rows, dealt)
    classifier = domain_classifier(rows, dealt, seed=seed)
    tests: dict[TestName, DriftTest] = {
        "mmd": distances.mmd,
        "energy": distances.energy,
        "classifier": classifier.auc,
    }
    words, predicted, measures = evidence.words, evidence.predicted, evidence.measures
    if words is not None:
        tests["words"] = largest_difference(np.concatenate([words.reference, words.current]), dealt)
    if predicted is not None:
        # Where classes keep their looks and one of them comes more often, the score of its share is the mean
        # of p(class | image), by which no other test is locally more powerful if these are calibrated.
        tests["labels"] = largest_difference(np.concatenate([predicted.reference, predicted.current]), dealt)
    if measures is not None:
        tests["quality"] = largest_difference(np.concatenate([measures.reference, measures.current]), dealt)
    p_value = max(drift_verdict.overall(tests), dealt.least_p_value)
    verdict = drift_verdict.verdict_of(p_value, tests, alpha=alpha, least_p_value=dealt.least_p_value)
    told = verdict != "none"
    novel = measure_novelty(reference, current, codes)
    share = novel_share(np.nan_to_num(novel.current) > novel.limit, codes[1])
    chosen = most_novel(novel, codes[1], most=collect)
    mix = None
    accuracy = None
    if predicted is not None:
        asked = (
            Answers(predicted.reference, codes[0], predicted.labels, predicted.one_of),
            Answers(predicted.current, codes[1], one_of=predicted.one_of),
        )
        mix = label_shift(predicted.names, *asked, predicted_by=predicted.by, alpha=alpha, seed=seed)
        accuracy = estimated_accuracy(
            *asked,
            drifted=verdict == "drift",
            apart=classifier.auc.value,
            novel=share.value,
            trained_on=predicted.trained_on,
            seed=seed,
        )
    flags = _moved(evidence.flags, codes, alpha=alpha, only_found=False)
    changed = _moved(measures, codes, alpha=alpha) if told else []
    summary = DriftSummary(
        verdict=verdict,
        p_value=p_value,
        words=_moved(words, codes, alpha=alpha) if told else [],
        alpha=alpha,
        least_p_value=dealt.least_p_value,
        tests=[DriftResult(name=name, value=one.value, p_value=one.p_value) for name, one in tests.items()],
        auc=classifier.auc.value,
        novel=share.value,
        novel_low=share.low,
        novel_high=share.high,
        reference=reference.facts,
        current=current.facts,
        model=model,
        words_from=words.origin if words is not None else "",
        words_tested=len(words.names) if words is not None else 0,
        labels=mix,
        accuracy=accuracy,
        quality=flags,
        measures=changed,
        advice=drift_verdict.advice(
            verdict,
            alpha=alpha,
            least_p_value=dealt.least_p_value,
            novel=share.value,
            to_collect=len(chosen),
            images=current.facts.rows,
            labels=mix,
            accuracy=accuracy,
            flags=[one for one in flags if one.q_value <= alpha],
            measures=changed,
        ),
        periods=periods(novel, reference, current, codes),
        collected=len(chosen),
    )
    return Found(summary, chosen, novel, classifier.scores[len(reference.positions) :])


def _moved(
    columns: Columns | SeenWords | None,
    codes: tuple[NDArray[np.int64], NDArray[np.int64]],
    *,
    alpha: float,
    only_found: bool = True,
) -> Sequence[Moved]:
    if columns is None or not columns.names:
        return []
    return moved(columns.names, columns.reference, columns.current, codes, alpha=alpha, only_found=only_found)
