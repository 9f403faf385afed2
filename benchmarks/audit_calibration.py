"""How well does the audit find defects that were planted, and does it count mismatched captions rightly?

    python benchmarks/audit_calibration.py [--data emoji clipart images.parquet ...] [--rows 3000]
        [--seeds 3] [--shares 0,0.05,0.2,0.5,1] [--only mismatch|flags] [--out audit.md]

Detection: area under the ROC curve (AUC) of each flag's score for the rows that were hit, against rows that
were not, mean of the seeds (lowest to highest); where a check scores flagged rows alone, all others have 0.
Chance is 0.5. The share of mismatched captions stands beside the true one, with
its interval, and with the precision of the rows that were flagged.

What the sources had of these defects before is not known; here it counts as whole, so that the AUC is too low
rather than too high where a source is dirty.
"""

import argparse
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from damage import DAMAGED, add_near_duplicates, damage_captions, damage_images
from sklearn.metrics import roc_auc_score

import synsight
import synsight.data
from synsight.curation.audit.caption_checks import check_captions
from synsight.curation.audit.image_checks import check_images
from synsight.curation.audit.mismatch import MismatchResult, check_mismatch
from synsight.curation.audit.near_duplicates import find_near_duplicates
from synsight.data.catalog import Catalog
from synsight.seeding import generator

PLANTED = 0.2
"""Share of rows that other defects than mismatches hit."""
SAMPLES = Path(synsight.data.__file__).parent / "sample_files"
Scores = dict[str, np.ndarray]
"""Flag -> score of every row."""


def read(name: str, rows: int, seed: int) -> pa.Table:
    """Rows of a sample or of a Parquet file, drawn by whole groups."""
    path = SAMPLES / f"{name}.parquet" if (SAMPLES / f"{name}.parquet").exists() else Path(name)
    table = pq.read_table(path)
    table = table.select(
        [one for one in ("id", "image", "caption", "group", "split") if one in table.column_names]
    )
    groups = np.array(
        [str(one) for one in table["group" if "group" in table.column_names else "id"].to_pylist()]
    )
    names, codes = np.unique(groups, return_inverse=True)
    order = generator(seed, "rows").permutation(len(names))[codes]
    return table.take(pa.array(np.sort(np.argsort(order, kind="stable")[:rows])))


def catalog_of(table: pa.Table, folder: Path) -> tuple[Catalog, np.ndarray]:
    """A catalog of the table, and which of its rows were hit."""
    source = folder / "source.parquet"
    pq.write_table(table.drop_columns([DAMAGED]), source)
    synsight.ingest(
        source, out=folder / "catalog", group_column="group" if "group" in table.column_names else None
    )
    catalog = Catalog.open(folder / "catalog")
    hit = dict(zip(map(str, table["id"].to_pylist()), table[DAMAGED].to_pylist(), strict=True))
    return catalog, np.array([hit[one] for one in catalog.table(["id"])["id"].to_pylist()], np.bool_)


def scores_of(table: pa.Table, rows: int) -> Callable[[str], np.ndarray]:
    """Flag -> score of every row, 0 where it was not found."""

    def of(flag: str) -> np.ndarray:
        scores = np.zeros(rows, np.float32)
        found = table.filter(pa.compute.equal(table["flag"], flag))
        np.maximum.at(scores, found["position"].to_numpy(), np.maximum(found["score"].to_numpy(), 1e-6))
        return scores

    return of


def caption_scores(catalog: Catalog) -> Callable[[str], np.ndarray]:
    check = check_captions(catalog)
    return scores_of(check.table, catalog.count_rows())


def image_scores(catalog: Catalog) -> Callable[[str], np.ndarray]:
    check = check_images(catalog)
    return lambda flag: np.nan_to_num(check.scores(flag))


def duplicate_scores(catalog: Catalog) -> Callable[[str], np.ndarray]:
    return scores_of(find_near_duplicates(catalog, check_images(catalog).hashes), catalog.count_rows())


DEFECTS = {
    "boilerplate": (
        lambda t, s: damage_captions(t, "boilerplate", PLANTED, s),
        caption_scores,
        "boilerplate",
    ),
    "repeated captions": (
        lambda t, s: damage_captions(t, "repeated", PLANTED, s),
        caption_scores,
        "duplicated",
    ),
    "typos": (lambda t, s: damage_captions(t, "typos", PLANTED, s), caption_scores, "no-known-noun"),
    "truncated": (lambda t, s: damage_captions(t, "truncated", PLANTED, s), caption_scores, "no-known-noun"),
    "blur": (lambda t, s: damage_images(t, "blurred", PLANTED, s), image_scores, "blurred"),
    "dark": (lambda t, s: damage_images(t, "dark", PLANTED, s), image_scores, "dark"),
    "faint on white": (lambda t, s: damage_images(t, "faint", PLANTED, s), image_scores, "bright"),
    "over-exposed": (lambda t, s: damage_images(t, "overexposed", PLANTED, s), image_scores, "bright"),
    "near-duplicate images": (
        lambda t, s: add_near_duplicates(t, PLANTED, s),
        duplicate_scores,
        "near-duplicate",
    ),
}
"""What is planted, and by which flag it must be found."""


def flags(name: str, rows: int, seeds: Sequence[int]) -> Iterator[str]:
    """A line a defect."""
    for defect, (plant, look, flag) in DEFECTS.items():
        found = []
        for seed in seeds:
            with tempfile.TemporaryDirectory() as folder:
                catalog, hit = catalog_of(plant(read(name, rows, seed), seed), Path(folder))
                found.append(float(roc_auc_score(hit, look(catalog)(flag))))
        yield f"| {Path(name).stem} | {defect} | `{flag}` | {spread(found)} |"


def mismatches(
    name: str, rows: int, seeds: Sequence[int], shares: Sequence[float], model: str | None
) -> Iterator[str]:
    """A line a share."""
    for share in shares:
        found: list[tuple[float, float, float, MismatchResult]] = []
        began = time.process_time()
        for seed in seeds:
            table = damage_captions(read(name, rows, seed), "shuffled", share, seed)
            with tempfile.TemporaryDirectory() as folder:
                catalog, hit = catalog_of(table, Path(folder))
                result = check_mismatch(catalog, model=model, seed=seed)
            known = ~np.isnan(result.score)
            both = 0 < hit[known].mean() < 0.9
            auc = float(roc_auc_score(hit[known], result.score[known])) if both else float("nan")
            flagged = hit[result.table["position"].to_numpy()]
            precision = float(flagged.mean()) if len(flagged) else float("nan")
            found.append((float(hit[known].mean()), auc, precision, result))
        true, auc, precision, results = zip(*found, strict=True)
        estimates = ", ".join(
            f"{one.share:.2f} [{one.share_low:.2f}, {one.share_high:.2f}]" for one in results
        )
        flagged = statistics.mean(len(one.table) / len(one.score) for one in results)
        agreement = statistics.mean(one.agreement for one in results)
        seconds = (time.process_time() - began) / len(seeds)
        yield (
            f"| {Path(name).stem} | {statistics.mean(true):.3f} | {spread(auc)} | {estimates} "
            f"| {agreement:.2f} | {flagged:.1%} ({statistics.mean(precision):.2f}) | {seconds:.0f} |"
        )


def spread(values: Sequence[float]) -> str:
    """Mean (lowest to highest)."""
    if not np.isfinite(values).all():
        return "-"
    return f"{statistics.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def main() -> None:
    """Plant, look, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", nargs="*", default=["emoji", "clipart"], help="samples or Parquet files")
    parser.add_argument("--rows", type=int, default=3000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--shares", default="0,0.05,0.2,0.5,1")
    parser.add_argument("--model", help="judges mismatches in place of the catalog itself")
    parser.add_argument("--only", choices=["mismatch", "flags"])
    parser.add_argument("--out", type=Path, help="the tables, as Markdown")
    arguments = parser.parse_args()
    seeds = range(arguments.seeds)
    lines = [f"{platform.machine()}, {os.cpu_count()} cores, {arguments.rows} rows, {arguments.seeds} seeds"]

    def show(found: Iterator[str], *heading: str) -> None:
        for line in (*heading, *found):
            print(line, flush=True)
            lines.append(line)

    print(lines[0])
    if arguments.only != "flags":
        heading = (
            "| source | shuffled | AUC of the score | share found | agreement | flagged (precision) | s |"
        )
        show(iter(()), "", heading, "|---|--:|--:|--:|--:|--:|--:|")
        shares = [float(one) for one in arguments.shares.split(",")]
        for name in arguments.data:
            show(mismatches(name, arguments.rows, seeds, shares, arguments.model))
    if arguments.only != "mismatch":
        show(iter(()), "", "| source | planted, 20% | flag | AUC |", "|---|---|---|--:|")
        for name in arguments.data:
            show(flags(name, arguments.rows, seeds))
    if arguments.out is not None:
        arguments.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
