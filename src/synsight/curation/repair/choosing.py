"""Which of several captions is kept: the one that an image-text score prefers, the original when in doubt."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from synsight.curation.repair.row_source import TEXTS
from synsight.errors import ImageError, ModelError
from synsight.models import load
from synsight.models.saved import Model

SCORES = "scores"
SMALLEST_GAIN = 1e-4
"""A smaller lead is a tie: what else is in a batch changes as much."""


class PairScorer(Protocol):
    """How well texts fit images, by a model that has seen both kinds."""

    @property
    def name(self) -> str:
        """What the user calls it."""

    @property
    def identity(self) -> str:
        """Changes with whatever its scores depend on."""

    def __call__(self, images: Sequence[bytes], texts: Sequence[Sequence[str]], /) -> list[list[float]]:
        """For each encoded image the scores of its texts, 0 to 1; of an image that cannot be read, none."""


class ModelScorer:
    """Cosine of image and text in a CLIP-like model, as (1 + cosine) / 2.

    Args:
        name: A name for `load`, of a model that reads text.

    Raises:
        ModelError: There is no such model, or it reads no text.
    """

    def __init__(self, name: str) -> None:
        self._argument = name
        model = load(name)
        self.name, self.identity = model.name, f"{model.name} {model.digest}"
        if not len(model.text.embed(["a"])):
            raise ModelError(f"{name}: reads no text; use a model trained with clip or siglip.")
        self._model: Model | None = model

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_model": None}  # another process loads it again

    def __call__(self, images: Sequence[bytes], texts: Sequence[Sequence[str]], /) -> list[list[float]]:
        """See `PairScorer`."""
        if self._model is None:
            self._model = load(self._argument)
        model = self._model
        pixels = [_pixels(model, image) for image in images]
        readable = [one for one in pixels if one is not None]
        if not readable:
            return [[] for _ in images]
        with torch.inference_mode():
            features = model.project(model.features(torch.cat(readable)))
            directions = iter(F.normalize(features.float(), dim=1).cpu().numpy())
        rows = iter(model.embed_texts([text for some in texts for text in some]))
        scores = []
        for some, seen in zip(texts, pixels, strict=True):
            theirs = np.array([next(rows) for _ in some])
            cosines = theirs @ next(directions) if seen is not None else np.empty(0)
            scores.append([float(one) for one in np.clip((1 + cosines) / 2, 0, 1)])
        return scores


def _pixels(model: Model, image: bytes) -> torch.Tensor | None:
    try:
        return model.pixels([image])
    except ImageError:
        return None


@dataclass(frozen=True)
class ScoreStage:
    """Images and the column `texts` to the column `scores` (list<float32>; empty: not scored)."""

    scorer: PairScorer

    name = "score_captions"
    version = "1"

    @property
    def settings(self) -> Mapping[str, object]:
        """See `Stage.settings`."""
        return {"scorer": self.scorer.identity}

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """See `Stage`."""
        found = self.scorer(batch.column("image").to_pylist(), batch.column(TEXTS).to_pylist())
        return pa.record_batch([pa.array(found, pa.list_(pa.float32()))], [SCORES])


@dataclass(frozen=True)
class Option:
    """A caption that a row could have."""

    text: str
    origin: str
    """As in `caption_origin`."""


def choose(
    options: Sequence[Option],
    scores: Sequence[float] | NDArray[np.float32] = (),
    *,
    smallest_gain: float = SMALLEST_GAIN,
) -> tuple[int, float | None]:
    """The option to keep, and its score.

    Args:
        options: At least one; the first is what is kept when in doubt, then the order says which comes first.
        scores: As many; empty: nobody scored them.
        smallest_gain: A smaller lead is a tie.

    Returns:
        Place of the option with the highest score; of ties, and without scores, the first.
    """
    if len(scores) != len(options) or not np.isfinite(scores).all():
        return 0, None
    best = 0
    for place in range(1, len(options)):
        if scores[place] > scores[best] + smallest_gain:
            best = place
    return best, float(scores[best])
