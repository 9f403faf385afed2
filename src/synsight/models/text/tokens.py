"""CLIP's byte-pair encoding of captions, many at a time.

The table of merges, the cleaning and the rules that cut text into words are open_clip's. A piece between
blanks gives the same ids wherever it stands, so pieces are looked up in a dictionary and captions are never
tokenised twice for the same word.
"""

from collections.abc import Sequence
from functools import cache
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synsight.errors import ConfigError
from synsight.language.clean import MAX_CHARACTERS
from synsight.models.text.libraries import optional_module

MAX_PIECES = 500_000
"""Pieces remembered (about 100 MB when full); later ones are looked at anew each time."""

MAX_WORD = 256
"""Characters; merging takes time quadratic in the length of a word, and a caption is hostile input."""


class TextTokeniser:
    """Captions to ids of CLIP's vocabulary. May be shared between threads.

    Gives what `open_clip.tokenize` gives, with two limits that no caption of people meets: 4,000 characters
    of a caption are read, and a run of more than 256 letters is encoded in parts.

    Raises:
        MissingDependency: open_clip, which carries the vocabulary, is not installed.
    """

    vocab_size = 49_408
    start_id = 49_406
    end_id = 49_407

    def __init__(self) -> None:
        open_clip = optional_module("open_clip.tokenizer", purpose="cutting captions into sub-words")
        self._bpe = open_clip.SimpleTokenizer()
        self._bpe.cache = _Frozen(self._bpe.cache)
        self._pieces = _Pieces(self._bpe)

    @staticmethod
    @cache
    def load() -> "TextTokeniser":
        """The tokeniser, made once in a process."""
        return TextTokeniser()

    def __reduce__(self) -> tuple[Any, ...]:
        return TextTokeniser.load, ()  # a worker process reads the table anew rather than through a pipe

    def token_ids(self, text: str) -> list[int]:
        """The ids of a caption in reading order, without the marks of its start and end; all below 49,406.

        These are the sub-word labels of SuperClass (https://arxiv.org/abs/2411.03313, section 3.1), whose
        released code also counts start, end and padding.
        """
        return [one for one in self._ids(text) if one < self.start_id]

    def token_text(self, token_id: int) -> str:
        """What a token stands for; a token that ends a word and one that begins it may read alike."""
        text: str = self._bpe.decode([token_id])
        return text.strip()

    def encode_batch(self, texts: Sequence[str], context_length: int) -> NDArray[np.int32]:
        """Captions as rows of start, ids, end, zeros.

        Args:
            texts: N captions; an empty one is start and end alone.
            context_length: L; longer captions are cut, and keep their end. (A zero may also be a "!" inside a
                caption: the end is the first `end_id` of a row, its largest value.)

        Returns:
            int32 [N, L].

        Raises:
            ConfigError: L has no room for start and end.
        """
        if context_length < 2:
            raise ConfigError(f"context_length must be >= 2, for start and end; got {context_length}")
        room = context_length - 2
        rows = [[self.start_id, *self._ids(text)[:room], self.end_id] for text in texts]
        return padded(rows, width=context_length, fill=0)

    def _ids(self, text: str) -> list[int]:
        pieces = map(self._pieces.__getitem__, self._clean(text[:MAX_CHARACTERS]).split(" "))
        return list(chain.from_iterable(pieces))

    def _clean(self, text: str) -> str:
        # ftfy and HTML's escapes are most of the time and find nothing in printable ASCII without "&".
        if text.isascii() and text.isprintable() and "&" not in text:
            return " ".join(text.split()).lower()
        cleaned: str = self._bpe.clean_fn(text)
        return cleaned


def padded(rows: Sequence[Sequence[int]], *, width: int, fill: int) -> NDArray[np.int32]:
    """Lists of N rows as an array [N, width], filled up on the right."""
    lengths = np.fromiter(map(len, rows), np.int64, len(rows))
    tokens = np.full((len(rows), width), fill, np.int32)
    filled = np.arange(width) < lengths[:, None]
    tokens[filled] = np.fromiter(chain.from_iterable(rows), np.int32, int(lengths.sum()))
    return tokens


class _Pieces(dict[str, tuple[int, ...]]):
    """What stands between two blanks -> its ids."""

    def __init__(self, bpe: Any) -> None:
        super().__init__()
        self._bpe = bpe

    def __missing__(self, piece: str) -> tuple[int, ...]:
        words = [
            word[start : start + MAX_WORD]
            for word in self._bpe.pat.findall(piece)
            for start in range(0, len(word), MAX_WORD)
        ]
        ids = tuple(number for word in words for number in self._word(word))
        if len(self) < MAX_PIECES:
            self[piece] = ids
        return ids

    def _word(self, word: str) -> list[int]:
        spelled = "".join(self._bpe.byte_encoder[byte] for byte in word.encode())
        return [self._bpe.encoder[part] for part in self._bpe.bpe(spelled).split(" ")]


class _Frozen(dict[str, str]):
    """A cache that keeps what it has; open_clip's would grow with every word there is."""

    def __setitem__(self, key: str, value: str) -> None:
        pass
