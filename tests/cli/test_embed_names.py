"""`synsight embed` for each way to name a model, offline, with small models written to disk."""

import json

import numpy as np
import open_clip
import pyarrow.parquet as pq
import pytest
import timm
from huggingface_hub import constants
from PIL import Image
from safetensors.torch import save_file
from timm.models import save_for_hf

import synsight
from synsight.cli import main

CLIP = "tiny-cli-vit"
ROWS = 6
NAMES = {
    "folder": (64, "model"),
    "pretrained": (64, "test_vit.r160_in1k"),
    "random": (64, "random:test_vit"),
    "random-clip": (24, f"random:open-clip:{CLIP}"),
    "local-dir": (64, "local-dir:{models}/timm"),
    "hf-hub": (64, "hf-hub:someone/tiny"),
    "clip-file": (24, f"open-clip:{CLIP}/{{models}}/clip/open_clip_model.safetensors"),
    "clip-tag": (24, f"open-clip:{CLIP}/mine"),
}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A folder with a tiny model of timm's, one of open_clip's, and the hub's cache of both."""
    folder = tmp_path_factory.mktemp("models")
    model = timm.create_model("test_vit", num_classes=2)
    save_for_hf(model, folder / "timm", safe_serialization=True)
    vision = {"image_size": 32, "layers": 1, "width": 32, "patch_size": 16, "head_width": 16}
    text = {"context_length": 8, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}
    settings = {"embed_dim": 24, "vision_cfg": vision, "text_cfg": text}
    (folder / f"{CLIP}.json").write_text(json.dumps(settings))
    open_clip.add_model_config(folder / f"{CLIP}.json")
    (folder / "clip").mkdir()
    save_file(open_clip.create_model(CLIP).state_dict(), folder / "clip/open_clip_model.safetensors")
    (folder / "timms").mkdir()
    save_file(timm.create_model("test_vit").state_dict(), folder / "timms/model.safetensors")
    repositories = {"someone/tiny": "timm", "someone/clip": "clip", "timm/test_vit.r160_in1k": "timms"}
    for repository, source in repositories.items():
        root = folder / "hub" / f"models--{repository.replace('/', '--')}"
        (root / "refs").mkdir(parents=True)
        (root / "refs/main").write_text("0" * 40)
        (root / "snapshots").mkdir()
        (root / "snapshots" / ("0" * 40)).symlink_to(folder / source)
    return folder


@pytest.fixture
def offline(models, monkeypatch):
    """The hub's cache without a network, and a tag of open_clip's that is in it."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(models / "hub"))
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, CLIP, {"mine": {"hf_hub": "someone/clip/"}})


@pytest.fixture
def pictures(tmp_path):
    """A catalog of a few pictures."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(ROWS):
        pixels = rng.integers(0, 256, (5, 7, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((70, 50)).save(folder / f"{number}.png")
    assert main(["ingest", str(folder), "--out", str(tmp_path / "cat")]) == 0
    return tmp_path / "cat"


@pytest.mark.parametrize("kind", NAMES)
def test_a_model_of_any_name_fills_a_column_once(kind, models, pictures, offline, run_json, tmp_path):
    width, name = NAMES[kind]
    name = name.format(models=models)
    if kind == "folder":
        name = str(synsight.load("random:test_vit", seed=9).save_pretrained(tmp_path / name))
    done = run_json("embed", name, pictures, "--out", tmp_path / "x.parquet")
    assert (done["rows"], done["dimensions"], done["computed"]) == (ROWS, width, True)
    again = run_json("embed", name, pictures)
    assert (again["column"], again["computed"]) == (done["column"], False)
    features = np.stack(pq.read_table(tmp_path / "x.parquet")["features"].to_numpy())
    assert features.shape == (ROWS, width)
    assert np.isfinite(features).all()
    assert len(np.unique(features, axis=0)) == ROWS


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("hf-hub:someone/other", "could not be had"),
        ("local-dir:nowhere", "expected a folder with config.json and model.safetensors"),
        (f"open-clip:{CLIP}/mini", "did you mean 'mine'?"),
        ("open-clip:tiny-cli", f"did you mean '{CLIP}'"),
        ("resnet81", "did you mean 'resnet18'"),
    ],
)
def test_a_name_that_leads_nowhere_is_one_sentence(name, hint, models, pictures, offline, run):
    code, out, err = run("embed", name, pictures)
    assert (code, out) == (1, "")
    assert err.startswith("synsight: error: ")
    assert err.count("\n") == 1
    assert hint in err
