"""Japanese nouns and the WordNet synsets they name.

The packaged table was built by `scripts/build_japanese_alignment.py` from the English glosses of EDICT, the
Japanese-English dictionary of the Electronic Dictionary Research and Development Group, and is under EDICT's
licence, Creative Commons Attribution-ShareAlike: see `edict/NOTICE`. What it covers and how often it is
right: docs/japanese.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

FOLDER = Path(__file__).parent / "edict"

Synsets = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Alignment:
    """Japanese nouns -> WordNet 3.0 noun synsets.

    Attributes:
        synsets: Lemma (NFKC, without the dot of katakana) -> (offset, confidence) pairs, best first, at most
            3. Empty: the noun is known, but no label ("white", as in English captions). A spelling whose
            readings differ in meaning also stands with each rarer reading, in brackets behind it. Confidence
            is 0 to 100: the share of the evidence in EDICT's glosses that speaks for the synset.
    """

    synsets: Mapping[str, Synsets]

    @staticmethod
    @cache
    def load() -> "Alignment":
        """The packaged table (177,000 nouns; 0.3 s the first time, shared afterwards)."""
        return Alignment(read_table(FOLDER / "nouns.parquet"))

    def __len__(self) -> int:
        """Number of lemmas."""
        return len(self.synsets)

    def lookup(self, lemma: str, *, reading: str = "") -> Synsets | None:
        """The synsets of a noun.

        Args:
            lemma: As people write it, after NFKC.
            reading: In hiragana, where it is known.

        Returns:
            (offset, confidence) pairs, best first; empty: known, but no label; None: an unknown word.
        """
        if reading:
            found = self.synsets.get(f"{lemma}[{reading}]")
            if found is not None:
                return found
        return self.synsets.get(lemma)


def read_table(path: Path) -> dict[str, Synsets]:
    """The table as a dictionary."""
    table = pq.read_table(path)
    offsets, bounds = _flat(table["synsets"])
    confidences, _ = _flat(table["confidence"])
    pairs = list(zip(offsets, confidences, strict=True))
    synsets = [tuple(pairs[start:end]) for start, end in pairwise(bounds)]
    return dict(zip(table["lemma"].to_pylist(), synsets, strict=True))


def _flat(column: pa.ChunkedArray) -> tuple[list[int], list[int]]:
    array = column.combine_chunks()
    return array.flatten().to_numpy().tolist(), array.offsets.to_numpy().tolist()
