"""What detection leaves for COCO's tools, read as such a tool reads it: from the two files alone."""

import json

import pytest
from faster_coco_eval import COCO, COCOeval_faster
from shapes import SIDE, make_shapes

import synsight.files as files
from synsight.cli.app import main
from synsight.data.catalog import Catalog
from synsight.data.written_reports import written_reports
from synsight.errors import StorageError
from synsight.finetuning.coco_files import FOUND, TRUTH, write_coco
from synsight.finetuning.detection import detect

ENCODER = "random:test_resnet"
HOSTILE = ("../<script>alert(1)</script>", "=cmd|'/c calc'!A1 \"\n\u2028 ひび\x00")
SETTINGS = {
    "image_size": 64,
    "batch_size": 4,
    "lr": 3e-3,
    "channels": 16,
    "head_width": 32,
    "regions": 8,
    "proposals": 30,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("coco")
    make_shapes(path / "cat", names=HOSTILE, id_of=lambda number: f"../../{number}\n\"é'{'x' * 300}")
    return path


@pytest.fixture(scope="module")
def detected(folder):
    return detect(ENCODER, data=folder / "cat", out=folder / "ev", steps=30, **SETTINGS)


def coco_folder(results, out):
    (path,) = {one.details["coco_files"] for one in results}
    return out / path


def scored_from_files(path, word):
    truth = COCO(str(path / TRUTH), print_function=lambda *_: None)
    evaluator = COCOeval_faster(truth, truth.loadRes(str(path / FOUND)), word, print_function=lambda *_: None)
    evaluator.evaluate()
    evaluator.accumulate()
    evaluator.summarize()
    return evaluator.stats[:2].tolist()


@pytest.mark.parametrize(("kind", "word"), [("box", "bbox"), ("mask", "segm")])
def test_scoring_the_two_files_gives_the_reported_numbers_whatever_ids_and_classes_are_called(
    detected, folder, kind, word
):
    values = {one.metric: one.value for one in detected}
    expected = [values[f"{kind}_ap"], values[f"{kind}_ap50"]]
    assert expected[1] > 0.1
    assert scored_from_files(coco_folder(detected, folder / "ev"), word) == pytest.approx(expected, abs=1e-12)


def test_the_files_name_the_test_rows_and_the_classes_and_hold_no_other_field(detected, folder):
    path = coco_folder(detected, folder / "ev")
    truth, found = (json.loads((path / name).read_text("ascii")) for name in (TRUTH, FOUND))
    catalog = Catalog.open(folder / "cat")
    ids = catalog.table(["id"], where="split = 'test'")["id"].to_pylist()
    assert [one["file_name"] for one in truth["images"]] == sorted(ids)
    assert [(one["height"], one["width"]) for one in truth["images"]] == [(SIDE, SIDE)] * 8
    assert truth["categories"] == [{"id": at, "name": name} for at, name in enumerate(sorted(HOSTILE), 1)]
    numbers = {one["id"] for one in truth["images"]}
    for one in truth["annotations"]:
        assert set(one) == {"id", "image_id", "category_id", "bbox", "area", "iscrowd", "segmentation"}
    for one in found:
        assert set(one) == {"image_id", "category_id", "bbox", "score", "segmentation"}
        assert one["image_id"] in numbers and one["category_id"] in (1, 2)
        assert one["segmentation"]["size"] == [SIDE, SIDE]
        left, top, width, height = one["bbox"]
        assert min(left, top, width, height) >= 0 and max(left + width, top + height) <= SIDE + 1e-3


def test_asked_again_the_same_bytes_stand_in_the_same_place_and_others_beside_them(detected, folder):
    before = {path: path.read_bytes() for path in (folder / "ev/coco").rglob("*.json")}
    assert len(before) == 2
    assert set(before) <= set(written_reports(Catalog.open(folder / "cat"))), "a purge names them"
    (coco_folder(detected, folder / "ev") / FOUND).write_text("[")  # as if another program had cut it
    again = detect(ENCODER, data=folder / "cat", out=folder / "ev", steps=30, **SETTINGS)
    assert {path: path.read_bytes() for path in (folder / "ev/coco").rglob("*.json")} == before
    assert coco_folder(again, folder / "ev") == coco_folder(detected, folder / "ev")
    other = detect(ENCODER, data=folder / "cat", out=folder / "ev", steps=1, masks=False, **SETTINGS)
    assert {path: path.read_bytes() for path in before} == before
    path = coco_folder(other, folder / "ev")
    assert path != coco_folder(detected, folder / "ev")
    truth = json.loads((path / TRUTH).read_text())
    assert truth["annotations"] and not any("segmentation" in one for one in truth["annotations"])
    value = next(one.value for one in other if one.metric == "box_ap")
    assert scored_from_files(path, "bbox")[0] == pytest.approx(value, abs=1e-12)


def test_a_kept_detector_that_is_judged_again_leaves_them_too_and_the_command_says_where(
    detected, folder, tmp_path, capsys
):
    trained = folder / "ev" / detected[0].details["trained_model"]
    words = ["evaluate", str(trained), "--tasks", "detection", "--data", str(folder / "cat")]
    assert main([*words, "--out", str(tmp_path / "again")]) == 0
    said = "".join(capsys.readouterr().out.split())
    (path,) = (tmp_path / "again/coco").iterdir()
    assert f"forCOCO'stools:{path}" in said
    for name in (TRUTH, FOUND):
        assert (path / name).read_bytes() == (coco_folder(detected, folder / "ev") / name).read_bytes()


def test_files_that_cannot_be_written_leave_the_former_ones(tmp_path, monkeypatch):
    image = {"id": 1, "file_name": "a", "height": 2, "width": 2}
    write_coco(tmp_path / "run", images=[image], annotations=[], detections=[], classes=["a"])
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    assert sorted(before) == [FOUND, TRUTH]

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "sync_tree", full)
    with pytest.raises(StorageError, match="No space left"):
        write_coco(tmp_path / "run", images=[image], annotations=[], detections=[{}], classes=["b"])
    assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
