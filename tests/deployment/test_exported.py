"""What runs an exported folder without torch: its pixels, its answers, and what it refuses."""

import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from models.small_models import encoded, picture, small_model
from synsight.data.views import plain_view
from synsight.deployment.export import export
from synsight.deployment.exported import ExportedModel, Preparation
from synsight.errors import ModelError, ShapeError
from synsight.manifest import MANIFEST, write_manifest

PICTURES = [picture(number, width=50 + number) for number in range(6)]
KEY, OTHER = b"0123456789abcdef0123456789abcdef", b"fedcba9876543210fedcba9876543210"


def adapted():
    model = small_model("words", encoder="test_resnet", stem="standard")
    head = small_model("labels", encoder="test_resnet", stem="standard").head
    return model.adapted(head, ["red", "grün", "青"], method="test")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("exported") / "out"
    export(adapted(), out=out)
    return out


@settings(max_examples=60, deadline=None)
@given(
    width=st.integers(1, 90),
    height=st.integers(1, 90),
    size=st.integers(1, 40),
    crop=st.sampled_from([1.0, 0.95, 0.875, 0.5]),
    filtered=st.sampled_from(["bicubic", "bilinear"]),
    resize=st.sampled_from(["shortest", "squash"]),
)
def test_pixels_are_those_of_evaluation_bit_for_bit(width, height, size, crop, filtered, resize):
    image = picture(width * height, width=width, height=height)
    prepared = Preparation(image_size=size, crop_fraction=crop, interpolation=filtered, resize=resize)
    expected = plain_view(
        image, image_size=size, crop_fraction=crop, interpolation=filtered, squash=resize == "squash"
    )
    assert np.array_equal(prepared.pixels([image])[0].transpose(1, 2, 0), expected)


def test_it_answers_as_the_model_in_every_way_to_give_an_image(folder):
    model, found = adapted(), ExportedModel.open(folder, threads=1)
    for images in (
        PICTURES,
        [encoded(one) for one in PICTURES],
        np.stack([np.asarray(one.resize((40, 40))) for one in PICTURES]),
    ):
        np.testing.assert_allclose(found.embed(images, batch_size=4), model.embed(images), atol=1e-5)
        np.testing.assert_allclose(found.predict(images), model.predict(images), atol=1e-5)
        np.testing.assert_allclose(
            found.word_probabilities(images), model.word_probabilities(images), atol=1e-5
        )
    assert list(found.class_names) == ["red", "grün", "青"]
    seen, expected = found.words(PICTURES, top=2), model.words(PICTURES, top=2)
    assert [[name for name, _ in row] for row in seen] == [[name for name, _ in row] for row in expected]


def test_no_images_give_no_rows(folder):
    assert ExportedModel.open(folder).predict([]).shape == (0, 3)


def test_an_array_of_another_kind_is_refused(folder):
    with pytest.raises(ShapeError, match=r"expected images as uint8 \[N, H, W, 3\]; got float64"):
        ExportedModel.open(folder).embed(np.zeros((2, 8, 8, 3)))


def test_a_model_without_a_head_embeds_and_does_not_predict(tmp_path):
    export(small_model(None, encoder="test_resnet", stem="standard"), out=tmp_path / "out")
    found = ExportedModel.open(tmp_path / "out")
    assert found.embed(PICTURES).shape == (6, 96)
    with pytest.raises(
        ModelError, match="expected an exported model with probabilities, found one with feat"
    ):
        found.predict(PICTURES)


def test_any_of_100_random_bits_of_any_file_is_refused(folder, tmp_path):
    copied, rng = tmp_path / "copy", random.Random(8)
    shutil.copytree(folder, copied)
    paths = sorted(copied.iterdir())
    assert {"model.onnx", "preparation.json", "names.json", "example.py", "README.md", MANIFEST} <= {
        path.name for path in paths
    }
    refused = 0
    for number in range(100):
        path = paths[number % len(paths)]  # in turn: by size alone nearly all would hit the weights
        released = path.read_bytes()
        changed = bytearray(released)
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
        path.write_bytes(changed)
        try:
            ExportedModel.open(copied)
        except ModelError as error:
            assert str(copied) in str(error)
            refused += 1
        path.write_bytes(released)
    assert refused == 100
    ExportedModel.open(copied)


def test_an_export_that_was_signed_with_another_key_is_refused(folder, tmp_path):
    out = tmp_path / "copy"
    shutil.copytree(folder, out)
    write_manifest(out, KEY)
    ExportedModel.open(out, key=KEY)
    (out / "example.py").write_text("import os")
    write_manifest(out, OTHER)  # as somebody who may write there, but has not the key
    ExportedModel.open(out)
    with pytest.raises(ModelError, match="was not signed with this key"):
        ExportedModel.open(out, key=KEY)


def test_what_was_put_into_the_folder_later_is_named(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "copy")
    (tmp_path / "copy/sitecustomize.py").write_text("import os")
    with pytest.raises(ModelError, match=r"sitecustomize\.py: is not in the folder's manifest"):
        ExportedModel.open(tmp_path / "copy")


@pytest.mark.parametrize("written", ["[]", "{", None])
def test_a_folder_that_is_no_export_is_said_to_be_none(tmp_path, written):
    if written is not None:
        (tmp_path / "manifest.json").write_text(written)
    with pytest.raises(ModelError, match="expected a manifest"):
        ExportedModel.open(tmp_path)


@pytest.mark.parametrize(
    "changed", [{"image_size": 10**6}, {"interpolation": "lanczos"}, {"crop_fraction": 0}, {"resize": None}]
)
def test_a_preparation_outside_its_range_is_refused(changed):
    with pytest.raises(ModelError, match="expected image_size in"):
        Preparation(**{"image_size": 32, **changed})


def test_nothing_here_imports_torch(folder, tmp_path):
    PICTURES[0].save(tmp_path / "a.png")
    code = (
        "import sys; from PIL import Image; from synsight.deployment.exported import ExportedModel\n"
        f"rows = ExportedModel.open({str(folder)!r}).predict([Image.open({str(tmp_path / 'a.png')!r})])\n"
        "print(rows.shape, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "(1, 3) False\n", done.stderr


BLOCKED = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"synsight", "torch", "timm", "torchvision", "onnx", "pyarrow", "lance"}:
            raise ImportError(f"{name} is not installed here")
sys.meta_path.insert(0, Blocker())
import runpy
sys.argv = ["example.py", *sys.argv[1:]]
runpy.run_path("example.py", run_name="__main__")
"""


def test_the_written_example_runs_where_synsight_and_torch_are_not_installed(folder, tmp_path):
    model = adapted()
    images = [*PICTURES[:2], Image.new("RGBA", (40, 30), (250, 10, 10, 90))]
    paths = []
    for number, image in enumerate(images):
        paths.append(tmp_path / f"{number}.png")
        image.save(paths[-1])
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED, *map(str, paths)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    data = [Path(path).read_bytes() for path in paths]
    for answer, row, seen in zip(answers, model.predict(data), model.words(data, top=3), strict=True):
        assert answer["labels"] == pytest.approx(
            dict(zip(model.class_names, map(float, row), strict=True)), abs=2e-4
        )
        assert answer["words"] == pytest.approx(dict(seen), abs=2e-4)
