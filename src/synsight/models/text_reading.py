"""From features to the space that images share with texts, and from texts to it."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from synsight.errors import ModelError
from synsight.models.parts import Parts
from synsight.models.text_side import TextSide


class TextReading(Parts):
    """A model that may have a text half beside its images'."""

    _text: TextSide | Callable[[], TextSide] | None

    @property
    def reads_text(self) -> bool:
        """Whether there is a text half."""
        return self._text is not None

    @property
    def text(self) -> TextSide:
        """The text half; read when it is first asked for.

        Raises:
            ModelError: The model reads no text, or its text tower is not on this machine.
        """
        if self._text is None:
            raise ModelError(
                f"{self.name}: reads no text, so it knows no class by name alone; use a model trained with "
                "clip or siglip, or 'open-clip:NAME/WEIGHTS'."
            )
        if not isinstance(self._text, TextSide):
            self._text = self._text()
        return self._text.to(self.device)

    def project(self, features: Tensor) -> Tensor:
        """Features [B, D] in the space shared with texts, [B, P], not normalised; the features themselves
        where the model has no projection.
        """
        if self.projection is None:
            return features
        projections: Tensor = self.projection(features)
        return projections

    def embed_texts(self, texts: Sequence[str], *, batch_size: int = 256) -> NDArray[np.float32]:
        """Texts in the space of `project`, unit rows, float32 [N, P].

        Raises:
            ModelError: The model reads no text, or its text tower is not on this machine.
            MissingDependency: The text tower needs a package that is not installed.
        """
        rows: NDArray[np.float32] = self.text.embed(texts, batch_size=batch_size).cpu().numpy()
        return rows

    def likeness(self, features: Tensor, classes: Tensor) -> Tensor:
        """Features [B, D] and the classes' embeddings [C, P] -> probabilities of the classes, [B, C], without
        gradient.

        Raises:
            ModelError: As `text`.
        """
        with torch.inference_mode():
            cosines = F.normalize(self.project(features), dim=1) @ classes.T
            return (self.text.logit_scale * cosines).softmax(dim=1)
