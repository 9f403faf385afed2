"""Words at another height of the hypernym tree: "dog 0.6, cat 0.3" as "animal 0.6".

Letters: V words, G groups.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from synsight.errors import UsageError, near_names
from synsight.explanation.names import synset_name, word_names
from synsight.language.similarity import steps_up
from synsight.language.vocabulary import Vocabulary
from synsight.language.wordnet import KEY_PREFIX, NounTable, key_of, offset_of

Rollup = Literal["max", "noisy-or"]
"""How the scores of words become that of what they are kinds of. `max`: the greatest, which the probability
that at least one is there can never be below, however the words hang together. `noisy-or`: 1 - prod(1 - p),
what it is where the words are independent; nested words ("dog", "animal") count twice in it."""

ENTITY = 1740
"""Offset of the root."""


@dataclass(frozen=True)
class Level:
    """Groups of words.

    Attributes:
        keys: Of the groups, [G].
        names: Of the groups, [G].
        members: Classes in each group, [G]; a word with two parents at the level stands in both.
    """

    keys: list[str]
    names: list[str]
    members: list[NDArray[np.int64]]

    def scores(self, probabilities: NDArray[np.floating], *, rollup: Rollup = "max") -> NDArray[np.float64]:
        """Scores of the groups, [G], from those of the words, [V]."""
        values = probabilities.astype(np.float64)
        if rollup == "max":
            return np.array([values[some].max() for some in self.members])
        return np.array([1 - np.prod(1 - values[some]) for some in self.members])

    def sums(self, contributions: NDArray[np.floating]) -> NDArray[np.float64]:
        """Contributions of the groups, [G]: sums over their words; a word of two groups gives half to each,
        so that the total is kept.
        """
        times = np.bincount(np.concatenate(self.members), minlength=len(contributions))
        shares = contributions.astype(np.float64) / np.maximum(times, 1)
        return np.array([shares[some].sum() for some in self.members])


def level_of(vocabulary: Vocabulary, level: int | Sequence[str] | None, *, locale: str = "en") -> Level:
    """The groups of a level.

    Args:
        vocabulary: The words; those that are no synsets stay by themselves.
        level: None: the words as they are. A number: edges below `entity` on the shortest way; words that are
            nearer to it stay as they are. Names of nouns: words go to those that they are kinds of, the
            others stay.
        locale: Of the names.

    Raises:
        UsageError: A name that is above no word.
    """
    names = word_names(vocabulary, locale=locale)
    if level is None:
        each = [np.array([number]) for number in range(len(vocabulary))]
        return Level(vocabulary.keys, names, each)
    chosen = None if isinstance(level, int) else _offsets(level, vocabulary)
    groups: dict[str, list[int]] = {}
    called: dict[str, str] = {}
    for number, (key, name) in enumerate(zip(vocabulary.keys, names, strict=True)):
        above = _above(key, level if isinstance(level, int) else 0, chosen)
        for offset in above:
            called.setdefault(key_of(offset), synset_name(offset, locale=locale))
            groups.setdefault(key_of(offset), []).append(number)
        if not above:
            called[key] = name
            groups.setdefault(key, []).append(number)
    members = [np.array(some) for some in groups.values()]
    return Level(list(groups), [called[key] for key in groups], members)


def parse_level(text: str | None) -> int | list[str] | None:
    """The level of a command line: None or "words", a number, or names with commas between.

    Raises:
        UsageError: An empty list.
    """
    if text is None or text == "words":
        return None
    if text.isdecimal():
        return int(text)
    names = [part.strip() for part in text.split(",") if part.strip()]
    if not names:
        raise UsageError(f"--level: expected a number or nouns, as 6 or animal,food; got {text!r}.")
    return names


def _above(key: str, depth: int, chosen: set[int] | None) -> list[int]:
    if not key.startswith(KEY_PREFIX):
        return []
    offset = offset_of(key)
    found = [offset, *sorted(NounTable.load().ancestors(offset))]
    if chosen is not None:
        return [one for one in found if one in chosen]
    return [one for one in found if _depth(one) == depth]


@cache
def _depth(offset: int) -> int:
    return steps_up(offset, table=NounTable.load()).get(ENTITY, 0)


def _offsets(names: Sequence[str], vocabulary: Vocabulary) -> set[int]:
    """The sense of each name that is above most words."""
    table = NounTable.load()
    counts: dict[int, int] = {}
    for one in _all_above(vocabulary):
        counts[one] = counts.get(one, 0) + 1
    found = set()
    for name in names:
        noun = table.nouns.get(name.strip().lower().replace(" ", "_"))
        senses = [one for one in (noun.senses if noun else ()) if one in counts]
        if not senses:
            known = {table.name(one) for one in counts}
            raise UsageError(f"no word of the model is a kind of {name!r}; {near_names(name, known)}")
        found.add(max(senses, key=lambda one: counts[one]))
    return found


def _all_above(vocabulary: Vocabulary) -> Iterator[int]:
    for key in vocabulary.keys:
        if key.startswith(KEY_PREFIX):
            yield offset_of(key)
            yield from NounTable.load().ancestors(offset_of(key))
