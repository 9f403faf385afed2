"""Features from a file: what is read, and what each wrong file is told."""

import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made import make_catalog

from synsight.errors import DataError
from synsight.evaluation.given_features import features_digest, read_features
from synsight.evaluation.rows import read_splits
from synsight.models import catalog_features, embed, load


@pytest.fixture(scope="module")
def catalog(tmp_path_factory):
    return make_catalog(tmp_path_factory.mktemp("given") / "cat")


@pytest.fixture(scope="module")
def splits(catalog):
    return read_splits(catalog, "kind")


@pytest.fixture(scope="module")
def ids(catalog):
    return catalog.table(["id"])["id"].to_pylist()


VALUES = np.random.default_rng(0).normal(size=(90, 3)).astype(np.float32)


def as_column(rows, kind):
    return pa.array(rows.tolist(), kind)


@pytest.mark.parametrize(
    "kind",
    [
        pa.list_(pa.float32(), 3),
        pa.list_(pa.float64()),
        pa.large_list(pa.float32()),
        pa.list_(pa.float16(), 3),
    ],
    ids=str,
)
def test_lists_of_any_kind_are_joined_by_id_whatever_the_order_of_the_file(
    catalog, splits, ids, tmp_path, kind
):
    order = np.random.default_rng(1).permutation(90)
    table = pa.table(
        {
            "note": ["x"] * 91,
            "features": as_column(np.vstack([VALUES[order], VALUES[:1]]), kind),
            "id": [*(ids[n] for n in order), "of nobody"],
        }
    )
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=13)
    found = read_features(tmp_path / "x.parquet", catalog, splits)
    for part in ("train", "val", "test"):
        expected = np.stack([VALUES[ids.index(one)] for one in getattr(splits, part).ids])
        np.testing.assert_allclose(
            getattr(found, part), expected, rtol=1e-3 if kind.value_type == pa.float16() else 0
        )
        assert getattr(found, part).dtype == np.float32


def test_columns_of_numbers_are_the_embedding_in_their_order(catalog, splits, ids, tmp_path):
    table = pa.table(
        {"b": VALUES[:, 0], "id": ids, "name": ["x"] * 90, "a": VALUES[:, 1], "n": np.arange(90)}
    )
    pq.write_table(table, tmp_path / "x.parquet")
    found = read_features(tmp_path / "x.parquet", catalog, splits).test
    rows = [ids.index(one) for one in splits.test.ids]
    np.testing.assert_array_equal(found, np.column_stack([VALUES[rows, :2], rows]).astype(np.float32))


def test_what_embed_wrote_is_what_evaluation_reads(catalog, splits, tmp_path):
    model = load("random:test_resnet.r160_in1k", image_size=16)
    embed(model, catalog, out=tmp_path / "x.parquet", progress=False)
    _, rows = catalog_features(model, catalog, progress=False)
    np.testing.assert_array_equal(
        read_features(tmp_path / "x.parquet", catalog, splits).train, rows[splits.train.positions]
    )


def lists(rows=VALUES):
    return pa.array(rows.tolist(), pa.list_(pa.float32()))


def changed(number, value):
    rows = VALUES.tolist()
    rows[number] = value
    return pa.array(rows, pa.list_(pa.float32()))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (
            lambda ids: {"id": ids[1:], "features": lists(VALUES[1:])},
            "found none of 1 of them, the first 'row",
        ),
        (lambda ids: {"id": [f"x{one}" for one in ids], "features": lists()}, "found none of 87 of them"),
        (lambda ids: {"id": [ids[1], *ids[1:]], "features": lists()}, "each id once, found 'row.*' again"),
        (lambda ids: {"id": [None, *ids[1:]], "features": lists()}, "an id in each row, found a row without"),
        (
            lambda ids: {"id": ids, "features": changed(1, [1.0, 2.0])},
            "3 numbers in each row.*found 2 in the row 'row",
        ),
        (lambda ids: {"id": ids, "features": changed(1, None)}, "3 numbers in each row.*found 0"),
        (
            lambda ids: {"id": ids, "features": changed(1, [1, np.nan, 0])},
            "NaN or infinite one in the row 'row",
        ),
        (lambda ids: {"id": ids, "features": changed(1, [1, None, 0])}, "missing, NaN or infinite"),
        (lambda ids: {"id": ids, "features": lists(VALUES[:, :0])}, "some numbers in each row"),
        (lambda ids: {"id": ids, "features": ["x"] * 90}, "lists of numbers in 'features', found string"),
        (
            lambda ids: {"id": ids, "note": ["x"] * 90},
            "'features' or columns of numbers beside 'id', found note",
        ),
        (
            lambda ids: {"ids": ids, "features": lists()},
            "a column 'id', found ids, features; did you mean 'ids'",
        ),
        (lambda ids: {"id": ids, "a": np.full(90, 1e300)}, "NaN or infinite one in the row"),
    ],
)
def test_every_wrong_file_gets_one_sentence(catalog, splits, ids, tmp_path, make, sentence):
    pq.write_table(pa.table(make(ids)), tmp_path / "x.parquet")
    with pytest.raises(DataError, match=sentence) as raised:
        read_features(tmp_path / "x.parquet", catalog, splits)
    assert str(raised.value).startswith(str(tmp_path / "x.parquet"))
    assert "\n" not in str(raised.value)


def test_rows_of_other_lengths_in_a_later_block_are_found(catalog, splits, ids, tmp_path):
    with pq.ParquetWriter(
        tmp_path / "x.parquet", pa.schema([("id", pa.string()), ("features", pa.list_(pa.float32()))])
    ) as writer:
        # 2,000 rows of nobody between them put the two halves into different blocks.
        nobody = [f"n{n}" for n in range(2000)]
        for names, rows in (
            (ids[:50], VALUES[:50]),
            (nobody, np.zeros((2000, 3))),
            (ids[50:], VALUES[50:, :2]),
        ):
            writer.write_table(pa.table({"id": names, "features": lists(np.asarray(rows))}))
    with pytest.raises(DataError, match="3 numbers in each row, as in the first, found 2"):
        read_features(tmp_path / "x.parquet", catalog, splits)


def test_no_file_and_no_parquet_are_said(catalog, splits, tmp_path):
    with pytest.raises(DataError, match="expected a Parquet file of features, found nothing"):
        read_features(tmp_path / "x.parquet", catalog, splits)
    with pytest.raises(DataError, match="found a folder"):
        features_digest(tmp_path)
    (tmp_path / "x.parquet").write_text("id,features")
    with pytest.raises(
        DataError, match=r"expected a Parquet file of features, but .*embed MODEL CATALOG --out"
    ):
        read_features(tmp_path / "x.parquet", catalog, splits)


@given(st.binary(max_size=200))
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_bytes_crash_it(catalog, splits, tmp_path, data):
    (tmp_path / "x.parquet").write_bytes(b"PAR1" + data + b"PAR1")
    with pytest.raises(DataError):
        read_features(tmp_path / "x.parquet", catalog, splits)


def test_the_digest_is_that_of_the_bytes(tmp_path):
    (tmp_path / "x.parquet").write_bytes(b"anything")
    assert features_digest(tmp_path / "x.parquet") == hashlib.sha256(b"anything").hexdigest()[:12]
