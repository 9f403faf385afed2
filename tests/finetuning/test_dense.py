"""Detection and segmentation, end to end on squares and discs."""

import json
import os
import signal

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from shapes import SIDE, make_shapes

import synsight.finetuning.dense_run as dense_run
import synsight.finetuning.dense_task as dense_task
from synsight.cli.app import main
from synsight.data.catalog import Catalog
from synsight.data.instances import IGNORED, Instances, class_map
from synsight.data.trained_rows import content_hashes
from synsight.errors import ConfigError, DataError, Interrupted, ModelError, TrainingError, UsageError
from synsight.evaluation import evaluate
from synsight.evaluation.asking import TaskTable
from synsight.evaluation.judged import Subject
from synsight.evaluation.options import Options, Training
from synsight.evaluation.storage import read_predictions, read_results
from synsight.finetuning.coco_scores import CocoScores
from synsight.finetuning.dense_data import (
    Picture,
    as_batch,
    detection_target,
    letterboxed,
    mirrored,
    read_annotated,
    segmentation_target,
)
from synsight.finetuning.dense_task import encoder_at
from synsight.finetuning.dense_tasks import DENSE_TASKS
from synsight.finetuning.detection import detect, load_detector, placed
from synsight.finetuning.detectors import DetectionConfig, build_detector
from synsight.finetuning.feature_pyramid import Backbone, EncoderMaps
from synsight.finetuning.segmentation import load_segmenter, named_pixels, segment, segmentation_scores
from synsight.finetuning.segmenters import SegmentationConfig, dilated_maps
from synsight.models import load

ENCODER = "random:test_resnet"
SMALL = {"image_size": 64, "batch_size": 4, "lr": 3e-3, "channels": 32, "head_width": 64, "regions": 16}
TINY = {"image_size": 64, "batch_size": 4, "steps": 4, "lr": 3e-3}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("dense")
    make_shapes(path / "cat")
    return path


@pytest.fixture(scope="module")
def detected(folder):
    return detect(ENCODER, data=folder / "cat", out=folder / "ev", steps=40, proposals=50, **SMALL)


def test_a_detector_finds_squares_and_discs_it_has_never_seen(detected, folder):
    values = {one.metric: one.value for one in detected}
    assert list(values) == ["box_ap", "box_ap50", "mask_ap", "mask_ap50"]
    assert values["box_ap50"] > 0.5
    assert values["mask_ap50"] > 0.5
    assert values["box_ap"] < values["box_ap50"]
    for one in detected:
        assert one.ci_low <= one.value <= one.ci_high
        assert (one.task, one.n_test, one.baseline, one.n_labels) == ("detection", 8, 0.0, None)
        assert one.details["classes"] == ["disc", "square"]
        assert (one.details["frozen"], one.details["pretrained"]) == (False, False)
    assert [one.value for one in read_results(folder / "ev")] == [one.value for one in detected]
    assert read_predictions(folder / "ev").num_rows == 0


def test_a_finished_run_is_not_trained_again(detected, folder, monkeypatch):
    monkeypatch.setattr(dense_run, "_step", lambda *_: 1 / 0)
    again = detect(ENCODER, data=folder / "cat", out=folder / "ev", steps=40, proposals=50, **SMALL)
    assert [(one.value, one.config_hash) for one in again] == [
        (one.value, one.config_hash) for one in detected
    ]
    with pytest.raises(ZeroDivisionError):  # other settings are another run
        detect(ENCODER, data=folder / "cat", out=folder / "ev", steps=30, proposals=40, **SMALL)


def test_a_stopped_run_goes_on_as_if_it_had_not_been_stopped(folder, monkeypatch):
    call = {"data": folder / "cat", "channels": 16, "head_width": 32, "regions": 8, "proposals": 20, **TINY}
    whole = detect(ENCODER, out=folder / "whole", **call)
    stopping = dense_run.stop_signals
    steps = []
    monkeypatch.setattr(dense_run, "_step", counting(dense_run._step, steps))
    monkeypatch.setattr(dense_run, "stop_signals", lambda: stopped_after(stopping, steps, 2))
    with pytest.raises(Interrupted, match=r"after step 2 of 4, all saved"):
        detect(ENCODER, out=folder / "parts", **call)
    monkeypatch.setattr(dense_run, "stop_signals", stopping)
    resumed = detect(ENCODER, out=folder / "parts", **call)
    assert len(steps) == 4
    assert [one.details["last_loss"] for one in resumed] == [one.details["last_loss"] for one in whole]
    assert [one.value for one in resumed] == [one.value for one in whole]
    weights = [
        next((folder / name / "runs").glob("*/checkpoints/last/*.safetensors")) for name in ("whole", "parts")
    ]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def counting(step, steps):
    def counted(*arguments):
        steps.append(1)
        return step(*arguments)

    return counted


def stopped_after(stopping, steps, count):
    class Late:
        def __enter__(self):
            self.stop = stopping()
            self.inner = self.stop.__enter__()
            return self

        def __exit__(self, *error):
            return self.stop.__exit__(*error)

        @property
        def signal_name(self):
            return "SIGINT" if len(steps) >= count else None

    return Late()


def test_a_loss_that_is_no_number_ends_the_run(folder, tmp_path, monkeypatch):
    with pytest.raises(TrainingError, match="not finite at step"):
        segment(ENCODER, data=folder / "cat", out=tmp_path, **{**TINY, "lr": 1e30, "steps": 6})


def test_a_frozen_encoder_stays_as_it_is_and_its_task_has_a_name_of_its_own(folder, tmp_path):
    model = load(ENCODER)
    before = model.digest
    subject = Subject(
        name="untrained",
        model=model,
        catalog=(catalog := Catalog.open(folder / "cat")),
        version=catalog.version,
        options=Options(
            seed=3,
            training=Training(
                steps=2,
                overrides={"detection.image_size": "64", "detection.channels": 16, "optim.lr": 1.0},
            ),
        ),
        out=tmp_path,
    )
    scored = DENSE_TASKS["detection_frozen"](subject)
    assert {one.task for one in scored.results} == {"detection_frozen"}
    assert scored.results[0].details["frozen"] is True
    assert (scored.results[0].details["steps"], scored.results[0].seed) == (2, 3)
    assert model.digest == before
    subject.options.training.overrides["segmentation.chanels"] = 1
    with pytest.raises(UsageError, match="chanels"):
        DENSE_TASKS["segmentation"](subject)


def test_frozen_weights_get_no_gradient_and_fine_tuned_ones_do():
    for frozen in (True, False):
        maps = EncoderMaps(load(ENCODER).encoder, image_size=64)
        config = DetectionConfig(image_size=64, channels=16, head_width=16, frozen=frozen)
        detector = build_detector(maps, num_classes=2, config=config, masks=True)
        losses = detector([torch.randn(3, 64, 64)], [target_of_one()])
        assert set(losses) == {
            *("loss_classifier", "loss_box_reg", "loss_mask"),
            *("loss_objectness", "loss_rpn_box_reg"),
        }
        torch.stack(list(losses.values())).sum().backward()
        reached = [weight.grad is not None for weight in maps.encoder.parameters()]
        assert not any(reached) if frozen else all(reached)
        assert all(weight.grad is not None for weight in detector.roi_heads.parameters())


def target_of_one():
    mask = torch.zeros(1, 64, 64, dtype=torch.uint8)
    mask[0, 10:40, 8:30] = 1
    return {"boxes": torch.tensor([[8.0, 10, 30, 40]]), "labels": torch.tensor([2]), "masks": mask}


@pytest.mark.parametrize(
    ("name", "size", "strides", "simple"),
    [
        ("test_resnet", 96, [2, 4, 8, 16, 32], False),
        ("test_vit", 96, [16], True),
        ("test_convnext", 64, [4, 8, 16, 32], False),
        ("test_efficientnet", 64, [2, 4, 8, 16, 32], False),
    ],
)
def test_a_pyramid_of_four_strides_stands_on_a_hierarchy_and_on_a_plain_vit(name, size, strides, simple):
    maps = EncoderMaps(encoder_at(load(f"random:{name}"), size), image_size=size, name=name)
    assert maps.strides == strides
    backbone = Backbone(maps, channels=8, frozen=False)
    assert backbone.is_simple == simple
    made = backbone(torch.randn(2, 3, size, size))
    assert {key: tuple(one.shape) for key, one in made.items()} == {
        **{str(at): (2, 8, size // stride, size // stride) for at, stride in enumerate((4, 8, 16, 32))},
        "pool": (2, 8, -(-size // 64), -(-size // 64)),
    }


def test_a_vit_at_another_size_has_its_position_embeddings_interpolated():
    model = load("random:test_vit")
    size = model.config.image_size
    maps = EncoderMaps(encoder_at(model, size), image_size=size)
    twice = EncoderMaps(encoder_at(model, 2 * size), image_size=2 * size)
    grid = model.encoder.pos_embed.shape[1]
    assert twice.encoder.pos_embed.shape[1] > 2 * grid
    own = timm.create_model("test_vit", num_classes=0).eval()
    own.load_state_dict(model.encoder.state_dict())
    pixels = torch.randn(1, 3, size, size)
    expected = own.forward_intermediates(pixels, indices=1, norm=True, intermediates_only=True)[-1]
    torch.testing.assert_close(maps.eval()(pixels)[-1], expected)


def test_an_encoder_that_cannot_be_resized_is_tried_as_it_is(monkeypatch):
    """As CLIP's ResNets, of which only the pooling behind the maps knows a size."""

    def refuse(*_, **__):
        raise ModelError("the weights do not fit")

    monkeypatch.setattr(dense_task, "resize_backbone", refuse)
    model = load("random:test_resnet", image_size=96)
    maps = EncoderMaps(encoder_at(model, 64), image_size=64)
    assert maps.strides == [2, 4, 8, 16, 32]
    assert maps.encoder is not model.encoder


def test_patches_of_fourteen_pixels_are_brought_to_a_stride_of_sixteen():
    encoder = timm.create_model("test_vit", patch_size=14, img_size=70, num_classes=0)
    maps = EncoderMaps(encoder, image_size=64)
    assert (maps.side, maps.strides) == (70, [16])
    assert maps(torch.zeros(1, 3, 64, 64))[0].shape[-2:] == (4, 4)


def test_an_encoder_without_maps_is_named():
    with pytest.raises(ModelError, match=r"plain: expected an encoder whose stages give maps at 64 px"):
        EncoderMaps(torch.nn.Flatten(), image_size=64, name="plain")


def test_a_resnet_is_dilated_with_its_own_weights_and_a_vit_keeps_its_patches():
    model = load("random:resnet10t", image_size=64)
    for stride in (8, 16, 32):
        maps = dilated_maps(model, SegmentationConfig(image_size=64, output_stride=stride))
        assert maps.strides[-1] == stride
        weights = maps.encoder.state_dict()
        assert all(torch.equal(weights[key], value) for key, value in model.encoder.state_dict().items())
    vit = dilated_maps(load("random:test_vit"), SegmentationConfig(image_size=64, output_stride=8))
    assert vit.strides == [16]


def test_a_segmenter_learns_the_colours(folder, tmp_path):
    results = segment(
        ENCODER, data=folder / "cat", out=tmp_path, image_size=64, steps=30, batch_size=4, lr=3e-3
    )
    mean, share = results
    assert (mean.metric, share.metric, mean.task) == ("mean_iou", "pixel_accuracy", "segmentation")
    assert mean.value > mean.baseline + 0.15
    assert share.value > share.baseline
    assert mean.baseline == pytest.approx(share.baseline / 3)  # of three classes only the background
    assert mean.ci_low <= mean.value <= mean.ci_high
    assert list(mean.details["class_iou"]) == ["background", "disc", "square"]
    assert mean.value == pytest.approx(np.mean(list(mean.details["class_iou"].values())), abs=1e-4)


def test_intervals_of_segmentation_draw_groups_of_images():
    counts = np.array([[[8, 1], [8, 2], [9, 1]], [[2, 1], [3, 2], [3, 2]]])
    apart = segmentation_scores(counts, np.array([0, 1]))
    together = segmentation_scores(counts, np.array([4, 4]))
    value, baseline = apart["pixel_accuracy"]
    assert (value.value, value.low, value.high) == pytest.approx((12 / 15, 3 / 5, 9 / 10))
    assert baseline == pytest.approx(12 / 15)
    assert together["pixel_accuracy"][0].low == together["pixel_accuracy"][0].high == value.value
    assert apart["mean_iou"][0].value == pytest.approx((10 / 13 + 2 / 5) / 2)


def picture_of(height, width, size, corners):
    mask = np.zeros((height, width), bool)
    left, top, right, bottom = corners
    mask[top:bottom, left:right] = True
    instances = Instances(np.array([corners], np.float32), np.array([1]), np.zeros(1, bool), mask[None])
    image = Image.fromarray(np.where(mask[..., None], 200, 50).astype(np.uint8).repeat(3, axis=2))
    return Picture(*letterboxed(image, size), (height, width), instances)


@pytest.mark.parametrize("turn", [False, True])
def test_boxes_masks_and_pixels_stay_together_when_an_image_is_fitted_and_mirrored(turn):
    picture = picture_of(40, 80, 64, (10, 5, 30, 25))
    assert picture.filled == (32, 64)
    shown = mirrored(picture) if turn else picture
    target = detection_target(shown, mirrored=turn)
    left, right = (40, 56) if turn else (8, 24)
    torch.testing.assert_close(target["boxes"], torch.tensor([[left, 4.0, right, 20]]))
    assert target["labels"].tolist() == [2]
    expected = torch.zeros(64, 64, dtype=torch.uint8)
    expected[4:20, left:right] = 1
    assert torch.equal(target["masks"][0], expected)
    bright = torch.from_numpy(shown.pixels[..., 0] > 160)
    assert torch.equal(bright, expected.bool())
    classes = segmentation_target(shown, mirrored=turn)
    assert torch.equal(classes[:32] == 2, expected[:32].bool())
    assert (classes[32:] == IGNORED).all()
    batch = as_batch([shown], mean=(0.5,) * 3, std=(0.5,) * 3)
    assert (batch[0, :, 32:] == 0).all()
    assert batch[0, 0, 10, left + 2] == pytest.approx(200 / 127.5 - 1)


def test_what_is_found_in_the_square_is_placed_in_the_original():
    picture = picture_of(40, 80, 64, (10, 5, 30, 25))
    square = {
        "boxes": torch.tensor([[8.0, 4, 24, 20]]),
        "labels": torch.tensor([2]),
        "scores": torch.tensor([0.9]),
        "masks": torch.ones(1, 1, 28, 28),
    }
    found = placed(square, picture)
    np.testing.assert_allclose(found.boxes, picture.instances.boxes, atol=1e-5)
    assert found.labels.tolist() == [1]
    overlap = (found.masks[0] & picture.instances.masks[0]).sum() / (
        found.masks[0] | picture.instances.masks[0]
    ).sum()
    assert overlap > 0.9
    scores = torch.zeros(3, 64, 64)
    scores[0] = 0.5
    scores[2, 4:20, 8:24] = 1
    named = named_pixels(scores, picture)
    assert named.shape == (40, 80)
    assert (named == 2).sum() == pytest.approx(400, rel=0.15)
    assert (named[8:22, 13:27] == 2).all()


def test_only_annotated_rows_count_and_training_images_have_a_box(tmp_path):
    catalog = make_shapes(tmp_path / "cat", train=4, test=2)
    images = read_annotated(catalog)
    assert (len(images.train), len(images.test), images.classes) == (4, 2, ("disc", "square"))
    picture = next(images.pictures(images.test.positions[:1], size=SIDE, masks=True))
    assert picture.instances.masks.shape[1:] == (SIDE, SIDE)
    assert len(picture.instances) >= 1


def test_without_masks_boxes_are_judged_and_segmentation_says_what_is_missing(tmp_path):
    make_shapes(tmp_path / "cat", train=4, test=2, masks=False)
    results = detect(
        ENCODER,
        data=tmp_path / "cat",
        out=tmp_path / "ev",
        channels=16,
        head_width=16,
        **{**TINY, "steps": 1},
    )
    assert [one.metric for one in results] == ["box_ap", "box_ap50"]
    with pytest.raises(DataError, match=r"no column 'box_masks'"):
        segment(ENCODER, data=tmp_path / "cat", out=tmp_path / "seg", **TINY)


def test_a_catalog_without_boxes_says_where_they_come_from(tmp_path):
    from test_supervised import make_catalog

    make_catalog(tmp_path / "cat")
    with pytest.raises(DataError, match=r"expected a column 'boxes'.*COCO file of instances"):
        detect(ENCODER, data=tmp_path / "cat", out=tmp_path / "ev")


@pytest.mark.parametrize(
    ("kind", "changed"),
    [
        (DetectionConfig, {"image_size": 100}),
        (DetectionConfig, {"channels": 0}),
        (DetectionConfig, {"lr": 0}),
        (SegmentationConfig, {"output_stride": 4}),
        (SegmentationConfig, {"atrous_rates": ()}),
        (SegmentationConfig, {"warmup": 1.0}),
    ],
)
def test_a_setting_out_of_its_range_is_named(kind, changed):
    with pytest.raises(ConfigError, match=next(iter(changed))):
        kind(**changed)


def test_evaluate_asks_the_tasks_without_a_label(folder, tmp_path):
    results = evaluate(
        [ENCODER],
        data=folder / "cat",
        label=None,
        out=tmp_path,
        tasks=["segmentation_frozen", "detection"],
        table=TaskTable(label_free=DENSE_TASKS),
        options=Options(
            training=Training(
                steps=1,
                overrides={
                    **{f"{task}.image_size": 64 for task in ("detection", "segmentation")},
                    "detection.channels": 8,
                    "detection.head_width": 8,
                    "detection.masks": False,
                },
            ),
        ),
        progress=False,
    )
    assert [(one.task, one.metric) for one in results] == [
        ("segmentation_frozen", "mean_iou"),
        ("segmentation_frozen", "pixel_accuracy"),
        ("detection", "box_ap"),
        ("detection", "box_ap50"),
    ]
    assert results == read_results(tmp_path)


def kept_in(results, out):
    (folder,) = {one.details["trained_model"] for one in results}
    return out / folder


def test_a_trained_detector_is_a_folder_that_python_and_evaluate_read(detected, folder, tmp_path, capsys):
    """On a catalog whose classes are others, and that has nothing to train on."""
    detector = load_detector(kept_in(detected, folder / "ev"))
    assert (detector.classes, detector.config.steps) == (("disc", "square"), 40)
    make_shapes(tmp_path / "cat", train=0, test=6, names=("aaa", "square"), seed=9)
    images = Catalog.open(tmp_path / "cat").table(["image"])["image"].to_pylist()
    found = detector.detect(images)
    scores = [one.scores.max() for one in found]
    assert len(found) == 6 and np.mean(np.array(scores) > 0.5) > 0.5
    assert all(one.boxes.max() <= SIDE and one.masks.shape[1:] == (SIDE, SIDE) for one in found)
    words = ["evaluate", str(kept_in(detected, folder / "ev")), "--tasks", "detection", "--json"]
    assert main([*words, "--data", str(folder / "cat"), "--out", str(tmp_path / "same")]) == 0
    same = json.loads(capsys.readouterr().out)
    assert [(one["metric"], one["value"]) for one in same] == [(one.metric, one.value) for one in detected]
    assert main([*words, "--data", str(tmp_path / "cat"), "--out", str(tmp_path / "other")]) == 0
    other = {one["metric"]: one for one in json.loads(capsys.readouterr().out)}
    assert other["box_ap50"]["details"]["classes"] == ["aaa", "square", "disc"]
    assert 0.1 < other["box_ap50"]["value"] <= 0.5, "the squares are found, and nothing is called aaa"
    assert not (tmp_path / "other/runs").exists()


def test_a_trained_detector_is_a_model_like_any_other_and_knows_what_it_has_seen(detected, folder):
    model = load(kept_in(detected, folder / "ev"))
    catalog = Catalog.open(folder / "cat")
    (seen,), (unseen,) = (catalog.positions(f"split = '{one}'")[:1] for one in ("train", "test"))
    assert model.trained_rows.holds(content_hashes(catalog, np.array([seen, unseen]))).tolist() == [
        True,
        False,
    ]
    assert (model.config.image_size, model.config.method) == (64, "detection")
    images = catalog.take(np.array([seen]), ["image"])["image"].to_pylist()
    assert model.embed(images).shape == (1, model.config.embedding_dim)
    with pytest.raises(ModelError, match=r"expected a network for segmentation .* found 'detection'"):
        load_segmenter(kept_in(detected, folder / "ev"))


@pytest.mark.parametrize("encoder", ["random:test_vit", "random:test_resnet"])
def test_a_trained_segmenter_names_the_pixels_it_was_judged_by(folder, tmp_path, encoder):
    results = segment(encoder, data=folder / "cat", out=tmp_path, **{**TINY, "steps": 2})
    segmenter = load_segmenter(kept_in(results, tmp_path))
    images = read_annotated(Catalog.open(folder / "cat"))
    right = total = 0
    for picture in images.pictures(images.test.positions, size=64, masks=True):
        truth = class_map(picture.instances, height=SIDE, width=SIDE)
        (row,) = images.catalog.take(images.test.positions[total : total + 1], ["image"])["image"].to_pylist()
        named = segmenter.segment([row])[0]
        right += (named == truth)[truth != IGNORED].mean()
        total += 1
    assert right / total == pytest.approx(results[1].value, abs=2e-3)
    (path,) = tmp_path.glob("runs/*/model")
    (path / "dense.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match=r"dense\.safetensors"):
        load_segmenter(path)
    with pytest.raises(
        ModelError, match=r"expected a trained network for segmentation, found no dense\.json"
    ):
        load_segmenter(tmp_path)


def test_ctrl_c_in_a_training_or_in_its_judging_loses_nothing(folder, tmp_path, monkeypatch, capsys):
    words = [
        "evaluate",
        ENCODER,
        "--data",
        str(folder / "cat"),
        "--tasks",
        "detection_frozen",
        "--steps",
        "3",
    ]
    monkeypatch.setattr(dense_task, "override", small_override(dense_task.override))
    assert main([*words, "--out", str(tmp_path / "whole"), "--json"]) == 0
    whole = json.loads(capsys.readouterr().out)
    steps, real, words = [], dense_run._step, [*words, "--out", str(tmp_path / "parts"), "--json"]

    def step(*given):
        steps.append(1)
        if len(steps) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return real(*given)

    def stopped(*_, **__):
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(dense_run, "_step", step)
    assert main(words) == 130
    assert "run the same command again to go on" in " ".join(capsys.readouterr().err.split())
    with monkeypatch.context() as patched:
        patched.setattr(CocoScores, "add", stopped)
        assert main(words) == 130
    assert len(steps) == 3
    capsys.readouterr()
    assert main(words) == 0
    assert len(steps) == 3, "nothing is trained twice"
    found = json.loads(capsys.readouterr().out)
    assert [one["value"] for one in found] == [one["value"] for one in whole]
    assert [one["details"]["last_loss"] for one in found] == [one["details"]["last_loss"] for one in whole]


def small_override(real):
    small = {"image_size": 64, "batch_size": 2, "channels": 8, "head_width": 8, "proposals": 10, "regions": 4}
    return lambda config, changes: real(config, {**small, **changes})
