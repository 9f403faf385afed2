"""How many captions a second does a core turn into synsets: our rule, and the released CatLIP rule in two
forms?

    python benchmarks/words.py [--data captions.parquet ...] [--rounds 7] [--corenet PATH]

Variants, alternated in one process, timed by the process's own processor clock:

    released    the rule as released, our clean re-implementation with nltk: a lemmatizer a caption, parts
    of speech
                computed and not used, a list of 24,320 keys searched twice for each label
    untagged    the same without the tagger
    compat      synsight, compat="corenet"; must give identical label sets
    own         synsight's own rule

What it leaves out: nltk's tagger weights are not at hand offline, so the tagger (nltk's PerceptronTagger)
is trained here for a moment, for its cost and not its tags; Punkt's English model is replaced by its class
with the abbreviations that can change a label. Needs nltk and WordNet 3.0's files (Debian: wordnet-base,
wordnet-sense-index).
"""

import argparse
import importlib.util
import os
import platform
import random
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import unquote

import ftfy
import nltk
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import synsight.data
from synsight.language.corenet import ABBREVIATIONS, CorenetMatcher, corenet_key
from synsight.language.synsets import SynsetMatcher
from synsight.language.wordnet import NounTable

WORDNET = Path("/usr/share/wordnet")
VOCABULARY_SIZE = 24_320  # of the released DataComp configuration
BATCH = 8192
Labels = list[set[str]]

LEXNAMES = """
adj.all:3 adj.pert:3 adv.all:4 noun.Tops:1 noun.act:1 noun.animal:1 noun.artifact:1 noun.attribute:1
noun.body:1 noun.cognition:1 noun.communication:1 noun.event:1 noun.feeling:1 noun.food:1 noun.group:1
noun.location:1 noun.motive:1 noun.object:1 noun.person:1 noun.phenomenon:1 noun.plant:1
noun.possession:1 noun.process:1 noun.quantity:1 noun.relation:1 noun.shape:1 noun.state:1
noun.substance:1 noun.time:1 verb.body:2 verb.change:2 verb.cognition:2 verb.communication:2
verb.competition:2 verb.consumption:2 verb.contact:2 verb.creation:2 verb.emotion:2 verb.motion:2
verb.perception:2 verb.possession:2 verb.social:2 verb.stative:2 verb.weather:2 adj.ppl:3
"""


def open_wordnet(folder: Path) -> None:
    """Lay WordNet's files out where nltk looks for them, with the list of lexicographer files that Debian
    leaves out.
    """
    corpus = folder / "corpora" / "wordnet"
    corpus.mkdir(parents=True)
    for file in WORDNET.iterdir():
        if file.is_file():
            (corpus / file.name).write_bytes(file.read_bytes())
    names = [name.split(":") for name in LEXNAMES.split()]
    lines = [f"{number:02d}\t{name}\t{part}\n" for number, (name, part) in enumerate(names)]
    (corpus / "lexnames").write_text("".join(lines))
    nltk.data.path.insert(0, str(folder))
    nltk.corpus.wordnet.ensure_loaded()


class ReleasedRule:
    """CatLIP's released rule, from its description."""

    def __init__(self, vocabulary: Sequence[str], *, tagger: object = None) -> None:
        from nltk.tokenize.punkt import PunktParameters, PunktSentenceTokenizer

        parameters = PunktParameters()
        parameters.abbrev_types = set(ABBREVIATIONS)
        self._sentences = PunktSentenceTokenizer(parameters)
        self._words = nltk.tokenize.NLTKWordTokenizer()
        self._vocabulary = list(vocabulary)
        self._tagger = tagger

    def tokens(self, text: str) -> list[str]:
        """What nltk.word_tokenize gives."""
        return [word for one in self._sentences.tokenize(text) for word in self._words.tokenize(one)]

    def keys(self, caption: str) -> set[str]:
        """All keys of one caption, in the vocabulary or not."""
        from nltk.corpus.reader.wordnet import WordNetError

        text = re.sub(" +", " ", re.sub("<.*?>", "", unquote(caption).replace("+", " ")))
        tokens = self.tokens(ftfy.fix_text(text).lower())
        if self._tagger is not None:
            self._tagger.tag(tokens)
        lemmatizer = nltk.stem.WordNetLemmatizer()
        keys = set()
        for token in tokens:
            name = f"{lemmatizer.lemmatize(token)}.n.01"
            try:
                synset = nltk.corpus.wordnet.synset(name)
            except (WordNetError, ValueError):
                continue
            if synset.name() == name:
                keys.add(f"{synset.pos()}{synset.offset()}")
        return keys

    def __call__(self, captions: Sequence[str]) -> Labels:
        """The keys of each caption that the vocabulary holds, which is a list as in the released code."""
        labels = []
        for caption in captions:
            found = [key for key in self.keys(caption) if key in self._vocabulary]
            labels.append({self._vocabulary[self._vocabulary.index(key)] for key in found})
        return labels


def train_tagger(captions: Sequence[str]) -> object:
    """Nltk's tagger with weights for cost only: tags are the first part of speech that WordNet knows."""
    tagger = nltk.tag.PerceptronTagger(load=False)
    tags = {"n": "NN", "v": "VB", "a": "JJ", "s": "JJ", "r": "RB"}
    sentences = []
    for caption in captions:
        words = caption.lower().split()
        first = [nltk.corpus.wordnet.synsets(word)[:1] for word in words]
        pairs = [(word, tags[one[0].pos()] if one else "DT") for word, one in zip(words, first, strict=True)]
        if pairs:
            sentences.append(pairs)
    tagger.train(sentences, nr_iter=3)
    return tagger


def frequent_keys() -> list[str]:
    """The keys of the synsets that SemCor counts most often, as many as the released vocabulary has."""
    table = NounTable.load()
    counts: dict[int, int] = {}
    for noun in table.nouns.values():
        for offset, count in zip(noun.senses, noun.counts, strict=True):
            counts[offset] = counts.get(offset, 0) + count
    ranked = sorted(counts, key=lambda offset: -counts[offset])
    return [corenet_key(offset) for offset in ranked[:VOCABULARY_SIZE]]


def synsight_rule(
    matcher: SynsetMatcher | CorenetMatcher, vocabulary: Sequence[str]
) -> Callable[..., np.ndarray]:
    """One of our rules with the vocabulary as a sorted array: the classes of all captions, and their
    bounds.
    """
    known = np.sort(np.array([int(key[1:]) for key in vocabulary]))

    def classes(captions: Sequence[str]) -> list[tuple[np.ndarray, np.ndarray]]:
        found = []
        for start in range(0, len(captions), BATCH):
            matches = matcher.match(captions[start : start + BATCH])
            places = np.minimum(np.searchsorted(known, matches.numbers), len(known) - 1)
            is_known = known[places] == matches.numbers
            rows = np.repeat(np.arange(len(matches)), np.diff(matches.bounds))
            found.append((rows[is_known] + start, matches.numbers[is_known]))
        return found

    return classes


def first_reading(captions: Sequence[str], vocabulary: Sequence[str]) -> dict[str, float]:
    """Captions a second on the second half, by matchers that have only read the first half."""
    rates, half = {}, len(captions) // 2
    for name, matcher in (("compat", CorenetMatcher()), ("own", SynsetMatcher())):
        rule = synsight_rule(matcher, vocabulary)
        rule(captions[:half])
        start = time.process_time()
        rule(captions[half:])
        rates[name] = (len(captions) - half) / (time.process_time() - start)
    return rates


def as_keys(found: list[tuple[np.ndarray, np.ndarray]], num_captions: int) -> Labels:
    """Our arrays as sets of keys, to compare."""
    labels: Labels = [set() for _ in range(num_captions)]
    for rows, offsets in found:
        for row, offset in zip(rows.tolist(), offsets.tolist(), strict=True):
            labels[row].add(corenet_key(offset))
    return labels


def real_corenet_rule(path: Path) -> Callable[[str], object]:
    """`label(caption)` of a Python file of the user's, which wraps their own copy of corenet."""
    spec = importlib.util.spec_from_file_location("corenet_rule", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.label


def read_captions(paths: Sequence[Path], most: int) -> list[str]:
    """Distinct captions of Parquet files, so that remembering whole captions would not help."""
    captions = [
        caption
        for path in paths
        for caption in pq.read_table(path, columns=["caption"])["caption"].to_pylist()
    ]
    captions = list(dict.fromkeys(caption for caption in captions if caption))
    random.Random(0).shuffle(captions)
    return captions[:most]


def glosses(most: int) -> list[str]:
    """English of a caption's length: the first part of WordNet's glosses, 4 to 16 words."""
    texts = []
    for line in (WORDNET / "data.noun").read_text(encoding="ascii").splitlines():
        text = line.partition(" | ")[2].split(";")[0].strip()
        if 4 <= len(text.split()) <= 16:
            texts.append(text)
    random.Random(0).shuffle(texts)
    return texts[:most]


def measure(
    variants: dict[str, tuple[Callable[..., object], Sequence[str]]], rounds: int
) -> dict[str, list[float]]:
    """Captions a second of each variant in each round; the order is turned round every other time."""
    rates: dict[str, list[float]] = {name: [] for name in variants}
    for round_ in range(rounds + 1):
        for name, (rule, captions) in list(variants.items())[:: 1 if round_ % 2 else -1]:
            start = time.process_time()
            rule(captions)
            if round_:  # the first round warms up
                rates[name].append(len(captions) / (time.process_time() - start))
    return rates


def report(title: str, captions: list[str], rounds: int, slow_captions: int, corenet: Path | None) -> None:
    """Check agreement, measure, print."""
    vocabulary = frequent_keys()
    untagged = ReleasedRule(vocabulary)
    released = ReleasedRule(vocabulary, tagger=train_tagger(captions[:1000]))
    compat, own = (synsight_rule(one(), vocabulary) for one in (CorenetMatcher, SynsetMatcher))
    few = captions[:slow_captions]
    unseen = first_reading(captions, vocabulary)
    expected = untagged(captions)
    same = sum(a == b for a, b in zip(expected, as_keys(compat(captions), len(captions)), strict=True))
    ours = as_keys(own(captions), len(captions))
    variants = {
        "released": (released, few),
        "untagged": (untagged, few),
        "compat": (compat, captions),
        "own": (own, captions),
    }
    if corenet is not None:
        label = real_corenet_rule(corenet)
        variants["corenet"] = (lambda texts: [label(text) for text in texts], few)
    rates = measure(variants, rounds)
    words = sum(len(caption.split()) for caption in captions) / len(captions)
    print(f"\n{title}: {len(captions):,} distinct captions, {words:.1f} words each; {rounds} rounds")
    print(f"identical label sets, compat against released: {same / len(captions):.4f}")
    print(f"labels a caption: released {_mean(expected):.2f}, own {_mean(ours):.2f} (within the vocabulary)")
    for name, values in rates.items():
        ratios = [value / base for value, base in zip(values, rates["released"], strict=True)]
        print(
            f"  {name:9} {statistics.median(values):>10,.0f} captions/s   "
            f"{statistics.median(ratios):6.1f}x released [{min(ratios):.1f}-{max(ratios):.1f}]"
        )
    once = ", ".join(f"{name} {rate:,.0f}" for name, rate in unseen.items())
    print(f"  captions met for the first time, half of the set read before (one reading): {once} captions/s")


def _mean(labels: Labels) -> float:
    return sum(map(len, labels)) / len(labels)


def main() -> None:
    """Measure on the files given, else on the packaged samples and on WordNet's glosses."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, nargs="*", default=[])
    parser.add_argument("--captions", type=int, default=20_000)
    parser.add_argument(
        "--slow-captions", type=int, default=500, help="what the slow variants read in a round"
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument(
        "--corenet", type=Path, help="a Python file with label(caption), wrapping the real corenet"
    )
    arguments = parser.parse_args()
    if not (WORDNET / "data.noun").exists():
        sys.exit(f"{WORDNET}: WordNet's files are not here; install wordnet-base and wordnet-sense-index.")
    paths = arguments.data or sorted(Path(synsight.data.__file__).parent.rglob("*.parquet"))
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, "
        f"Python {platform.python_version()}, "
        f"nltk {nltk.__version__}, ftfy {ftfy.__version__}, numpy {np.__version__}, pyarrow {pa.__version__}"
    )
    with tempfile.TemporaryDirectory() as folder:
        open_wordnet(Path(folder))
        sets = {path.stem: read_captions([path], arguments.captions) for path in paths}
        if not arguments.data:
            sets["glosses"] = glosses(arguments.captions)
        for title, captions in sets.items():
            report(title, captions, arguments.rounds, arguments.slow_captions, arguments.corenet)


if __name__ == "__main__":
    main()
