"""A catalog as a map: its images in the plane, in clusters that are named by the words that stand out.

Letters: N images, D dimensions, K clusters, V words.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from synsight.errors import ConfigError, MissingDependency, ShapeError

Projection = Literal["auto", "pca", "umap"]
"""`auto`: `umap` where umap-learn is installed, else `pca`."""
MOST_CLUSTERS = 24
_UMAP_DIMENSIONS = 50
"""Principal components that UMAP begins with; more cost time and change little."""


@dataclass(frozen=True)
class EmbeddingMap:
    """Where each image lies.

    Attributes:
        points: x and y, [N, 2].
        clusters: Number of each image's cluster, [N]; 0 is the largest.
        names: Of the clusters, [K].
        method: `pca` or `umap`.
        explained: Share of the features' variance in the plane, for `pca`; else None.
    """

    points: NDArray[np.float32]
    clusters: NDArray[np.int64]
    names: list[str]
    method: str
    explained: float | None


def embedding_map(
    features: NDArray[np.floating],
    present: NDArray[np.floating] | NDArray[np.bool_] | None,
    word_names: Sequence[str],
    *,
    projection: Projection = "auto",
    clusters: int | None = None,
    seed: int = 0,
) -> EmbeddingMap:
    """Project features to the plane and group them.

    Clusters are found by k-means on unit features, not in the plane, where neighbours may be made up.

    Args:
        features: [N, D].
        present: Which image has which word, or how probably, [N, V]; None: clusters get numbers as names.
        word_names: [V].
        projection: How.
        clusters: K; None: the square root of N / 2, at most 24.
        seed: Of k-means and UMAP.

    Raises:
        ShapeError: Fewer than three images.
        ConfigError: K is no number from 1 to N, or there is no such projection.
        MissingDependency: `umap` needs umap-learn.

    Reference: McInnes et al. 2018 (UMAP), https://arxiv.org/abs/1802.03426
    """
    from sklearn.cluster import KMeans

    if len(features) < 3:
        raise ShapeError(f"a map needs three images or more; got {len(features)}.")
    count = clusters or max(2, min(MOST_CLUSTERS, round((len(features) / 2) ** 0.5)))
    if projection not in get_args(Projection) or not 1 <= count <= len(features):
        raise ConfigError(
            f"expected 1 to {len(features)} clusters and a projection of {', '.join(get_args(Projection))}; "
            f"got {count} and {projection!r}."
        )
    units = _units(features)
    points, method, explained = _plane(units, projection, seed)
    labels = KMeans(count, n_init=4, random_state=seed).fit_predict(units)
    sizes = np.bincount(labels, minlength=count)
    order = np.argsort(-sizes, kind="stable")
    renumbered = np.argsort(order)[labels]
    names = [str(number + 1) for number in range(count)]
    if present is not None and len(word_names):
        names = cluster_names(renumbered, np.asarray(present, np.float64), word_names)
    return EmbeddingMap(points, renumbered.astype(np.int64), names, method, explained)


def cluster_names(
    clusters: NDArray[np.integer], present: NDArray[np.float64], word_names: Sequence[str], *, most: int = 3
) -> list[str]:
    """The words that stand out in each cluster, as "flag, country"; its number where none does.

    A word stands out by the log-odds of its frequency in the cluster against all others, over their
    deviation, with a Dirichlet prior of the words' overall frequencies, which keeps rare words from winning
    by luck; 1.96 deviations at least.

    Reference: Monroe, Colaresi and Quinn 2008 (Fightin' words), eq. 15 to 22.
    """
    total = present.sum(0)
    prior = total / max(total.sum(), 1e-9) * 100 + 1e-3
    names = []
    for cluster in range(int(clusters.max()) + 1):
        inside = present[clusters == cluster].sum(0)
        outside = total - inside
        value = _log_odds(inside, prior) - _log_odds(outside, prior)
        strength = value / np.sqrt(1 / (inside + prior) + 1 / (outside + prior))
        best = [one for one in np.argsort(-strength, kind="stable")[:most] if strength[one] >= 1.96]
        names.append(", ".join(word_names[one] for one in best) or str(cluster + 1))
    return names


def _log_odds(counts: NDArray[np.float64], prior: NDArray[np.float64]) -> NDArray[np.float64]:
    own = counts + prior
    odds: NDArray[np.float64] = np.log(own) - np.log(own.sum() - own + 1e-9)
    return odds


def _plane(
    units: NDArray[np.float32], projection: Projection, seed: int
) -> tuple[NDArray[np.float32], str, float | None]:
    from sklearn.decomposition import PCA

    installed = find_spec("umap") is not None
    if projection == "umap" and not installed:
        raise MissingDependency("umap", extra="explain", purpose="a UMAP map")
    if projection == "pca" or not installed or len(units) < 16:
        pca = PCA(2, random_state=seed).fit(units)
        plane = pca.transform(units).astype(np.float32)
        return plane, "pca", float(pca.explained_variance_ratio_.sum())
    from umap import UMAP

    size = min(_UMAP_DIMENSIONS, units.shape[1], len(units))
    few = PCA(size, random_state=seed).fit_transform(units)
    # One thread, or the same seed gives other maps.
    mapper = UMAP(n_neighbors=min(15, len(units) - 1), min_dist=0.1, random_state=seed, n_jobs=1)
    return mapper.fit_transform(few).astype(np.float32), "umap", None


def _units(features: NDArray[np.floating]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    return (features / np.where(lengths > 0, lengths, 1)).astype(np.float32)
