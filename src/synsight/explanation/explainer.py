"""One image explained: what is seen, what carried the answer, where, like what, why not."""

from collections.abc import Sequence
from pathlib import Path
from threading import Lock

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from synsight.data.catalog import Catalog
from synsight.errors import ModelError
from synsight.explanation.background import Background
from synsight.explanation.carried import carried
from synsight.explanation.drawing import as_image, data_url, overlay
from synsight.explanation.faithfulness import deletion_insertion
from synsight.explanation.levels import Rollup
from synsight.explanation.maps import Map, Method, maps
from synsight.explanation.near_cases import near_cases
from synsight.explanation.other_answer import other_answer
from synsight.explanation.other_maps import Score
from synsight.explanation.reference import Reference, read_reference
from synsight.explanation.seen_image import SAID, SeenImage, has_classes, has_words, look, several_at_once
from synsight.explanation.word_scores import WordScores
from synsight.models.saved import Model
from synsight.reports.explanation_records import ExplanationRecord, HeatMap, NearCase, SeenWord
from synsight.reports.explanation_words import words_of

MOST_CLASSES = 5
MOST_MAPPED = 3
"""Words with a map, and classes."""


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
        self.model = model
        if isinstance(reference, str | Path):
            reference = Catalog.open(reference)
        if isinstance(reference, Catalog):
            reference = read_reference(model, reference, label=label, progress=progress)
        self.reference = reference
        if not has_words(model) and not has_classes(model) and reference is None:
            raise ModelError(
                f"{model.name}: knows neither words nor classes, so there is nothing to explain; use a model "
                "that catlip trained or `adapt` made, or give a reference for near cases."
            )
        self._background = Background(model, reference)
        self._words = None
        if model.vocabulary is not None and has_words(model):
            self._words = WordScores(model.vocabulary, reference, level=level, rollup=rollup)
        self._turn = Lock()

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
        label: str | Sequence[str] | None = None,
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
            label: Its true label, where it is known; its labels, where several may hold.
            check: Also measure whether the first map is true (100 forward passes).
            pictures: With pictures as data URLs.

        Raises:
            ImageError: Bytes that are no image.
            UsageError: No such locale or map.
        """
        words_of(locale)
        with self._turn:
            seen = look(self.model, image)
            best, answers = seen.best, self._answers(seen)
            named: list[tuple[int, SeenWord]] = []
            if self._words is not None and seen.logits is not None:
                named = self._words.named(seen.logits, words, locale)
            drawn = self._maps(seen, answers, named, heat) if heat is not False else []
            model_image = as_image(seen.pixels)
            names = [self.model.class_names[one] for one in answers]
            truth = [label] if isinstance(label, str) else label
            return ExplanationRecord(
                id=id,
                model=self.model.name,
                locale=locale,
                prediction=None if best is None else self.model.class_names[best],
                probability=None if best is None else self._classes(seen)[0][1],
                answers=names,
                classes=self._classes(seen),
                words=[one for _, one in named],
                calibration=self.calibration(locale),
                contributions=None
                if best is None or self._words is None
                else carried(self.model, self._background, self._words.level(locale), seen, of=best),
                heat=[_heat(one, model_image if pictures else None) for one in drawn],
                near=self._near(seen, near, locale, pictures),
                why_not=None
                if self._words is None
                else other_answer(self.model, self._background, self._words, seen, locale=locale),
                faithfulness=self._check(seen, drawn[0]) if check and drawn else {},
                label=None if truth is None else ", ".join(truth),
                right=None if truth is None or best is None else set(truth) == set(names),
                caption=caption,
                picture=data_url(model_image) if pictures else "",
            )

    def calibration(self, locale: str = "en") -> str:
        """What the words' scores rest on, in a sentence; "" for a model without words."""
        return "" if self._words is None else self._words.calibration(locale)

    def _answers(self, seen: SeenImage) -> list[int]:
        """The class that is answered; where several labels may hold, those that are, the likeliest first."""
        if seen.best is None or seen.probabilities is None:
            return []
        if not several_at_once(self.model):
            return [seen.best]
        order = np.argsort(-seen.probabilities, kind="stable")
        return [int(one) for one in order if seen.probabilities[one] >= SAID]

    def _classes(self, seen: SeenImage) -> list[tuple[str, float]]:
        if seen.probabilities is None:
            return []
        best = np.argsort(-seen.probabilities, kind="stable")[:MOST_CLASSES]
        return [(self.model.class_names[one], float(seen.probabilities[one])) for one in best]

    def _maps(
        self,
        seen: SeenImage,
        answers: Sequence[int],
        named: Sequence[tuple[int, SeenWord]],
        heat: bool | Method,
    ) -> list[tuple[str, str, int, Map]]:
        """(name, kind, number, map) of what is answered, else of the likeliest class, and of the words seen
        most.
        """
        classes = answers[:MOST_MAPPED] or ([] if seen.best is None else [seen.best])
        targets = [(self.model.class_names[one], "class", one) for one in classes]
        targets += [(word.name, "word", number) for number, word in named[:MOST_MAPPED]]
        found = maps(
            self.model,
            seen.pixels,
            [self._score(kind, number) for _, kind, number in targets],
            method="auto" if isinstance(heat, bool) else heat,
        )
        return [(*target, one) for target, one in zip(targets, found, strict=True)]

    def _score(self, kind: str, number: int) -> Score:
        head = self.model.head if kind == "class" else self.model.word_head
        assert head is not None

        def score(features: Tensor) -> Tensor:
            scores: Tensor = head(features)
            return scores[:, number]

        return score

    def _near(self, seen: SeenImage, count: int, locale: str, pictures: bool) -> list[NearCase]:
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

    def _check(self, seen: SeenImage, drawn: tuple[str, str, int, Map]) -> dict[str, float]:
        _, kind, number, one = drawn

        def probability(images: Tensor) -> NDArray[np.float64]:
            features = self.model.features(images)
            rows = (
                self.model.probabilities(features)
                if kind == "class"
                else self.model.word_logits(features).sigmoid()
            )
            return rows[:, number].double().cpu().numpy()

        found = deletion_insertion(seen.pixels, one.values, probability)
        return {name: float(value) for name, value in vars(found).items()}


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
