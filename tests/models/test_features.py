import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_models import picture, small_catalog, small_model

from synsight.data.catalog import Catalog, Commit
from synsight.data.column_stage import ColumnSpool
from synsight.data.written_reports import written_reports
from synsight.errors import ConflictError, DataError
from synsight.models import Model, catalog_features, embed


@pytest.fixture
def catalog(tmp_path):
    return small_catalog(tmp_path / "cat")


@pytest.fixture
def count_images(monkeypatch):
    """How many images went through any model."""
    seen = []
    monkeypatch.setattr(
        Model,
        "features",
        lambda self, pixels, features=Model.features: seen.append(len(pixels)) or features(self, pixels),
    )
    return lambda: sum(seen)


def test_features_are_those_of_each_image_alone(catalog):
    model = small_model()
    positions, features = catalog_features(model, catalog, batch_size=4)
    assert positions.tolist() == list(range(10))
    assert features.dtype == np.float32
    # Kept in float16: 11 bits, so relative 5e-4.
    np.testing.assert_allclose(features, model.embed([picture(n) for n in range(10)]), rtol=1e-3, atol=1e-4)


def test_where_chooses_the_rows(catalog):
    positions, features = catalog_features(small_model(), catalog, where="split = 'test'", batch_size=3)
    assert positions.tolist() == [0, 3, 6, 9]
    np.testing.assert_allclose(
        features, catalog_features(small_model(), catalog)[1][positions], rtol=2e-3, atol=1e-3
    )
    none = catalog_features(small_model(), catalog, where="split = 'val'")
    assert (none[0].shape, none[1].shape) == ((0,), (0, 512))


def test_embed_adds_a_column_that_names_its_model(catalog):
    model = small_model()
    done = embed(model, catalog)
    assert (done.column, done.rows, done.dimensions, done.computed) == (
        f"features_{model.digest}",
        10,
        512,
        True,
    )
    field = Catalog.open(catalog.path).schema.field(done.column)
    assert field.type == pa.list_(pa.float16(), 512)
    assert field.metadata[b"model"] == b"small"
    assert catalog.versions()[-1].verb == "embed"


def test_features_are_the_same_with_and_without_the_column(catalog):
    model = small_model()
    before = catalog_features(model, catalog, where="split = 'train'")
    embed(model, catalog)
    after = catalog_features(model, catalog, where="split = 'train'")
    assert (before[0] == after[0]).all()
    assert after[1].dtype == np.float32
    np.testing.assert_allclose(after[1], before[1], rtol=2e-3, atol=1e-3)


def test_a_second_call_computes_nothing(catalog, count_images):
    embed(small_model(), catalog)
    once = count_images()
    version = catalog.version
    assert not embed(small_model(), catalog.path).computed
    catalog_features(small_model(), catalog)
    assert count_images() == once == 10
    assert Catalog.open(catalog.path).version == version


def test_another_model_has_a_column_of_its_own(catalog):
    first, second = embed(small_model(), catalog), embed(small_model(size=48), catalog)
    assert {first.column, second.column} <= set(catalog.columns)
    assert second.computed


def test_new_images_make_the_column_stale(catalog, count_images):
    embed(small_model(), catalog)
    more = pa.record_batch(
        [
            pa.array(["new"]),
            pa.array([catalog.take([0], ["image"])["image"][0].as_py()], pa.binary()),
            pa.array(["train"]),
        ],
        ["id", "image", "split"],
    )
    catalog.append(catalog.write_fragment(pad(more, catalog.schema)), commit=Commit(verb="ingest"))
    done = embed(small_model(), catalog)
    assert (done.computed, done.rows) == (True, 11)
    positions, features = catalog_features(small_model(), catalog)
    assert len(positions) == 11
    assert np.isfinite(features).all()


def pad(batch, schema):
    columns = [
        batch.column(name)
        if name in batch.schema.names
        else pa.nulls(batch.num_rows, schema.field(name).type)
        for name in schema.names
    ]
    return pa.record_batch(columns, schema=schema)


def test_other_columns_do_not_make_it_stale(catalog):
    embed(small_model(), catalog)
    catalog.add_columns(
        pa.schema([("extra", pa.int32())]),
        [pa.record_batch([pa.array(range(10), pa.int32())], ["extra"])],
        commit=Commit(verb="words"),
    )
    assert not embed(small_model(), catalog).computed


def test_out_takes_them_along(catalog, tmp_path):
    embed(small_model(), catalog, out=tmp_path / "x.parquet")
    table = pq.read_table(tmp_path / "x.parquet")
    assert table.column_names == ["id", "features"]
    assert table["id"].to_pylist() == [f"id{n}" for n in range(10)]
    found = np.stack(table["features"].to_numpy()).astype(np.float32)
    assert (found == catalog_features(small_model(), catalog)[1]).all()
    embed(small_model(), catalog, out=tmp_path / "y.parquet")
    assert written_reports(catalog) == (tmp_path / "x.parquet", tmp_path / "y.parquet"), "a purge names both"


def test_a_broken_image_is_named(tmp_path):
    batch = pa.record_batch(
        {"id": ["fine", "bad"], "image": pa.array([b"\x89PNG x", b"\x89PNG x"], pa.binary())}
    )
    catalog = Catalog.create(tmp_path / "cat", batch.schema, commit=Commit(verb="ingest"))
    catalog.append(catalog.write_fragment(batch), commit=Commit(verb="ingest"))
    with pytest.raises(DataError, match="image 'fine' can no longer be decoded; ingest its source again"):
        embed(small_model(), catalog)
    assert catalog.columns == ["id", "image"]


def disturbed(monkeypatch, disturb) -> None:
    """What another process does between the first reading and writing of a column."""
    batches, done = ColumnSpool.batches, []

    def while_another_works(self):
        if not done:
            done.append(disturb())
        return batches(self)

    monkeypatch.setattr(ColumnSpool, "batches", while_another_works)


def test_a_column_that_another_process_adds_meanwhile_costs_neither_of_the_two(catalog, monkeypatch):
    def add_another():
        rows = pa.record_batch({"note": pa.array(["n"] * 10)})
        Catalog.open(catalog.path).add_columns(rows.schema, [rows], commit=Commit(verb="note"))

    disturbed(monkeypatch, add_another)
    done = embed(small_model(), catalog)
    newest = Catalog.open(catalog.path)
    assert {"note", done.column} <= set(newest.columns)
    assert newest.table(["note"])["note"].to_pylist() == ["n"] * 10
    _, features = catalog_features(small_model(), newest)
    np.testing.assert_allclose(
        features, small_model().embed([picture(n) for n in range(10)]), rtol=2e-3, atol=1e-3
    )
    assert not list((catalog.local_folder / "work").iterdir())


def test_rows_that_another_process_deletes_meanwhile_end_in_one_sentence(catalog, monkeypatch):
    disturbed(
        monkeypatch,
        lambda: Catalog.open(catalog.path).delete("split = 'test'", commit=Commit(verb="delete")),
    )
    with pytest.raises(ConflictError, match="another process changed the catalog meanwhile, and nothing was"):
        embed(small_model(), catalog)
    newest = Catalog.open(catalog.path)
    assert not [name for name in newest.columns if name.startswith("features_")]
    done = embed(small_model(), newest)
    assert (done.computed, done.rows) == (True, newest.count_rows())
