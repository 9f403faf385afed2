"""Draw the captions of the gold set: 200 from each of three sources, by a seed.

    apt-cache dumpavail > available.txt        # Debian 12 "bookworm", main
    python benchmarks/gold/draw.py available.txt --out captions.jsonl

Clipart and emoji come from the samples that ship with the package (licences beside them); package
descriptions are the first lines of Debian's, under the licences of their packages, all free software. Of
each source the distinct texts are drawn from, so that a text on a thousand rows has the chance of one; an
emoji's text is its name with its keywords, a package's is drawn once for all packages built from one source.
"""

import argparse
import json
import random
from collections.abc import Iterable
from pathlib import Path

import pyarrow.parquet as pq

import synsight.data

SEED = 20_260
A_SOURCE = 200
MOST_WORDS = 40
"""A longer caption is left out: its annotation would weigh as much as those of ten others."""
SAMPLES = Path(synsight.data.__file__).parent


def clipart() -> dict[str, str]:
    """Caption -> id of the first drawing that has it."""
    rows = _sample("clipart.parquet", ["id", "caption"])
    return _first((row["id"], row["caption"] or "") for row in rows)


def emoji() -> dict[str, str]:
    """Name and keywords as one text -> id; vendors share most texts."""
    rows = _sample("emoji.parquet", ["group", "caption", "keywords"])
    return _first((f"emoji/{row['group']}", ", ".join([row["caption"], *row["keywords"]])) for row in rows)


def packages(path: Path) -> dict[str, str]:
    """First line of a description -> package; one package of each source package."""
    seen, found = set(), []
    for stanza in path.read_text(encoding="utf-8").split("\n\n"):
        fields = dict(line.split(": ", 1) for line in stanza.split("\n") if ": " in line and line[0] != " ")
        if "Package" not in fields or "/" in fields.get("Section", ""):
            continue  # another component than main
        source = fields.get("Source", fields["Package"]).split()[0]
        if source not in seen and "Description" in fields and "debian.org" in fields.get("Maintainer", ""):
            seen.add(source)
            found.append((f"debian/{fields['Package']}", fields["Description"]))
    return _first(found)


def _sample(name: str, columns: list[str]) -> list[dict[str, object]]:
    (path,) = SAMPLES.rglob(name)
    return pq.read_table(path, columns=columns).to_pylist()


def _first(rows: Iterable[tuple[str, str]]) -> dict[str, str]:
    texts: dict[str, str] = {}
    for key, text in rows:
        text = " ".join(text.split())
        if text and len(text.split()) <= MOST_WORDS:
            texts.setdefault(text, key)
    return texts


def main() -> None:
    """Write one line a caption, in the order drawn."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("available", type=Path, help="the output of `apt-cache dumpavail`")
    parser.add_argument("--out", type=Path, default=Path("captions.jsonl"))
    arguments = parser.parse_args()
    sources = {"clipart": clipart(), "emoji": emoji(), "packages": packages(arguments.available)}
    with arguments.out.open("w", encoding="utf-8") as file:
        for name, texts in sources.items():
            chosen = random.Random(f"{SEED}-{name}").sample(sorted(texts), A_SOURCE)
            for text in chosen:
                row = {"id": texts[text], "source": name, "caption": text}
                file.write(json.dumps(row, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
