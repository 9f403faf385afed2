"""Do Japanese captions reach the synsets that English captions of the same images do, and how fast?

    python benchmarks/japanese.py [--data captions.parquet ...] [--rounds 5] [--wiktionary wn-wikt-jpn.tab]

Without `--data` the shipped emoji are read: Unicode's labels and keywords in both languages. Nothing of
them was used to build the table. Texts that stand in several rows count once. Printed are

    coverage    share of the nouns (Sudachi's, without numbers, persons' names and nouns of the grammar) that
                the table knows, and of the captions with a synset
    agreement   Japanese synsets against English ones of the same row: precision, recall and F1 over all
                pairs; equal synsets only, and with one above the other taken for equal. The English side is
                our own rule, no truth: two languages seldom name the same things of a picture, so the
                ceiling is well below 1. Beside it, chance: the captions of other rows
    alignment   with `--wiktionary`: the first synset of each noun against the Extended Open Multilingual
                Wordnet's alignment of Wiktionary (another method, another dictionary; itself automatic)
    languages   how often `languages_of` errs on the captions of both languages, and on new ones of many
    rate        captions a second, beside a loop that only cuts the same captions with SudachiPy; in turns, by
                the process's own clock, caches warm
"""

import argparse
import random
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow.parquet as pq
import sudachipy
from turns import take_turns

import synsight.data
from synsight.language.alignment import Alignment
from synsight.language.japanese import JapaneseMatcher, Role, normal_text
from synsight.language.languages import languages_of
from synsight.language.synsets import SynsetMatcher
from synsight.language.wordnet import NounTable

SHIPPED = Path(synsight.data.__file__).parent / "sample_files" / "emoji.parquet"
NEW_CAPTIONS = {
    "en": [
        "An engineer checks the gearbox of a wind turbine",
        "shelf with jars",
        "Broken glass on the floor",
    ],
    "de": [
        "Ein Techniker prüft das Getriebe",
        "Regal mit Gläsern",
        "Zerbrochenes Glas auf dem Boden",
        "Grüner Apfel",
    ],
    "fr": [
        "Une étagère avec des bocaux",
        "Verre brisé sur le sol",
        "Pomme verte",
        "Un technicien vérifie la machine",
    ],
    "es": ["Un técnico revisa la máquina", "Estante con frascos", "Vidrio roto en el suelo", "Manzana verde"],
    "it": [
        "Un tecnico controlla la macchina",
        "Scaffale con barattoli",
        "Vetro rotto sul pavimento",
        "Mela verde",
    ],
    "pt": ["Um técnico verifica a máquina", "Prateleira com potes", "Vidro quebrado no chão"],
    "nl": ["Een technicus controleert de machine", "Plank met potten", "Gebroken glas op de vloer"],
    "pl": ["Technik sprawdza maszynę", "Półka ze słoikami", "Rozbite szkło na podłodze"],
    "sv": ["En tekniker kontrollerar maskinen", "Hylla med burkar", "Krossat glas på golvet"],
    "da": ["En tekniker kontrollerer maskinen", "Knust glas på gulvet"],
    "no": ["En tekniker sjekker maskinen", "Knust glass på gulvet"],
    "fi": ["Teknikko tarkastaa koneen", "Rikkoutunut lasi lattialla"],
    "cs": ["Technik kontroluje stroj", "Rozbité sklo na podlaze"],
    "hu": ["Egy technikus ellenőrzi a gépet", "Törött üveg a padlón"],
    "ro": ["Un tehnician verifică mașina", "Sticlă spartă pe podea"],
    "tr": ["Bir teknisyen makineyi kontrol ediyor", "Yerde kırık cam"],
    "id": ["Seorang teknisi memeriksa mesin", "Kaca pecah di lantai"],
    "vi": ["Kính vỡ trên sàn nhà"],
    "ru": ["Техник проверяет машину"],
    "zh": ["技术员检查机器", "地板上的碎玻璃", "架子上有罐子"],
    "ja": ["技術者が機械を点検する", "床の割れたガラス", "外観不良", "塗膜剥離", "金属疲労"],
    "ko": ["기술자가 기계를 점검한다"],
}
"""Short captions that were written after the profiles, and never used to change them."""
Rows = list[set[int]]


def read_pairs(paths: Sequence[Path]) -> dict[str, list[tuple[str, str]]]:
    """Kind of text -> distinct (English, Japanese) pairs."""
    english, japanese = SynsetMatcher.load(), JapaneseMatcher.load()
    pairs: dict[str, dict[tuple[str, str], None]] = {"captions": {}, "captions and keywords": {}}
    for path in paths:
        columns = ["caption", "caption_ja", "keywords", "keywords_ja"]
        for row in pq.read_table(path, columns=columns).to_pylist():
            if row["caption"] and row["caption_ja"]:
                pairs["captions"][row["caption"], row["caption_ja"]] = None
                both = (
                    english.join([row["caption"], *(row["keywords"] or [])]),
                    japanese.join([row["caption_ja"], *(row["keywords_ja"] or [])]),
                )
                pairs["captions and keywords"][both] = None
    return {kind: list(found) for kind, found in pairs.items()}


def print_coverage(texts: Sequence[str]) -> None:
    """How many nouns the table knows."""
    matcher = JapaneseMatcher.load()
    known: Counter[bool] = Counter()
    distinct: dict[str, bool] = {}
    for text in texts:
        for word in matcher._cut(normal_text(text)):
            if word.role is Role.NOUN:
                known[word.is_known] += 1
                distinct[word.base] = word.is_known
    matches = matcher.match(texts)
    with_one = sum(bool(matches[row]) for row in range(len(matches)))
    print(
        f"  coverage: {known[True] / known.total():.3f} of {known.total():,} nouns, "
        f"{sum(distinct.values()) / len(distinct):.3f} of {len(distinct):,} distinct ones; "
        f"{with_one / len(texts):.3f} of the texts have a synset"
    )
    unknown = Counter(word for words in matches.unmatched for word in words)
    print("  commonest unknown:", " ".join(word for word, _ in unknown.most_common(15)))


def agreement(
    japanese: Rows, english: Rows, related: Callable[[int, int], bool]
) -> tuple[float, float, float]:
    """Precision, recall and F1 of Japanese synsets, where English ones are asked for."""
    rows = [(ja, en) for ja, en in zip(japanese, english, strict=True) if en]
    right = sum(any(related(one, other) for other in en) for ja, en in rows for one in ja)
    found = sum(any(related(one, other) for one in ja) for ja, en in rows for other in en)
    precision = right / max(sum(len(ja) for ja, _ in rows), 1)
    recall = found / max(sum(len(en) for _, en in rows), 1)
    return precision, recall, 2 * precision * recall / max(precision + recall, 1e-9)


def print_agreement(pairs: Sequence[tuple[str, str]]) -> None:
    """Japanese against English classes of the same rows."""
    table = NounTable.load()
    english_matches = SynsetMatcher.load().match([pair[0] for pair in pairs])
    japanese_matches = JapaneseMatcher.load().match([pair[1] for pair in pairs])
    english: Rows = [set(english_matches[row]) for row in range(len(pairs))]
    japanese: Rows = [set(japanese_matches[row]) for row in range(len(pairs))]
    above = {offset: table.ancestors(offset) for row in (*english, *japanese) for offset in row}

    def is_related(one: int, other: int) -> bool:
        return one == other or one in above[other] or other in above[one]

    others = list(range(len(pairs)))
    random.Random(0).shuffle(others)
    shuffled = [english[row] for row in others]
    for name, related in (("equal", int.__eq__), ("equal or above", is_related)):
        precision, recall, f1 = agreement(japanese, english, related)
        chance = agreement(japanese, shuffled, related)[2]
        print(
            f"  agreement ({name}): precision {precision:.3f}, recall {recall:.3f}, F1 {f1:.3f} "
            f"(chance {chance:.3f})"
        )
    full = [(ja, en) for ja, en in zip(japanese, english, strict=True) if ja and en]
    one = sum(bool(ja & en) for ja, en in full) / max(len(full), 1)
    print(f"  rows with words in both languages that share a synset: {one:.3f} of {len(full):,}")


def print_alignment(path: Path) -> None:
    """The table against the Extended Open Multilingual Wordnet."""
    expected: dict[str, set[int]] = defaultdict(set)
    for line in path.read_text(encoding="utf-8").splitlines():
        fields = line.split("\t")
        if len(fields) >= 3 and fields[0].endswith("-n"):
            expected[fields[2].strip()].add(int(fields[0][:8]))
    rows: dict[str, list[bool]] = defaultdict(list)
    for lemma, offsets in expected.items():
        synsets = Alignment.load().lookup(lemma)
        if synsets:
            place = "90 to 100" if synsets[0][1] >= 90 else "50 to 89" if synsets[0][1] >= 50 else "under 50"
            rows[place].append(synsets[0][0] in offsets)
    everything = [one for row in rows.values() for one in row]
    print(f"alignment: {len(everything):,} of {len(expected):,} nouns in common")
    for place in ("90 to 100", "50 to 89", "under 50"):
        print(f"  confidence {place}: {statistics.fmean(rows[place]):.3f} of {len(rows[place]):,} equal")
    print(f"  all: {statistics.fmean(everything):.3f}")


def print_languages(pairs: Sequence[tuple[str, str]]) -> None:
    """Errors of `languages_of`, and its rate."""
    for place, wanted in enumerate(("en", "ja")):
        texts = list(dict.fromkeys(pair[place] for pair in pairs))
        wrong = [text for text, found in zip(texts, languages_of(texts), strict=True) if found != wanted]
        print(
            f"  {wanted}: {len(wrong)} of {len(texts):,} otherwise ({len(wrong) / len(texts):.4f}):",
            wrong[:12],
        )


def print_new_captions() -> None:
    """Errors on captions of many languages."""
    texts = [text for one in NEW_CAPTIONS.values() for text in one]
    wanted = [language for language, one in NEW_CAPTIONS.items() for _ in one]
    wrong = [pair for pair in zip(wanted, languages_of(texts), strict=True) if pair[0] != pair[1]]
    print(f"  {len(NEW_CAPTIONS)} languages: {len(wrong)} of {len(texts)} wrong (is, told):", wrong)


def print_rates(texts: Sequence[str], rounds: int) -> None:
    """Captions a second."""
    matcher = JapaneseMatcher.load()
    texts = list(texts) * max(1, 4000 // len(texts))
    tokenizer = sudachipy.Dictionary().tokenizer(mode=sudachipy.SplitMode.C)

    def plain() -> None:
        for text in texts:
            [
                (word.surface(), word.part_of_speech(), word.normalized_form())
                for word in tokenizer.tokenize(text)
            ]

    def cut_only() -> None:
        for text in texts:
            tokenizer.tokenize(text)

    steps = {
        "sudachipy, words only cut": cut_only,
        "sudachipy, part of speech and normalised form of each word": plain,
        "JapaneseMatcher.match": lambda: matcher.match(texts),
        "languages_of": lambda: languages_of(texts),
    }
    seconds = take_turns(steps, turns=rounds)
    for name, values in seconds.items():
        rates = sorted(len(texts) / value for value in values)
        print(f"  {name}: {statistics.median(rates):,.0f} a second [{rates[0]:,.0f} to {rates[-1]:,.0f}]")


def main() -> None:
    """Print all of it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, nargs="+", default=[SHIPPED])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--wiktionary", type=Path)
    arguments = parser.parse_args()
    kinds = read_pairs(arguments.data)
    for kind, pairs in kinds.items():
        print(f"{kind}: {len(pairs):,} distinct pairs")
        print_coverage(list(dict.fromkeys(pair[1] for pair in pairs)))
        print_agreement(pairs)
    if arguments.wiktionary:
        print_alignment(arguments.wiktionary)
    print("languages of the captions:")
    print_languages(kinds["captions"])
    print_new_captions()
    for kind, pairs in kinds.items():
        texts = list(dict.fromkeys(pair[1] for pair in pairs))
        length = statistics.fmean(map(len, texts))
        print(f"rate on {len(texts):,} {kind} ({length:.0f} characters):")
        print_rates(texts, arguments.rounds)


if __name__ == "__main__":
    main()
