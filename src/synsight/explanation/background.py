"""What an image is held against: the average image, how images spread, how much of a word is ever seen.

Letters: D dimensions, V words.
"""

from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from synsight.explanation import why_not
from synsight.explanation.affine import Affine, in_words
from synsight.explanation.reference import Reference
from synsight.models.saved import Model

Floats = NDArray[np.float64]

SURE = float(np.log(0.98 / 0.02))
"""Log-odds to which a word may go where no reference says how much it is ever seen."""


class Background:
    """What is the same for all images that a model with words explains; computed when first asked for.

    Args:
        model: The model.
        reference: None: contributions count from features of zero, and all dimensions count the same.
    """

    def __init__(self, model: Model, reference: Reference | None) -> None:
        self._model = model
        self._reference = None if reference is None or not len(reference.features) else reference

    @cached_property
    def head_of_words(self) -> Affine | None:
        """The head of labels in word logits; None: it is not linear in them."""
        return in_words(self._model)

    @cached_property
    def word_weights(self) -> Floats:
        """Of the word head, [V, D]."""
        assert self._model.word_head is not None
        weights: Floats = self._model.word_head.weight.detach().double().cpu().numpy()
        return weights

    @cached_property
    def mean(self) -> Floats:
        """The average image's features, [D]."""
        if self._reference is None:
            return np.zeros(self._model.config.embedding_dim)
        return self._reference.mean

    @cached_property
    def covariance(self) -> Floats | None:
        """Of the features, [D, D]; None: unknown."""
        if self._reference is None or len(self._reference.features) < 2:
            return None
        return self._reference.covariance

    @cached_property
    def bounds(self) -> tuple[Floats, Floats]:
        """Least and greatest logit of each word, [V] each."""
        if self._reference is None:
            words = len(self.word_weights)
            return np.full(words, -SURE), np.full(words, SURE)
        rows = torch.from_numpy(self._reference.some_features)
        return why_not.bounds(self._model.word_logits(rows).double().cpu().numpy())
