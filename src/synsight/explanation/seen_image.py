"""An image as the model sees it.

Letters: S side of the input in pixels, D dimensions, V words, C classes.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from synsight.models.saved import Model

Floats = NDArray[np.float64]

SAID = 0.5
"""Probability from which on one of several labels is given."""


@dataclass(frozen=True)
class SeenImage:
    """What the model makes of an image.

    Attributes:
        pixels: uint8 [3, S, S].
        features: [D].
        logits: Of the words, [V]; None: the model knows none.
        probabilities: Of the classes, [C]; None: it has none.
        scores: Of the classes, [C]; None: it has none.
    """

    pixels: Tensor
    features: Tensor
    logits: Floats | None
    probabilities: Floats | None
    scores: Floats | None

    @property
    def best(self) -> int | None:
        """The likeliest class."""
        return None if self.probabilities is None else int(self.probabilities.argmax())


def has_words(model: Model) -> bool:
    """Whether the model names what it sees."""
    return model.word_head is not None and model.vocabulary is not None


def has_classes(model: Model) -> bool:
    """Whether the model chooses among labels."""
    return model.config.head == "labels"


def several_at_once(model: Model) -> bool:
    """Whether several labels may hold of one image."""
    return has_classes(model) and model.config.label_scores == "sigmoid"


def look(model: Model, image: Image.Image | bytes) -> SeenImage:
    """Show an image to the model.

    Raises:
        ImageError: Bytes that are no image.
    """
    alike: Any = [image]  # one image is a list of one kind, which its type does not say
    pixels = model.pixels(alike)[0]
    row = model.features(pixels[None])
    logits = model.word_logits(row)[0].double().cpu().numpy() if has_words(model) else None
    scores = probabilities = None
    if has_classes(model):
        scores = model.scores(row)[0].double().cpu().numpy()
        probabilities = model.probabilities(row)[0].double().cpu().numpy()
    return SeenImage(pixels, row[0].clone(), logits, probabilities, scores)
