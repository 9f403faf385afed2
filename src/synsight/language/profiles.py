"""Which language a text in Latin script is in, by frequent words, endings and letters; no model.

`profiles.txt` lists them. What several languages share counts less, and what is an English word too speaks
for English first. Many texts are read at once: every spelling is weighed once in its life, after that a
text's scores are a sum over rows of a table.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from threading import Lock

import numpy as np

from synsight.language.wordnet import NounTable

MAX_CHARACTERS = 1000
"""More is not read."""
SHORT_WORDS = {1: 0.25, 2: 0.5}
"""Letters of a word -> its weight: many are initials, codes and words of several languages."""
MAX_SPELLINGS = 300_000


class Profiles:
    """Reads texts in Latin script. Made with `Profiles.load()`; may be shared between threads."""

    def __init__(self) -> None:
        words, marks = _read_profiles()
        self.languages = list(words)
        self._english = self.languages.index("en")
        self._words = _weights(words, self.languages)
        self._plain_english = np.eye(len(words), dtype=np.float32)[self._english] / 4
        affixes = _weights(marks, self.languages)
        self._endings = {mark[1:]: one for mark, one in affixes.items() if mark[0] == "-" and mark[-1] != "-"}
        self._starts = {mark[:-1]: one for mark, one in affixes.items() if mark[0] != "-" and mark[-1] == "-"}
        self._inner = {mark.strip("-"): one for mark, one in affixes.items() if mark[0] == mark[-1] == "-"}
        self._letters = {mark: one for mark, one in affixes.items() if "-" not in mark}
        self._longest = max(map(len, [*self._endings, *self._starts]))
        self._spellings = _Spellings(self)

    @staticmethod
    @cache
    def load() -> "Profiles":
        """The packaged profiles, read once in a process."""
        return Profiles()

    def read(self, texts: Sequence[str]) -> list[str | None]:
        """The language of each text, or None."""
        tokens = _cut(texts)
        table, codes = self._spellings.read(tokens)
        ends = np.flatnonzero(codes == 0)
        bounds = np.concatenate(([-1], ends))
        is_word = codes > 1
        counts = np.diff(np.concatenate(([0], np.cumsum(is_word)))[bounds + 1])
        telling = np.flatnonzero(codes > 2)
        rows = np.searchsorted(ends, telling)
        scores = np.zeros((len(texts), len(self.languages)), np.float32)
        if len(telling):
            starts = np.flatnonzero(np.diff(rows, prepend=-1))
            scores[rows[starts]] = np.add.reduceat(table[codes[telling]], starts, axis=0)
        english = scores[:, self._english].copy()
        foreign = scores.sum(axis=1) - english
        scores[:, self._english] = 0
        best = scores.argmax(axis=1)
        # English is the language of most captions, so that others have to outweigh it clearly.
        is_other = (foreign >= 1.0) & (foreign > 1.5 * english)
        is_english = ~is_other & (english >= 0.5)
        found: list[str | None] = [None] * len(texts)
        for row, (other, sure, many) in enumerate(
            zip(is_other.tolist(), is_english.tolist(), counts.tolist(), strict=True)
        ):
            if other:
                found[row] = self.languages[best[row]]
            elif sure:
                found[row] = "en"
            elif many:
                found[row] = self._unclear(texts[row], tokens[bounds[row] + 1 : ends[row]], scores[row])
        return found

    def _unclear(self, text: str, tokens: list[bytes], scores: np.ndarray) -> str | None:
        """Of a text whose words speak for no language clearly: English only if most of them are English."""
        best = int(scores.argmax())
        if not text.isascii() and scores[best] > 0:
            return self.languages[best]
        words = [token.decode() for token in tokens if token.isalpha()]
        known = sum(any(map(self._is_english, (word, *_singulars(word)))) for word in words)
        return "en" if 2 * known > len(words) else None

    def weights(self, word: str) -> np.ndarray | None:
        """What a lower-case word says for each language; None: nothing."""
        scores = np.zeros(len(self.languages), np.float32)
        for found in self._evidence(word):
            scores += found
        return scores if scores.any() else None

    def _known(self, word: str) -> np.ndarray:
        """What a frequent word says; half of it for English where it is an English word too ("hat")."""
        found = self._words[word]
        if found[self._english] < 1 and (found[self._english] or (word.isascii() and self._is_english(word))):
            found = found.copy()
            found[self._english] = 0
            found /= 2 * found.sum()
            found[self._english] = 0.5
        return found * np.float32(SHORT_WORDS.get(len(word), 1.0))

    @staticmethod
    def _is_english(word: str) -> bool:
        table = NounTable.load()
        return len(word) > 2 and (word in table.nouns or word in table.others)

    def _evidence(self, word: str) -> Iterable[np.ndarray]:
        if word in self._words:
            yield self._known(word)
        elif word.isascii() and (self._is_english(word) or self._is_english(word.rstrip("s"))):
            yield self._plain_english
        elif len(word) > 4:
            for length in range(2, min(self._longest, len(word) - 2) + 1):
                for found in (self._endings.get(word[-length:]), self._starts.get(word[:length])):
                    if found is not None:
                        yield found / 2
            yield from (found / 4 for inner, found in self._inner.items() if inner in word[1:-1])
        if not word.isascii():
            yield from (
                self._letters[letter] / 2 for letter in dict.fromkeys(word) if letter in self._letters
            )


def _singulars(word: str) -> Iterator[str]:
    """What a regular plural may be of."""
    if word.endswith("s"):
        yield word.rstrip("s")
    if word.endswith("ies"):
        yield word[:-3] + "y"


class _Spellings(dict[bytes, int]):
    """Spelling -> row of a growing table of weights: 0 ends a text, 1 is no word, 2 tells nothing."""

    def __init__(self, profiles: Profiles) -> None:
        super().__init__({b"\0": 0})
        self._profiles = profiles
        self._table = np.zeros((1024, len(profiles.languages)), np.float32)
        self._rows = 3
        self._lock = Lock()

    def read(self, tokens: Sequence[bytes]) -> tuple[np.ndarray, np.ndarray]:
        """The table, and each token's row in it."""
        codes = np.fromiter(map(self.__getitem__, tokens), np.int64, len(tokens))
        return self._table, codes

    def __missing__(self, token: bytes) -> int:
        word = token.decode(errors="replace").rstrip("0123456789")
        weights = self._profiles.weights(word)
        if weights is None:
            code = 2 if len(word) > 1 and word.replace("'", "").isalpha() else 1
        else:
            with self._lock:
                code, self._rows = self._rows, self._rows + 1
                if code >= len(self._table):
                    self._table = np.concatenate([self._table, np.zeros_like(self._table)])
                self._table[code] = weights
        if len(self) < MAX_SPELLINGS:
            self[token] = code
        return code


def _byte_table() -> bytes:
    table = bytearray(b" " * 128 + bytes(range(128, 256)))
    for kept in b"abcdefghijklmnopqrstuvwxyz0123456789'\0":
        table[kept] = kept
    for letter in b"ABCDEFGHIJKLMNOPQRSTUVWXYZ":
        table[letter] = letter + 32
    return bytes(table)


_TABLE = _byte_table()
_MARKS = re.compile(r"[^\w\s'\x00-\x7f¿¡]+")


def _cut(texts: Sequence[str]) -> list[bytes]:
    """The words of all texts in lower case, each text ended by a zero byte."""
    plain = [text[:MAX_CHARACTERS] if text.isascii() else _plain(text[:MAX_CHARACTERS]) for text in texts]
    data = "\0".join([*plain, ""]).encode(errors="replace")
    if data.count(b"\0") != len(texts):
        data = "\0".join([*(text.replace("\0", " ") for text in plain), ""]).encode(errors="replace")
    return data.translate(_TABLE).replace(b"\0", b" \0 ").split()


def _plain(text: str) -> str:
    text = text.lower().replace("’", "'").replace("¿", " ¿ ").replace("¡", " ¡ ")
    return _MARKS.sub(" ", text)


def _read_profiles() -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    words: dict[str, list[str]] = {}
    marks: dict[str, list[str]] = {}
    text = (Path(__file__).parent / "profiles.txt").read_text(encoding="utf-8")
    for line in text.splitlines():
        if not line.startswith("#"):
            is_words = line[2] == ":"
            (words if is_words else marks)[line[:2]] = line[3:].split()
    return words, marks


def _weights(profiles: dict[str, list[str]], languages: Sequence[str]) -> dict[str, np.ndarray]:
    """Word -> what it says for each language: 1, shared among the languages that have it."""
    weights: dict[str, np.ndarray] = {}
    for number, language in enumerate(languages):
        for word in profiles[language]:
            weights.setdefault(word, np.zeros(len(languages), np.float32))[number] = 1
    return {word: one / one.sum() for word, one in weights.items()}
