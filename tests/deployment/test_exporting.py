"""The verb export, format by format: what is written runs elsewhere, and only if it answers as the model."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import open_clip
import pytest
import timm
import torch

from deployment.test_onnx_graphs import every_layer
from models.named_models import add_clip, clip_file
from models.small_models import picture, small_model
from synsight.cli import main
from synsight.data.samples import sample
from synsight.data.views import normalise
from synsight.deployment import parity
from synsight.deployment.export import export
from synsight.errors import ModelError, UsageError
from synsight.models import load
from synsight.models.feature_head import FeatureHead
from synsight.models.head_layers import Linear, Scale, Standardise

PICTURES = [picture(number) for number in range(5)]
LABELS = ["animals-nature", "flags", "food-drink"]
DOCS = Path(__file__).parents[2] / "docs/export.md"


def tiny(head="labels", *, encoder="test_resnet", size=32):
    model = small_model(head, encoder=encoder, size=size, stem="standard")
    if head == "labels":
        model.label_names = list(LABELS)
    return model


@pytest.fixture(scope="module")
def catalog(tmp_path_factory):
    path = tmp_path_factory.mktemp("catalog") / "cat"
    sample("emoji", out=path)
    return path


def views(model, images):
    return normalise(model.pixels(images), mean=model.config.mean, std=model.config.std)


def test_onnx_agrees_on_all_real_images_by_the_command(catalog, tmp_path, capsys):
    model = tiny().save_pretrained(tmp_path / "model")
    command = ["export", str(model), "--out", str(tmp_path / "out"), "--data", str(catalog)]
    assert main([*command, "--label", "category", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert list(told)[:3] == ["files", "max_difference", "accuracy_loss"]
    assert told["images"] >= 256
    assert told["max_difference"] <= 1e-4
    assert told["agreement"] == 1
    assert (told["accuracy_loss"], told["accuracy_of"]) == (0, "label category")
    assert told["files"] == sorted(path.name for path in (tmp_path / "out").iterdir())


def test_int8_is_smaller_and_as_right_as_it_says(catalog, tmp_path):
    model = tiny()
    told = export(
        model, out=tmp_path / "out", quantise="int8", data=catalog, label="category", max_accuracy_loss=0.05
    )
    assert told.quantised == "int8"
    assert "128 train images of cat" in (told.calibration or "")
    assert 1e-4 < told.max_difference < 1
    assert told.accuracy_loss <= 0.05
    graph = (tmp_path / "out/model.onnx").read_bytes()
    assert b"QuantizeLinear" in graph
    weights = sum(tensor.numel() for tensor in model.encoder.parameters())
    assert len(graph) < 4 * weights  # bytes in float32
    assert sorted(one.name for one in tmp_path.iterdir()) == ["out"]


@pytest.mark.parametrize(
    ("allowed", "said"),
    [
        ({"tolerance": 0.0}, r"small as torch: differs from the model by .* more than the tolerance of 0"),
        ({"max_accuracy_loss": 0.0}, r"small as torch: loses .* of accuracy \(top answer\) on 64 synthetic"),
    ],
)
def test_a_form_that_answers_otherwise_is_not_kept(tmp_path, monkeypatch, allowed, said):
    from synsight.deployment import export as module

    def wrong(model, folder):
        run, left_out = module.write_torch(model, folder)

        def turned(pixels):
            outputs = dict(run(pixels))
            outputs["scores"] = outputs["scores"] + 1e-6
            if "max_accuracy_loss" in allowed:
                outputs["probabilities"] = outputs["probabilities"][:, ::-1]
            return outputs

        return turned, left_out

    monkeypatch.setattr(module, "FORMATS", {**module.FORMATS, "torch": wrong})
    with pytest.raises(ModelError, match=said) as caught:
        export(tiny(), out=tmp_path / "out", format="torch", **allowed)
    assert "nothing was written" in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_timm_loads_the_weights_by_name_and_by_folder(tmp_path):
    model = tiny()
    told = export(model, out=tmp_path / "out", format="timm")
    by_folder = timm.create_model(f"local-dir:{tmp_path / 'out'}", pretrained=True).eval()
    by_name = timm.create_model(
        "test_resnet", num_classes=3, checkpoint_path=str(tmp_path / "out/model.safetensors")
    ).eval()
    features = torch.from_numpy(model.embed(PICTURES))
    for found in (by_folder, by_name):
        with torch.inference_mode():
            np.testing.assert_allclose(found(views(model, PICTURES)), model.scores(features), atol=1e-5)
    assert told.left_out == []
    settings = timm.data.resolve_data_config({}, model=by_folder)
    assert tuple(settings["mean"]) == model.config.mean
    assert tuple(settings["input_size"]) == (3, 32, 32)
    back = load(f"local-dir:{tmp_path / 'out'}")
    np.testing.assert_allclose(back.embed(PICTURES), model.embed(PICTURES), atol=1e-6)


def test_a_head_of_linear_layers_becomes_timms_classifier(tmp_path):
    model, rng = tiny("words"), torch.Generator().manual_seed(2)
    dim = model.config.embedding_dim
    head = FeatureHead(
        Standardise.of(torch.randn(dim, generator=rng), torch.rand(dim, generator=rng)),
        Linear.of(torch.randn(3, dim, generator=rng), torch.randn(3, generator=rng)),
        Scale(0.5),
    )
    model = model.adapted(head, LABELS, method="test")
    told = export(model, out=tmp_path / "out", format="timm")
    assert told.left_out == ["the words"]
    found = timm.create_model(f"local-dir:{tmp_path / 'out'}", pretrained=True).eval()
    with torch.inference_mode():
        shares = found(views(model, PICTURES)).softmax(dim=1)
    np.testing.assert_allclose(shares, model.predict(PICTURES), atol=1e-5)
    assert found.pretrained_cfg["label_names"] == LABELS


def test_a_vit_for_another_size_is_built_by_its_arguments(tmp_path):
    model = tiny(None, encoder="test_vit", size=64)
    export(model, out=tmp_path / "out", format="timm")
    found = timm.create_model(f"local-dir:{tmp_path / 'out'}", pretrained=True).eval()
    with torch.inference_mode():
        np.testing.assert_allclose(found(views(model, PICTURES)), model.embed(PICTURES), atol=1e-5)


ALONE = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"synsight", "pyarrow", "lance", "cyclopts"}:
            raise ImportError(f"{name} is not installed here")
sys.meta_path.insert(0, Blocker())
sys.path.insert(0, sys.argv[1])
import torch
from model import load
pixels = torch.load(sys.argv[2], weights_only=True)
with torch.inference_mode():
    torch.save(load()(pixels), sys.argv[3])
"""


@pytest.mark.parametrize("stem", ["cifar", "small"])
def test_the_torch_folder_is_the_model_without_synsight(tmp_path, stem):
    model = small_model("words", stem=stem)
    model = model.adapted(every_layer(model.config.embedding_dim), LABELS, method="test")
    told = export(model, out=tmp_path / "out", format="torch")
    assert told.left_out == []
    if stem == "small":
        return
    pixels = model.pixels(PICTURES).contiguous()
    torch.save(pixels, tmp_path / "pixels.pt")
    words = [sys.executable, "-c", ALONE, str(tmp_path / "out"), "pixels.pt", "found.pt"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = torch.load(tmp_path / "found.pt", weights_only=True)
    assert sorted(found) == ["features", "probabilities", "scores", "word_probabilities"]
    np.testing.assert_allclose(found["features"], model.embed(PICTURES), atol=1e-5)
    np.testing.assert_allclose(found["probabilities"], model.predict(PICTURES), atol=1e-5)
    np.testing.assert_allclose(found["word_probabilities"], model.word_probabilities(PICTURES), atol=1e-5)


def test_open_clip_loads_both_halves(tmp_path):
    name = add_clip(tmp_path / "configs", "tiny-vit")
    file = clip_file(tmp_path / "weights", name)
    model = load(f"open-clip:{name}/{file}")
    told = export(model, out=tmp_path / "out", format="open_clip")
    found = open_clip.create_model(f"local-dir:{tmp_path / 'out'}").eval()
    tokens = open_clip.tokenize(["a dog", "two red cars"], context_length=8)
    with torch.inference_mode():
        np.testing.assert_allclose(
            found.encode_image(views(model, PICTURES)), model.embed(PICTURES), atol=1e-5
        )
        texts = torch.nn.functional.normalize(found.encode_text(tokens), dim=1)
    np.testing.assert_allclose(texts, model.embed_texts(["a dog", "two red cars"]), atol=1e-5)
    assert float(found.logit_scale.exp()) == pytest.approx(float(model.text.logit_scale), rel=1e-5)
    assert told.files[-1] == "open_clip_model.safetensors"


def test_openvino_answers_as_the_model(tmp_path):
    told = export(tiny(), out=tmp_path / "out", format="openvino")
    assert told.max_difference <= 1e-4
    assert {"model.xml", "model.bin", "example.py"} <= set(told.files)


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"format": "onxx"}, UsageError, "no format is called 'onxx'; did you mean 'onnx'"),
        ({"quantise": "int8"}, UsageError, "int8 is calibrated on images like those it will see"),
        ({"format": "timm", "quantise": "int8", "data": "cat"}, UsageError, "int8 is written as onnx alone"),
        ({"format": "open_clip"}, ModelError, "is no tower of open_clip's; export it as timm, torch or onnx"),
    ],
)
def test_what_cannot_be_is_said_in_one_sentence(tmp_path, arguments, error, said):
    with pytest.raises(error, match=re.escape(said)):
        export(tiny(), out=tmp_path / "out", **arguments)
    assert not (tmp_path / "out").exists()


def test_a_changed_stem_is_none_of_timms(tmp_path):
    with pytest.raises(ModelError, match="has the cifar stem, which timm's create_model does not build"):
        export(small_model("labels"), out=tmp_path / "out", format="timm")


def test_a_folder_with_other_files_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ModelError, match="expected a new folder or a former export, found other files"):
        export(tiny(), out=tmp_path, format="torch")
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_an_export_replaces_a_former_one(tmp_path):
    export(tiny(), out=tmp_path / "out", format="torch")
    told = export(tiny(), out=tmp_path / "out", format="timm")
    assert sorted(one.name for one in (tmp_path / "out").iterdir()) == told.files
    assert "model.py" not in told.files


QUICK = {("mobilenetv3_small_100", "onnx")}
"""What is written in every run of the tests; the other ONNX graphs take 5 to 10 seconds each."""


def supported() -> list:
    """Rows of the support table: an architecture and a format that it says yes to."""
    lines = [line for line in DOCS.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    head = ["onnx", "openvino", "torch", "timm"]
    slow = {"onnx", "openvino"}
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [
        pytest.param(
            name.strip("`"),
            form,
            marks=pytest.mark.slow if form in slow and (name.strip("`"), form) not in QUICK else [],
        )
        for name, *cells in rows
        for form, cell in zip(head, cells, strict=False)
        if cell == "yes"
    ]


@pytest.mark.parametrize(("name", "form"), supported())
def test_what_the_support_table_promises_holds(tmp_path, name, form):
    model = load(f"random:{name}", image_size=32 if "vit" not in name else 224)
    shown = parity.synthetic_images(model, count=8)
    from synsight.deployment.export import FORMATS

    run, _ = FORMATS[form](model, tmp_path)
    assert parity.compare(model, run, shown).max_difference <= 1e-4
