"""Models that read text: images and texts in one space, and classes known by name alone."""

import json
import socket
from dataclasses import replace

import numpy as np
import open_clip
import pytest
import torch
from named_models import add_clip, clip_file, shaken
from small_models import picture, small_model
from torch import nn
from torch.nn import functional as F

from synsight.errors import ConfigError, ModelError
from synsight.models import Model, load
from synsight.models.text import TextTower, TextTowerConfig
from synsight.models.text_side import TextSide

PICTURES = [picture(number) for number in range(4)]
NAMES = ["dog", "red car", "{}"]
SMALL = TextTowerConfig(width=16, layers=1, heads=2, context_length=10)


def reading_model(*, unit_features: bool = False, seed: int = 0) -> Model:
    """As a CLIP run leaves it: an encoder, a projection, and a text half."""
    torch.manual_seed(seed)
    plain = small_model(None)
    side = TextSide(
        shaken(TextTower(SMALL)),
        projection=nn.Linear(16, 6, bias=False),
        logit_scale=20.0,
        unit_features=unit_features,
    )
    config = replace(plain.config, projection_dim=6)
    return Model(plain.encoder, config, projection=nn.Linear(512, 6, bias=False), text=side, name="clip")


@pytest.fixture
def no_network(monkeypatch):
    asked = []

    def refuse(*arguments, **_):
        asked.append(arguments)
        raise OSError("no network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    yield
    assert not asked


def test_an_open_clip_model_says_what_open_clip_says(tmp_path):
    add_clip(tmp_path / "configs", "tiny-vit")
    path = clip_file(tmp_path / "weights", "tiny-vit")
    model = load(f"open-clip:tiny-vit/{path}")
    theirs, _, transform = open_clip.create_model_and_transforms("tiny-vit", pretrained=str(path))
    tokenise = open_clip.get_tokenizer("tiny-vit")
    with torch.inference_mode():
        texts = F.normalize(theirs.eval().encode_text(tokenise([f"a photo of a {one}." for one in NAMES])))
        images = F.normalize(theirs.encode_image(torch.stack([transform(one) for one in PICTURES])))
        expected = (theirs.logit_scale.exp() * images @ texts.T).softmax(dim=1)
    found = model.embed_texts([f"a photo of a {one}." for one in NAMES])
    np.testing.assert_allclose(found, texts, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(model.zero_shot(PICTURES, NAMES), expected, rtol=1e-3, atol=1e-5)


def test_a_saved_open_clip_model_keeps_its_text_half_unless_told(tmp_path, no_network):
    add_clip(tmp_path / "configs", "tiny-vit")
    path = clip_file(tmp_path / "weights", "tiny-vit")
    model = load(f"open-clip:tiny-vit/{path}")
    whole, images = (
        load(model.save_pretrained(tmp_path / str(with_text), with_text=with_text))
        for with_text in (True, False)
    )
    path.unlink()
    assert (whole.zero_shot(PICTURES, NAMES) == model.zero_shot(PICTURES, NAMES)).all()
    assert whole.digest == images.digest == model.digest
    with pytest.raises(ModelError, match="reads no text, so it knows no class by name alone"):
        images.zero_shot(PICTURES, NAMES)


@pytest.mark.parametrize("unit_features", [False, True])
def test_a_trained_model_comes_back_with_its_text_half_bit_for_bit(tmp_path, unit_features, no_network):
    model = reading_model(unit_features=unit_features)
    back = load(model.save_pretrained(tmp_path / "model"))
    assert back.config == model.config
    assert (back.zero_shot(PICTURES, NAMES) == model.zero_shot(PICTURES, NAMES)).all()
    again = load(back.save_pretrained(tmp_path / "again"))
    for file in ("model.safetensors", "config.json"):
        assert (tmp_path / "again" / file).read_bytes() == (tmp_path / "model" / file).read_bytes()
    assert again.embed_texts([]).shape == (0, 6)


def test_texts_and_zero_shot_by_hand():
    model = reading_model(unit_features=True)
    tower, projection = model.text.tower, model.text.projection.weight.double()
    templates = ["a {} x", "{}"]
    with torch.no_grad():
        features = tower(tower.tokenise([t.replace("{}", n) for n in NAMES for t in templates])).double()
        rows = (features / features.norm(dim=1, keepdim=True)) @ projection.T
        rows = (rows / rows.norm(dim=1, keepdim=True)).view(3, 2, 6).mean(dim=1)
        images = model.project(torch.from_numpy(model.embed(PICTURES))).double()
        cosines = F.cosine_similarity(images[:, None], rows[None], dim=2)
    expected = np.exp(20 * cosines.numpy())
    expected /= expected.sum(axis=1, keepdims=True)
    found = model.zero_shot(PICTURES, NAMES, templates=templates)
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)


def test_the_text_half_changes_no_feature_and_no_digest():
    model, other = reading_model(), reading_model()
    with torch.no_grad():
        other.text.projection.weight.add_(1)
    assert other.digest == model.digest
    with torch.no_grad():
        other.projection.weight.add_(1)
    assert other.digest != model.digest
    assert (other.embed(PICTURES) == model.embed(PICTURES)).all()


def test_reading_texts_leaves_each_part_in_its_mode():
    side = reading_model().text
    side.train()
    side.tower.eval()
    side.embed(["dog"])
    assert (side.training, side.projection.training, side.tower.training) == (True, True, False)


def test_a_template_without_a_place_for_the_name_is_refused():
    with pytest.raises(ConfigError, match=r"templates must hold '\{\}' for the name of a class; got"):
        reading_model().zero_shot(PICTURES, NAMES, templates=["a photo"])


def test_projection_and_text_must_agree_with_the_config(tmp_path):
    model = small_model(None)
    with pytest.raises(ModelError, match="speaks of a projection to 0 numbers, found Linear"):
        Model(model.encoder, model.config, projection=nn.Linear(512, 6, bias=False))
    with pytest.raises(ModelError, match="speaks of a text tower, found none"):
        Model(model.encoder, replace(model.config, text={"tower": {}}))


def edited(folder, **changes):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))
    return load(folder)


def test_a_damaged_text_half_is_refused_when_it_is_asked_for(tmp_path):
    folder = reading_model().save_pretrained(tmp_path / "model")
    expected = load(folder).embed(PICTURES)
    weights = bytearray((folder / "model.safetensors").read_bytes())
    place = weights.rindex(np.float32(20.0).tobytes())  # the logit scale
    weights[place + 3] ^= 1
    (folder / "model.safetensors").write_bytes(weights)
    model = load(folder)
    assert (model.embed(PICTURES) == expected).all()
    with pytest.raises(ModelError, match="the weights are not those that were saved"):
        model.embed_texts(["dog"])


@pytest.mark.parametrize(
    "tower",
    [
        {"tower": "hf-hub:someone/evil", "context_length": None},
        {"tower": "someone/evil", "context_length": None},
        {"tower": "open-clip:ViT-B-32/openai-of-mine", "context_length": "x"},
        {"tower": "local-dir:/nowhere", "context_length": None},
        {"tower": "transformer", "width": 2**40, "layers": 1, "heads": 1, "context_length": 9},
        {"tower": "transformer", "width": 8, "layers": 10**6, "heads": 1, "context_length": 9},
        {},
        None,
    ],
)
def test_a_foreign_text_tower_is_neither_fetched_nor_built_beyond_all_sizes(tmp_path, tower, no_network):
    folder = reading_model().save_pretrained(tmp_path / "model")
    text = json.loads((folder / "config.json").read_text())["text"]
    model = edited(folder, text=text | {"tower": tower})
    assert model.embed(PICTURES).shape == (4, 512)
    with pytest.raises(ModelError) as refusal:
        model.embed_texts(["dog"])
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"projection_dim": -1}, "projection_dim and words >= 0"),
        ({"projection_dim": 7}, r"tensor 'projection.weight' has shape \[6, 512\]"),
        ({"projection_dim": 0}, "found a tensor 'projection.weight'"),
        ({"text": {}}, r"found a tensor 'text\."),
        ({"text": "transformer"}, "text must be an object"),
        ({"arguments": {"checkpoint_path": "/tmp/x"}}, "arguments that shape an architecture"),
        ({"interpolation": "magic"}, "interpolation must be one of bicubic, bilinear"),
        ({"resize": "longest"}, "resize must be one of shortest, squash"),
    ],
)
def test_what_the_config_says_of_them_is_checked(tmp_path, change, message):
    folder = reading_model().save_pretrained(tmp_path / "model")
    with pytest.raises(ModelError, match=message):
        edited(folder, **change)
