"""LoRA: what is learnt is merged into plain weights, and only what is said to learn does."""

import sys

import numpy as np
import pytest
import torch
from torch import nn

from synsight.data.views import normalise
from synsight.errors import ConfigError, MissingDependency, ModelError, ShapeError
from synsight.finetuning import lora
from synsight.finetuning.lora import LoraSettings, fit_lora
from synsight.models import Model, load

peft = pytest.importorskip("peft")
SIZE = 16
SHORT = LoraSettings(rank=2, epochs=1, least_steps=12, most_steps=12, batch_size=8, lr=5e-3)


def model(name: str = "random:test_resnet.r160_in1k") -> Model:
    return load(name, image_size=SIZE)


def pictures(rows: int = 48, *, seed: int = 0):
    """Squares whose colour is their class."""
    rng = np.random.default_rng(seed)
    labels = np.arange(rows) % 3
    colours = np.array([[200, 40, 40], [40, 170, 60], [40, 60, 200]])
    pixels = np.clip(colours[labels][:, None, None] + rng.normal(0, 60, (rows, SIZE, SIZE, 3)), 0, 255)
    return pixels.astype(np.uint8), labels.astype(np.int64)


@pytest.mark.parametrize("name", ["random:test_resnet.r160_in1k", "random:test_vit.r160_in1k"])
def test_what_comes_out_is_a_plain_encoder_of_the_same_layers(name):
    start = model(name)
    before = {key: value.clone() for key, value in start.encoder.state_dict().items()}
    pixels, labels = pictures()
    found = fit_lora(start, pixels, labels, settings=SHORT, progress=False)
    after = found.encoder.state_dict()
    assert list(after) == list(before)
    assert not any("lora" in key for key in after)
    assert any(not torch.equal(after[key], before[key]) for key in before)
    assert all(torch.equal(start.encoder.state_dict()[key], before[key]) for key in before)
    fixed = [key for key in before if "running" in key or "norm" in key or "bn" in key]
    assert fixed and all(torch.equal(after[key], before[key]) for key in fixed)
    assert 0 < found.trained_share < 0.5 and found.steps == 12


def test_merged_weights_answer_as_the_adapted_network_did(monkeypatch):
    kept = {}
    wrap = lora._with_matrices

    def spy(encoder, settings, seed):
        kept["wrapped"] = wrap(encoder, settings, seed)
        merge = kept["wrapped"].merge_and_unload

        def merged():
            with torch.inference_mode():
                kept["before"] = kept["wrapped"](kept["views"])
            return merge()

        kept["wrapped"].merge_and_unload = merged
        return kept["wrapped"]

    start = model()
    pixels, labels = pictures()
    shown = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    kept["views"] = normalise(shown, mean=start.config.mean, std=start.config.std)
    monkeypatch.setattr(lora, "_with_matrices", spy)
    found = fit_lora(start, pixels, labels, settings=SHORT, progress=False)
    with torch.inference_mode():
        torch.testing.assert_close(found.encoder(kept["views"]), kept["before"], atol=1e-4, rtol=1e-4)


def test_it_learns_and_a_seed_repeats_it():
    pixels, labels = pictures()
    test, truth = pictures(30, seed=1)
    first, again = (
        fit_lora(model(), pixels, labels, settings=SHORT, seed=3, progress=False) for _ in range(2)
    )
    shown = torch.from_numpy(test).permute(0, 3, 1, 2)
    start = model()
    with torch.inference_mode():
        views = normalise(shown, mean=start.config.mean, std=start.config.std)
        scores = [one.head(one.encoder(views)) for one in (first, again)]
    torch.testing.assert_close(scores[0], scores[1], rtol=0, atol=0)
    assert (scores[0].argmax(dim=1).numpy() == truth).mean() > 0.9


def test_lengths_follow_the_rows_between_the_bounds():
    settings = LoraSettings(epochs=10, batch_size=32, least_steps=50, most_steps=200)
    assert [settings.steps(rows) for rows in (10, 320, 10_000)] == [50, 100, 200]


def test_images_are_moved_with_their_edges_repeated():
    image = np.arange(16 * 3, dtype=np.uint8).reshape(4, 4, 3)
    moved = lora._shifted(image, 1, -2)
    assert (moved[1:, :2] == image[:-1, 2:]).all()
    assert (moved[0] == moved[1]).all() and (moved[:, 3] == moved[:, 2]).all()


def test_what_cannot_be_learnt_is_refused(monkeypatch):
    pixels, labels = pictures()
    with pytest.raises(ShapeError, match="expected a label in 0 to C - 1 for each of 48 images"):
        fit_lora(model(), pixels, np.zeros(48, np.int64), progress=False)
    with pytest.raises(ConfigError, match="LoRA needs positive settings"):
        LoraSettings(rank=0)
    with pytest.raises(ModelError, match="needs an encoder with linear layers"):
        lora._with_matrices(nn.Sequential(nn.ReLU()), SHORT, 0)
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(MissingDependency, match=r"pip install \"synsight\[lora\]\""):
        fit_lora(model(), pixels, labels, settings=SHORT, progress=False)
