"""The encoder looks at an image once: a second evaluation reads what the first one kept."""

import numpy as np
import pyarrow as pa
import pytest
import torch
from made import make_catalog

from synsight.data.catalog import Catalog, Commit
from synsight.evaluation import evaluate
from synsight.evaluation.rows import read_splits
from synsight.models import Model, catalog_features, embed, features_at, load

NAME = "random:test_resnet.r160_in1k"


@pytest.fixture
def looked_at(monkeypatch):
    """How many images encoders have been shown."""
    counts = []
    plain = Model.features

    def counting(self, pixels):
        counts.append(len(pixels))
        return plain(self, pixels)

    monkeypatch.setattr(Model, "features", counting)
    return lambda: sum(counts)


def judge(folder, out, **more):
    call = {"data": folder / "cat", "label": "kind", "tasks": ["knn"], "image_size": 16, "progress": False}
    return evaluate(NAME, out=folder / out, **{**call, **more})


def test_a_second_evaluation_shows_the_encoder_nothing(tmp_path, looked_at):
    rows = make_catalog(tmp_path / "cat").count_rows()
    first = judge(tmp_path, "a")
    assert looked_at() == rows
    again = judge(tmp_path, "b", tasks=["knn", "linear"])
    assert looked_at() == rows
    assert [one.value for one in again if one.task == "knn"] == [one.value for one in first]


def test_other_weights_another_size_and_other_images_are_looked_at_anew(tmp_path, looked_at):
    catalog = make_catalog(tmp_path / "cat")
    rows = catalog.count_rows()
    judge(tmp_path, "a")
    judge(tmp_path, "b", seed=1)
    assert looked_at() == 2 * rows
    judge(tmp_path, "c", image_size=24)
    assert looked_at() == 3 * rows
    catalog = Catalog.open(catalog.path)
    images = catalog.table(["image"])["image"].to_pylist()
    images[0], images[1] = images[1], images[0]
    batch = pa.record_batch([pa.array(images, pa.binary())], ["image"])
    catalog.add_columns(batch.schema, [batch], commit=Commit(verb="test"))
    judge(tmp_path, "d")
    assert looked_at() == 4 * rows


@pytest.mark.parametrize("kept", [False, True])
def test_chosen_rows_come_in_the_order_asked_for(tmp_path, kept):
    catalog = make_catalog(tmp_path / "cat")
    model = load(NAME, image_size=16)
    if kept:
        embed(model, catalog, progress=False)
    splits = read_splits(catalog, "kind")
    parts = [one.positions for one in (splits.train, splits.val, splits.test)]
    assert any((np.diff(part) < 0).any() for part in parts)  # rows stand in the order of their ids
    _, whole = catalog_features(model, catalog, progress=False)
    found = features_at(model, catalog, parts, where="kind IS NOT NULL", batch_size=32, progress=False)
    for part, rows in zip(parts, found, strict=True):
        assert rows.dtype == np.float32
        np.testing.assert_allclose(rows, whole[part], rtol=2e-3, atol=2e-3)
    if kept:
        assert all((rows == whole[part]).all() for part, rows in zip(parts, found, strict=True))


def test_nothing_asked_for_is_nothing_and_the_encoder_stays_as_it_was(tmp_path):
    catalog = make_catalog(tmp_path / "cat")
    model = load(NAME, image_size=16)
    before = {name: value.clone() for name, value in model.encoder.state_dict().items()}
    (none,) = features_at(model, catalog, [np.empty(0, np.int64)], where="kind = 'none'", progress=False)
    assert none.shape == (0, model.config.embedding_dim)
    assert all(torch.equal(before[name], value) for name, value in model.encoder.state_dict().items())
