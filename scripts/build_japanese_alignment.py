"""Build the package's table from Japanese nouns to WordNet synsets, out of EDICT's English glosses.

    python scripts/build_japanese_alignment.py --edict EDICT_PACKAGE [--out src/synsight/language/edict]

EDICT_PACKAGE is Debian's package `edict` (2021.02.03-1) unpacked (`apt-get download edict; dpkg-deb -x ...`),
or `/` where it is installed. Written are `nouns.parquet` (lemma, synset offsets, confidences), and the
licence and documentation that EDICT's terms want beside it. The same input gives the same bytes.

How a gloss becomes a synset, without any Japanese-English pair to learn from:

1. Each noun sense of an entry is a list of English glosses ("wound/injury/cut"). A gloss names the synsets
   of its lemma, each by its share of SemCor's counts; a first gloss counts twice, as EDICT puts the closest
   equivalent first. Glosses that name the same synset, or close relatives, raise each other:
   "bank/banking institution" is no river bank.
2. A remark in brackets that names what a synset is a kind of ("crane (bird)") multiplies it.
3. Compounds say what their last part is a kind of: アイボルト is an eyebolt, so ボルト is that bolt.
4. A gloss that is no lemma speaks with its head noun ("foreign substance": substance), at half the weight.
5. What is no label in an English caption is none here: colours, and people named by an adjective.
6. The entry's first sense comes first. Entries of one spelling go by priority (EDICT's "P"), then by
   SemCor's count; where readings differ in meaning, `空[から]` stands beside `空`.
"""

import argparse
import re
import shutil
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from edict import Entry, Sense, read_entries

from synsight.language.nouns import Kind, NounReader
from synsight.language.wordnet import NounTable

DOMAIN_FILES = {"food": 13, "bot": 20, "zool": 5, "anat": 8}
"""EDICT's field of a sense -> WordNet's lexicographer file."""
NATURAL_KINDS = frozenset((5, 8, 20))
"""Lexicographer files of animals, bodies and plants."""
TOP = ("entity", "object", "whole", "abstraction", "thing", "matter", "artifact", "unit", "group", "family")
"""What nearly everything is a kind of, and words that remarks use for other ends."""
VISIBLE_KINDS = frozenset((5, 6, 8, 13, 17, 20, 27))
"""Those of what a picture can show: animals, artefacts, bodies, food, natural objects, plants, stuff."""
RESULT_KINDS = frozenset((13, 17, 27))
"""Of these, what an act leaves (cracking: a crack): food, natural objects, stuff; but no clothing by wear."""
VISIBLE = 2.0
"""Captions speak of what can be seen."""
ENGLISH_SENSE = 2.0
"""For the thing that the word gives in an English caption: both languages should have one class for it."""
FINE = 4.0
"""Most that may speak for another sense of the same kind than the usual one."""
HINT_FACTOR = 4.0
"""A remark or a tag weighs more than SemCor's counts, which come from news and novels."""
VOTE_FACTOR = 4.0
"""So do compounds, where all of them agree."""
LATER_GLOSS = HEAD_WEIGHT = PARENT = 0.5
"""Each is half as good evidence: a further gloss, a gloss's head alone, a synset one step above or below."""
SIBLING = 0.25
LATER_SENSE = 0.25
"""Weight of each sense of an entry against the one before it."""
DOUBTFUL_PERSON = 0.25
"""A word that names things and people ("screw" is a prison guard too) is taken for a thing unless much speaks
against it: a doubtful label for people does more harm than a missing one.
"""
MOST_SYNSETS = 3
MOST_WORDS = 6
"""A longer gloss is a definition."""
Synsets = list[tuple[int, float]]
"""Offsets with confidences from 0 to 1, best first."""

_BRACKETS = re.compile(r"\(([^()]*)\)")
_HEAD_ENDS = re.compile(r"\b(?:of|for|in|on|with|from|to|by|at|that|which|who|used|made|as|between)\b")
_ARTICLE = re.compile(r"^(?:a|an|the|one's)\s+")
_KANA = re.compile(r"^[\u3041-\u30ff]+$")


class GlossReader:
    """From a sense's glosses to scored synsets."""

    def __init__(self) -> None:
        self.table = NounTable.load()
        self.reader = NounReader(self.table)
        self.top = {self.table.nouns[name].senses[0] for name in TOP}
        self._parents: dict[int, tuple[int, ...]] = {}

    def scores(self, sense: Sense) -> dict[int, float] | None:
        """Synset -> score; None: the sense is a colour or another word that is no label in English."""
        texts = [plain_gloss(gloss) for gloss in sense.glosses]
        if self.reader.read(texts[0][0]).kinds & Kind.ADJECTIVE:
            return None
        read = [self.shares(text, is_act="vs" in sense.parts) for text, _ in texts]
        heads = {offset for shares, is_whole in read if not is_whole for offset in shares}
        has_whole = any(shares and is_whole for shares, is_whole in read)
        glosses: list[dict[int, float]] = []
        for place, (gloss, (shares, is_whole)) in enumerate(zip(sense.glosses, read, strict=True)):
            if has_whole and not is_whole:
                continue  # "bank/banking institution": the second says what kind of bank
            hints = self.hints(texts[place][1]) | (heads if has_whole else set())
            weight = (1.0 if place == 0 else LATER_GLOSS) * (1.0 if is_whole else HEAD_WEIGHT)
            is_name = gloss[:1].isupper()
            glosses.append(
                {
                    offset: weight * share * self.factor(offset, sense, hints, is_name=is_name)
                    for offset, share in shares.items()
                }
            )
        return self.in_agreement(glosses)

    def in_agreement(self, glosses: Sequence[dict[int, float]]) -> dict[int, float]:
        """Each gloss's synsets, raised by what the other glosses say of them and of their relatives."""
        totals: dict[int, float] = defaultdict(float)
        for shares in glosses:
            for offset, share in shares.items():
                totals[offset] += share
        below: dict[int, float] = defaultdict(float)
        for offset, share in totals.items():
            for parent in self.parents(offset):
                below[parent] += share
        scores: dict[int, float] = defaultdict(float)
        for shares in glosses:
            own = sum(shares.values())
            for offset, share in shares.items():
                kin = totals[offset] - share
                for parent in self.parents(offset):
                    kin += PARENT * totals.get(parent, 0.0) + SIBLING * (below[parent] - own)
                kin += PARENT * below.get(offset, 0.0)
                scores[offset] += share * (1 + max(kin, 0.0))
        return dict(scores)

    def as_in_english(self, scores: dict[int, float], text: str) -> dict[int, float]:
        """The scores, with the first gloss's synset in English captions before others of the same kind.

        WordNet tells the flower that is a plant from that which is its bloom; that 花 and "flower" are one
        class is worth more.
        """
        lemma = self.lemma(text)
        if not scores or lemma is None:
            return scores
        usual = self.reader.best_sense(self.table.nouns[lemma])
        best = max(scores, key=lambda offset: (scores[offset], -offset))
        is_alike = usual in scores and self.table.lexname(usual) == self.table.lexname(best)
        if is_alike and FINE * scores[usual] >= scores[best]:
            scores[usual] = max(scores[usual], 1.01 * scores[best])
        return scores

    def factor(self, offset: int, sense: Sense, hints: set[int], *, is_name: bool) -> float:
        """What a sense's remarks and tags say for or against one synset."""
        table, factor = self.table, 1.0
        if hints and self.is_hinted(offset, hints):
            factor *= HINT_FACTOR
        if any(DOMAIN_FILES.get(tag) == table.lexname(offset) for tag in sense.tags):
            factor *= HINT_FACTOR
        if "vs" in sense.parts and table.lexname(offset) in NATURAL_KINDS:
            factor /= HINT_FACTOR  # what one can do (溶接する) is an act, and no plant
        if table.is_instance(offset) and not is_name:
            factor /= HINT_FACTOR
        return factor

    def shares(self, text: str, *, is_act: bool = False) -> tuple[dict[int, float], bool]:
        """The synsets that a plain gloss may name by their shares, and whether the whole gloss names them."""
        words = text.split()
        if not words or len(words) > MOST_WORDS or words[0] == "to":
            return {}, False
        found = self.senses(self.lemma(text), words, is_act=is_act)
        if found:
            return found, True
        head = _HEAD_ENDS.split(text)[0].split()
        for start in range(1 if len(head) == len(words) else 0, len(head)):
            found = self.senses(self.lemma(" ".join(head[start:])), head[start:], is_act=is_act)
            if found:
                return found, False
        return {}, False

    def lemma(self, text: str) -> str | None:
        """The noun lemma a text is, in the singular, with blanks, hyphens or nothing between its words."""
        for spelling in (text.replace(" ", "_"), text.replace(" ", "-"), text.replace(" ", "")):
            lemmas = self.reader.lemmas(spelling)
            if lemmas:
                return max(lemmas, key=lambda lemma: sum(self.table.nouns[lemma].counts))
            stem, _, last = spelling.rpartition("_")
            if stem:
                for single in self.reader.lemmas(last):
                    if f"{stem}_{single}" in self.table.nouns:
                        return f"{stem}_{single}"
        return None

    def senses(self, lemma: str | None, words: Sequence[str], *, is_act: bool) -> dict[int, float]:
        """A lemma's synsets by their shares; none where an English caption's word would be an adjective."""
        if lemma is None:
            return {}
        table, noun = self.table, self.table.nouns[lemma]
        if len(words) == 1 and self.reader.read(words[0]).kinds & Kind.ADJECTIVE:
            return {}
        by_adjective = len(words) > 1 and self.reader.is_adjective(words[0])
        kinds = RESULT_KINDS if is_act else VISIBLE_KINDS
        kept: dict[int, float] = {}
        for rank, (offset, count) in enumerate(zip(noun.senses, noun.counts, strict=True)):
            if table.is_person(offset) and (by_adjective or table.is_instance(offset)):
                continue
            is_seen = table.lexname(offset) in kinds and not table.is_instance(offset)
            kept[offset] = (VISIBLE if is_seen else 1.0) * (count + 1 / (rank + 1))
        usual = self.reader.best_sense(noun)
        if usual in kept and table.lexname(usual) in kinds:
            kept[usual] *= ENGLISH_SENSE
        if len({table.is_person(offset) for offset in kept}) > 1:
            kept = {o: count * (DOUBTFUL_PERSON if table.is_person(o) else 1.0) for o, count in kept.items()}
        total = sum(kept.values())
        return {offset: weight / total for offset, weight in kept.items()}

    def hints(self, remarks: Sequence[str]) -> set[int]:
        """The synsets that lower-case words of remarks in brackets name."""
        found: set[int] = set()
        for remark in remarks:
            for word in re.findall(r"\b[a-z]+\b", remark):
                for lemma in self.reader.lemmas(word):
                    found.update(self.table.nouns[lemma].senses)
        return found - self.top

    def is_hinted(self, offset: int, hints: set[int]) -> bool:
        """Whether a synset is a kind of what was remarked, or has a parent in common with it."""
        if not hints.isdisjoint(self.table.ancestors(offset) - self.top):
            return True
        kin = {parent for hint in hints for parent in self.parents(hint)}
        return not kin.isdisjoint(set(self.parents(offset)) - self.top)

    def count(self, offset: int) -> int:
        """Times SemCor has a synset under its most frequent lemma."""
        noun = self.table.nouns[self.table.name(offset).lower().replace(" ", "_")]
        return noun.counts[noun.senses.index(offset)]

    def parents(self, offset: int) -> tuple[int, ...]:
        """The synsets directly above one, remembered."""
        if offset not in self._parents:
            self._parents[offset] = tuple(self.table.hypernyms(offset))
        return self._parents[offset]


def plain_gloss(gloss: str) -> tuple[str, list[str]]:
    """A gloss without brackets and articles in lower case, and what stood in the brackets."""
    remarks = []
    while match := _BRACKETS.search(gloss):
        remarks.append(match[1])
        gloss = gloss[: match.start()] + gloss[match.end() :]
    text = " ".join(gloss.lower().replace(",", " ").strip(" .!?\"'").split())
    return _ARTICLE.sub("", text), remarks


def align(entry: Entry, glosses: GlossReader, votes: Mapping[int, float]) -> Synsets | None:
    """An entry's synsets with confidences, best first; empty: known, but no label; None: nothing is known.

    Args:
        entry: The entry.
        glosses: Reads its senses.
        votes: Synset -> share of the compounds that end in this spelling and are kinds of it.
    """
    totals: dict[int, float] = defaultdict(float)
    bests: list[int] = []
    for place, sense in enumerate(entry.senses):
        scores = glosses.scores(sense)
        if scores is None and not totals:
            return []
        if scores:
            scores = {o: score * (1 + VOTE_FACTOR * votes.get(o, 0.0)) for o, score in scores.items()}
            scores = glosses.as_in_english(scores, plain_gloss(sense.glosses[0])[0])
            bests.append(max(scores, key=lambda offset: (scores[offset], -offset)))
            whole = sum(scores.values())
            for offset, score in scores.items():
                totals[offset] += min(whole, 1.0) * score / whole * LATER_SENSE**place
    if not totals:
        return None
    whole = max(sum(totals.values()), 1.0)
    ranked = list(dict.fromkeys(bests))[:MOST_SYNSETS]
    return [(offset, totals[offset] / whole) for offset in ranked]


def votes_of_compounds(entries: Iterable[Entry], glosses: GlossReader) -> dict[str, dict[int, float]]:
    """Spelling -> synset -> share of the compounds ending in the spelling that are kinds of the synset.

    A Japanese compound is a kind of its last part: アイボルト is an eyebolt, so ボルト is
    that bolt, not the thunderbolt. Only compounds speak whose first gloss has one sense in WordNet.
    """
    entries = list(entries)
    known = {entry.spelling for entry in entries}
    kinds: dict[str, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    totals: dict[str, int] = defaultdict(int)
    for entry in entries:
        lemma = glosses.lemma(plain_gloss(entry.senses[0].glosses[0])[0])
        if lemma is None or len(glosses.table.nouns[lemma].senses) != 1:
            continue
        ancestors = glosses.table.ancestors(glosses.table.nouns[lemma].senses[0])
        for start in range(1, len(entry.spelling)):
            head = entry.spelling[start:]
            if head in known and (len(head) > 1 or not _KANA.match(head)):
                totals[head] += 1
                for ancestor in ancestors:
                    kinds[head][ancestor] += 1
    return {
        head: {offset: count / (totals[head] + 1) for offset, count in counts.items()}
        for head, counts in kinds.items()
    }


def spellings(entry: Entry) -> Iterator[tuple[str, int]]:
    """The lemmas an entry is found by, each with its rank (less is better)."""
    rank = 0 if entry.is_common else 2
    yield entry.spelling, rank
    usually_kana = "uk" in entry.senses[0].tags
    if entry.reading and (usually_kana or is_katakana(entry.reading)):
        yield entry.reading, rank + 1


def is_katakana(text: str) -> bool:
    """Whether a kana text is written in katakana."""
    return all("\u30a1" <= mark <= "\u30ff" for mark in text)


def build(path: Path) -> pa.Table:
    """The table, in lemma order."""
    glosses = GlossReader()
    entries = list(read_entries(path))
    votes = votes_of_compounds(entries, glosses)
    found: dict[str, list[tuple[int, float, str, Synsets]]] = defaultdict(list)
    for entry in entries:
        synsets = align(entry, glosses, votes.get(entry.spelling) or votes.get(entry.reading, {}))
        if synsets is not None:
            count = glosses.count(synsets[0][0]) if synsets else 0
            for lemma, rank in spellings(entry):
                found[lemma].append((rank, -count, entry.reading, synsets))
    rows: dict[str, Synsets] = {}
    for lemma, candidates in found.items():
        candidates.sort(key=lambda one: one[:3])
        rows[lemma] = candidates[0][3]
        for _, _, reading, synsets in reversed(candidates):
            if reading and [o for o, _ in synsets[:1]] != [o for o, _ in rows[lemma][:1]]:
                rows[f"{lemma}[{reading}]"] = synsets
    lemmas = sorted(rows)
    return pa.table(
        {
            "lemma": pa.array(lemmas, pa.string()),
            "synsets": pa.array([[o for o, _ in rows[lemma]] for lemma in lemmas], pa.list_(pa.int32())),
            "confidence": pa.array(
                [[round(100 * share) for _, share in rows[lemma]] for lemma in lemmas], pa.list_(pa.uint8())
            ),
        }
    )


def main() -> None:
    """Write the table, the licence and the documentation."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--edict", type=Path, default=Path("/"))
    parser.add_argument("--out", type=Path, default=Path("src/synsight/language/edict"))
    arguments = parser.parse_args()
    share, out = arguments.edict / "usr/share", arguments.out
    out.mkdir(parents=True, exist_ok=True)
    table = build(share / "edict/edict")
    path = out / "nouns.parquet"
    pq.write_table(table, path, compression="zstd", compression_level=19)
    print(f"{path}: {table.num_rows:,} rows, {path.stat().st_size:,} bytes")
    for name, target in (("copyright", "COPYRIGHT"), ("edict_doc.html", "edict_doc.html")):
        shutil.copyfile(share / "doc/edict" / name, out / target)


if __name__ == "__main__":
    main()
