"""A released folder is what was released, or it is refused with one sentence."""

import hashlib
import hmac
import json

import numpy as np
import pytest

from models.small_models import small_model
from synsight.errors import ModelError
from synsight.manifest import MANIFEST, check_manifest, has_manifest, key_name, write_manifest

KEY, OTHER = b"0123456789abcdef0123456789abcdef", b"fedcba9876543210fedcba9876543210"


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    """A model with words, and its signed manifest."""
    folder = small_model("words", encoder="test_resnet.r160_in1k", stem="standard").save_pretrained(
        tmp_path_factory.mktemp("released") / "model"
    )
    write_manifest(folder, KEY)
    return folder


@pytest.fixture
def folder(tmp_path):
    """Two small files, one of them deeper."""
    (tmp_path / "part").mkdir()
    (tmp_path / "model.onnx").write_bytes(b"weights")
    (tmp_path / "part" / "labels.txt").write_text("cat\ndog\n", encoding="utf-8")
    return tmp_path


def flip(path, bit):
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)


def test_the_manifest_lists_every_file_with_its_size_and_its_sha256(folder):
    write_manifest(folder)
    told = json.loads((folder / MANIFEST).read_text())
    assert told["files"] == [
        {"path": "model.onnx", "bytes": 7, "sha256": hashlib.sha256(b"weights").hexdigest()},
        {"path": "part/labels.txt", "bytes": 8, "sha256": hashlib.sha256(b"cat\ndog\n").hexdigest()},
    ]
    assert told["signature"] is None
    body = json.dumps({"format": 1, "files": told["files"]}, sort_keys=True).encode()
    assert told["digest"] == hashlib.sha256(body + b"null").hexdigest()
    check_manifest(folder)


def test_the_signature_is_the_hmac_of_the_list(folder):
    told = json.loads(write_manifest(folder, KEY).read_text())
    body = json.dumps({"format": 1, "files": told["files"]}, sort_keys=True).encode()
    assert told["signature"]["value"] == hmac.new(KEY, body, "sha256").hexdigest()


@pytest.mark.parametrize("key", [None, KEY], ids=["unsigned", "signed"])
def test_any_of_100_random_bits_of_any_file_is_refused(released, key):
    paths = sorted(path for path in released.rglob("*") if path.is_file())
    assert {path.name for path in paths} >= {
        "config.json",
        "model.safetensors",
        "vocabulary.parquet",
        MANIFEST,
    }
    rng = np.random.default_rng(8)
    refused = 0
    for number in range(100):
        # Every file in turn, the manifest among them: by size alone nearly all would hit the weights.
        path = paths[number % len(paths)]
        bit = int(rng.integers(8 * path.stat().st_size))
        flip(path, bit)
        try:
            check_manifest(released, key)
        except ModelError:
            refused += 1
        finally:
            flip(path, bit)
    assert refused == 100
    check_manifest(released, key)


def test_every_byte_of_the_manifest_counts(folder):
    path = write_manifest(folder, KEY)
    for bit in range(0, 8 * path.stat().st_size, 7):  # every byte, all eight places in turn
        flip(path, bit)
        with pytest.raises(ModelError):
            check_manifest(folder, KEY)
        flip(path, bit)
    check_manifest(folder, KEY)


def test_a_manifest_signed_again_with_another_key_is_refused(folder):
    write_manifest(folder, KEY)
    (folder / "model.onnx").write_bytes(b"evil")
    write_manifest(folder, OTHER)
    check_manifest(folder, OTHER)
    with pytest.raises(ModelError, match=f"not signed with this key \\(yours is {key_name(KEY)}"):
        check_manifest(folder, KEY)


def test_an_unsigned_manifest_is_refused_where_a_key_is_given(folder):
    write_manifest(folder)
    with pytest.raises(ModelError, match="expected a signature"):
        check_manifest(folder, KEY)


def test_a_file_more_or_less_or_changed_is_named(folder):
    write_manifest(folder)
    (folder / "more.bin").write_bytes(b"x")
    with pytest.raises(ModelError, match=r"more\.bin: is not in the folder's manifest"):
        check_manifest(folder)
    (folder / "more.bin").unlink()
    (folder / "model.onnx").write_bytes(b"Weights")
    with pytest.raises(ModelError, match=r"model\.onnx: is not the file that was released"):
        check_manifest(folder)
    (folder / "model.onnx").unlink()
    with pytest.raises(ModelError, match=r"lists 'model\.onnx', which is not there"):
        check_manifest(folder)


def test_what_a_system_hides_in_folders_does_not_count(folder):
    write_manifest(folder)
    (folder / ".DS_Store").write_bytes(b"x")
    (folder / ".cache").mkdir()
    (folder / ".cache" / "x").write_bytes(b"x")
    check_manifest(folder)


def test_a_link_is_refused_when_it_is_released_and_when_it_is_read(folder, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "model.onnx"
    elsewhere.write_bytes(b"weights")
    write_manifest(folder)
    (folder / "model.onnx").unlink()
    (folder / "model.onnx").symlink_to(elsewhere)
    with pytest.raises(ModelError, match="found a link"):
        check_manifest(folder)
    with pytest.raises(ModelError, match="found a link"):
        write_manifest(folder)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        "null",
        '{"format": 2, "files": [], "signature": null}',
        "[" * 100_000,
        '{"files": 3}',
        '{"format": 1, "files": [{"path": {}, "bytes": 1}], "signature": 7}',
        "\ud800",
    ],
    ids=range(9),
)
def test_anything_else_under_the_manifests_name_is_one_clear_error(folder, text):
    (folder / MANIFEST).write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(ModelError, match="expected a manifest"):
        check_manifest(folder)


def test_without_a_manifest_the_error_says_so(folder):
    assert not has_manifest(folder)
    with pytest.raises(ModelError, match="expected a manifest, found none"):
        check_manifest(folder)


def test_a_key_may_come_from_a_file_and_must_not_be_short(folder, tmp_path_factory):
    path = tmp_path_factory.mktemp("keys") / "release.key"
    path.write_bytes(KEY + b"\n")
    write_manifest(folder, path)
    check_manifest(folder, KEY)
    with pytest.raises(ModelError, match="at least 16 bytes, got 5"):
        write_manifest(folder, b"short")
    with pytest.raises(ModelError, match="expected the file of a key"):
        write_manifest(folder, path.with_name("none"))


def test_no_message_and_no_manifest_tells_the_key(folder):
    told = write_manifest(folder, KEY).read_text()
    with pytest.raises(ModelError) as caught:
        check_manifest(folder, OTHER)
    for secret in (KEY, OTHER):
        assert secret.decode() not in told + str(caught.value)
        assert secret.hex() not in told + str(caught.value)
