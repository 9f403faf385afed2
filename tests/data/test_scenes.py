import json

import numpy as np
import pytest
from PIL import Image

from synsight.cli import main
from synsight.data import Catalog, samples
from synsight.data.export import export_coco
from synsight.data.ingestion import ingest_source
from synsight.data.instances import read_instances
from synsight.data.scenes import CutOut, SceneConfig, SceneSource, compose, cut_out
from synsight.errors import ConfigError, UsageError

CONFIG = SceneConfig(scenes=(6, 1, 3), classes=("activities",), side=48)


@pytest.fixture(scope="module")
def source():
    return SceneSource(CONFIG)


def test_a_scene_is_a_function_of_its_seed_and_number(source):
    first, again = source.scene("train", 3), SceneSource(CONFIG).scene("train", 3)
    np.testing.assert_array_equal(first.pixels, again.pixels)
    np.testing.assert_array_equal(first.masks, again.masks)
    assert not np.array_equal(first.pixels, source.scene("train", 4).pixels)


def test_what_is_pasted_later_hides_what_lies_below_and_masks_never_overlap():
    white = np.full((10, 10, 3), 255, np.uint8)
    drawing = CutOut(white, np.ones((10, 10), bool), "square")
    config = SceneConfig(side=32, objects=(6, 6), sizes=(0.4, 0.5), least_visible=0.5)
    scene = compose([drawing], config, rng=np.random.default_rng(0))
    assert np.sum(scene.masks, axis=0).max() == 1
    pasted = (scene.pixels == 255).all(axis=2)
    assert all(pasted[mask].all() for mask in scene.masks)
    assert all(mask.sum() > 0.5 * (0.4 * 32 - 1) ** 2 for mask in scene.masks)
    assert len(scene.masks) < 6


def test_a_drawing_is_cut_out_by_its_alpha_or_by_the_white_around_it(tmp_path):
    pixels = np.full((12, 12, 3), 255, np.uint8)
    pixels[2:10, 2:10] = (200, 30, 30)
    pixels[5:7, 5:7] = 255  # a white spot inside belongs to the drawing
    Image.fromarray(pixels).save(tmp_path / "plain.png")
    expected = np.zeros((12, 12), bool)
    expected[2:10, 2:10] = True
    np.testing.assert_array_equal(cut_out((tmp_path / "plain.png").read_bytes()), expected)
    alpha = np.dstack([pixels, np.where(expected, 255, 0).astype(np.uint8)])
    alpha[5:7, 5:7, 3] = 0
    Image.fromarray(alpha).save(tmp_path / "alpha.png")
    expected[5:7, 5:7] = False
    np.testing.assert_array_equal(cut_out((tmp_path / "alpha.png").read_bytes()), expected)


def test_no_drawing_comes_in_two_splits(source):
    seen = [{drawing.pixels.tobytes() for drawing in source._drawings[name]} for name in ("train", "test")]
    assert seen[0]
    assert seen[1]
    assert not seen[0] & seen[1]


def test_scenes_written_as_coco_files_come_back_through_the_command_with_boxes_and_masks(
    source, tmp_path, capsys
):
    summary = ingest_source(source, name="scenes", out=tmp_path / "cat")
    assert summary.splits == {"train": 6, "val": 1, "test": 3}
    catalog = Catalog.open(tmp_path / "cat")
    _, instances = export_coco(catalog, tmp_path / "coco")
    content = json.loads(instances.read_text())
    assert all(one["segmentation"]["size"] == [48, 48] for one in content["annotations"])
    for image, split in zip(content["images"], ["train"] * 8 + ["test"] * 2, strict=True):
        image["split"] = split
    content["annotations"][0]["segmentation"] = [[1, 2]]
    content["annotations"][1]["iscrowd"] = 1
    content["annotations"].append({"image_id": 1, "category_id": 1, "bbox": [0, 0, float("nan"), 10**400]})
    instances.write_text(json.dumps(content))
    assert main(["ingest", str(instances), "--out", str(tmp_path / "again"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 10
    columns = ["boxes", "box_categories", "box_masks", "split"]
    before, after = (Catalog.open(tmp_path / name).table(columns).to_pylist() for name in ("cat", "again"))
    assert [row["boxes"] for row in before] == [row["boxes"] for row in after]
    assert [row["split"] for row in after] == ["train"] * 8 + ["test"] * 2
    assert after[0]["box_masks"][0] == "[[1, 2]]"
    assert before[-1]["box_masks"] == [one.replace(" ", "") for one in after[-1]["box_masks"]]
    row = Catalog.open(tmp_path / "again").table([*columns, "box_crowds"]).to_pylist()[-1]
    scene = source.scene("test", 2)
    found = read_instances(row, ("activities",), height=48, width=48, masks=True)
    np.testing.assert_array_equal(found.masks, scene.masks)


@pytest.mark.parametrize(
    "changed", [{"side": 8}, {"sizes": (0.5, 0.2)}, {"objects": (0, 2)}, {"scenes": (1, 1, -1)}]
)
def test_a_setting_out_of_its_range_is_named(changed):
    with pytest.raises(ConfigError, match=r"scenes need|objects must"):
        SceneConfig(**changed)


def test_scenes_are_a_sample(tmp_path, monkeypatch, source):
    monkeypatch.setattr(samples, "SceneSource", lambda: source)
    assert samples.sample("scenes", out=tmp_path / "cat").rows == 10
    assert "box_masks" in Catalog.open(tmp_path / "cat").columns
    with pytest.raises(UsageError, match="did you mean 'scenes'"):
        samples.sample("scene", out=tmp_path / "other")


def test_unknown_categories_name_the_known_ones():
    with pytest.raises(ConfigError, match="smileys-emotion"):
        SceneSource(SceneConfig(classes=("cars",))).scene("train", 0)
