"""What words are called for people: a vocabulary's names, and Japanese ones by the alignment backwards."""

import math
import re
from collections import Counter
from functools import cache
from importlib.resources import as_file, files

import pyarrow.parquet as pq

from synsight.language.alignment import Alignment
from synsight.language.vocabulary import Vocabulary
from synsight.language.wordnet import KEY_PREFIX, NounTable, offset_of

_PLAIN = re.compile("[\u3040-\u30ff\u4e00-\u9fff々〆]+")
_KATAKANA = re.compile("[\u30a0-\u30ff]+")
_LOANWORD_WEIGHT = 0.5
"""Of a name in katakana: transliterations of the English gloss are in the dictionary even where nobody uses
them (ドッグ)."""
_EVERYDAY = 8.0
"""What an everyday word counts, beside 1 + log(1 + n)."""


def word_names(vocabulary: Vocabulary, *, locale: str = "en") -> list[str]:
    """Names of a vocabulary's words in class order, [V].

    English names are the vocabulary's own. In Japanese a synset bears its Japanese name with the English one
    behind it, "犬 (dog)", since the names are found automatically; what has none stays English.
    """
    if locale != "ja":
        return vocabulary.names
    return [_both(key, name) for key, name in zip(vocabulary.keys, vocabulary.names, strict=True)]


def synset_name(offset: int, *, locale: str = "en") -> str:
    """The name of a synset that need be no class of a vocabulary."""
    english = NounTable.load().name(offset)
    japanese = japanese_names().get(offset) if locale == "ja" else None
    return f"{japanese} ({english})" if japanese else english


@cache
def japanese_names() -> dict[int, str]:
    """Offset of a synset -> its Japanese name.

    The alignment says which synsets a Japanese noun names; the other way round a synset has many nouns, most
    of them narrower (台湾犬 for dog) or rare. Chosen is the noun with the greatest confidence times
    1 + log(1 + n), where n is the number of nouns that end in it (many end in 犬, few in ドッグ); more for
    nouns among Unicode CLDR's keywords, which are everyday words; less for later senses and for katakana. It
    is automatic, and sometimes odd.
    """
    nouns = {lemma: found for lemma, found in Alignment.load().synsets.items() if _PLAIN.fullmatch(lemma)}
    endings = Counter(lemma[start:] for lemma in nouns for start in range(1, len(lemma)))
    everyday = _keywords()
    best: dict[int, tuple[float, int, str]] = {}
    for lemma, senses in nouns.items():
        common = 1 + math.log1p(endings[lemma]) + _EVERYDAY * (lemma in everyday)
        if _KATAKANA.fullmatch(lemma):
            common *= _LOANWORD_WEIGHT
        for rank, (offset, confidence) in enumerate(senses):
            value = (common * confidence / (1 + rank), -len(lemma), lemma)
            if value > best.get(offset, (0.0, 0, "")):
                best[offset] = value
    return {offset: lemma for offset, (_, _, lemma) in best.items()}


def _keywords() -> set[str]:
    """The Japanese keywords of the sample `emoji`, which are CLDR's."""
    with as_file(files("synsight.data") / "sample_files" / "emoji.parquet") as path:
        lists = pq.read_table(path, columns=["keywords_ja"])["keywords_ja"].to_pylist()
    return {word for some in lists for word in some or ()}


def _both(key: str, name: str) -> str:
    japanese = japanese_names().get(offset_of(key)) if key.startswith(KEY_PREFIX) else None
    return f"{japanese} ({name})" if japanese else name
