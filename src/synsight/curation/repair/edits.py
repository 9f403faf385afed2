"""How two spellings differ: by one slip of the hand, or as two right ones do."""

import re
from collections.abc import Iterator

_DOUBLED = ("ll", "pp", "tt", "ss")
_SUFFIXES = ("ing", "ings", "ed", "er", "ers", "or", "ors", "ation", "ations", "ery", "ist", "ists")
_BRITISH_PARTS = (("our", "or"), ("ae", "e"), ("oe", "e"), ("ould", "old"))
_ISE = re.compile(r"is(?=(?:e|ed|es|er|ers|ing|ation|ations)$)|ys(?=(?:e|ed|es|er|ers|ing)$)")


def is_one_edit(one: str, other: str) -> bool:
    """Whether a letter lost, added or changed, or two neighbours swapped, makes one word of the other.

    One edit of Damerau (1964), https://doi.org/10.1145/363958.363994.
    """
    if len(one) > len(other):
        one, other = other, one
    start = next((place for place, mark in enumerate(one) if mark != other[place]), len(one))
    if len(one) < len(other):
        return one[start:] == other[start + 1 :]
    if one[start + 1 :] == other[start + 1 :]:
        return start < len(one)
    return one[start : start + 2] == other[start : start + 2][::-1] and one[start + 2 :] == other[start + 2 :]


def forms(word: str) -> Iterator[str]:
    """A word, and what is left of it without one letter that is not its first.

    Words with the same first letter that are one edit apart have such a form in common.
    """
    yield word
    for place in range(1, len(word)):
        yield word[:place] + word[place + 1 :]


def slips_of(word: str) -> Iterator[str]:
    """What a word may be a slip of the hand for: two letters swapped, one doubled, one of a pair lost."""
    for place in range(len(word)):
        before, letter, after = word[:place], word[place], word[place + 1 :]
        if before and after and after[0] != letter:
            yield before + after[0] + letter + after[1:]
        if before.endswith(letter):
            yield before + after
        else:
            yield before + letter * 2 + after


def are_variants(word: str, other: str) -> bool:
    """Whether two spellings one edit apart are likely to be both right, or two words.

    British and American spelling ("coloured", "colored"), a word and its plural, and words that differ in
    their last letter alone ("musica", "matcha", "music", "match").
    """
    if len(word) == len(other):
        return word[:-1] == other[:-1] or _american(word) == other or _american(other) == word
    shorter, longer = sorted((word, other), key=len)
    if longer[:-1] == shorter:
        return longer[-1] == "s" or (longer == word and longer[-1] != longer[-2])
    return shorter in _american_shorter(longer)


def _american(word: str) -> str:
    """American for British, where the length stays."""
    return word[:-2] + "er" if word.endswith("re") else _ISE.sub(lambda match: match[0][0] + "z", word)


def _american_shorter(word: str) -> Iterator[str]:
    """American for British, where a letter goes."""
    for british, american in _BRITISH_PARTS:
        yield word.replace(british, american)
    for suffix in _SUFFIXES:
        stem = word.removesuffix(suffix)
        if stem != word and (stem.endswith(_DOUBLED) or stem.endswith("e")):
            yield stem[:-1] + suffix
