import csv
import io

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.testing import assert_allclose
from PIL import Image

from explanation.small_explained import words_model
from synsight.errors import ConfigError, MissingDependency, ShapeError
from synsight.explanation.catalog_map import write_map
from synsight.explanation.embedding_map import cluster_names, embedding_map
from synsight.explanation.reference import read_reference
from synsight.reports.explanation_figures import LETTER, SIZE, _apart


def three_heaps(rows=60):
    random = np.random.default_rng(0)
    kinds = np.arange(rows) % 3
    features = np.eye(3, 10)[kinds] + random.normal(0, 0.05, (rows, 10))
    present = np.zeros((rows, 5), bool)
    present[np.arange(rows), kinds] = True
    present[:, 3] = True
    present[random.random(rows) < 0.3, 4] = True
    return features.astype(np.float32), present, kinds


def test_clusters_are_found_and_named_by_what_stands_out_in_them():
    features, present, kinds = three_heaps()
    names = ["flag", "face", "food", "thing", "noise"]
    found = embedding_map(features, present, names, projection="pca", clusters=3)
    for kind, name in enumerate(names[:3]):
        cluster = np.unique(found.clusters[kinds == kind])
        assert len(cluster) == 1
        assert found.names[cluster[0]] == name


def test_the_plane_is_that_of_the_principal_components():
    features, present, _ = three_heaps()
    found = embedding_map(features, present, ["a", "b", "c", "d", "e"], projection="pca")
    units = features / np.linalg.norm(features, axis=1, keepdims=True)
    values = np.linalg.svd(units - units.mean(0), compute_uv=False) ** 2
    assert found.explained == pytest.approx(values[:2].sum() / values.sum(), rel=1e-4)
    assert_allclose(np.sort(found.points.var(0))[::-1] * len(units), values[:2], rtol=1e-3)


def test_a_word_that_is_everywhere_names_nothing():
    present = np.ones((20, 1))
    assert cluster_names(np.arange(20) % 2, present, ["thing"]) == ["1", "2"]


def test_the_first_cluster_is_the_largest():
    features, present, _ = three_heaps()
    found = embedding_map(features[9:], present[9:], list("abcde"), projection="pca", clusters=4)
    sizes = np.bincount(found.clusters)
    assert (np.diff(sizes) <= 0).all()


def test_what_no_map_can_be_made_of_is_said():
    with pytest.raises(ShapeError, match="three images or more; got 2"):
        embedding_map(np.eye(2), None, [])
    with pytest.raises(ConfigError, match="expected 1 to 5 clusters"):
        embedding_map(np.eye(5), None, [], clusters=6)


def test_files_hold_every_image_and_open_as_what_they_are(catalog, tmp_path):
    model = words_model()
    reference = read_reference(model, catalog, label="kind")
    shown, written = write_map(model, reference, tmp_path, projection="pca")
    assert [one.name for one in written] == ["map.parquet", "fiftyone", "map.svg"]
    table = pq.read_table(tmp_path / "map.parquet")
    truth = catalog.take(reference.positions, ["id", "caption", "kind"]).to_pylist()
    assert table["id"].to_pylist() == [row["id"] for row in truth]
    assert table["text"].to_pylist() == [row["caption"] or "" for row in truth]
    assert table["label"].to_pylist() == [row["kind"] for row in truth]
    picture = table["image"][0].as_py()["bytes"]
    assert max(Image.open(io.BytesIO(picture)).size) <= 96
    assert len(shown.points) == table.num_rows == 20
    rows = list(csv.DictReader((tmp_path / "fiftyone" / "labels.csv").open(encoding="utf-8")))
    assert len(rows) == 20
    assert all((tmp_path / "fiftyone" / row["filepath"]).is_file() for row in rows)
    assert rows[0]["id"] == "'" + truth[0]["id"]  # "=id0" would be a formula
    assert float(rows[3]["x"]) == pytest.approx(table["x"][3].as_py(), rel=1e-5)


@pytest.mark.slow
def test_umap_is_the_default_where_it_is_installed():
    pytest.importorskip("umap")
    features, present, kinds = three_heaps()
    first, again = (embedding_map(features, present, list("abcde"), clusters=3) for _ in range(2))
    assert (first.method, first.explained) == ("umap", None)
    assert_allclose(first.points, again.points)
    middles = np.stack([first.points[kinds == kind].mean(0) for kind in range(3)])
    nearest = np.linalg.norm(first.points[:, None] - middles, axis=2).argmin(1)
    assert (nearest == kinds).mean() > 0.95


def test_where_umap_is_not_installed_the_default_is_pca(monkeypatch):
    from synsight.explanation import embedding_map as module

    monkeypatch.setattr(module, "find_spec", lambda name: None)
    features, present, _ = three_heaps()
    assert embedding_map(features, present, list("abcde")).method == "pca"
    with pytest.raises(MissingDependency, match=r"synsight\[explain\]"):
        embedding_map(features, present, list("abcde"), projection="umap")


def test_names_on_the_map_lie_beside_each_other_and_the_largest_clusters_keep_theirs():
    crowd = [(0.5, 0.5, f"name of cluster {number}") for number in range(12)]
    placed = _apart(crowd, (0.0, 1.0, 0.0, 1.0))
    assert [name for _, _, name in placed] == [name for _, _, name in crowd[:7]]
    assert placed[0] == crowd[0]
    levels = sorted(y for _, y, _ in placed)
    assert min(np.diff(levels)) * 72 * SIZE[1] > LETTER
    apart = [(0.1, 0.5, "left"), (0.9, 0.5, "right")]
    assert _apart(apart, (0.0, 1.0, 0.0, 1.0)) == apart
