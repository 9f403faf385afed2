"""From captions to noun synsets by table look-up: one cut through the text, one dictionary, no tagger.

Many captions are read at once. They are joined into one text and cut into tokens (`tokens.py`); every
spelling is looked at once in its life (`NounReader`), after that it is a number; and what depends on the
neighbours is array arithmetic.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from threading import Lock

import numpy as np

from synsight.language.matches import Matches, lists_of_rows, unique_in_rows
from synsight.language.nouns import Kind, NounReader, Reading
from synsight.language.phrases import PhraseBook
from synsight.language.tokens import BREAK, CAPTION_END, cut
from synsight.language.trades import ENOUGH, Trade
from synsight.language.wordnet import NounTable

MAX_SPELLINGS = 500_000
"""Spellings remembered (about 100 MB when full); later ones are read anew each time."""

MAX_UNMATCHED_BYTES = 60
"""A longer token is no word that a person would look at."""

_MARKS = {
    CAPTION_END: Reading(-1, Kind.BREAK | Kind.CAPTION_END),
    BREAK: Reading(-1, Kind.BREAK),
    b"&": Reading(-1, Kind.FUNCTION),
    b"'": Reading(-1, Kind(0)),
}
_SEGMENT = " | "
"""Between two texts of one row: neither context nor phrases reach across it."""


class SynsetMatcher:
    """Finds the noun synsets of captions.

    A spelling is a label in its most frequent noun sense, under any of its lemmas ("photo", "bike",
    "dogs"), in phrases of several words before single ones. It is none where WordNet's counts or its
    neighbours say that it is an adjective or a verb: "white", "free" and "design a" name nothing. May be
    shared between threads.
    """

    def __init__(self, table: NounTable | None = None) -> None:
        self._reader = NounReader(table or NounTable.load())
        self._phrases = PhraseBook(self._reader)
        self._spellings = _Spellings(self._reader, self._phrases, Trade(self._reader.table))

    @staticmethod
    @cache
    def load() -> "SynsetMatcher":
        """The matcher over the packaged table, made once in a process (about 1.5 s)."""
        return SynsetMatcher()

    def __call__(self, caption: str, keywords: Sequence[str] = ()) -> list[int]:
        """Synset offsets of one caption and its keywords, ascending. For many captions `match` is far
        faster.
        """
        return self.match([self.join((caption, *keywords))])[0]

    def join(self, texts: Iterable[str | None]) -> str:
        """Several texts of one row (a caption, its keywords) as one; no phrase reaches from one into the
        next.
        """
        return _SEGMENT.join([text for text in texts if text])

    def match(self, captions: Sequence[str]) -> Matches:
        """Synsets of many captions, cleaned here; a row of several texts is joined by `join` before."""
        tokens = cut(captions)
        readings, codes = self._spellings.read(tokens)
        offsets, kinds, numbers = readings[0][codes], readings[1][codes], readings[2][codes]
        rows = np.cumsum((kinds & Kind.CAPTION_END) != 0)
        keep = is_label(kinds)
        evidence = np.bincount(rows, weights=readings[3][codes], minlength=len(captions))
        if (evidence >= ENOUGH).any():
            in_trade = np.flatnonzero((evidence >= ENOUGH)[rows])
            offsets[in_trade] = readings[4][codes[in_trade]]
            keep &= offsets >= 0
        phrases = self._phrases.find(numbers)
        keep[phrases.covered] = False
        kinds[phrases.covered] = 0
        keep[phrases.starts] = phrases.offsets >= 0
        offsets[phrases.starts] = phrases.offsets
        return Matches(
            *unique_in_rows(rows[keep], offsets[keep], len(captions)),
            unmatched=_words_at(np.flatnonzero(kinds & Kind.UNKNOWN), tokens, rows, len(captions)),
        )


def is_label(kinds: np.ndarray) -> np.ndarray:
    """Which tokens are labels, by what they and their neighbours can be.

    Args:
        kinds: [N] int64, bits of `Kind`; the last token is a break.

    Returns:
        [N] bool.
    """
    before = np.concatenate(([Kind.BREAK], kinds[:-1]))
    after = np.concatenate((kinds[1:], [Kind.BREAK]))

    def has(tokens: np.ndarray, wanted: Kind) -> np.ndarray:
        found: np.ndarray = (tokens & int(wanted)) != 0
        return found

    modifies = has(kinds, Kind.ADJECTIVE_TOO) & has(after, Kind.LABEL | Kind.ADJECTIVE)
    in_noun_phrase = has(before, Kind.DETERMINER | Kind.ADJECTIVE | Kind.FUNCTION)
    has_object = has(kinds, Kind.VERB_TOO) & has(after, Kind.DETERMINER) & ~in_noun_phrase
    has_subject = has(kinds, Kind.VERB_TOO) & has(before, Kind.SUBJECT)
    follows_its_subject = (
        has(kinds, Kind.VERB_MOSTLY)
        & has(before, Kind.LABEL)
        & (has(after, Kind.FUNCTION) | (has(kinds, Kind.S_FORM) & ~has(after, Kind.BREAK)))
    )
    labels: np.ndarray = has(kinds, Kind.LABEL) & ~(modifies | has_object | has_subject | follows_its_subject)
    return labels


class _Spellings(dict[bytes, int]):
    """Spelling -> column of a growing table (offset, kinds, word number, evidence of the trade, offset in the
    trade); each spelling is read once.
    """

    def __init__(self, reader: NounReader, phrases: PhraseBook, trade: Trade) -> None:
        super().__init__()
        self._reader = reader
        self._phrases = phrases
        self._trade = trade
        self._columns = np.zeros((5, 4096), np.int64)
        self._codes: dict[tuple[int, ...], int] = {}
        self._lock = Lock()

    def read(self, tokens: Sequence[bytes]) -> tuple[np.ndarray, np.ndarray]:
        """The table, and each token's column in it."""
        codes = np.fromiter(map(self.__getitem__, tokens), np.int64, len(tokens))
        return (
            self._columns,
            codes,
        )  # the columns after the codes: a growing table is replaced, never shortened

    def __missing__(self, token: bytes) -> int:
        word = token.decode(errors="replace").strip("'")
        reading = _MARKS.get(token) or self._reader.read(word)
        in_trade = self._trade.read(word, reading.lemma, reading.offset)
        column = (
            reading.offset,
            int(reading.kinds),
            self._phrases.number(word),
            in_trade.evidence,
            in_trade.offset,
        )
        with self._lock:
            code = self._codes.setdefault(column, len(self._codes))
            if code >= self._columns.shape[1]:
                self._columns = np.concatenate([self._columns, np.zeros_like(self._columns)], axis=1)
            self._columns[:, code] = column
            if len(self) < MAX_SPELLINGS:
                self[token] = code
        return code


def _words_at(
    positions: np.ndarray, tokens: list[bytes], rows: np.ndarray, num_rows: int
) -> Sequence[Sequence[str]]:
    words: dict[int, list[str]] = {}
    for position, row in zip(positions.tolist(), rows[positions].tolist(), strict=True):
        token = tokens[position]
        if len(token) <= MAX_UNMATCHED_BYTES:
            words.setdefault(row, []).append(token.decode(errors="replace"))
    return lists_of_rows(words, num_rows)
