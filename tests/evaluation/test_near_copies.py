"""Copies of test images in the training pool, planted among shipped drawings."""

import io
from dataclasses import replace
from importlib import resources

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from synsight.data import image_hashes as hashing
from synsight.data.catalog import Catalog, Commit
from synsight.evaluation.near_copies import MOST_EXAMPLES, Copy, NearCopies, near_copies, without_copies
from synsight.evaluation.rows import read_splits
from synsight.evaluation.scoring import PREDICTIONS
from synsight.records import Result

TEST, POOL = 40, 60
COPIED = range(25)
"""Of these test images the pool gets a copy, each saved another way."""


def shipped(count: int) -> list[Image.Image]:
    path = resources.files("synsight.data").joinpath("sample_files/emoji.parquet")
    table = pq.read_table(str(path), columns=["image", "domain", "group"])
    rows, seen = [], set()
    for row in table.to_pylist()[::19]:
        if row["domain"] == "google" and row["group"] not in seen:
            seen.add(row["group"])
            rows.append(Image.open(io.BytesIO(row["image"])).convert("RGB"))
    return rows[:count]


def saved(image: Image.Image, how: str, **options) -> bytes:
    out = io.BytesIO()
    image.save(out, how, **options)
    return out.getvalue()


def copied(image: Image.Image, number: int) -> bytes:
    half = (image.width // 2, image.height // 2)
    return [
        lambda: saved(image, "JPEG", quality=60),
        lambda: saved(image.resize(half, Image.Resampling.LANCZOS), "PNG"),
        lambda: saved(image, "PNG"),
    ][number % 3]()


def write(path, rows) -> Catalog:
    batch = pa.RecordBatch.from_pylist(
        rows,
        schema=pa.schema(
            [("id", pa.string()), ("image", pa.binary()), ("split", pa.string()), ("kind", pa.string())]
        ),
    )
    catalog = Catalog.create(path, batch.schema, commit=Commit(verb="test"))
    catalog.append(catalog.write_fragment(batch), commit=Commit(verb="test"))
    return catalog


@pytest.fixture(scope="module")
def planted(tmp_path_factory) -> Catalog:
    pictures = shipped(TEST + POOL)
    assert len(pictures) == TEST + POOL
    rows = [
        {"id": f"test{n}", "image": saved(one, "WEBP", lossless=True), "split": "test", "kind": "ab"[n % 2]}
        for n, one in enumerate(pictures[:TEST])
    ]
    rows += [
        {"id": f"pool{n}", "image": saved(one, "PNG"), "split": "train", "kind": "ab"[n % 2]}
        for n, one in enumerate(pictures[TEST:])
    ]
    rows += [
        {"id": f"copy{n}", "image": copied(pictures[n], n), "split": "train", "kind": "ab"[n % 2]}
        for n in COPIED
    ]
    rows.append({"id": "val", "image": saved(pictures[TEST - 1], "PNG"), "split": "val", "kind": "a"})
    rows.append({"id": "broken", "image": b"no image", "split": "train", "kind": "b"})
    return write(tmp_path_factory.mktemp("planted") / "cat", rows)


def test_every_planted_copy_is_found_and_named_and_nothing_else(planted):
    found = near_copies(planted, read_splits(planted, "kind"))
    assert {(one.test, one.pool) for one in found.copies} == {(f"test{n}", f"copy{n}") for n in COPIED}
    assert (found.test_rows, found.pool_rows, found.share) == (TEST, POOL + len(COPIED) + 1, 25 / 40)
    differences = [one.difference for one in found.copies]
    assert differences == sorted(differences)
    assert differences[0] == 0.0
    assert all(0 <= one <= 0.02 for one in differences)
    settings = found.as_settings()
    assert settings["near_copies"] == 25
    assert len(settings["examples"]) == MOST_EXAMPLES
    assert settings["examples"][0].keys() == {"test", "pool", "difference"}


def test_copies_are_looked_for_in_another_pool(planted, tmp_path):
    pool = write(
        tmp_path / "pool",
        [
            {"id": f"mine{n}", "image": copied(one, n), "split": "all", "kind": None}
            for n, one in enumerate(shipped(3))
        ],
    )
    splits = read_splits(planted, "kind")
    assert near_copies(planted, splits, pool=pool).pool_rows == 0  # its splits have no training rows
    whole = Catalog.create(
        tmp_path / "whole", pa.schema([("id", pa.string()), ("image", pa.binary())]), commit=Commit(verb="t")
    )
    rows = pool.table(["id", "image"]).combine_chunks().to_batches()[0]
    whole.append(whole.write_fragment(rows), commit=Commit(verb="t"))
    found = near_copies(planted, splits, pool=whole)
    assert {(one.test, one.pool) for one in found.copies} == {(f"test{n}", f"mine{n}") for n in range(3)}
    assert (found.pool, found.pool_rows) == ("whole", 3)


def test_a_second_call_decodes_no_image_for_its_hash_and_makes_no_version(planted, monkeypatch):
    splits = read_splits(planted, "kind")
    first, version = near_copies(planted, splits), Catalog.open(planted.path).version
    monkeypatch.setattr(hashing, "decode_pixels", lambda *_, **__: pytest.fail("an image was decoded again"))
    assert near_copies(planted, splits) == first
    assert Catalog.open(planted.path).version == version == planted.version


def prediction(row, hit, **more):
    base = {"model": "m", "group": None, "label": "a", "probability": 0.5, "task": "knn", "n_labels": None}
    return {**base, "id": f"test{row}", "prediction": "a" if hit else "b", "seed": 0, **more}


def test_accuracy_is_told_a_second_time_without_the_copies():
    copies = NearCopies(
        pool="p", pool_rows=9, test_rows=4, copies=(Copy("test0", "x", 0.0), Copy("test1", "y", 0.01))
    )
    rows = [prediction(row, hit=row != 3) for row in range(4)]
    rows += [prediction(row, hit=row < 2, task="fewshot", n_labels=5, seed=1) for row in range(4)]
    table = pa.Table.from_pylist(rows, schema=PREDICTIONS)
    knn = Result(model="m", dataset="d", task="knn", metric="acc1", value=0.75, n_test=4, details={"k": 3})
    few = replace(knn, task="fewshot", n_labels=5, seed=1, value=0.5, details={})
    recall = replace(knn, metric="mean_per_class_recall")
    other = replace(knn, model="no predictions")
    told = without_copies([knn, few, recall, other], table, copies)
    assert told[0].details == {"k": 3, "acc1_without_near_copies": 0.5, "n_test_without_near_copies": 2}
    assert told[1].details == {"acc1_without_near_copies": 0.0, "n_test_without_near_copies": 2}
    assert told[2:] == [recall, other]
    assert told[0].value == 0.75


def test_where_there_are_no_copies_the_records_stay_as_they_are():
    none = NearCopies(pool="p", pool_rows=9, test_rows=4, copies=())
    table = pa.Table.from_pylist([prediction(row, hit=True) for row in range(4)], schema=PREDICTIONS)
    knn = Result(model="m", dataset="d", task="knn", metric="acc1", value=1.0, n_test=4)
    assert without_copies([knn], table, none) == [knn]
    assert none.as_settings()["share"] == 0
