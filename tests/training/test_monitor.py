"""What a monitor reads of an encoder, of which rows, how often, and in how many processes."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from tiny import COLOURS, KINDS, make_catalog, tiny_config
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook

from synsight.data.batches import Batch
from synsight.data.catalog import Catalog
from synsight.data.images import decode_image
from synsight.data.training_data import IMAGENET_MEAN, IMAGENET_STD
from synsight.data.views import plain_view
from synsight.distributed import World
from synsight.errors import ConfigError, DataError
from synsight.methods import Method
from synsight.metrics import acc1, rank_me, uniformity, unit_feature_spread, weighted_knn
from synsight.models import ModelConfig, load
from synsight.models.preparing import prepared
from synsight.training import RunConfig, train
from synsight.training.held_out import choose_rows, share_of, whole_of
from synsight.training.monitor import EMBED_COST, Monitor, build_monitor
from synsight.training.monitor_config import MonitorConfig
from synsight.training.readings import READINGS, Reading, from_numbers, to_numbers

LABEL_FREE = ["rankme", "alignment", "uniformity", "feature_spread", "lidar"]


@pytest.fixture(scope="module")
def larger(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    """With 15 held-out rows a class: enough for episodes."""
    return make_catalog(tmp_path_factory.mktemp("larger") / "cat", rows=300)


def colours() -> nn.Module:
    """An encoder that sees where which colour is, [B, 12]."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten())


def config_of(catalog: Catalog, **changes: object) -> RunConfig:
    return tiny_config("simclr", catalog.path, **changes)


def monitor_of(catalog: Catalog, **changes: object) -> Monitor:
    monitor, _ = build_monitor(config_of(catalog, **changes), catalog, rows=None, world=World())
    assert monitor is not None
    return monitor


def look(monitor: Monitor, method: Method | nn.Module | None = None) -> Reading:
    return monitor.look(method or colours(), device=torch.device("cpu"), autocast=nullcontext())


def features_by_hand(catalog: Catalog, positions: np.ndarray) -> np.ndarray:
    """The rows' images, decoded, resized, normalised and encoded one by one."""
    rows = []
    for data in catalog.take(positions, ["image"])["image"].to_pylist():
        pixels = plain_view(decode_image(data), image_size=16).astype(np.float64) / 255
        pixels = (pixels - np.array(IMAGENET_MEAN)) / np.array(IMAGENET_STD)
        rows.append(pixels.reshape(2, 8, 2, 8, 3).mean(axis=(1, 3)).transpose(2, 0, 1).ravel())
    return np.array(rows)


class Speaking(Method):
    """Names a colour by its RGB values, whatever the sentence around it."""

    def loss(self, batch: Batch, world: World) -> Any:
        raise NotImplementedError

    def represent(self, batch: Batch) -> dict[str, Tensor]:
        raise NotImplementedError

    def compare(self, rows: Any, batch: Batch, world: World) -> Any:
        raise NotImplementedError

    def text_embeddings(self, texts: Sequence[str]) -> Tensor:
        self.heard = list(texts)
        rgb = [next((COLOURS[kind] for kind in KINDS if kind in text), (1, 1, 1)) for text in texts]
        values = torch.tensor(rgb) / 255
        return (values - torch.tensor(IMAGENET_MEAN)) / torch.tensor(IMAGENET_STD)

    def image_embeddings(self, features: Tensor) -> Tensor:
        return features.reshape(len(features), 3, -1).mean(dim=2)


def test_every_reading_is_taken_of_a_method_with_labels_and_text(larger: Catalog):
    reading = look(monitor_of(larger), Speaking(colours(), embedding_dim=12))
    assert list(reading.values) == [name for name in READINGS if name != "head_acc1"]
    assert reading.values["knn_acc1"] > 0.9 and reading.values["zeroshot_acc1"] > 0.9
    assert reading.values["fewshot_acc1"] > 0.9  # four ways of five shots


def test_the_readings_are_the_metrics_of_the_held_out_rows(larger: Catalog):
    train_rows, val_rows = larger.positions("split = 'train'"), larger.positions("split = 'val'")
    train_features, val_features = (features_by_hand(larger, rows) for rows in (train_rows, val_rows))
    train_labels, val_labels = (
        np.array([KINDS.index(kind) for kind in larger.take(rows, ["kind"])["kind"].to_pylist()])
        for rows in (train_rows, val_rows)
    )
    votes = weighted_knn(train_features, train_labels, val_features, num_classes=4, k=20)
    reading = look(monitor_of(larger))
    right = votes.argmax(axis=1) == val_labels
    assert reading.hits is not None and (reading.hits == right).all()
    assert reading.chosen == reading.values["knn_acc1"] == acc1(val_labels, votes.argmax(axis=1))
    assert reading.standard_error == pytest.approx(np.std(right) / np.sqrt(len(right)))
    assert reading.values["rankme"] == pytest.approx(rank_me(val_features), rel=1e-4)
    assert reading.values["uniformity"] == pytest.approx(uniformity(val_features), rel=1e-4)
    assert reading.values["feature_spread"] == pytest.approx(unit_feature_spread(val_features), rel=1e-4)


def test_chance_is_the_most_frequent_class_and_one_of_the_ways(larger: Catalog, tmp_path: Path):
    train, val = (
        larger.take(larger.positions(f"split = '{split}'"), ["kind"])["kind"].to_pylist()
        for split in ("train", "val")
    )
    frequent = max(sorted(set(train)), key=train.count)
    chances = monitor_of(larger).chances
    assert chances["knn_acc1"] == val.count(frequent) / len(val)
    assert (
        chances["fewshot_acc1"] == chances["zeroshot_acc1"] == 1 / 4
    )  # five ways are asked for, four are there
    unlabelled = make_catalog(tmp_path / "cat", label=False)
    assert monitor_of(unlabelled, label=None).chances == {}


def test_without_labels_the_rest_is_read_and_the_reason_is_said(tmp_path: Path):
    catalog = make_catalog(tmp_path / "cat", label=False)
    monitor, reason = build_monitor(config_of(catalog, label=None), catalog, rows=None, world=World())
    assert monitor is not None
    assert reason == monitor.missing(colours()) == "no label column was named (--label)"
    reading = look(monitor)
    assert list(reading.values) == [name for name in READINGS if name in LABEL_FREE]
    assert reading.chosen is None and reading.hits is None
    ranked = monitor_of(catalog, label=None, **{"monitor.metric": "rankme"})
    assert ranked.missing(colours()) == ""
    assert look(ranked).chosen == reading.values["rankme"]


def test_without_held_out_rows_there_is_no_monitor(catalog: Catalog):
    config = config_of(catalog, **{"monitor.where": "split = 'dev'"})
    monitor, reason = build_monitor(config, catalog, rows=None, world=World())
    assert monitor is None and reason == "the catalog has no rows where split = 'dev'"


def test_without_labelled_neighbours_the_episodes_are_left(larger: Catalog):
    changes = {"where": "split = 'dev'", "monitor.metric": "fewshot_acc1"}
    monitor, reason = build_monitor(config_of(larger, **changes), larger, rows=None, world=World())
    assert monitor is not None and reason == "the catalog has no labelled training rows"
    reading = look(monitor)
    assert "knn_acc1" not in reading.values
    assert reading.chosen == reading.values["fewshot_acc1"]
    assert reading.standard_error is not None and reading.hits is None


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"monitor.metric": "none"}, "monitor.metric is none"),
        ({"monitor.metric": "zeroshot_acc1"}, "the method reads no text"),
        ({"monitor.metric": "fewshot_acc1"}, "no two classes have more than 5 held-out rows"),
        ({"monitor.metric": "lidar", "monitor.views_rows": 0}, "no views of two held-out rows or more"),
    ],
)
def test_a_reading_that_cannot_be_taken_has_its_reason(catalog: Catalog, changes: dict[str, Any], why: str):
    monitor = monitor_of(catalog, **changes)
    assert monitor.missing(colours()).startswith(why)
    assert look(monitor).chosen is None


def test_only_the_rows_trained_on_serve_as_neighbours(larger: Catalog):
    red_and_blue = larger.positions("split = 'train' AND kind IN ('red', 'blue')")
    held_out, _ = choose_rows(config_of(larger), larger, rows=red_and_blue, world=World())
    assert held_out is not None and held_out.train is not None and held_out.train_labels is not None
    assert held_out.train.total == len(red_and_blue)
    assert {held_out.class_names[one] for one in held_out.train_labels} == {"red", "blue"}
    assert held_out.class_names == KINDS  # the others are asked about all the same


def test_held_out_images_are_prepared_as_the_saved_model_will_prepare_them(catalog: Catalog):
    shown = ModelConfig(
        encoder="test_vit",
        image_size=16,
        embedding_dim=1,
        mean=(0.1, 0.2, 0.3),
        std=(0.4, 0.5, 0.6),
        crop_fraction=0.8,
        interpolation="bilinear",
        resize="squash",
    )
    held_out, _ = choose_rows(config_of(catalog), catalog, rows=None, world=World(), model=shown)
    assert held_out is not None and held_out.train is not None
    assert {(one.mean, one.std) for one in (held_out.val, held_out.train)} == {(shown.mean, shown.std)}
    asked = catalog.take(catalog.positions("split = 'val'"), ["image"])["image"].to_pylist()
    assert torch.equal(held_out.val.share[:, 0], prepared(asked, shown))


def test_the_rows_can_come_from_another_catalog_and_column(catalog: Catalog, larger: Catalog):
    names = {
        "monitor.data": str(larger.path),
        "monitor.label": "split",
        "monitor.train_where": "kind = 'red'",
    }
    config = config_of(catalog, label=None, **names, **{"monitor.where": "kind = 'blue'"})
    held_out, reason = choose_rows(config, catalog, rows=np.arange(3), world=World())
    assert reason == "" and held_out is not None and held_out.train is not None
    assert held_out.train.total == larger.count_rows("kind = 'red'")
    assert held_out.val.total == larger.count_rows("kind = 'blue'")
    assert held_out.class_names == ("train", "val")


def test_a_column_that_is_not_there_names_the_near_ones(catalog: Catalog):
    with pytest.raises(DataError, match="no column 'kinds' to monitor by; did you mean 'kind'"):
        build_monitor(config_of(catalog, **{"monitor.label": "kinds"}), catalog, rows=None, world=World())


def test_fewer_rows_are_drawn_by_the_seed_and_views_are_of_rows_that_are_asked_about(larger: Catalog):
    few = {"monitor.train_rows": 10, "monitor.val_rows": 30, "monitor.views_rows": 7}
    monitor = monitor_of(larger, **few)
    assert monitor.rows == (10, 30)
    assert monitor.images == 10 + 30 + 7 * 4
    again, other = monitor_of(larger, **few), monitor_of(larger, seed=1, **few)
    assert look(again).values == look(monitor).values != look(other).values


def test_the_encoder_comes_back_in_its_mode_and_unchanged(catalog: Catalog):
    encoder = nn.Sequential(nn.BatchNorm2d(3), nn.Flatten())
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    for mode in (True, False):
        encoder.train(mode)
        look(monitor_of(catalog), encoder)
        assert encoder.training is encoder[0].training is mode
    assert all((value == before[name]).all() for name, value in encoder.state_dict().items())


def test_views_that_change_nothing_align_and_a_blind_encoder_has_collapsed(catalog: Catalog):
    class Blind(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return torch.ones(len(images), 5)

    values = look(monitor_of(catalog), Blind()).values
    assert values["alignment"] == pytest.approx(0, abs=1e-6)
    assert values["uniformity"] == pytest.approx(0, abs=1e-5)
    assert values["rankme"] == pytest.approx(1, abs=1e-3)
    assert values["feature_spread"] == pytest.approx(0, abs=1e-6)
    seen = look(monitor_of(catalog)).values
    assert seen["alignment"] > 0.01 and seen["uniformity"] < -0.1 and seen["rankme"] > 1.5


def test_features_that_are_no_numbers_are_an_error(catalog: Catalog):
    with pytest.raises(DataError, match="features must be finite numbers"):
        look(monitor_of(catalog), nn.Sequential(nn.Flatten(), nn.Linear(768, 4).apply(_broken)))


def _broken(layer: nn.Linear) -> None:
    nn.init.constant_(layer.weight, float("nan"))


def test_class_names_are_put_into_sentences_whose_embeddings_are_averaged(catalog: Catalog):
    method = Speaking(colours(), embedding_dim=12)
    templates = ("a photo of a {}.", "{} things")
    monitor = monitor_of(catalog, **{"monitor.zero_shot_templates": templates})
    assert look(monitor, method).values["zeroshot_acc1"] > 0.9
    assert method.heard[:3] == ["a photo of a blue.", "blue things", "a photo of a green."]


# How often


@pytest.mark.parametrize(
    ("batch_size", "num_views", "total_steps"), [(16, 2, 999), (128, 1, 5000), (7, 3, 640)]
)
@pytest.mark.parametrize("share", [0.02, 0.05])
def test_all_looks_together_stay_within_their_share(
    larger: Catalog, batch_size: int, num_views: int, total_steps: int, share: float
):
    monitor = monitor_of(larger, **{"monitor.share": share, "monitor.every_steps": None})
    every = monitor.every_steps(batch_size=batch_size, num_views=num_views, total_steps=total_steps)
    looks = -(-total_steps // every)  # the last step is one of them
    work = total_steps * batch_size * num_views
    cost = monitor.images * EMBED_COST
    assert looks == 1 or looks * cost <= share * work
    assert (looks + 2) * cost * 1.5 > share * work  # and do not look much more seldom than they may


def test_a_short_run_is_looked_at_once_and_sentences_cost_as_images_do(larger: Catalog):
    monitor = monitor_of(larger, **{"monitor.every_steps": None})
    assert monitor.every_steps(batch_size=8, num_views=1, total_steps=5) == 5
    wordy = ("a photo of a {}.",) * 100
    speaking = monitor_of(larger, **{"monitor.every_steps": None, "monitor.zero_shot_templates": wordy})
    steps = {"batch_size": 64, "num_views": 2, "total_steps": 1000}
    assert speaking.every_steps(**steps) == monitor.every_steps(**steps)
    assert speaking.every_steps(**steps, reads_text=True) > monitor.every_steps(**steps)
    assert monitor.every_steps(**steps, work_per_image=0.25) > monitor.every_steps(**steps)
    assert monitor_of(larger, **{"monitor.every_steps": 7}).every_steps(**steps) == 7


@pytest.fixture
def counted() -> Iterator[dict[bool, int]]:
    """Images that went through an encoder, in training mode and not."""
    images = {True: 0, False: 0}

    def count(module: nn.Module, inputs: tuple[Any, ...], _: Any) -> None:
        if hasattr(module, "forward_features"):
            images[module.training] += len(inputs[0])

    hook = register_module_forward_hook(count)
    yield images
    hook.remove()


def test_in_a_whole_run_looking_takes_no_more_than_its_share(
    catalog: Catalog, tmp_path: Path, counted: dict[bool, int]
):
    config = config_of(catalog, steps=80, log_every=20, **{"monitor.every_steps": None})
    summary = train(config, out=tmp_path / "run")
    looks = sum(row["kind"] == "monitor" for row in summary.curve)
    assert looks == 2
    assert counted[False] * EMBED_COST <= MonitorConfig().share * counted[True]


def test_a_run_whose_reading_falls_for_good_ends_and_keeps_the_peak(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    accuracies = iter([0.3, 0.6, *np.linspace(0.5, 0.1, 20)])

    def falling(*_: Any, **__: Any) -> Reading:
        hits = np.arange(1000) < 1000 * next(accuracies)
        return Reading(values={"knn_acc1": hits.mean()}, chosen=float(hits.mean()), hits=hits)

    monkeypatch.setattr(Monitor, "look", falling)
    stopping = {"stopping.enabled": True, "stopping.begin": 0.0, "monitor.every_steps": 1}
    summary = train(config_of(catalog, steps=20, **stopping), out=tmp_path / "run")
    assert (summary.best_step, summary.steps) == (2, 6)  # four looks after the peak
    assert load(summary.model).config.trained_on["step"] == 2
    assert "k-NN accuracy peaked at 0.600 at step 2 of 20; the 4 steps after it" in summary.stopped_because


# In several processes


@pytest.mark.parametrize("total", [1, 2, 7, 12])
@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_shares_are_of_one_size_and_make_up_the_whole(total: int, size: int):
    shares = [share_of(total, World(rank=rank, size=size)) for rank in range(size)]
    assert len({len(share) for share in shares}) == 1
    joint = torch.from_numpy(np.concatenate(shares))
    assert whole_of(joint, total, World(size=size)).tolist() == list(range(total))


def test_a_reading_sent_as_numbers_arrives_whole():
    hits = np.array([True, False, True])
    sent = Reading(values={"knn_acc1": 2 / 3, "lidar": 5.5}, chosen=2 / 3, standard_error=0.1, hits=hits)
    arrived = from_numbers(to_numbers(sent, rows=3), metric="knn_acc1")
    assert arrived.values == sent.values
    assert (arrived.chosen, arrived.standard_error) == (sent.chosen, sent.standard_error)
    assert arrived.hits is not None and arrived.hits.tolist() == hits.tolist()
    empty = from_numbers(to_numbers(Reading(), rows=3), metric="knn_acc1")
    assert (empty.values, empty.chosen, empty.standard_error, empty.hits) == ({}, None, None, None)


def test_two_processes_read_what_one_reads(larger: Catalog, tmp_path: Path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    script = str(Path(__file__).with_name("monitor_process.py"))
    places = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(
            [sys.executable, script, str(larger.path), str(tmp_path)],
            env={**os.environ, **places, "RANK": str(rank)},
            stderr=subprocess.PIPE,
        )
        for rank in range(2)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=180)
        assert process.returncode == 0, errors.decode()
    first, second = (load_file(tmp_path / f"rank{rank}.safetensors")["reading"] for rank in range(2))
    assert first.tobytes() == second.tobytes()
    # An odd number of rows, so that the last share is filled up.
    reading = look(monitor_of(larger, **{"monitor.val_rows": 31}), Speaking(colours(), embedding_dim=12))
    np.testing.assert_allclose(first, to_numbers(reading, rows=31), rtol=1e-5)


# Settings


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("where", "split = 'test'", r"monitor\.where must not read the test rows"),
        ("train_where", "split = 'test'", r"monitor\.train_where must not read the test rows"),
        ("ways", 1, r"monitor\.ways must be at least 2; got 1"),
        ("views_per_row", 1, r"monitor\.views_per_row must be at least 2"),
        ("views_rows", -1, r"monitor\.views_rows must be at least 0"),
        ("share", 0.0, r"monitor\.share must lie in \(0, 1\]"),
        ("zero_shot_templates", ("a photo",), r"must be sentences with \{\} for the class name"),
    ],
)
def test_settings_out_of_range_are_refused(field: str, value: Any, rule: str):
    with pytest.raises(ConfigError, match=rule):
        MonitorConfig(**{field: value})
