"""A text encoder for tests: made of letters, quick, and without an opinion."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np


@dataclass
class LetterEncoder:
    """Counts letters; remembers what it was given."""

    name: str = "letters"
    calls: list[list[str]] = field(default_factory=list)

    def __call__(self, texts: Sequence[str], /) -> np.ndarray:
        self.calls.append(list(texts))
        letters = [[text.lower().count(chr(97 + n)) for n in range(26)] for text in texts]
        return np.array(letters, np.float32).reshape(len(texts), 26)
