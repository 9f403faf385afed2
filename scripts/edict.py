"""The dictionary EDICT as its noun entries: spelling, reading, and the English glosses of each noun sense."""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

NOUN_TAGS = frozenset(("n", "n-adv", "n-t", "n-suf"))
OTHER_TAGS = frozenset(
    """
    adj-f adj-i adj-ix adj-ku adj-na adj-nari adj-no adj-pn adj-shiku adj-t adv adv-to aux aux-adj aux-v conj
    cop ctr exp int n-pr n-pref num pn pref prt suf unc v-unspec v1 v1-s vi vt vk vn vr vs vs-c vs-i vs-s vz
    v2a-s v4r v4h v4k v4m v4s v4t v4b v4g v4n v4u v5aru v5b v5g v5k v5k-s v5m v5n v5r v5r-i v5s v5t v5u v5u-s
    """.split()  # noqa: SIM905
)
RARE_TAGS = frozenset(
    "X arch derog obs obsc rare sl vulg m-sl ok oK ik iK io oik joc poet quote".split()  # noqa: SIM905
)
"""Senses and spellings that a caption hardly means."""

_TAGS = re.compile(r"^\s*\(([^()]*)\)\s*")


@dataclass
class Sense:
    """One noun sense of an entry."""

    parts: set[str]
    tags: set[str]
    glosses: list[str] = field(default_factory=list)


@dataclass
class Entry:
    """One line of EDICT."""

    spelling: str
    reading: str
    is_common: bool
    senses: list[Sense]
    """Those that are nouns and not rare."""


def read_entries(path: Path) -> Iterator[Entry]:
    """The noun entries of the file (EUC-JP)."""
    with path.open(encoding="euc_jp", errors="replace") as file:
        next(file)
        for line in file:
            head, _, body = line.rstrip("\n").partition("/")
            spelling, _, reading = head.strip().partition(" [")
            senses = [sense for sense in read_senses(body.split("/")) if not sense.tags & RARE_TAGS]
            if senses:
                is_common = body.endswith("/(P)/")
                yield Entry(normal(spelling), normal(reading.rstrip("]")), is_common, senses)


def read_senses(glosses: Iterable[str]) -> list[Sense]:
    """Glosses with their leading tags -> the noun senses; parts of speech hold until the next ones."""
    senses: list[Sense] = []
    parts: set[str] = set()
    current = Sense(parts, set())
    for number, gloss in enumerate(glosses):
        rest, starts = gloss, number == 0
        tags: set[str] = set()
        while match := _TAGS.match(rest):
            found = {tag.strip().rstrip(":") for tag in match[1].split(",")}
            if found <= NOUN_TAGS | OTHER_TAGS:
                parts, starts = found, True
            elif match[1].isdecimal():
                starts = True
            elif len(found) == 1 and re.fullmatch(r"[A-Za-z-]{1,6}", match[1].strip(" :")):
                tags |= found
            else:
                break
            rest = rest[match.end() :]
        if starts:
            current = Sense(parts, tags)
            if parts & NOUN_TAGS:
                senses.append(current)
        if rest and rest != "P" and tags != {"P"}:
            current.glosses.append(rest)
    return [sense for sense in senses if sense.glosses]


def normal(text: str) -> str:
    """As captions are written before they are looked up."""
    return unicodedata.normalize("NFKC", text).replace("・", "").strip()
