"""Which spellings are English words, by WordNet: tells names from words, and English from other languages."""

import re
from functools import cache

from synsight.language.wordnet import NounTable

_FUNCTION_WORDS = frozenset(
    re.findall(
        r"\w+",
        """
        a an the of to in on at by for from with without into over under and or nor but not no is are was were
        be been has have had this that these those it its his her their our your my as if than then there here
        where when who which what while up down out off all both each any some s t
        """,
    )
)
"""WordNet has none; `s` and `t` are what an apostrophe leaves ("dog's", "don't")."""
_WORD = re.compile(r"[^\W\d_]+")


def is_word(word: str) -> bool:
    """Whether a spelling, in lower case, is a word or the name of something known, a plural too."""
    table = _table()
    if word in _FUNCTION_WORDS or word in table.plurals or word in table.verb_forms:
        return True
    return any(one in table.nouns or one in table.others for one in (word, word.removesuffix("s")))


def is_known_name(name: str) -> bool:
    """Whether several words, in lower case, are a phrase or name that WordNet has ("albert einstein")."""
    return name.replace(" ", "_") in _table().nouns


def is_mostly_english(text: str) -> bool:
    """Whether more than half of the words are English ones; also of a text without words."""
    words = _WORD.findall(text.casefold().replace("’", "'"))
    return 2 * sum(map(is_word, words)) > len(words) or not words or is_known_name(text.casefold().strip())


@cache
def _table() -> NounTable:
    return NounTable.load()
