"""The map of a reference: for the page, as a drawing, and as files that other programs open."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from synsight.explanation.embedding_map import EmbeddingMap, Projection, embedding_map
from synsight.explanation.map_files import write_atlas, write_fiftyone
from synsight.explanation.names import word_names
from synsight.explanation.reference import Reference, word_rows
from synsight.models.saved import Model
from synsight.reports.explanation_figures import map_chart, write_drawing
from synsight.reports.explanation_records import CatalogMap, MapPoint

MOST_POINTS = 1500
"""On the page; map.parquet has them all."""
ATLAS, FIFTYONE, DRAWING = MAP_FILES = ("map.parquet", "fiftyone", "map.svg")
SEEN = 0.5
"""Probability from which on a word is named, where no caption names any."""


def write_map(
    model: Model,
    reference: Reference,
    folder: Path,
    *,
    projection: Projection = "auto",
    locale: str = "en",
    seed: int = 0,
) -> tuple[CatalogMap, list[Path]]:
    """Place the reference's train rows on a map; write map.parquet, map.svg and fiftyone/.

    Clusters are named by the words of the captions, or by those that the model sees where the catalog has no
    words of its kind, or by numbers where the model has none either.

    Args:
        model: Whose features.
        reference: What is on the map.
        folder: Where the files go.
        projection: How.
        locale: Of the names.
        seed: Of k-means, UMAP and the choice of the page's points.

    Returns:
        The map as the page shows it, and the files.

    Raises:
        ShapeError: The reference has fewer than three images.
        MissingDependency: `umap` needs umap-learn.
        StorageError: The disk refused.
    """
    present = _present(model, reference)
    names = [] if model.vocabulary is None else word_names(model.vocabulary, locale=locale)
    found = embedding_map(reference.features, present, names, projection=projection, seed=seed)
    words = None
    if present is not None:
        words = [", ".join(names[one] for one in np.flatnonzero(row >= SEEN)) for row in present]
    catalog, positions = reference.catalog, reference.positions
    folder.mkdir(parents=True, exist_ok=True)
    atlas = write_atlas(folder / ATLAS, catalog, positions, found, label=reference.label, words=words)
    fiftyone = write_fiftyone(
        folder / FIFTYONE, catalog, positions, found, label=reference.label, words=words
    )
    shown = _shown(found, catalog.name)
    chart = map_chart(shown.points, shown.names, description=f"Images of {catalog.name}, by {shown.method}.")
    written = [atlas, fiftyone]
    if chart is not None:
        drawing = folder / DRAWING
        write_drawing(drawing, chart)
        written.append(drawing)
    return shown, written


def _present(model: Model, reference: Reference) -> NDArray[np.float64] | None:
    """Which image has which of the model's words, or how probably, [N, V]."""
    if model.vocabulary is None or model.word_head is None:
        return None
    found = word_rows(reference.catalog, model.vocabulary, None)
    if found is not None:
        present: NDArray[np.float64] = found[1][reference.positions].astype(np.float64)
        return present
    logits = model.word_logits(torch.from_numpy(reference.features))
    seen: NDArray[np.float64] = logits.sigmoid().double().cpu().numpy()
    return seen


def _shown(found: EmbeddingMap, catalog: str) -> CatalogMap:
    step = -(-len(found.points) // MOST_POINTS)
    points = [
        MapPoint(x=float(x), y=float(y), cluster=int(cluster))
        for (x, y), cluster in zip(found.points[::step], found.clusters[::step], strict=True)
    ]
    return CatalogMap(
        catalog=catalog,
        method=found.method.upper(),
        names=found.names,
        points=points,
        images=len(found.points),
    )
