"""The tasks `corruptions` and `resolution` on noisy squares and on stripes."""

import io

import numpy as np
import pytest
import torch
from made import make_catalog
from PIL import Image

from synsight.data.catalog import Catalog
from synsight.data.corrupting import corrupt
from synsight.errors import ConfigError, DataError, UsageError
from synsight.evaluation.altered import ask_clean
from synsight.evaluation.corruptions import corrupted_pixels, corruptions
from synsight.evaluation.judged import Judged
from synsight.evaluation.options import Options, Robustness
from synsight.evaluation.resolution import resolution, shrunk_image
from synsight.evaluation.rows import read_splits
from synsight.evaluation.subjects import model_features
from synsight.models import load
from synsight.seeding import generator

MODEL = "random:test_resnet.r160_in1k"
SIDE = 16


def stripes(columns):
    """Squares with stripes of one pixel, upright or lying: at half the side nobody can tell them apart."""
    pictures, kinds = [], []
    for row in range(len(columns["id"])):
        lying = row // 6 % 2 if row % 3 else row % 2
        level = np.where(np.arange(SIDE) % 2 == 0, 40, 215) + row % 7
        picture = np.repeat(np.broadcast_to(level, (SIDE, SIDE))[..., None], 3, axis=2).astype(np.uint8)
        out = io.BytesIO()
        Image.fromarray(picture.transpose(1, 0, 2) if lying else picture).save(out, "PNG")
        pictures.append(out.getvalue())
        kinds.append("lying" if lying else "upright")
    return {**columns, "image": pictures, "kind": kinds}


def judged(catalog: Catalog, model=MODEL, seed=0, **options) -> Judged:
    network, splits = load(model, image_size=SIDE), read_splits(catalog, "kind")
    return Judged(
        name="judged",
        model=network,
        catalog=catalog,
        version=catalog.version,
        splits=splits,
        options=Options(seed=seed, robustness=Robustness(**options)),
        out=catalog.path.parent / "ev",
        compute=lambda: model_features(network, catalog, splits, progress=False),
        progress=False,
    )


@pytest.fixture(scope="module")
def squares(tmp_path_factory):
    return make_catalog(tmp_path_factory.mktemp("altered") / "cat")


@pytest.fixture(scope="module")
def corrupted(squares):
    one = judged(squares, corruptions=("saturate", "gaussian_noise"), severities=(2, 5))
    return one, corruptions(one)


def values(scored, metric="acc1"):
    return {one.task: one.value for one in scored.results if one.metric == metric}


def test_each_corruption_is_answered_beside_the_clean_images_and_their_mean(corrupted):
    one, scored = corrupted
    found = values(scored)
    assert [*found] == [
        "corruptions",
        "corruptions:clean",
        "corruptions:saturate",
        "corruptions:gaussian_noise",
    ]
    parts = [found["corruptions:saturate"], found["corruptions:gaussian_noise"]]
    assert found["corruptions"] == pytest.approx(np.mean(parts))
    assert found["corruptions:clean"] > found["corruptions"]  # squares are told apart by their colour
    assert {record.n_test for record in scored.results} == {len(one.splits.test)}
    assert scored.results[0].details["severities"] == [2, 5]


def test_the_answer_is_the_clean_probe_on_features_of_corrupted_pixels(corrupted):
    one, scored = corrupted
    asked = ask_clean(one)
    rows = scored.predictions.filter(
        np.array([task == "corruptions:saturate" for task in scored.predictions["task"].to_pylist()])
    )
    assert rows["id"].to_pylist() == asked.rows.ids.tolist() * 2
    images = one.catalog.take(asked.rows.positions, ["image"])["image"].to_pylist()
    pixels = one.network.pixels(images).permute(0, 2, 3, 1).numpy()
    faded = np.stack([corrupt(picture, "saturate", severity=5, rng=generator(0)) for picture in pixels])
    features = one.network.features(torch.from_numpy(faded).permute(0, 3, 1, 2)).numpy()
    expected = asked.probe.probabilities(features).argmax(axis=1)
    names = np.array(one.splits.class_names)
    assert rows["prediction"].to_pylist()[len(expected) :] == names[expected].tolist()


def test_the_relative_drop_is_the_share_of_the_clean_accuracy_that_is_lost(corrupted):
    _, scored = corrupted
    found, drops = values(scored), values(scored, "acc1_relative_drop")
    assert "corruptions:clean" not in drops
    for task, drop in drops.items():
        assert drop == pytest.approx(1 - found[task] / found["corruptions:clean"])
    record = next(one for one in scored.results if one.metric == "acc1_relative_drop")
    assert record.ci_low <= record.value <= record.ci_high
    assert record.details["clean_acc1"] == found["corruptions:clean"]


def test_chance_is_the_seeds_and_the_rows_and_not_that_of_the_batch(squares):
    model = load(MODEL, image_size=SIDE)
    images = [Image.new("RGB", (20, 20), colour) for colour in ("red", "green", "blue")]
    kinds = [("gaussian_noise", 2)]
    (three,) = corrupted_pixels(model, images, ["a", "b", "c"], kinds=kinds, seed=1)
    (last,) = corrupted_pixels(model, images[2:], ["c"], kinds=kinds, seed=1)
    (other,) = corrupted_pixels(model, images[2:], ["c"], kinds=kinds, seed=2)
    assert torch.equal(three[2:], last)
    assert not torch.equal(last, other)


def test_many_test_rows_are_cut_to_a_drawn_few_that_the_details_count(squares):
    few = judged(squares, rows=7, corruptions=("contrast",), severities=(3,))
    first, again = corruptions(few), corruptions(few)
    assert {record.n_test for record in first.results} == {7}
    assert first.results[0].details["test_rows_asked"] == 7
    assert first.results[0].details["test_rows"] == len(few.splits.test)
    assert first.predictions.equals(again.predictions)
    others = judged(squares, rows=7, corruptions=("contrast",), severities=(3,), seed=1)
    assert set(corruptions(others).predictions["id"].to_pylist()) != set(first.predictions["id"].to_pylist())


def test_stripes_are_told_apart_at_full_size_and_not_at_a_half(tmp_path):
    scored = resolution(judged(make_catalog(tmp_path / "cat", change=stripes), resolutions=(2, 4)))
    found = values(scored)
    assert [*found] == ["resolution:clean", "resolution:2", "resolution:4"]
    assert found["resolution:clean"] > 0.95
    assert found["resolution:2"] < 0.75
    assert next(one for one in scored.results if one.task == "resolution:4").details["side_divided_by"] == 4


def test_a_shrunk_image_is_the_mean_of_what_it_covers_and_never_empty():
    picture = np.zeros((8, 8, 3), np.uint8)
    picture[:, 4:] = 200
    found = np.asarray(shrunk_image(Image.fromarray(picture), factor=4))
    assert found.shape == (2, 2, 3)
    assert found[:, 0].max() < 20 and found[:, 1].min() > 180
    assert shrunk_image(Image.new("RGB", (3, 90)), factor=8).size == (1, 11)


def test_without_a_network_the_model_is_asked_for(squares):
    one = judged(squares)
    one.model = None
    for task in (corruptions, resolution):
        with pytest.raises(UsageError, match="judged: this task shows the network images"):
            task(one)


def test_what_cannot_be_asked_is_said_before_anything_is_computed(squares):
    with pytest.raises(ConfigError, match=r"'fogg'; .*fog"):
        corruptions(judged(squares, corruptions=("fogg",)))
    with pytest.raises(ConfigError, match="needs a severity"):
        corruptions(judged(squares, severities=()))
    with pytest.raises(ConfigError, match="must be > 1; got"):
        resolution(judged(squares, resolutions=(1,)))
    one = judged(squares)
    one.splits = type(one.splits)(**{**vars(one.splits), "val": one.splits.val.take(np.arange(0))})
    with pytest.raises(DataError, match="val split has no labelled row"):
        resolution(one)
