"""Catalogs in an object store, against a local server that speaks S3."""

import logging
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from catalogs import Squaring, filled, image_of, square_column
from pictures import png, put
from test_ingestion import mixed_folder

from synsight.data import checking
from synsight.data.append_sink import read_parquet
from synsight.data.catalog import Catalog, Commit
from synsight.data.ingestion import ingest
from synsight.errors import CatalogError, StorageError
from synsight.stores import place

server = pytest.importorskip("moto.server", reason="moto is not installed")
logging.getLogger("werkzeug").setLevel(logging.ERROR)


@pytest.fixture(scope="module")
def endpoint():
    running = server.ThreadedMotoServer(port=0, verbose=False)
    running.start()
    yield "http://{}:{}".format(*running.get_host_and_port())
    running.stop()


@pytest.fixture
def store(endpoint, monkeypatch, tmp_path, request) -> str:
    import pyarrow.fs as pa_fs

    for name, value in {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "SYNSIGHT_WORK": str(tmp_path / "work"),
    }.items():
        monkeypatch.setenv(name, value)
    host = endpoint.removeprefix("http://")
    bucket = f"bucket-{abs(hash(request.node.name))}"
    pa_fs.S3FileSystem(endpoint_override=host, scheme="http", allow_bucket_creation=True).create_dir(bucket)
    return f"s3://{bucket}"


def names_in(folder: Path) -> set[str]:
    return {one.name for one in folder.rglob("*")} if folder.exists() else set()


def test_an_ingest_into_a_store_is_the_ingest_into_a_folder(store, tmp_path, monkeypatch):
    images = mixed_folder(tmp_path / "in")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    here, there = ingest(images, out=tmp_path / "cat"), ingest(images, out=f"{store}/cat")
    assert (there.rows, there.reasons, there.catalog) == (here.rows, here.reasons, f"{store}/cat")
    catalogs = [Catalog.open(tmp_path / "cat"), Catalog.open(f"{store}/cat")]
    tables = [one.table(one.columns) for one in catalogs]
    assert tables[0].equals(tables[1])
    rejected = [read_parquet(one.path / "rejected.parquet") for one in catalogs]
    assert rejected[0].equals(rejected[1])
    assert rejected[0].num_rows == 5
    assert ingest(images, out=f"{store}/cat") == there  # a second call does nothing
    assert names_in(tmp_path / "here") == set()  # no folder named like the URL
    assert names_in(tmp_path / "work") >= {"ledger.sqlite"}


def test_a_stopped_ingest_goes_on_here_and_is_refused_elsewhere(store, tmp_path, monkeypatch):
    folder = put(tmp_path / "in", {"a.png": png(), "t.csv": "file_name\n" + "a.png\n" * 3500})
    calls = []
    real = checking.check_image

    def stop(*arguments):
        calls.append(1)
        if len(calls) > 3000:
            raise StorageError("stopped.")
        return real(*arguments)

    monkeypatch.setattr(checking, "check_image", stop)
    with pytest.raises(StorageError, match="stopped"):
        ingest(folder / "t.csv", out=f"{store}/cat")
    monkeypatch.setattr(checking, "check_image", real)
    assert Catalog.open(f"{store}/cat").count_rows() > 0
    monkeypatch.setenv("SYNSIGHT_WORK", str(tmp_path / "elsewhere"))
    with pytest.raises(CatalogError, match="expected the ledger of its ingest in"):
        ingest(folder / "t.csv", out=f"{store}/cat")
    monkeypatch.setenv("SYNSIGHT_WORK", str(tmp_path / "work"))
    assert ingest(folder / "t.csv", out=f"{store}/cat").rows == 3500
    ids = Catalog.open(f"{store}/cat").table(["id"]).column(0).to_pylist()
    assert len(set(ids)) == len(ids) == 3500


def test_columns_are_added_replaced_and_current_in_a_store(store):
    path = place(f"{store}/cat")
    filled(path, 250)
    stage = Squaring()
    assert square_column(path, stage=stage) is not None
    assert Catalog.open(path).table(["square"]).column(0).to_pylist() == [n * n for n in range(250)]
    stage.calls = 0
    assert square_column(path, stage=stage) is None
    assert stage.calls == 0
    assert square_column(path, stage=Squaring(version="2")) is not None
    assert [one.verb for one in Catalog.open(path).versions()][-2:] == ["square", "square"]


def test_words_and_their_vocabulary_are_there_for_another_machine(store, tmp_path, monkeypatch):
    from synsight.language.labelling import find_words
    from synsight.language.vocabulary import load_vocabulary

    lines = [f"a.png,a {word} in a house" for word in ("dog", "cat", "red car", "bridge") * 5]
    folder = put(tmp_path / "in", {"a.png": png(), "t.csv": "\n".join(["file_name,caption", *lines])})
    ingest(folder / "t.csv", out=tmp_path / "cat")
    ingest(folder / "t.csv", out=f"{store}/cat")
    here, there = find_words(tmp_path / "cat"), find_words(f"{store}/cat")
    assert there == here
    monkeypatch.setenv("SYNSIGHT_WORK", str(tmp_path / "elsewhere"))
    catalog = Catalog.open(f"{store}/cat")
    assert load_vocabulary(catalog).table.equals(load_vocabulary(Catalog.open(tmp_path / "cat")).table)
    assert find_words(f"{store}/cat") == there


def test_rows_are_deleted_and_purged_in_a_store(store):
    catalog = filled(place(f"{store}/cat"), 80)
    assert catalog.delete("number < 10", commit=Commit(verb="delete")) == 10
    proof = catalog.purge("number < 20")
    assert (proof.rows, proof.hits, catalog.count_rows()) == (10, 0, 60)
    assert proof.images_sampled == 20
    assert len([one for one in catalog.versions() if one.verb == "delete"]) == 1
    held = b"".join(one.read_bytes() for one in catalog.path.rglob("*") if one.is_file())
    assert image_of(3)[400:460] not in held
    assert image_of(30)[400:460] in held


def test_what_is_no_catalog_is_one_sentence(store):
    with pytest.raises(CatalogError, match="expected a catalog, found nothing; make one with"):
        Catalog.open(f"{store}/nothing")
    (place(f"{store}/other") / "notes.txt").write_bytes(b"mine")
    with pytest.raises(CatalogError, match=r"expected a new or empty folder, found 'notes\.txt'"):
        filled(place(f"{store}/other"), 1)
    with pytest.raises(CatalogError, match="expected version 9 of a catalog"):
        filled(place(f"{store}/cat"), 1)
        Catalog.open(f"{store}/cat", version=9)


def test_parquet_files_leave_a_store(store, tmp_path):
    catalog = filled(place(f"{store}/cat"), 30)
    catalog.export_parquet(tmp_path / "x.parquet", columns=["number"])
    assert pq.read_table(tmp_path / "x.parquet").num_rows == 30


def test_a_bucket_that_is_not_there_is_one_sentence(store):
    with pytest.raises(StorageError, match="the store refused or did not answer"):
        filled(place("s3://no-such-bucket/cat"), 1)
