"""How many misspelt words does repair put right, and how often does it do harm?

In a share of the captions every word of four letters or more gets one typo at random: a letter lost,
doubled, changed or swapped with its neighbour (`damage.damage_captions`). The catalog's words are counted in
what that leaves, as `synsight repair` does, and compared with the captions before: planted typos put right,
corrections that made something else of a word, and captions without a planted typo that were changed, which
are printed, since some of them were misspelt by their authors. Nouns: those that `synsight words` finds in
the damaged captions, of those that it found before.

    python benchmarks/spelling.py --data DIR [--shares 0.05 0.2 0.5] [--seed 0]

DIR holds Parquet files with a column `caption`. One draw; what it leaves out: real mistakes, which are other
than drawn ones, and languages other than the captions'.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from damage import DAMAGED, damage_captions

from synsight.curation.repair.spelling import SpellingStage, spelling_of
from synsight.language.synsets import SynsetMatcher
from synsight.language.wordnet import NounTable

COLUMN = "caption"
ROWS_AT_ONCE = 4096
EXAMPLES = 20


@dataclass(frozen=True)
class Outcome:
    """What became of the words of damaged captions, and of the captions without damage."""

    captions: int
    planted: int
    right: int
    wrong: int
    undamaged: int
    changed: dict[str, str]
    """Undamaged captions that were changed, before -> after."""


def main() -> None:
    """Print the table, then the undamaged captions that were changed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of Parquet files")
    parser.add_argument("--files", nargs="*", help="their names without .parquet; all unless given")
    parser.add_argument("--shares", nargs="*", type=float, default=[0.05, 0.2, 0.5])
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    names = arguments.files or sorted(path.stem for path in arguments.data.glob("*.parquet"))
    print("| captions | damaged | typos | put right | wrong corrections | undamaged changed | nouns found |")
    print("|---|---|---|---|---|---|---|")
    changed: dict[str, str] = {}
    for name in names:
        table = pq.read_table(arguments.data / f"{name}.parquet", columns=[COLUMN])
        table = table.filter(pc.greater(pc.utf8_length(table[COLUMN]), 0))
        for share in (0.0, *arguments.shares):
            changed |= _line(name, table, share, arguments.seed)
    print(f"\nundamaged captions that were changed, {min(len(changed), EXAMPLES)} of {len(changed)}:")
    for before, after in list(changed.items())[:: max(len(changed) // EXAMPLES, 1)][:EXAMPLES]:
        print(f"  {before!r} -> {after!r}")


def _line(name: str, table: pa.Table, share: float, seed: int) -> dict[str, str]:
    damaged = damage_captions(table, "typos", share, seed)
    before, found = table[COLUMN].to_pylist(), damaged[COLUMN].to_pylist()
    is_damaged = damaged[DAMAGED].to_pylist()
    spelling = spelling_of(_counted(found))
    after = [spelling.put_right(text) for text in found]
    seen = _outcome(before, found, after, is_damaged)
    rows = [row for row, hit in enumerate(is_damaged) if hit]
    nouns = _nouns_found(*([texts[row] for row in rows] for texts in (before, found, after)))
    cells = (
        f"{name} ({seen.captions:,})",
        f"{share:.0%}",
        f"{seen.planted:,}",
        _share(seen.right, seen.planted),
        f"{seen.wrong} ({_share(seen.wrong, seen.right + seen.wrong)})",
        f"{len(seen.changed)} ({_share(len(seen.changed), seen.undamaged, digits=2)})",
        nouns,
    )
    print(f"| {' | '.join(cells)} |", flush=True)
    return seen.changed


def _counted(captions: Sequence[str]) -> Iterator[pa.RecordBatch]:
    stage = SpellingStage((COLUMN,))
    for start in range(0, len(captions), ROWS_AT_ONCE):
        yield stage(pa.record_batch({COLUMN: pa.array(captions[start : start + ROWS_AT_ONCE], pa.string())}))


def _outcome(
    before: Sequence[str], found: Sequence[str], after: Sequence[str], is_damaged: Sequence[bool]
) -> Outcome:
    planted = right = wrong = 0
    changed = {}
    for true, damaged, mended, hit in zip(before, found, after, is_damaged, strict=True):
        if not hit:
            if mended != damaged:
                changed[damaged] = mended
            continue
        for one, two, three in zip(*(text.split(" ") for text in (true, damaged, mended)), strict=True):
            planted += one != two
            right += one == three != two
            wrong += three not in (one, two)
    return Outcome(len(before), planted, right, wrong, is_damaged.count(False), changed)


def _nouns_found(before: Sequence[str], found: Sequence[str], after: Sequence[str]) -> str:
    """Of the nouns in captions before the damage, those found in them damaged, and put right; and the
    captions that have all of theirs.
    """
    if not before:
        return "–"
    matcher = SynsetMatcher(NounTable.load())
    true, *others = (
        [frozenset(matches[row]) for row in range(len(texts))]
        for texts in (before, found, after)
        for matches in [matcher.match(texts)]
    )
    with_nouns = sum(map(bool, true))
    total = sum(map(len, true))
    kept = [sum(len(one & two) for one, two in zip(true, other, strict=True)) for other in others]
    whole = [sum(one <= two for one, two in zip(true, other, strict=True) if one) for other in others]
    return (
        f"{_share(kept[0], total)} to {_share(kept[1], total)}; "
        f"all of a caption's: {_share(whole[0], with_nouns)} to {_share(whole[1], with_nouns)}"
    )


def _share(part: int, whole: int, *, digits: int = 1) -> str:
    return f"{part / whole:.{digits}%}" if whole else "–"


if __name__ == "__main__":
    main()
