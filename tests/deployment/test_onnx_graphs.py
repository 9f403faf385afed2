"""ONNX graphs of a model against the model itself."""

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from models.small_models import picture, small_model
from synsight.deployment.onnx_graphs import write_encoder, write_head, write_whole
from synsight.errors import ModelError
from synsight.models import Model
from synsight.models.feature_head import FeatureHead
from synsight.models.head_layers import (
    Affinity,
    Blocks,
    Gated,
    Linear,
    Log,
    Nearest,
    Normalise,
    Relu,
    Scale,
    Sequence_,
    Sigmoid,
    Standardise,
    Sum,
)
from synsight.models.several import several_encoders

PICTURES = [picture(number) for number in range(32)]
EXACT = {"rtol": 0, "atol": 1e-5}
NAMES = ["red", "green", "blue"]


def random(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(7))


def every_layer(dim: int) -> FeatureHead:
    """A head in which each layer that there is has a part."""
    half = dim // 2
    standard = Standardise.of(random(dim), random(dim).abs())
    linear = Linear.of(random(dim, dim) / dim, random(dim))
    cache = Sequence_(
        Normalise(), Linear.of(random(9, dim)), Affinity(0.5), Nearest(3, 0.1), Linear.of(random(3, 9))
    )
    parts = [half, dim - half]
    layers = [Linear.of(random(3, width)) for width in parts]
    gated = Gated(parts, Linear.of(random(2, dim) / dim), *layers)
    blocks = Sequence_(Blocks(parts, Normalise(), Relu()), Linear.of(random(3, dim)), Sigmoid(), Log())
    return FeatureHead(standard, linear, Relu(), Sum(cache, Sequence_(gated, Scale(0.3)), blocks))


def tiny(head: str | None = "words") -> Model:
    return small_model(head, encoder="test_resnet", stem="standard")


def adapted(*, label_scores: str = "softmax") -> Model:
    model = tiny()
    head = every_layer(model.config.embedding_dim)
    return model.adapted(head, NAMES, method="test", label_scores=label_scores)


def run(path, **inputs):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_outputs()]
    return dict(zip(names, session.run(None, inputs), strict=True))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    model = adapted()
    return model, write_whole(model, tmp_path_factory.mktemp("onnx") / "model.onnx")


@pytest.mark.parametrize("batch", [1, 7, 32])
def test_the_whole_graph_gives_what_the_model_gives_at_any_batch_size(whole, batch):
    model, path = whole
    images = PICTURES[:batch]
    found = run(path, pixels=model.pixels(images).numpy())
    assert list(found) == ["features", "scores", "probabilities", "word_probabilities"]
    features = torch.from_numpy(model.embed(images))
    np.testing.assert_allclose(found["features"], features, **EXACT)
    np.testing.assert_allclose(found["scores"], model.scores(features), rtol=0, atol=1e-4)
    np.testing.assert_allclose(found["probabilities"], model.predict(images), **EXACT)
    np.testing.assert_allclose(found["word_probabilities"], model.word_probabilities(images), **EXACT)


def test_encoder_and_head_in_turn_are_the_whole(whole, tmp_path):
    model, path = whole
    pixels = model.pixels(PICTURES[:5]).numpy()
    expected = run(path, pixels=pixels)
    encoded = run(write_encoder(model, tmp_path / "encoder.onnx"), pixels=pixels)
    found = encoded | run(write_head(model, tmp_path / "head.onnx"), features=encoded["features"])
    assert found.keys() == expected.keys()
    for name, rows in expected.items():
        np.testing.assert_allclose(found[name], rows, **EXACT)


def test_several_labels_have_probabilities_of_their_own(tmp_path):
    model = adapted(label_scores="sigmoid")
    features = random(4, model.config.embedding_dim)
    found = run(write_head(model, tmp_path / "head.onnx"), features=features.numpy())
    np.testing.assert_allclose(found["probabilities"], 1 / (1 + np.exp(-found["scores"])), **EXACT)
    np.testing.assert_allclose(found["probabilities"], model.probabilities(features), **EXACT)
    assert not np.allclose(found["probabilities"].sum(axis=1), 1)


def test_words_are_the_probabilities_of_a_model_of_words(tmp_path):
    model = tiny()
    features = random(4, model.config.embedding_dim)
    found = run(write_head(model, tmp_path / "head.onnx"), features=features.numpy())
    assert (found["probabilities"] == found["word_probabilities"]).all()
    np.testing.assert_allclose(found["word_probabilities"], model.word_logits(features).sigmoid(), **EXACT)


def test_a_model_without_a_head_gives_features_alone(tmp_path):
    model = tiny(None)
    found = run(write_whole(model, tmp_path / "model.onnx"), pixels=model.pixels(PICTURES[:2]).numpy())
    assert list(found) == ["features"]
    with pytest.raises(ModelError, match="has no head, so there are no scores"):
        write_head(model, tmp_path / "head.onnx")


def test_several_encoders_stand_in_one_graph(tmp_path):
    model = several_encoders([tiny(), small_model(None)])
    pixels = model.pixels(PICTURES[:3])
    found = run(write_whole(model, tmp_path / "model.onnx"), pixels=pixels.numpy())
    np.testing.assert_allclose(found["features"], model.features(pixels), **EXACT)
    assert list(found) == ["features", "word_probabilities"]


def test_writing_leaves_the_model_as_it_was(tmp_path):
    model = tiny("labels")
    model.encoder.train()
    write_encoder(model, tmp_path / "encoder.onnx")
    assert model.encoder.training
    assert all(weight.requires_grad for weight in model.encoder.parameters())


def test_what_torch_cannot_write_is_said_in_one_sentence(tmp_path):
    class Unwritable(nn.Module):
        def forward(self, views):
            return views.new_tensor([[float(views.sum() > 3)]] if bool(views.sum() > 3) else [[0.0]])

    model = tiny(None)
    model.encoder = Unwritable()
    with pytest.raises(ModelError, match="small: torch cannot write it as ONNX") as caught:
        write_encoder(model, tmp_path / "encoder.onnx")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "encoder.onnx").exists()
