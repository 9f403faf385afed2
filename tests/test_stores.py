"""Paths of object stores; what needs a store is in data/test_catalog_store.py."""

import pickle
import socket
import threading
from pathlib import Path

import pytest

from synsight.errors import ConfigError, StorageError
from synsight.stores import StorePath, place, table_options, work_folder


def test_a_path_in_a_store_is_built_like_any_other():
    path = place("s3://bucket/some/cat")
    assert isinstance(path, StorePath)
    assert str(path / "_synsight" / "a.json") == "s3://bucket/some/cat/_synsight/a.json"
    assert (path.name, str(path.parent)) == ("cat", "s3://bucket/some")
    assert f"{path.with_name('other')}" == "s3://bucket/some/other"
    assert pickle.loads(pickle.dumps(path)) == path
    assert str(pickle.loads(pickle.dumps(path / "x"))) == "s3://bucket/some/cat/x"
    assert place(path) is path


def test_a_url_that_went_through_a_path_is_still_one():
    assert str(place(Path("s3://bucket/cat"))) == "s3://bucket/cat"


@pytest.mark.parametrize("text", ["cat", "/tmp/cat", "a:b/cat", "C:/cat", "notes: 1/cat"])
def test_a_folder_is_a_folder(text):
    assert place(text) == Path(text)
    assert not isinstance(place(text), StorePath)


def test_other_urls_are_refused_by_name():
    with pytest.raises(ConfigError, match=r"begins with s3://, gs://, az://; found https://"):
        place("https://host/cat")


def test_work_for_a_store_has_a_folder_by_its_url(monkeypatch, tmp_path):
    monkeypatch.setenv("SYNSIGHT_WORK", str(tmp_path))
    one, other = work_folder(StorePath("s3://a/cat")), work_folder(StorePath("s3://b/cat"))
    assert one.parent == other.parent == tmp_path
    assert one != other
    assert one.name.startswith("cat-")
    monkeypatch.delenv("SYNSIGHT_WORK")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert work_folder(StorePath("s3://a/cat")).parent == tmp_path / "cache" / "synsight" / "work"


def test_the_table_library_is_told_of_an_endpoint_without_tls(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://10.0.0.1:9000/")
    options = table_options(StorePath("s3://a/cat"))
    assert options is not None
    assert (options["aws_endpoint"], options["allow_http"]) == ("http://10.0.0.1:9000", "true")
    assert table_options(Path("cat")) is None


def test_a_wait_that_is_no_number_is_refused(monkeypatch):
    monkeypatch.setenv("SYNSIGHT_STORE_SECONDS", "soon")
    with pytest.raises(ConfigError, match="SYNSIGHT_STORE_SECONDS must be a number above zero; got 'soon'"):
        table_options(StorePath("s3://a/cat"))


@pytest.fixture
def silent_store(monkeypatch):
    """Accepts connections and never says a word."""
    listener = socket.create_server(("127.0.0.1", 0))
    held = []

    def accept() -> None:
        while True:
            try:
                held.append(listener.accept())
            except OSError:
                return

    threading.Thread(target=accept, daemon=True).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{listener.getsockname()[1]}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    monkeypatch.setenv("SYNSIGHT_STORE_SECONDS", "0.2")
    yield held
    listener.close()
    for connection, _ in held:
        connection.close()


@pytest.mark.timeout(120)
def test_a_silent_store_is_not_waited_for_forever(silent_store):
    from synsight.data.catalog import Catalog

    with pytest.raises(StorageError, match="the store refused or did not answer"):
        Catalog.open("s3://bucket/cat")
    with pytest.raises(StorageError, match="the store refused or did not answer"):
        Catalog(StorePath("s3://bucket/cat"), 1).count_rows()  # by the table library
    assert silent_store
