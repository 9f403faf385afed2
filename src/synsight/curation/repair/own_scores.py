"""Scores of captions for an image by the catalog itself, where no model of images and texts is at hand.

The judge is the audit's (`mismatch`): regressions between what images look like and what captions say, in
five folds, so that neither a row nor its group judges itself. Here a row stands once for each caption that it
could have.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from synsight.curation.agreement import LEAST_ROWS, pair_scores
from synsight.curation.caption_vectors import caption_vectors
from synsight.curation.cross_fitting import cross_fitted_sides, fold_of_rows
from synsight.curation.descriptors import catalog_descriptors
from synsight.data.catalog import POSITION, Catalog
from synsight.stages import Runner

SMALLEST_GAIN = 0.2
"""A caption has to lead by so much to replace another. Of a true caption and a stranger's, the stranger's
then wins in 5 to 8% of the rows, the true one in two thirds (emoji and clip art; at 0, 15% and 85%; see
`benchmarks/repair_thresholds.py`)."""


@dataclass(frozen=True)
class CatalogScorer:
    """Stands for `own_scores` where a score model is named."""

    name: str = "catalog"
    identity: str = "catalog 1"


def own_scores(
    catalog: Catalog,
    options: Mapping[int, Sequence[str]],
    *,
    caption_column: str,
    seed: int = 0,
    runner: Runner | None = None,
) -> dict[int, list[float]]:
    """How well captions fit images, as the other rows teach it.

    Some 3 KB of memory for each caption.

    Args:
        catalog: Only read.
        options: Position -> captions that the row could have.
        caption_column: The captions of the other rows.
        seed: Of folds and random features.
        runner: Where images are described; None: threads of this process.

    Returns:
        Position -> scores from 0 to 1; 0.5 is what other captions have on average. Rows whose image cannot
        be read are left out, and so are all where the catalog has fewer than 200 captions, or too few
        groups for each to be judged by the others.
    """
    images, is_read = catalog_descriptors(catalog, runner=runner)
    names = ["id", caption_column, *(["group"] if "group" in catalog.columns else [])]
    positions: list[int] = []
    texts: list[str] = []
    groups: list[str] = []
    for batch in catalog.scan(names, batch_size=8192, with_positions=True):
        for row in batch.to_pylist():
            place = row[POSITION]
            found = options.get(place, [row[caption_column]] if row[caption_column] else [])
            if is_read[place]:
                group = row.get("group")
                positions += [place] * len(found)
                texts += found
                groups += [f"i{row['id']}" if group is None else f"g{group}"] * len(found)
    folds = fold_of_rows(groups, seed=seed)
    if len(texts) < LEAST_ROWS or (folds == folds[0]).all():
        return {}
    sides = cross_fitted_sides(images[positions], caption_vectors(texts, seed=seed)[0], folds, seed=seed)
    same = np.unique(np.asarray(texts, dtype=object), return_inverse=True)[1]
    deviations = pair_scores(sides, folds, same=same, seed=seed).own
    scores: dict[int, list[float]] = {}
    for place, score in zip(positions, 1 / (1 + np.exp(-np.clip(deviations, -50, 50))), strict=True):
        if place in options:
            scores.setdefault(place, []).append(float(score))
    return scores
