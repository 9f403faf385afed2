"""From Japanese captions to noun synsets: SudachiPy's words, looked up in the alignment with WordNet.

Captions are cut into long units (Sudachi's mode C); neighbouring nouns are tried together, the longest
first (宇宙 + 飛行士); what stays unknown is cut into short units (mode A) and speaks by its longest known
part and its head. Every word of Sudachi's dictionary is looked at once in its life. A noun is no label
where it is a verb (溶接する), an adjective (元気な) or the unit of a number (5メートル).
"""

import re
import threading
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np

from synsight.errors import MissingDependency
from synsight.language.alignment import Alignment
from synsight.language.clean import MAX_CHARACTERS, clean_caption
from synsight.language.matches import Matches, unique_in_rows
from synsight.language.nouns import Kind, NounReader
from synsight.language.wordnet import NounTable

MAX_REMEMBERED = 500_000
"""Words, and rows of nouns, that are remembered (some 100 MB when full)."""
MOST_JOINED = 5
"""Words that are tried as one noun."""
QUANTITY = 23
"""WordNet's lexicographer file of units and amounts."""

_FORMAL = frozenset(
    re.findall(
        r"\w+",
        "こと もの とき ところ ため よう わけ はず まま つもり ほう うち など あたり ごろ ほど くらい "
        "事 物 時 所 為 様 訳 筈 儘 積もり 方 内 等 辺り 頃 程 位 中 上 下 前 後 左 右 横 側 間 際 他 "
        "外 度 的 向き 右向き 左向き 上向き 下向き 以上 以下 場合 全て 自分 今 者 奴 気 感じ",
    )
)
"""Nouns of the grammar: "thing that", "on top of"; English captions have function words for them."""

_INVISIBLE = re.compile("[\u200b-\u200f\u2060\ufe00-\ufe0f\ufeff]")
_ADDRESS = re.compile(r"[!-~]*(?:@|://|www\.)[!-~]*")
_MARKUP = re.compile(r"[<&%]")
_ODD = re.compile("[<&%@/.‐‑–—−-]|" + _INVISIBLE.pattern)
"""What makes a caption need more than NFKC."""
_HYPHEN = re.compile("(?<=[\u30a1-\u30fa])[-‐‑–—−ｰ](?=[\u30a1-\u30fa]|$|\\W)")
_LATIN = re.compile("[A-Za-z]{3,}")
_LETTERS = re.compile("[^\\W\\d_]")
_NO_SUDACHI_ID = 15
"""High bits of the number of a word that is in no dictionary."""


class Role(Enum):
    """What a word does in a row of words."""

    NOUN = auto()
    AFFIX = auto()
    """Part of a noun, and never a label alone."""
    NAME = auto()
    """Of a person: neither a label nor reported."""
    NUMBER = auto()
    DO = auto()
    """する, できる: what stands before it is a verb."""
    NA = auto()
    """な: what stands before it is an adjective."""
    OTHER = auto()


@dataclass(frozen=True, eq=False, slots=True)
class Word:
    """A word of Sudachi's dictionary, looked at once."""

    surface: str
    base: str
    normal: str
    role: Role
    offset: int = -1
    """The synset it names; -1: none."""
    is_known: bool = False
    is_unit: bool = False
    """Behind a number it is its unit or counter."""
    is_act: bool = False
    """With する it is a verb."""
    is_quality: bool = False
    """With な it is an adjective."""
    is_single: bool = False
    """One character; it seldom means by itself what it means in a compound."""
    is_counter: bool = False
    """It counts things, or closes compounds like a suffix."""
    parts: tuple["Word", ...] = ()
    """Its short units, where it is unknown."""


Found = tuple[tuple[int, ...], tuple[str, ...]]
"""Synset offsets and unknown nouns."""


class JapaneseMatcher:
    """Finds the noun synsets of Japanese captions. May be shared between threads, and pickled.

    Nouns are found under Sudachi's surface, dictionary and normalised form (いぬ, イヌ: 犬), half-width
    kana and full-width letters and digits as their usual forms. Words in Latin script are read as single
    English words.

    Raises:
        MissingDependency: The extra `ja` is not installed.
    """

    def __init__(self, alignment: Alignment | None = None) -> None:
        _sudachi()
        self._given = alignment
        self._alignment = alignment or Alignment.load()
        self._table = NounTable.load()
        self._english = NounReader(self._table)
        self._words: dict[int | tuple[str, int], Word] = {}
        self._runs: dict[tuple[Word, ...], Found] = {}
        self._of_thread = threading.local()

    @staticmethod
    @cache
    def load() -> "JapaneseMatcher":
        """The matcher over the packaged table, made once in a process (about 1 s)."""
        return JapaneseMatcher()

    def __reduce__(self) -> tuple[Any, ...]:
        return (JapaneseMatcher, (self._given,)) if self._given else (JapaneseMatcher.load, ())

    def __call__(self, caption: str, keywords: Sequence[str] = ()) -> list[int]:
        """Synset offsets of one caption and its keywords, ascending."""
        return self.match([self.join((caption, *keywords))])[0]

    def join(self, texts: Iterable[str | None]) -> str:
        """Several texts of one row as one; no compound reaches from one into the next."""
        return "。".join([text for text in texts if text])

    def match(self, captions: Sequence[str]) -> Matches:
        """Synsets of many captions, cleaned here; a row of several texts is joined by `join` before.

        Unknown nouns are reported in NFKC and dictionary form, several that stand together as one.
        """
        rows: list[int] = []
        offsets: list[int] = []
        unmatched: list[list[str]] = []
        for row, caption in enumerate(captions):
            unknown: list[str] = []
            for found, words in self._read(caption):
                offsets += found
                rows += [row] * len(found)
                unknown += words
            unmatched.append(unknown)
        return Matches(
            *unique_in_rows(np.array(rows, np.int64), np.array(offsets, np.int64), len(captions)),
            unmatched=unmatched,
        )

    def _read(self, caption: str) -> Iterator[Found]:
        """What each row of neighbouring nouns gives."""
        run: list[Word] = []
        behind_number = False
        for word in self._cut(normal_text(caption)):
            if word.role in (Role.NOUN, Role.AFFIX):
                if not (behind_number and (word.is_unit or word.surface.isascii())):
                    run.append(word)
                behind_number = False
                continue
            is_code = bool(run) and run[-1].surface.isascii()  # M8 is a size, not eight of something
            if word.role is Role.NUMBER or not word.surface.isspace():
                behind_number = word.role is Role.NUMBER and not is_code
            if run:
                yield self._found(_without_predicate(run, word))
            run = []
        if run:
            yield self._found(tuple(run))

    def _found(self, run: tuple[Word, ...]) -> Found:
        found = self._runs.get(run)
        if found is None:
            found = self._resolve(run)
            if len(self._runs) < MAX_REMEMBERED:
                self._runs[run] = found
        return found

    def _resolve(self, run: tuple[Word, ...]) -> Found:
        offsets: list[int] = []
        unknown: list[str] = []
        open_word = ""
        for words, offset in self._segments(run):
            word = words[0]
            if offset is not None:
                offsets.append(offset)
            elif word.role is Role.NOUN and not word.is_known and not (word.is_single and len(run) > 1):
                parts = self._parts(word)
                offsets += parts
                if not parts and _is_word(word.base):
                    open_word += word.base
                    continue
            if open_word:
                unknown.append(open_word)
                open_word = ""
        if open_word:
            unknown.append(open_word)
        return tuple(offset for offset in offsets if offset >= 0), tuple(unknown)

    def _segments(self, run: Sequence[Word]) -> Iterator[tuple[Sequence[Word], int | None]]:
        """Nouns of the table from the left, the longest first, and single words between them (None)."""
        start = 0
        while start < len(run):
            for end in range(min(len(run), start + MOST_JOINED), start + 1, -1):
                words = run[start:end]
                offset = self._offset_of(_joined_forms(words))
                if offset is not None:
                    yield words, offset
                    start = end
                    break
            else:
                word = run[start]
                # 打 in 打痕, 機 in 検査機: a single character stands for itself alone, or as a plain head.
                modifies = word.is_single and start + 1 < len(run) and run[start + 1].is_single
                closes = word.is_single and word.is_counter and start > 0
                stands = word.role is Role.NOUN and not (modifies or closes)
                yield [word], word.offset if word.is_known and stands else None
                start += 1

    def _parts(self, word: Word) -> list[int]:
        """An unknown word by its longest known part and its head."""
        # A single character within a word has a meaning of its own, which it has not outside: 打 in 打痕.
        known = [
            (words, offset)
            for words, offset in self._segments(word.parts)
            if offset is not None and len(_joined(words)) > 1
        ]
        if not known:
            return []
        longest = max(known, key=lambda one: len(_joined(one[0])))
        head = [one for one in known[-1:] if one[0][-1] is word.parts[-1]]
        return [offset for _, offset in (longest, *head)]

    def _offset_of(self, lemmas: Iterable[str], reading: str = "") -> int | None:
        """The synset of the first lemma that the table has; -1: it is no label; None: it has none of them."""
        for lemma in lemmas:
            synsets = self._alignment.lookup(lemma, reading=reading)
            if synsets is not None:
                offsets = [offset for offset, _ in synsets]
                things = [offset for offset in offsets if self._table.lexname(offset) != QUANTITY]
                return (things or offsets or [-1])[0]
        return None

    def _cut(self, text: str) -> list[Word]:
        tokenizer = getattr(self._of_thread, "tokenizer", None)
        if tokenizer is None:
            tokenizer = self._of_thread.tokenizer = _dictionary().tokenizer(mode=_sudachi().SplitMode.C)
        return [
            self._words.get(morpheme.word_id()) or self._word(morpheme)
            for morpheme in tokenizer.tokenize(text)
        ]

    def _word(self, morpheme: Any) -> Word:
        """A word that is met for the first time, or stands in no dictionary and has no number of its own."""
        number = morpheme.word_id()
        if number >> 28 != _NO_SUDACHI_ID:
            return self._remember(number, morpheme)
        key = (morpheme.surface(), morpheme.part_of_speech_id())
        return self._words.get(key) or self._remember(key, morpheme)

    def _remember(self, key: int | tuple[str, int], morpheme: Any) -> Word:
        word = self._look_at(morpheme)
        if len(self._words) < MAX_REMEMBERED:
            self._words[key] = word
        return word

    def _look_at(self, morpheme: Any, *, is_part: bool = False) -> Word:
        surface, base = morpheme.surface(), morpheme.dictionary_form()
        speech = morpheme.part_of_speech()
        role = _role(speech, surface, base, morpheme.normalized_form())
        normal = surface if surface.isascii() else morpheme.normalized_form()  # "No." is ナンバー to Sudachi
        if role not in (Role.NOUN, Role.AFFIX):
            return Word(surface, base, normal, role)
        forms = dict.fromkeys((surface, base, normal))
        offset = self._offset_of(forms, _hiragana(morpheme.reading_form()))
        if offset is None and _LATIN.fullmatch(surface):
            offset = self._english_offset(surface.lower())
        parts: tuple[Word, ...] = ()
        if offset is None and not is_part:
            pieces = morpheme.split(_sudachi().SplitMode.A)
            parts = tuple(self._look_at(piece, is_part=True) for piece in pieces) if len(pieces) > 1 else ()
        is_formal = not _FORMAL.isdisjoint(forms)
        return Word(
            surface,
            base,
            normal,
            role,
            -1 if offset is None or is_formal else offset,
            is_known=offset is not None or is_formal,
            is_unit=speech[2] == "助数詞可能" or (offset is not None and self._is_unit(forms)),
            is_act="サ変" in speech[2],
            is_quality="形状詞" in speech[2],
            is_single=len(surface) == 1,
            is_counter=speech[2] == "助数詞可能",
            parts=parts,
        )

    def _english_offset(self, word: str) -> int | None:
        reading = self._english.read(word)
        if reading.kinds & Kind.UNKNOWN:
            return None
        doubtful = Kind.ADJECTIVE_TOO | Kind.VERB_MOSTLY
        return -1 if reading.kinds & doubtful else reading.offset

    def _is_unit(self, forms: Iterable[str]) -> bool:
        synsets = [self._alignment.lookup(form) or () for form in forms]
        return any(self._table.lexname(offset) == QUANTITY for one in synsets for offset, _ in one)


def normal_text(caption: str) -> str:
    """A caption as it is cut into words: NFKC, no mark-up, addresses or invisible marks; a hyphen within
    katakana is the long vowel it is meant for.
    """
    text = unicodedata.normalize("NFKC", caption[:MAX_CHARACTERS])
    if not _ODD.search(text):
        return text[:MAX_CHARACTERS]
    if _MARKUP.search(text):
        text = unicodedata.normalize("NFKC", clean_caption(text))
    text = _ADDRESS.sub("。", _INVISIBLE.sub("", text))
    return _HYPHEN.sub("ー", text)[:MAX_CHARACTERS]


def _without_predicate(run: list[Word], after: Word) -> tuple[Word, ...]:
    """A row of nouns without the one that the word behind it makes a verb or an adjective."""
    last = run[-1]
    is_predicate = (after.role is Role.DO and last.is_act) or (after.role is Role.NA and last.is_quality)
    return tuple(run[:-1] if is_predicate else run)


def _role(speech: Sequence[str], surface: str, base: str, normalised: str) -> Role:
    if speech[0] == "名詞":
        if speech[1] == "数詞":
            return Role.NUMBER
        return Role.NAME if speech[2] == "人名" else Role.NOUN
    if speech[0] == "接頭辞" or (speech[0] == "接尾辞" and speech[1] == "名詞的"):
        return Role.AFFIX
    if speech[0] == "動詞" and normalised in ("為る", "出来る", "致す", "為さる"):
        return Role.DO
    return Role.NA if speech[0] == "助動詞" and surface == "な" and base == "だ" else Role.OTHER


def _is_word(text: str) -> bool:
    """Whether an unknown noun is worth reporting: it has letters, and is no "No." or "M"."""
    letters = len(_LETTERS.findall(text))
    return letters > 2 or (letters > 0 and not text.isascii())


def _joined(words: Sequence[Word]) -> str:
    return "".join([word.surface for word in words])


def _joined_forms(words: Sequence[Word]) -> Iterator[str]:
    """Several words as one: as written, and in Sudachi's normalised forms (はんだ付け: 半田付け)."""
    yield _joined(words)
    yield _joined(words[:-1]) + words[-1].base
    yield "".join([word.normal for word in words])


def _hiragana(katakana: str) -> str:
    return "".join(chr(ord(mark) - 0x60) if "\u30a1" <= mark <= "\u30f6" else mark for mark in katakana)


def _sudachi() -> Any:
    try:
        import_module("sudachidict_core")  # the dictionary that Sudachi looks for
        return import_module("sudachipy")
    except ImportError:
        raise MissingDependency("sudachipy", extra="ja", purpose="reading Japanese captions") from None


@cache
def _dictionary() -> Any:
    return _sudachi().Dictionary()
