"""Why, where there is no gradient: what an exported model sees and where, by covering the image in parts.

Letters: S side of the input in pixels, T targets, C classes.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from synsight.deployment.serving.cases import Cases
from synsight.deployment.serving.engine import Engine, Outputs
from synsight.deployment.serving.heads import Head
from synsight.explanation.drawing import SIDE, data_url, overlay
from synsight.reports.explanation_records import ExplanationRecord, HeatMap, NearCase, SeenWord
from synsight.reports.explanation_words import say

Floats = NDArray[np.float64]

CELLS = 7
"""A side; a window is two of them, so that 36 covered images are looked at."""
AT_ONCE = 8
NEAR = 4
MOST_CLASSES = 5
MOST_MAPS = 3
"""Words with a map."""
SURE = 1e-6
"""Probabilities are kept this far from 0 and 1, whose log-odds are infinite."""


class OcclusionExplainer:
    """Explains images with what `Engine.run` gives.

    There are no contributions of words and no "why not": both need the head's weights, which an exported
    graph keeps to itself.

    Args:
        engine: The encoder.
        head: Whose prediction is explained.
        words: What names the words seen; None: none are.
        cases: Where near cases come from; None: there are none.
    """

    def __init__(self, engine: Engine, head: Head, *, words: Head | None, cases: Cases | None) -> None:
        self._engine, self._head, self._words, self._cases = engine, head, words, cases

    def explain(self, image: Image.Image, *, words: int, heat: bool, locale: str) -> ExplanationRecord:
        """Explain one image, which is looked at 37 times.

        Args:
            image: Any.
            words: Words named; three of them with a map.
            heat: With maps.
            locale: Of sentences; names are those of the export.
        """
        pixels = self._engine.preparation.pixels([image])[0]
        outputs = self._engine.run(pixels[None])
        shares = self._head.probabilities(outputs)[0]
        seen = (
            []
            if self._words is None
            else self._words.likeliest(self._words.probabilities(outputs)[0], top=words)
        )
        labels = self._head.kind == "labels"
        classes = self._head.likeliest(shares, top=MOST_CLASSES) if labels else []
        targets = [(self._head, name, "class") for name, _ in classes[:1]]
        if self._words is not None:
            targets += [(self._words, name, "word") for name, _ in seen[:MOST_MAPS]]
        return ExplanationRecord(
            id="",
            model=self._head.name,
            locale=locale,
            prediction=classes[0][0] if classes else None,
            probability=classes[0][1] if classes else None,
            classes=classes,
            words=[SeenWord(key=name, name=name, score=share, raw=share) for name, share in seen],
            calibration=say(locale, "raw") if seen else "",
            contributions=None,
            heat=self._maps(pixels, targets) if heat else [],
            near=self._near(outputs),
            why_not=None,
            picture=data_url(_shown(pixels)),
        )

    def _maps(self, pixels: NDArray[np.uint8], targets: Sequence[tuple[Head, str, str]]) -> list[HeatMap]:
        if not targets:
            return []
        columns = [head.names.index(name) for head, name, _ in targets]

        def scores(images: NDArray[np.uint8]) -> Floats:
            outputs = self._engine.run(images)
            found = [
                head.probabilities(outputs)[:, one] for (head, *_), one in zip(targets, columns, strict=True)
            ]
            return log_odds(np.stack(found, axis=1))

        picture = _shown(pixels)
        return [
            HeatMap(
                of=name,
                kind=kind,
                method="occlusion",
                values=values.tolist(),
                constant=None,
                picture=data_url(overlay(picture, values)),
            )
            for (_, name, kind), values in zip(targets, falls(scores, pixels), strict=True)
        ]

    def _near(self, outputs: Outputs) -> list[NearCase]:
        if self._cases is None:
            return []
        found = self._cases.nearest(outputs["features"][0], top=NEAR, thumbnails=True)
        return [
            NearCase(
                id=one.id,
                similarity=one.similarity,
                caption=one.caption or "",
                label=one.label,
                words=(),
                picture=one.thumbnail,
            )
            for one in found
        ]


def falls(
    scores: Callable[[NDArray[np.uint8]], Floats], pixels: NDArray[np.uint8], *, cells: int = CELLS
) -> list[Floats]:
    """By how much each score falls when a window of 2 x 2 cells is covered, averaged over the windows that
    cover a cell: T maps [cells, cells].

    Args:
        scores: Images uint8 [N, 3, S, S] -> [N, T].
        pixels: The image, uint8 [3, S, S], covered with its own mean colour, since an exported graph does not
            tell the mean that it subtracts.
        cells: A side.

    Reference: Zeiler and Fergus 2014, section 4.2, https://arxiv.org/abs/1311.2901
    """
    edges = np.linspace(0, pixels.shape[-1], cells + 1).round().astype(int)
    mean = pixels.mean(axis=(1, 2)).round().astype(np.uint8)[:, None, None]
    places = [(row, column) for row in range(cells - 1) for column in range(cells - 1)]
    covered = np.repeat(pixels[None], len(places), axis=0)
    for image, (row, column) in zip(covered, places, strict=True):
        image[:, edges[row] : edges[row + 2], edges[column] : edges[column + 2]] = mean
    whole = scores(pixels[None])[0]
    parts = [scores(covered[start : start + AT_ONCE]) for start in range(0, len(places), AT_ONCE)]
    fallen = whole - np.concatenate(parts)  # [(cells - 1)^2, T]
    sums, counts = np.zeros((len(whole), cells, cells)), np.zeros((cells, cells))
    for fall, (row, column) in zip(fallen, places, strict=True):
        sums[:, row : row + 2, column : column + 2] += fall[:, None, None]
        counts[row : row + 2, column : column + 2] += 1
    return list(sums / counts)


def log_odds(shares: NDArray[np.floating]) -> Floats:
    """Of probabilities; they fall where probabilities near 1 do not."""
    kept = np.clip(shares.astype(np.float64), SURE, 1 - SURE)
    found: Floats = np.log(kept / (1 - kept))
    return found


def _shown(pixels: NDArray[np.uint8]) -> Image.Image:
    """What the model was shown, at least `SIDE` pixels large."""
    image = Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))
    times = -(-SIDE // image.width)
    return image.resize((image.width * times,) * 2, Image.Resampling.BICUBIC) if times > 1 else image
