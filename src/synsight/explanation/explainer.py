"""One image explained: what is seen, what carried the answer, where, like what, why not.

Letters: D dimensions, V words, C classes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Lock

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.special import expit
from torch import Tensor

from synsight.data.catalog import Catalog
from synsight.errors import ModelError
from synsight.explanation import contributions, why_not
from synsight.explanation.affine import Affine, in_words
from synsight.explanation.drawing import as_image, data_url, overlay
from synsight.explanation.faithfulness import deletion_insertion
from synsight.explanation.levels import Level, Rollup, level_of
from synsight.explanation.maps import Map, Method, maps
from synsight.explanation.names import word_names
from synsight.explanation.near_cases import near_cases
from synsight.explanation.other_maps import Score
from synsight.explanation.reference import Reference, read_reference
from synsight.models.saved import Model
from synsight.reports.explanation_records import (
    Contribution,
    Contributions,
    ExplanationRecord,
    HeatMap,
    NearCase,
    SeenWord,
    WhyNot,
    WordChange,
)
from synsight.reports.explanation_words import say, why_not_sentence, words_of

Floats = NDArray[np.float64]

MOST_LISTED = 8
"""Contributions that are listed by name."""
MOST_CLASSES = 5
SURE = float(np.log(0.98 / 0.02))
"""Log-odds to which a word may go where no reference says how much it is ever seen."""


@dataclass(frozen=True)
class _Seen:
    """An image as the model sees it."""

    pixels: Tensor
    features: Tensor
    logits: Floats | None
    """Of the words, [V]."""
    probabilities: Floats | None
    """Of the classes, [C]."""
    scores: Floats | None
    """Of the classes, [C]."""


class Explainer:
    """Explains one image after the other; calls from several threads take turns.

    Maps watch the encoder while it computes, so nobody else may use this model's encoder at the same moment:
    a service gives the explainer a model of its own.

    Args:
        model: A model with words, with classes, or with both; one that only embeds has near cases alone, and
            needs a reference for them.
        reference: A catalog, its folder, or what `read_reference` made of it: near cases come from its train
            rows, the words' calibration from its val rows, and contributions count from its average image.
            None: no near cases, raw scores, and contributions count from features of zero.
        label: Column of the reference with labels, shown with near cases.
        level: Height of the words in the hypernym tree; see `levels.level_of`.
        rollup: How words become one word of the level.
        progress: Show a bar while the reference's features are computed.

    Raises:
        ModelError: The model has neither words nor classes, and there is no reference.
        CatalogError: The reference cannot be read.
        UsageError: A level that is above no word.
    """

    def __init__(
        self,
        model: Model,
        reference: Reference | Catalog | str | Path | None = None,
        *,
        label: str | None = None,
        level: int | Sequence[str] | None = None,
        rollup: Rollup = "max",
        progress: bool = False,
    ) -> None:
        self.model, self.level, self.rollup = model, level, rollup
        if isinstance(reference, str | Path):
            reference = Catalog.open(reference)
        if isinstance(reference, Catalog):
            reference = read_reference(model, reference, label=label, progress=progress)
        self.reference = reference
        if not self.has_words and not self.has_classes and reference is None:
            raise ModelError(
                f"{model.name}: knows neither words nor classes, so there is nothing to explain; use a model "
                "that catlip trained or `adapt` made, or give a reference for near cases."
            )
        self._levels: dict[str, Level] = {}
        self._turn = Lock()
        if self.has_words:
            self._level("en")

    @property
    def has_words(self) -> bool:
        """Whether the model names what it sees."""
        return self.model.word_head is not None and self.model.vocabulary is not None

    @property
    def has_classes(self) -> bool:
        """Whether the model chooses among labels."""
        return self.model.config.head == "labels"

    def explain(
        self,
        image: Image.Image | bytes,
        *,
        words: int = 5,
        heat: bool | Method = True,
        near: int = 4,
        locale: str = "en",
        id: str = "",
        caption: str = "",
        label: str | None = None,
        check: bool = False,
        pictures: bool = True,
    ) -> ExplanationRecord:
        """Explain one image.

        Args:
            image: A PIL image, or an encoded one.
            words: Words named; three of them with a map.
            heat: Maps: True as `auto`, False none, or a method of `maps.Method`.
            near: Near cases.
            locale: `en` or `ja`.
            id: What the image is called.
            caption: Shown beside it.
            label: Its true label, where it is known.
            check: Also measure whether the first map is true (100 forward passes).
            pictures: With pictures as data URLs.

        Raises:
            ImageError: Bytes that are no image.
            UsageError: No such locale or map.
            MissingDependency: The map needs a package that is not installed.
        """
        words_of(locale)
        with self._turn:
            seen = self._look(image)
            best = None if seen.probabilities is None else int(seen.probabilities.argmax())
            named = self._named(seen, words, locale)
            drawn = self._maps(seen, best, [] if heat is False else named, heat)
            model_image = as_image(seen.pixels)
            return ExplanationRecord(
                id=id,
                model=self.model.name,
                locale=locale,
                prediction=None if best is None else self.model.class_names[best],
                probability=None
                if best is None or seen.probabilities is None
                else float(seen.probabilities[best]),
                classes=self._classes(seen),
                words=[one for _, one in named],
                calibration=self.calibration(locale),
                contributions=None if best is None else self._contributions(seen, best, locale),
                heat=[_heat(one, model_image if pictures else None) for one in drawn],
                near=self._near(seen, near, locale, pictures),
                why_not=None if best is None else self._why_not(seen, locale),
                faithfulness=self._check(seen, drawn[0]) if check and drawn else {},
                label=label,
                caption=caption,
                picture=data_url(model_image) if pictures else "",
            )

    def calibration(self, locale: str = "en") -> str:
        """What the words' scores rest on, in a sentence; "" for a model without words."""
        if not self.has_words:
            return ""
        known = None if self.reference is None else self.reference.calibration
        if known is None or self.reference is None or not known.rows:
            return say(locale, "raw")
        return say(locale, "calibrated", rows=f"{known.rows:,}", catalog=self.reference.catalog.name)

    def word_scores(self, logits: Floats) -> Floats:
        """Calibrated probabilities of words from their logits, [..., V]; raw ones without a calibration."""
        known = None if self.reference is None else self.reference.calibration
        if known is None:
            return _sigmoid(logits)
        return known.probabilities(logits)

    def _look(self, image: Image.Image | bytes) -> _Seen:
        images: list[bytes] | list[Image.Image] = [image] if isinstance(image, bytes) else [image]  # noqa: RUF034
        pixels = self.model.pixels(images)[0]
        row = self.model.features(pixels[None])
        logits = self.model.word_logits(row)[0].double().cpu().numpy() if self.has_words else None
        scores = probabilities = None
        if self.has_classes:
            scores = self.model.scores(row)[0].double().cpu().numpy()
            probabilities = self.model.probabilities(row)[0].double().cpu().numpy()
        return _Seen(pixels, row[0].clone(), logits, probabilities, scores)

    def _named(self, seen: _Seen, count: int, locale: str) -> list[tuple[int, SeenWord]]:
        """The words seen most, each with the class that its map is about."""
        if seen.logits is None:
            return []
        level, raw = self._level(locale), _sigmoid(seen.logits)
        own = self.word_scores(seen.logits)
        scores = level.scores(own, rollup=self.rollup)
        raws = level.scores(raw, rollup=self.rollup)
        found = []
        for group in np.argsort(-scores, kind="stable")[:count]:
            members = level.members[group]
            word = SeenWord(
                key=level.keys[group],
                name=level.names[group],
                score=float(scores[group]),
                raw=float(raws[group]),
            )
            found.append((int(members[own[members].argmax()]), word))
        return found

    def _classes(self, seen: _Seen) -> list[tuple[str, float]]:
        if seen.probabilities is None:
            return []
        best = np.argsort(-seen.probabilities, kind="stable")[:MOST_CLASSES]
        return [(self.model.class_names[one], float(seen.probabilities[one])) for one in best]

    def _contributions(self, seen: _Seen, of: int, locale: str) -> Contributions | None:
        if seen.logits is None or self.model.head is None:
            return None
        if self._in_words is not None:
            found = contributions.from_words(self._in_words, seen.logits, of=of)
        else:
            features = seen.features.double().cpu().numpy()
            way = contributions.direction(self.model.head, seen.features, of=of, mean=self._mean)
            found = contributions.in_span(
                way, features, self._word_weights, mean=self._mean, covariance=self._covariance
            )
        level = self._level(locale)
        sums = level.sums(found.values)
        listed = [int(one) for one in np.argsort(-np.abs(sums), kind="stable")[:MOST_LISTED] if sums[one]]
        return Contributions(
            of=self.model.class_names[of],
            score=found.score,
            baseline=found.baseline,
            words=[
                Contribution(key=level.keys[n], name=level.names[n], value=float(sums[n])) for n in listed
            ],
            rest=float(sums.sum() - sums[listed].sum()),
            residual=found.residual,
            exact=found.exact,
            said=found.said,
            method=found.method,
        )

    def _maps(
        self, seen: _Seen, best: int | None, named: Sequence[tuple[int, SeenWord]], heat: bool | Method
    ) -> list[tuple[str, str, int, Map]]:
        """(name, kind, number, map) of the predicted class and of the three words seen most."""
        if heat is False:
            return []
        targets = [] if best is None else [(self.model.class_names[best], "class", best)]
        targets += [(word.name, "word", number) for number, word in named[:3]]
        found = maps(
            self.model,
            seen.pixels,
            [self._score(kind, number) for _, kind, number in targets],
            method="auto" if heat is True else heat,
        )
        return [(*target, one) for target, one in zip(targets, found, strict=True)]

    def _score(self, kind: str, number: int) -> Score:
        head = self.model.head if kind == "class" else self.model.word_head
        assert head is not None

        def score(features: Tensor) -> Tensor:
            scores: Tensor = head(features)
            return scores[:, number]

        return score

    def _near(self, seen: _Seen, count: int, locale: str, pictures: bool) -> list[NearCase]:
        if self.reference is None or not count:
            return []
        return near_cases(
            self.reference,
            seen.features.cpu().numpy(),
            count=count,
            vocabulary=self.model.vocabulary,
            locale=locale,
            pictures=pictures,
        )

    def _why_not(self, seen: _Seen, locale: str) -> WhyNot | None:
        if seen.logits is None or seen.scores is None or len(seen.scores) < 2:
            return None
        if self.model.config.label_scores != "softmax":
            return None  # several labels may hold at once: none stands in another's place
        best, second = (int(one) for one in np.argsort(-seen.scores, kind="stable")[:2])
        weights, scores_of = self._by_words(seen, best, second)
        low, high = self._bounds

        def lead(logits: Floats) -> float:
            scores = scores_of(logits)
            return float(np.delete(scores, second).max() - scores[second])

        def lead_of_best(logits: Floats) -> float:
            scores = scores_of(logits)
            return float(scores[best] - scores[second])

        found = why_not.fewest_changes(weights, seen.logits, lead=lead, low=low, high=high)
        # To beat the predicted class alone takes no more words than to beat all: if as many, less won't do.
        least = why_not.fewest_changes(weights, seen.logits, lead=lead_of_best, low=low, high=high)
        after = seen.logits.copy()
        after[found.words] = found.after
        before_seen, after_seen = self.word_scores(seen.logits), self.word_scores(after)
        names = self._names(locale)
        changes = [
            WordChange(
                key=self._keys[one],
                name=names[one],
                before=float(seen.logits[one]),
                after=float(after[one]),
                seen_before=float(before_seen[one]),
                seen_after=float(after_seen[one]),
            )
            for one in found.words.tolist()
        ]
        instead = self.model.class_names[second]
        return WhyNot(
            instead=instead,
            margin=float(seen.scores[best] - seen.scores[second]),
            changes=changes,
            exact=self._in_words is not None and len(least.words) == len(found.words),
            verified=found.verified,
            sentence=why_not_sentence(locale, instead, changes, most=why_not.MOST_CHANGES),
        )

    def _by_words(self, seen: _Seen, best: int, second: int) -> tuple[Floats, Callable[[Floats], Floats]]:
        """What each word's logit adds to the lead of one class over another, [V], and the scores [C] as they
        would be with other logits.
        """
        assert seen.logits is not None and self.model.head is not None
        known, before = self._in_words, seen.logits
        if known is not None:
            weight, bias = known.weight.numpy(), known.bias.numpy()
            return weight[best] - weight[second], lambda logits: weight @ logits + bias
        way = contributions.direction(
            self.model.head, seen.features, of=best, against=second, mean=self._mean
        )
        chosen, weights, _ = contributions.sparse_words(
            way.gradient, self._word_weights, covariance=self._covariance
        )
        all_weights = np.zeros(len(before))
        all_weights[chosen] = weights
        features = seen.features.double().cpu().numpy()

        def scores_of(logits: Floats) -> Floats:
            rows, moves = self._word_weights[chosen], (logits - before)[chosen]
            moved = why_not.nearest_features(features, rows, moves, covariance=self._covariance)
            row = torch.from_numpy(moved).to(seen.features)
            scores: Floats = self.model.scores(row[None])[0].double().cpu().numpy()
            return scores

        return all_weights, scores_of

    def _check(self, seen: _Seen, drawn: tuple[str, str, int, Map]) -> dict[str, float]:
        _, kind, number, one = drawn

        def probability(images: Tensor) -> Floats:
            features = self.model.features(images)
            rows = (
                self.model.probabilities(features)
                if kind == "class"
                else self.model.word_logits(features).sigmoid()
            )
            return rows[:, number].double().cpu().numpy()

        found = deletion_insertion(seen.pixels, one.values, probability)
        return {name: float(value) for name, value in vars(found).items()}

    def _level(self, locale: str) -> Level:
        if locale not in self._levels:
            assert self.model.vocabulary is not None
            self._levels[locale] = level_of(self.model.vocabulary, self.level, locale=locale)
        return self._levels[locale]

    def _names(self, locale: str) -> list[str]:
        assert self.model.vocabulary is not None
        return word_names(self.model.vocabulary, locale=locale)

    @cached_property
    def _keys(self) -> list[str]:
        assert self.model.vocabulary is not None
        return self.model.vocabulary.keys

    @cached_property
    def _in_words(self) -> Affine | None:
        return in_words(self.model)

    @cached_property
    def _word_weights(self) -> Floats:
        assert self.model.word_head is not None
        weights: Floats = self.model.word_head.weight.detach().double().cpu().numpy()
        return weights

    @cached_property
    def _mean(self) -> Floats:
        if self.reference is not None and len(self.reference.features):
            return self.reference.mean
        return np.zeros(self.model.config.embedding_dim)

    @cached_property
    def _covariance(self) -> Floats | None:
        if self.reference is None or len(self.reference.features) < 2:
            return None
        return self.reference.covariance

    @cached_property
    def _bounds(self) -> tuple[Floats, Floats]:
        if self.reference is None or not len(self.reference.features):
            return np.full(len(self._keys), -SURE), np.full(len(self._keys), SURE)
        rows = torch.from_numpy(self.reference.some_features)
        return why_not.bounds(self.model.word_logits(rows).double().cpu().numpy())


def _heat(drawn: tuple[str, str, int, Map], image: Image.Image | None) -> HeatMap:
    name, kind, _, one = drawn
    return HeatMap(
        of=name,
        kind=kind,
        method=one.method,
        values=[[float(value) for value in row] for row in one.values],
        constant=one.constant,
        picture="" if image is None else data_url(overlay(image, one.values)),
    )


def _sigmoid(logits: Floats) -> Floats:
    found: Floats = expit(logits)
    return found
