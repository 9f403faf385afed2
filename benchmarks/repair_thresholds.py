"""Where the thresholds of borrowing and choosing captions come from, and what each part of the judge brings.

    python benchmarks/repair_thresholds.py [--data emoji clipart] [--rows 1500] [--seed 0]

Alike: by how much copies (2/3 of the size, JPEG) and strangers whose perceptual hashes are near (at most 3 of
64 bits apart, another group) differ in their worst cell, and the share of each within a limit
(`borrowing.MOST_DIFFERENCE`). Margin: a fifth of the rows get a second caption, drawn from another row; how
often a wrong one replaces the true one and the true one a wrong one, by the lead that is asked for
(`own_scores.SMALLEST_GAIN`). Judge: AUC of the mismatch score with 20% of the captions shuffled, as parts of
the judge are left out.

One draw; differences below 0.01 are noise. Left out: judges that the package no longer has.
"""

import argparse
import io
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
from audit_calibration import catalog_of, read
from damage import DAMAGED, damage_captions, on_white
from PIL import Image
from sklearn.metrics import roc_auc_score

from synsight.curation.agreement import Sides, pair_scores
from synsight.curation.audit.image_checks import check_images
from synsight.curation.caption_vectors import caption_vectors
from synsight.curation.cross_fitting import cross_fitted_sides, fold_of_rows
from synsight.curation.descriptors import BLOCKS, catalog_descriptors
from synsight.curation.hash_search import pairs_within
from synsight.curation.repair.borrowing import MOST_BITS, MOST_DIFFERENCE, _grid, hashes_of
from synsight.curation.repair.own_scores import SMALLEST_GAIN, own_scores
from synsight.data.catalog import Catalog
from synsight.seeding import generator

LIMITS = (20.0, 30.0, MOST_DIFFERENCE, 60.0, 80.0)
QUALITIES = (30, 75)
GAINS = (0.0, 0.1, SMALLEST_GAIN, 0.3, 0.4)
COPIED = 300
"""Rows that are copied."""


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", nargs="*", default=["emoji", "clipart"], help="samples or Parquet files")
    parser.add_argument("--rows", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    for question in (alike, margin, judge):
        for name in arguments.data:
            table = read(name, arguments.rows, arguments.seed)
            with tempfile.TemporaryDirectory() as folder:
                for line in question(table, Path(folder), arguments.seed):
                    print(f"{Path(name).stem}: {line}", flush=True)


def alike(table: pa.Table, folder: Path, seed: int) -> Iterator[str]:
    """Copies and near strangers below each limit."""
    catalog, _ = catalog_of(whole(table), folder)
    check_images(catalog)
    rows = catalog.table(["image", "group"] if "group" in catalog.columns else ["image", "id"])
    pictures = [on_white(data) for data in rows["image"].to_pylist()]
    grids = np.stack([_grid(one) for one in pictures])
    drawn = generator(seed, "copied").permutation(len(pictures))[:COPIED]
    for quality in QUALITIES:
        differences = [
            float(np.abs(grids[row] - _grid(copy_of(pictures[row], quality))).max()) for row in drawn
        ]
        yield f"copies at quality {quality}: {shares(differences)}"
    groups, hashes = rows.column(1).to_pylist(), hashes_of(catalog)
    strangers = [
        float(np.abs(grids[one] - grids[other]).max())
        for one, other in near_pairs(hashes)
        if groups[one] != groups[other]
    ]
    yield f"{len(strangers)} near strangers: {shares(strangers)}"


def near_pairs(hashes: np.ndarray) -> Iterator[tuple[int, int]]:
    """Rows whose hashes are at most `MOST_BITS` apart."""
    distinct, places = np.unique(hashes, return_inverse=True)
    rows_of = [np.flatnonzero(places == place).tolist() for place in range(len(distinct))]
    for rows, value in zip(rows_of, distinct, strict=True):
        if value:
            yield from ((one, other) for one in rows for other in rows if one < other)
    for pairs in pairs_within(distinct, radius=MOST_BITS):
        for first, second in zip(pairs.first.tolist(), pairs.second.tolist(), strict=True):
            if distinct[first] and distinct[second]:
                yield from ((one, other) for one in rows_of[first] for other in rows_of[second])


def margin(table: pa.Table, folder: Path, seed: int) -> Iterator[str]:
    """What the true caption and a stranger's do to each other."""
    catalog, _ = catalog_of(whole(table), folder)
    captions = catalog.table(["caption"])["caption"].to_pylist()
    known = np.flatnonzero([bool(one) for one in captions])
    drawing = generator(seed, "second captions")
    asked = drawing.permutation(known)[: len(known) // 5]
    donors = drawing.permutation(np.setdiff1d(known, asked))[: len(asked)]
    options = {
        int(row): [captions[row], captions[donor]]
        for row, donor in zip(asked, donors, strict=True)
        if captions[row] != captions[donor]
    }
    scores = np.array(list(own_scores(catalog, options, caption_column="caption", seed=seed).values()))
    lead = scores[:, 0] - scores[:, 1]
    for gain in GAINS:
        wrong, right = np.mean(-lead > gain), np.mean(lead > gain)
        yield (
            f"lead {gain:.1f}, {len(lead)} rows: a wrong caption replaces the true one in {wrong:.1%}, "
            f"the true one a wrong one in {right:.1%}"
        )


def judge(table: pa.Table, folder: Path, seed: int) -> Iterator[str]:
    """AUC as parts of the judge are left out."""
    catalog, hit = catalog_of(damage_captions(table, "shuffled", 0.2, seed), folder)
    images, is_read = catalog_descriptors(catalog)
    captions = catalog.table(["caption"])["caption"].to_pylist()
    kept = np.flatnonzero(is_read & np.array([bool(one) for one in captions]))
    texts, images, hit = [captions[row] for row in kept], images[kept], hit[kept]
    words, both = caption_vectors(texts, seed=seed, encoder=None)[0], caption_vectors(texts, seed=seed)[0]
    meaning = both[:, words.shape[1] :] if both.shape[1] > words.shape[1] else words
    plain = images[:, : sum(BLOCKS[:2])]
    folds, same = fold_of_rows(groups_of(catalog, kept), seed=seed), np.unique(texts, return_inverse=True)[1]
    for said, seen, told, ways in (
        ("edges, colours; words; image to caption", plain, words, 1),
        ("edges, colours; MiniLM; image to caption", plain, meaning, 1),
        ("edges, colours; MiniLM and words; image to caption", plain, both, 1),
        ("edges, colours; MiniLM and words; both ways", plain, both, 2),
        ("and coarse edges, colour by place; MiniLM and words; both ways", images, both, 2),
    ):
        sides = cross_fitted_sides(seen, told, folds, seed=seed).whole()
        if ways == 1:
            width = told.shape[1]
            sides = Sides(images=sides.images[:, :width], captions=sides.captions[:, :width])
        own = pair_scores(sides, folds, same=same, seed=seed).own
        yield f"{said}: AUC {roc_auc_score(hit, -own):.3f}"


def groups_of(catalog: Catalog, rows: np.ndarray) -> list[str]:
    name = "group" if "group" in catalog.columns else "id"
    found = catalog.table([name])[name].to_pylist()
    return [str(found[row]) for row in rows]


def whole(table: pa.Table) -> pa.Table:
    return table.append_column(DAMAGED, pa.array(np.zeros(len(table), np.bool_)))


def copy_of(picture: Image.Image, quality: int) -> Image.Image:
    """At two thirds of the size, as JPEG."""
    size = max(picture.width * 2 // 3, 1), max(picture.height * 2 // 3, 1)
    buffer = io.BytesIO()
    picture.resize(size).save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


def shares(differences: list[float]) -> str:
    if not differences:
        return "none"
    found = np.array(differences)
    below = ", ".join(f"{np.mean(found <= limit):.1%} within {limit:.0f}" for limit in LIMITS)
    return f"median {np.median(found):.0f}; {below}"


if __name__ == "__main__":
    main()
