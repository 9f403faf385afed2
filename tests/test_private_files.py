"""Keys and tokens are readable by their owner alone, and stand in no log, report, record or message."""

import errno
import io
import os
import stat
import traceback

import pyarrow as pa
import pytest
import torch
from PIL import Image

from synsight import files
from synsight.curation.repair.endpoint import EndpointCaptioner
from synsight.data.catalog import Catalog, Commit
from synsight.errors import ModelError, StorageError
from synsight.files import private_folder, write_secret
from synsight.manifest import check_manifest, write_manifest
from synsight.models import Model, ModelConfig, build_backbone, embedding_dim
from synsight.workflow.cards import card

CANARY = "canary-4f1d9a7c2e5b8036"


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(params=[0o022, 0o000, 0o077], ids=["022", "000", "077"])
def mask(request):
    before = os.umask(request.param)
    yield
    os.umask(before)


def test_a_secret_is_readable_by_its_owner_alone_whatever_the_mask(tmp_path, mask):
    path = tmp_path / "deep" / "token"
    write_secret(path, b"one")
    assert mode(path) == 0o600
    write_secret(path, b"two")
    assert (mode(path), path.read_bytes()) == (0o600, b"two")
    assert [one.name for one in path.parent.iterdir()] == ["token"]


def test_a_secret_takes_the_place_of_a_file_that_everybody_could_read(tmp_path):
    path = tmp_path / "token"
    path.write_bytes(b"old")
    path.chmod(0o644)
    write_secret(path, b"new")
    assert mode(path) == 0o600


def test_a_secret_is_never_readable_by_others_while_it_is_written(tmp_path, monkeypatch):
    seen = []

    def watching(file, data):
        seen.append(stat.S_IMODE(os.fstat(file.fileno()).st_mode))
        file.write(data)

    monkeypatch.setattr(files, "_write_all", watching)
    write_secret(tmp_path / "token", b"one")
    assert seen == [0o600]


def test_a_failing_disk_leaves_the_former_secret_and_names_no_byte_of_the_new(tmp_path, monkeypatch):
    path = tmp_path / "token"
    write_secret(path, b"old")

    def failing(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files, "_write_all", failing)
    with pytest.raises(StorageError) as caught:
        write_secret(path, CANARY.encode())
    assert path.read_bytes() == b"old"
    assert CANARY not in str(caught.value)


def test_a_private_folder_is_entered_by_its_owner_alone_and_keeps_the_mode_it_has(tmp_path, mask):
    assert mode(private_folder(tmp_path / "a" / "project")) == 0o700
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o750)
    assert mode(private_folder(shared)) == 0o750


def test_a_catalog_is_entered_by_its_owner_alone_unless_the_folder_was_there(tmp_path, mask):
    schema = pa.schema([("id", pa.string()), ("image", pa.binary())])
    Catalog.create(tmp_path / "new", schema, commit=Commit(verb="ingest"))
    assert mode(tmp_path / "new") == 0o700
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o770)
    Catalog.create(tmp_path / "shared", schema, commit=Commit(verb="ingest"))
    assert mode(tmp_path / "shared") == 0o770


def everything_written(folder):
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_a_canary_as_the_manifests_key_stands_in_no_file_and_no_message(tmp_path, capfd):
    torch.manual_seed(0)
    backbone = build_backbone("test_resnet.r160_in1k", image_size=16, stem="standard")
    config = ModelConfig(
        encoder="test_resnet.r160_in1k",
        image_size=16,
        embedding_dim=embedding_dim(backbone),
        mean=(0.5, 0.5, 0.5),
        std=(0.2, 0.2, 0.2),
    )
    folder = Model(backbone, config, name="net").save_pretrained(tmp_path / "out" / "net")
    key = tmp_path / "release.key"
    write_secret(key, CANARY.encode())
    write_manifest(folder, key)
    card(folder, out=tmp_path / "out" / "card")
    with pytest.raises(ModelError) as caught:
        check_manifest(folder, b"another key, as long as it must be")
    told = "".join(capfd.readouterr()) + str(caught.value) + repr(caught.value)
    assert CANARY not in told
    written = everything_written(tmp_path / "out")
    assert len(written) > 10_000
    assert CANARY.encode() not in written
    assert CANARY.encode().hex().encode() not in written


def test_a_canary_as_the_endpoints_key_stands_in_no_message(monkeypatch, capfd, caplog):
    monkeypatch.setenv("CANARY_KEY", CANARY)
    captioner = EndpointCaptioner(
        url="http://127.0.0.1:9/v1", model="none", key_variable="CANARY_KEY", retries=0
    )
    told = repr(captioner) + captioner.name + captioner.identity
    picture = io.BytesIO()
    Image.new("RGB", (8, 8)).save(picture, "png")
    with pytest.raises(ModelError) as caught:
        captioner([picture.getvalue()], [None])
    told += str(caught.value) + repr(caught.value) + "".join(traceback.format_exception(caught.value))
    told += "".join(capfd.readouterr()) + caplog.text
    assert CANARY not in told
