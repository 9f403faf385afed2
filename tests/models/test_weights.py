"""S1 for models: what is not exactly the safetensors file that belongs there is refused, in one sentence,
unexecuted."""

import json
import os
import pickle
import struct

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_models import small_model

from synsight.errors import DataError, ModelError
from synsight.models import load
from synsight.models.weights import read_shapes


@pytest.fixture
def folder(tmp_path):
    return small_model().save_pretrained(tmp_path / "model")


def edit_config(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


class Evil:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "vocabulary.parquet"])
def test_a_pickle_under_another_name_is_refused_and_never_run(folder, tmp_path, protocol, name):
    marker = tmp_path / "executed"
    (folder / name).write_bytes(pickle.dumps(Evil(marker), protocol=protocol))
    with pytest.raises((ModelError, DataError)):
        load(folder)
    assert not marker.exists()


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.pkl", "model.pth", "model.npy"])
def test_pickled_weights_beside_are_not_looked_at(folder, tmp_path, name):
    marker = tmp_path / "executed"
    torch.save(Evil(marker), folder / name)
    (folder / "model.safetensors").unlink()
    with pytest.raises(
        ModelError, match=r"found nothing; .*weights as .bin, .pt or .pkl are not read: they can run code"
    ):
        load(folder)
    assert not marker.exists()


def test_a_torch_archive_in_place_of_the_weights_is_refused(folder):
    torch.save(small_model().encoder.state_dict(), folder / "model.safetensors")
    with pytest.raises(ModelError, match="expected a whole safetensors file, but its header is longer"):
        load(folder)


@pytest.mark.parametrize("kept", [0, 4, 8, 200, 0.5, 0.999])
def test_a_file_cut_off_is_refused(folder, kept):
    path = folder / "model.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[: kept if isinstance(kept, int) else int(kept * len(whole))])
    with pytest.raises(ModelError, match="expected a whole safetensors file"):
        load(folder)


def test_bytes_at_the_end_are_refused(folder):
    with (folder / "model.safetensors").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(ModelError, match="bytes where its header speaks of"):
        load(folder)


@pytest.mark.parametrize("length", [0, 1, 2**20, 2**40, 2**63])
def test_a_header_of_any_claimed_length_is_refused(folder, length):
    path = folder / "model.safetensors"
    path.write_bytes(struct.pack("<Q", length) + path.read_bytes()[8:])
    with pytest.raises(ModelError, match="expected a whole safetensors file"):
        load(folder)


def test_one_flipped_bit_anywhere_in_the_weights_is_refused(folder):
    path = folder / "model.safetensors"
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(10):
        place, bit = rng.integers(len(whole)), rng.integers(8)
        flipped = bytearray(whole)
        flipped[place] ^= 1 << bit
        path.write_bytes(flipped)
        with pytest.raises(ModelError):
            load(folder)


def test_weights_of_another_model_are_refused(folder, tmp_path):
    other = small_model(encoder="resnet18").save_pretrained(tmp_path / "other")
    (folder / "model.safetensors").write_bytes((other / "model.safetensors").read_bytes())
    with pytest.raises(ModelError, match="the folder mixes two models"):
        load(folder)


def test_weights_without_the_head_are_refused(folder, tmp_path):
    other = small_model(None).save_pretrained(tmp_path / "other")
    (folder / "model.safetensors").write_bytes((other / "model.safetensors").read_bytes())
    with pytest.raises(ModelError, match=r"found none named 'head\.(bias|weight)'"):
        load(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_size": "64"}, "image_size must be an integer"),
        ({"image_size": 10**9}, r"image_size must be in 1\.\.4096"),
        ({"image_size": 48}, "not those that were saved"),
        ({"embedding_dim": 7}, "embedding_dim is 7, but resnet10t has 512"),
        ({"classes": 5}, r"tensor 'head\.(weight|bias)' has shape"),
        ({"classes": 0, "head": None}, "found a tensor 'head.bias'"),
        ({"encoder": "resnet18"}, "the folder mixes two models"),
        ({"encoder": "hf-hub:someone/evil"}, "expected a timm model name, found 'hf-hub:someone/evil'"),
        ({"encoder": "local-dir:/tmp/evil"}, "expected a timm model name"),
        ({"encoder": ["resnet10t"]}, "encoder must be a string"),
        ({"stem": "huge"}, "stem must be one of standard, small, cifar; got 'huge'"),
        ({"stem": "small"}, "not those that were saved"),
        ({"mean": [0.1, 0.2]}, "mean must be three numbers"),
        ({"mean": 3}, "not iterable"),
        ({"std": [1, 1, 0]}, "std must be three numbers, std > 0"),
        ({"crop_fraction": 1e-9}, r"crop_fraction must be in \[0\.1, 1\]"),
        ({"head": "labels"}, "expected 3 label_names"),
        ({"format": 4}, "written by another version of synsight"),
        ({"surprise": 1}, r"missing or unknown: 'surprise'"),
        ({"digest": "000000000000"}, "not those that were saved"),
    ],
)
def test_a_config_that_does_not_fit_is_one_sentence(folder, change, message):
    edit_config(folder, **change)
    with pytest.raises(ModelError, match=message) as refusal:
        load(folder)
    assert str(folder) in str(refusal.value) or "timm" in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("text", ["", "[]", "{", "null", '{"encoder": "resnet10t"}', "[" * 100_000])
def test_what_is_no_config_is_one_sentence(folder, text):
    (folder / "config.json").write_text(text)
    with pytest.raises(ModelError, match=r"config\.json: expected the config"):
        load(folder)


def test_a_missing_vocabulary_is_one_sentence(folder):
    (folder / "vocabulary.parquet").unlink()
    with pytest.raises(
        (ModelError, DataError), match=r"vocabulary.parquet: expected a vocabulary, found nothing"
    ):
        load(folder)


@given(st.binary(max_size=300), st.integers(0, 320))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_read_or_refused_in_one_sentence(tmp_path, data, length):
    path = tmp_path / "model.safetensors"
    path.write_bytes(struct.pack("<Q", length) + data)
    try:
        read_shapes(path)
    except ModelError as error:
        assert "\n" not in str(error)


def test_hostile_headers_are_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    for header in (
        {"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}},
        {"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}},
        {"a": {"dtype": "F32", "shape": "x", "data_offsets": [0, 4]}},
        {"a": [1, 2]},
        {"a": {"shape": [1], "data_offsets": [0, 1e400]}},
        {f"t{n}": {} for n in range(100_001)},
    ):
        text = json.dumps(header).encode()
        path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(4))
        with pytest.raises(ModelError, match="expected a whole safetensors file"):
            read_shapes(path)
