"""Exports say where they come from, are whole or absent, and equal for equal content."""

import io
import json
import tarfile

import pyarrow.parquet as pq
import pytest
from catalogs import COMMIT, SCHEMA, filled, image_of, rows
from PIL import Image

from synsight.data import export
from synsight.data.catalog import Catalog
from synsight.errors import CatalogError, ConfigError, StorageError
from synsight.files import read_json


@pytest.fixture
def catalog(tmp_path):
    return filled(tmp_path / "cat", 50)


def test_a_parquet_export_holds_the_rows_and_names_its_origin(catalog, tmp_path):
    out = tmp_path / "out" / "rows.parquet"
    catalog.delete("number = 3", commit=COMMIT)
    assert catalog.export_parquet(out, columns=["id", "keywords"], where="number < 10") == 9
    table = pq.read_table(out)
    assert table.equals(catalog.table(["id", "keywords"], where="number < 10"))
    origin = read_json(tmp_path / "out" / "rows.parquet.json")
    assert (origin["catalog"], origin["version"], origin["rows"]) == ("cat", catalog.version, 9)
    assert origin["where"] == "number < 10"
    assert json.loads(pq.read_schema(out).metadata[b"synsight"])["version"] == catalog.version


def test_a_parquet_export_takes_all_columns_unless_told(catalog, tmp_path):
    catalog.export_parquet(tmp_path / "all.parquet")
    assert pq.read_table(tmp_path / "all.parquet").equals(catalog.table(catalog.columns))


def test_exports_of_equal_content_are_equal_bytes(tmp_path):
    for name in ("one", "other"):
        catalog = filled(tmp_path / name / "cat", 50)
        catalog.export_webdataset(tmp_path / name / "tars", rows_per_shard=20)
        catalog.export_parquet(tmp_path / name / "rows.parquet")
    for file in ("rows.parquet", "tars/shard-000000.tar", "tars/shard-000002.tar", "tars/export.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "other" / file).read_bytes()


def test_tars_hold_image_caption_and_the_rest_under_numbers(catalog, tmp_path):
    shards = catalog.export_webdataset(tmp_path / "tars", rows_per_shard=20)
    assert [shard.name for shard in shards] == ["shard-000000.tar", "shard-000001.tar", "shard-000002.tar"]
    seen = {}
    for shard in shards:
        with tarfile.open(shard) as tar:
            for member in tar:
                assert (member.isreg(), member.mtime, member.uid, member.uname) == (True, 0, 0, "")
                seen[member.name] = tar.extractfile(member).read()
    assert seen["000000000007.jpg"] == image_of(7)
    assert seen["000000000007.txt"].decode() == "caption 7, 猫"
    assert "000000000005.txt" not in seen  # its caption is null
    assert json.loads(seen["000000000007.json"]) == {
        "id": "id7",
        "caption": "caption 7, 猫",
        "number": 7,
        "keywords": ["k1"],
    }
    origin = read_json(tmp_path / "tars" / "export.json")
    assert (origin["catalog"], origin["version"], origin["rows"]) == ("cat", catalog.version, 50)


def test_hostile_ids_never_become_names(tmp_path):
    catalog = Catalog.create(tmp_path / "cat", SCHEMA, commit=COMMIT)
    batch = rows(0, 2).set_column(0, SCHEMA.field("id"), [["../../etc/passwd", "/root/x"]][0:1][0])
    catalog.append(catalog.write_fragment(batch), commit=COMMIT)
    (shard,) = catalog.export_webdataset(tmp_path / "tars")
    with tarfile.open(shard) as tar:
        assert all(name.replace(".", "").isalnum() and ".." not in name for name in tar.getnames())


def test_the_extension_is_what_the_bytes_say(tmp_path):
    for kind, extension in [
        ("JPEG", "jpg"),
        ("PNG", "png"),
        ("WEBP", "webp"),
        ("GIF", "gif"),
        ("BMP", "bmp"),
    ]:
        buffer = io.BytesIO()
        Image.new("RGB", (4, 4)).save(buffer, kind)
        assert export._extension(buffer.getvalue()) == extension
    assert export._extension(b"what is this") == "bin"


def test_an_export_into_a_folder_in_use_is_refused(catalog, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(CatalogError, match="expected a new or empty folder"):
        catalog.export_webdataset(tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "x"


def test_an_export_that_fails_leaves_nothing(catalog, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(export._Shards, "_member", full)
    with pytest.raises(StorageError, match="tars: could not be written: No space left on device"):
        catalog.export_webdataset(tmp_path / "tars")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cat"]


def test_a_wrong_condition_or_shard_size_is_one_sentence(catalog, tmp_path):
    with pytest.raises(CatalogError, match="the condition 'x >' is not understood"):
        catalog.export_parquet(tmp_path / "x.parquet", where="x >")
    with pytest.raises(ConfigError, match="rows_per_shard must be >= 1"):
        catalog.export_webdataset(tmp_path / "tars", rows_per_shard=0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cat"]
