"""From captions to the set of their sub-words, the labels of SuperClass."""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Protocol

import numpy as np

from synsight.language.clean import MAX_CHARACTERS
from synsight.language.matches import Matches, unique_in_rows


class Subwords(Protocol):
    """A sub-word tokeniser, as CLIP's byte-pair encoding; picklable."""

    def token_ids(self, text: str) -> list[int]:
        """The ids of a text in reading order, without marks for its beginning and end."""

    def token_text(self, token_id: int) -> str:
        """What a token stands for."""


class SubwordMatcher:
    """Finds the sub-words of captions: which token ids a caption holds, not how often or in what order.

    As SuperClass makes its labels, without the marks for start, end and padding that its released code counts
    too (only their weight of almost nothing removes them there).

    Reference: Huang et al. 2024, section 3.1, https://arxiv.org/abs/2411.03313
    """

    def __init__(self, tokeniser: Subwords) -> None:
        self._tokeniser = tokeniser

    def join(self, texts: Iterable[str | None]) -> str:
        """Several texts of one row as one; the blank between them is in no token."""
        return " ".join([text for text in texts if text])

    def match(self, captions: Sequence[str]) -> Matches:
        """The token ids of each caption; of a longer one, its first 4,000 characters'."""
        ids = [self._tokeniser.token_ids(caption[:MAX_CHARACTERS]) for caption in captions]
        rows = np.repeat(np.arange(len(ids), dtype=np.int64), [len(one) for one in ids])
        values = np.fromiter(chain.from_iterable(ids), np.int64, len(rows))
        return Matches(*unique_in_rows(rows, values, len(ids)), unmatched=[[] for _ in ids])


def subword_names(token_ids: Sequence[int], tokeniser: Subwords) -> list[str]:
    """A readable name for each sub-word; those that read alike get their number: "dog [1929]".

    The end of a word and the same letters inside one read alike, and so do parts of characters.
    """
    texts = [tokeniser.token_text(one) for one in token_ids]
    seen = Counter(texts)
    return [
        f"{text} [{one}]" if seen[text] > 1 or not text else text
        for text, one in zip(texts, token_ids, strict=True)
    ]
