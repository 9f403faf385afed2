"""WordNet 3.0's nouns as one compact table that ships with the package (`wordnet30/`, 3.4 MB).

Built by `scripts/build_wordnet.py`; licence notice in `wordnet30/LICENSE`. A synset is named by its offset in
WordNet 3.0's `data.noun`, the number ImageNet uses: dog is 2084071, written as the key `wn30:n02084071`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from synsight.errors import DataError

FOLDER = Path(__file__).parent / "wordnet30"
PERSON = 18
"""Lexicographer file of people (`noun.person`)."""
KEY_PREFIX = "wn30:n"


@dataclass(frozen=True, slots=True)
class Noun:
    """One spelling: its noun senses, and how often it was met as something else (counts from SemCor)."""

    senses: tuple[int, ...]
    """Synset offsets, most frequent first; empty for a word that is no noun."""
    counts: tuple[int, ...] = ()
    """Times each sense was tagged."""
    verb: int = -1
    """Times the spelling was tagged as a verb; -1: it is no verb at all."""
    adjective: int = -1
    adverb: int = -1


class NounTable:
    """Lemmas, senses and hypernyms of WordNet's nouns. Make it with `NounTable.load()`.

    Attributes:
        nouns: Lemma (lower case, blanks as underscores) -> its `Noun`.
        others: Single words that are verb, adjective or adverb but no noun -> a `Noun` without senses.
        plurals: Irregular form -> lemmas.
        verb_forms: Irregular verb form -> base forms.
    """

    def __init__(
        self,
        synsets: pa.Table,
        nouns: Mapping[str, Noun],
        others: Mapping[str, Noun],
        plurals: Mapping[str, tuple[str, ...]],
        verb_forms: Mapping[str, tuple[str, ...]],
    ) -> None:
        self.nouns = nouns
        self.others = others
        self.plurals = plurals
        self.verb_forms = verb_forms
        self.offsets: np.ndarray = synsets["offset"].to_numpy()
        self._names = synsets["name"].to_pylist()
        self._heads = synsets["head"].to_pylist()
        self._lexnames: np.ndarray = synsets["lexname"].to_numpy()
        self._is_instance: np.ndarray = synsets["is_instance"].to_numpy()
        self._hypernyms = synsets["hypernyms"].combine_chunks()

    @staticmethod
    @cache
    def load() -> "NounTable":
        """The packaged table (0.4 s the first time, shared afterwards)."""
        nouns = pq.read_table(FOLDER / "nouns.parquet")
        others = pq.read_table(FOLDER / "others.parquet")
        senses, counts = (map(tuple, _lists(nouns[name])) for name in ("senses", "counts"))
        other_counts = (nouns[name].to_pylist() for name in ("verb", "adjective", "adverb"))
        return NounTable(
            pq.read_table(FOLDER / "synsets.parquet"),
            dict(zip(nouns["lemma"].to_pylist(), map(Noun, senses, counts, *other_counts), strict=True)),
            {
                row["lemma"]: Noun((), (), row["verb"], row["adjective"], row["adverb"])
                for row in others.to_pylist()
            },
            _forms("plurals"),
            _forms("verb_forms"),
        )

    def __len__(self) -> int:
        """Number of noun synsets."""
        return len(self.offsets)

    @cached_property
    def _row_of(self) -> dict[int, int]:
        return {offset: row for row, offset in enumerate(self.offsets.tolist())}

    def _row(self, offset: int) -> int:
        row = self._row_of.get(offset)
        if row is None:
            raise DataError(
                f"expected the offset of a noun synset of WordNet 3.0, found {offset!r}; "
                "keys of other WordNet versions do not fit."
            )
        return row

    def name(self, offset: int) -> str:
        """A synset's name for people: its most frequent lemma as WordNet writes it ("boy", "traffic
        light").
        """
        return str(self._names[self._row(offset)]).replace("_", " ")

    def head(self, offset: int) -> str:
        """The lemma WordNet calls a synset by, in lower case with underscores ("male_child",
        "traffic_light").
        """
        return str(self._heads[self._row(offset)])

    def hypernyms(self, offset: int) -> list[int]:
        """Offsets of the synsets directly above one (also of what it is an instance of)."""
        parents: list[int] = self._hypernyms[self._row(offset)].as_py()
        return parents

    def ancestors(self, offset: int) -> set[int]:
        """Offsets of all synsets above one, up to `entity`; the synset itself is not among them."""
        found: set[int] = set()
        waiting = self.hypernyms(offset)
        while waiting:
            parent = waiting.pop()
            if parent not in found:
                found.add(parent)
                waiting.extend(self.hypernyms(parent))
        return found

    def lexname(self, offset: int) -> int:
        """The lexicographer file a synset stands in: 5 animals, 6 artefacts, 18 people, ..."""
        return int(self._lexnames[self._row(offset)])

    def is_person(self, offset: int) -> bool:
        """Whether a synset is a kind of people, or one person."""
        return self.lexname(offset) == PERSON

    def is_instance(self, offset: int) -> bool:
        """Whether a synset is one single thing (a city, a river, a writer), not a kind of things."""
        return bool(self._is_instance[self._row(offset)])


def key_of(offset: int) -> str:
    """The key of a synset, with WordNet's version: 2084071 -> "wn30:n02084071"."""
    return f"{KEY_PREFIX}{offset:08d}"


def offset_of(key: str) -> int:
    """The offset in a key: "wn30:n02084071" -> 2084071.

    Raises:
        DataError: The key has another form.
    """
    digits = key.removeprefix(KEY_PREFIX)
    if digits == key or len(digits) != 8 or not digits.isdecimal():
        raise DataError(
            f"expected a synset key such as 'wn30:n02084071', found {key!r}; "
            "other WordNet versions do not fit."
        )
    return int(digits)


def _lists(column: pa.ChunkedArray) -> list[list[int]]:
    """A list column as Python lists, several times faster than `to_pylist`."""
    array = column.combine_chunks()
    values = array.flatten().to_numpy().tolist()
    bounds = array.offsets.to_numpy().tolist()
    return [values[start:end] for start, end in pairwise(bounds)]


def _forms(name: str) -> dict[str, tuple[str, ...]]:
    table = pq.read_table(FOLDER / f"{name}.parquet")
    forms: dict[str, tuple[str, ...]] = {}
    for form, lemma in zip(table["form"].to_pylist(), table["lemma"].to_pylist(), strict=True):
        forms[form] = (*forms.get(form, ()), lemma)
    return forms
