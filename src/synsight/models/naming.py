"""From features to names: the heads of a model, and what their scores are called."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from synsight.errors import ModelError
from synsight.models.parts import Parts


class Naming(Parts):
    """A model whose heads say what is seen."""

    @property
    def class_names(self) -> list[str]:
        """Readable names of the C scores, unique.

        Raises:
            ModelError: The model has no head.
        """
        self._need_head()
        if self.config.head == "words" and self.vocabulary is not None:
            return self.vocabulary.names
        return list(self.label_names or ())

    def scores(self, features: Tensor) -> Tensor:
        """Features [B, D] -> what `probabilities` are made of, [B, C], without gradient.

        Raises:
            ModelError: The model has no head.
        """
        self._need_head()
        assert self.head is not None
        with torch.inference_mode():
            scores: Tensor = self.head(features.to(self.device))
        return scores

    def probabilities(self, features: Tensor) -> Tensor:
        """Features [B, D] -> probabilities [B, C], as in `predict`.

        Raises:
            ModelError: The model has no head.
        """
        scores = self.scores(features)
        alone = self.config.head == "words" or self.config.label_scores == "sigmoid"
        return scores.sigmoid() if alone else scores.softmax(dim=1)

    def word_logits(self, features: Tensor) -> Tensor:
        """Features [B, D] -> log-odds of each word, [B, V], without gradient.

        Raises:
            ModelError: The model knows no words.
        """
        if self.word_head is None:
            raise ModelError(
                f"{self.name}: knows no words; use a model that catlip or superclass trained, or one adapted "
                "from it."
            )
        with torch.inference_mode():
            logits: Tensor = self.word_head(features.to(self.device))
        return logits

    def _need_head(self) -> None:
        if self.head is None:
            raise ModelError(
                f"{self.name}: has no head, so it embeds but names nothing; use embed(), or a "
                "model trained on words or labels."
            )


def likeliest(rows: NDArray[np.float32], names: Sequence[str], *, top: int) -> list[list[tuple[str, float]]]:
    """The names with the largest numbers of each row, [N, C], largest first."""
    answers = []
    for row in rows:
        best = np.argsort(-row, kind="stable")[:top]
        answers.append([(names[number], float(row[number])) for number in best])
    return answers
