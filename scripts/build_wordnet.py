"""Build the compact noun table that the package ships, from WordNet 3.0's database files.

    python scripts/build_wordnet.py [--wordnet /usr/share/wordnet] [--out src/synsight/language/wordnet30]

The files come with Debian's packages `wordnet-base` and `wordnet-sense-index` (1:3.0-37). Five Parquet
tables are written, together 3.4 MB: nouns (lemma, its synsets in sense order, how often each sense was
tagged in SemCor, and how often the same spelling was tagged as verb, adjective or adverb), synsets (offset,
first lemma, most frequent lemma as written, hypernyms, lexicographer file), the words that are no nouns,
and the irregular forms of nouns and verbs. Glosses and examples are left out. The same input gives the same
bytes.
"""

import argparse
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

NOUN, VERB, ADJECTIVE, ADVERB, SATELLITE = 1, 2, 3, 4, 5
LICENCE_LINES = 29
"""Length of the licence notice at the head of each data file."""


def data_lines(path: Path) -> Iterator[str]:
    """The lines of a database file behind its licence notice (which is indented by two blanks)."""
    with path.open(encoding="ascii") as file:
        for line in file:
            if not line.startswith("  "):
                yield line.rstrip("\n")


def read_synsets(folder: Path) -> pa.Table:
    """All noun synsets of `data.noun`, in offset order."""
    counts = lemma_counts(folder / "index.sense")
    rows = defaultdict(list)
    for line in data_lines(folder / "data.noun"):
        fields = line.split(" | ", 1)[0].split()
        num_words = int(fields[3], 16)
        words = fields[4 : 4 + 2 * num_words : 2]
        pointers = fields[5 + 2 * num_words :]
        parents = [
            (kind, int(offset))
            for kind, offset in zip(pointers[0::4], pointers[1::4], strict=False)
            if kind in ("@", "@i")
        ]
        offset = int(fields[0])
        rows["offset"].append(offset)
        rows["head"].append(words[0].lower())
        rows["name"].append(max(words, key=lambda word: counts[word.lower(), offset]))
        rows["lexname"].append(int(fields[1]))
        rows["hypernyms"].append([parent for _, parent in parents])
        rows["is_instance"].append(any(kind == "@i" for kind, _ in parents))
    return pa.table(
        {
            "offset": pa.array(rows["offset"], pa.int32()),
            "head": pa.array(rows["head"], pa.string()),
            "name": pa.array(rows["name"], pa.string()),
            "lexname": pa.array(rows["lexname"], pa.uint8()),
            "hypernyms": pa.array(rows["hypernyms"], pa.list_(pa.int32())),
            "is_instance": pa.array(rows["is_instance"], pa.bool_()),
        }
    )


def lemma_counts(path: Path) -> dict[tuple[str, int], int]:
    """(noun lemma, synset offset) -> times it was tagged in that sense."""
    counts: dict[tuple[str, int], int] = defaultdict(int)
    with path.open(encoding="ascii") as file:
        for line in file:
            key, offset, _, count = line.split()
            lemma, rest = key.split("%")
            if int(rest[0]) == NOUN:
                counts[lemma, int(offset)] = int(count)
    return counts


def read_counts(path: Path) -> tuple[dict[tuple[str, int], int], dict[tuple[str, int], list[int]]]:
    """Sense counts: (lemma, part of speech) -> total; and each noun's counts in sense order."""
    totals: dict[tuple[str, int], int] = defaultdict(int)
    nouns: dict[tuple[str, int], list[int]] = defaultdict(list)
    senses: dict[str, dict[int, int]] = defaultdict(dict)
    with path.open(encoding="ascii") as file:
        for line in file:
            key, _, number, count = line.split()
            lemma, rest = key.split("%")
            part = int(rest[0])
            totals[lemma, ADJECTIVE if part == SATELLITE else part] += int(count)
            if part == NOUN:
                senses[lemma][int(number)] = int(count)
    for lemma, counts in senses.items():
        nouns[lemma, NOUN] = [counts[number] for number in sorted(counts)]
    return totals, nouns


def read_index(path: Path) -> dict[str, list[int]]:
    """Lemma -> synset offsets in sense order."""
    index = {}
    for line in data_lines(path):
        fields = line.split()
        index[fields[0]] = [int(offset) for offset in fields[-int(fields[2]) :]]
    return index


def nouns_table(folder: Path) -> pa.Table:
    """One row a noun lemma, with its senses and their counts."""
    totals, noun_counts = read_counts(folder / "index.sense")
    index = read_index(folder / "index.noun")
    lemmas = sorted(index)
    return pa.table(
        {
            "lemma": pa.array(lemmas, pa.string()),
            "senses": pa.array([index[lemma] for lemma in lemmas], pa.list_(pa.int32())),
            "counts": pa.array([noun_counts[lemma, NOUN] for lemma in lemmas], pa.list_(pa.int16())),
            **other_counts(lemmas, totals),
        }
    )


def others_table(folder: Path) -> pa.Table:
    """Single words that are adjective, verb or adverb but no noun: known to the language, never a label."""
    totals, _ = read_counts(folder / "index.sense")
    nouns = read_index(folder / "index.noun")
    words = sorted({lemma for lemma, _ in totals if "_" not in lemma and lemma not in nouns})
    return pa.table({"lemma": pa.array(words, pa.string()), **other_counts(words, totals)})


def other_counts(lemmas: list[str], totals: dict[tuple[str, int], int]) -> dict[str, pa.Array]:
    """How often each spelling was tagged as another part of speech; -1: it is none of that part at all."""
    parts = (("verb", VERB), ("adjective", ADJECTIVE), ("adverb", ADVERB))
    return {
        name: pa.array([totals.get((lemma, part), -1) for lemma in lemmas], pa.int16())
        for name, part in parts
    }


def exceptions_table(path: Path) -> pa.Table:
    """Irregular forms -> lemma; a form with two lemmas has two rows, in the file's order."""
    pairs = [
        (form, lemma) for form, *lemmas in map(str.split, path.read_text().splitlines()) for lemma in lemmas
    ]
    return pa.table({"form": [form for form, _ in pairs], "lemma": [lemma for _, lemma in pairs]})


def licence_text(path: Path) -> str:
    """The licence notice that heads a data file, without its line numbers."""
    lines = path.read_text(encoding="ascii").splitlines()[:LICENCE_LINES]
    return "\n".join(line.strip().partition(" ")[2].strip() for line in lines) + "\n"


def main() -> None:
    """Write the tables and the licence notice."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--wordnet", type=Path, default=Path("/usr/share/wordnet"))
    parser.add_argument("--out", type=Path, default=Path("src/synsight/language/wordnet30"))
    arguments = parser.parse_args()
    folder, out = arguments.wordnet, arguments.out
    out.mkdir(parents=True, exist_ok=True)
    tables = {
        "synsets": read_synsets(folder),
        "nouns": nouns_table(folder),
        "others": others_table(folder),
        "plurals": exceptions_table(folder / "noun.exc"),
        "verb_forms": exceptions_table(folder / "verb.exc"),
    }
    for name, table in tables.items():
        path = out / f"{name}.parquet"
        pq.write_table(table, path, compression="zstd", compression_level=19)
        print(f"{path}: {table.num_rows:,} rows, {path.stat().st_size:,} bytes")
    (out / "LICENSE").write_text(licence_text(folder / "data.noun"))


if __name__ == "__main__":
    main()
