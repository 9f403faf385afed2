import json

import numpy as np
import pytest
import torch
from small_models import picture, small_model
from torch.nn import functional as F

from synsight.errors import ModelError
from synsight.models import load
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

PICTURES = [picture(n) for n in range(5)]
NAMES = ["red", "green", "blue"]


def numbers(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def every_layer(width: int) -> FeatureHead:
    half = width // 2
    mixed = Blocks(
        [half, width - half],
        Sequence_(Standardise.of(numbers(half), numbers(half).abs()), Normalise()),
        Sequence_(Linear.of(numbers(4, width - half), numbers(4)), Relu(), Scale(0.5)),
    )
    gate = Gated(
        [half, 4], Linear.of(numbers(2, half + 4)), Linear.of(numbers(6, half)), Linear.of(numbers(6, 4))
    )
    votes = Sequence_(Normalise(), Nearest(3, 0.1), Linear.of(numbers(3, 6).abs()), Log())
    cache = Sequence_(Normalise(), Affinity(2.0), Linear.of(numbers(3, 6)), Sigmoid())
    return FeatureHead(mixed, gate, Sum(votes, cache))


def test_a_head_of_every_layer_is_built_again_from_its_description():
    head = every_layer(16)
    again = FeatureHead.from_spec(json.loads(json.dumps(head.spec)))
    again.load_state_dict(head.state_dict())
    x = numbers(7, 16)
    assert torch.equal(head(x), again(x))
    assert again.spec == head.spec


def test_tip_adapter_is_a_sum_of_two_branches():
    keys, values, text = (
        F.normalize(numbers(6, 4), dim=1),
        F.one_hot(torch.arange(6) % 3).float(),
        numbers(3, 4),
    )
    head = FeatureHead(
        Normalise(),
        Sum(Linear.of(100 * text), Sequence_(Linear.of(keys), Affinity(5.5), Linear.of(2.0 * values.T))),
    )
    x = numbers(2, 4)
    for row, scores in zip(F.normalize(x, dim=1), head(x), strict=True):
        for label in range(3):
            cached = sum(
                2.0 * torch.exp(-5.5 * (1 - row @ key)) for n, key in enumerate(keys) if n % 3 == label
            )
            assert scores[label].item() == pytest.approx(float(100 * row @ text[label] + cached), rel=1e-4)


def test_neighbours_vote_with_softmax_weights():
    keys = F.normalize(numbers(5, 4), dim=1)
    votes = F.one_hot(torch.tensor([0, 1, 0, 1, 1])).float()
    head = FeatureHead(Normalise(), Linear.of(keys), Nearest(2, 0.1), Linear.of(votes.T), Log())
    x = numbers(1, 4)
    cosines = (F.normalize(x, dim=1) @ keys.T)[0]
    best = cosines.argsort(descending=True)[:2]
    shares = (cosines[best] / 0.1).softmax(dim=0)
    expected = torch.zeros(2)
    for share, row in zip(shares, best, strict=True):
        expected += share * votes[row]
    torch.testing.assert_close(head(x).softmax(dim=1)[0], expected)


@pytest.mark.parametrize("scores", ["softmax", "sigmoid"])
def test_an_adapted_model_comes_back_with_its_words(tmp_path, scores):
    model = small_model("words")
    head = every_layer(model.config.embedding_dim)
    adapted = model.adapted(head, NAMES, method="adapt:test", label_scores=scores)
    back = load(adapted.save_pretrained(tmp_path / "model"))
    assert back.config == adapted.config
    assert (back.predict(PICTURES) == adapted.predict(PICTURES)).all()
    assert (back.word_probabilities(PICTURES) == model.predict(PICTURES)).all()
    assert back.class_names == NAMES
    assert back.words(PICTURES) == model.words(PICTURES)
    features = torch.from_numpy(model.embed(PICTURES))
    logits = head(features)
    expected = logits.softmax(dim=1) if scores == "softmax" else logits.sigmoid()
    np.testing.assert_allclose(back.predict(PICTURES), expected.detach().numpy(), rtol=1e-5)


def test_an_adapted_model_is_adapted_again():
    model = small_model("words").adapted(every_layer(512), NAMES, method="adapt:a")
    again = model.adapted(FeatureHead(Linear.of(numbers(2, 512))), ["x", "y"], method="adapt:b")
    assert again.class_names == ["x", "y"]
    assert again.word_head is model.word_head


def test_a_head_for_other_features_is_refused():
    with pytest.raises(ModelError, match="does not take features of 512 numbers"):
        small_model("words").adapted(FeatureHead(Linear.of(numbers(3, 7))), NAMES, method="adapt:x")
    with pytest.raises(ModelError, match=r"3 classes \(labels\), the head has 4"):
        small_model("words").adapted(FeatureHead(Linear.of(numbers(4, 512))), NAMES, method="adapt:x")


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ([{"kind": "pickle"}], "expected a layer of"),
        (["linear"], "expected a layer of"),
        ({"kind": "linear"}, "expected a list of layers"),
        ([{"kind": "linear", "inputs": 3}], "cannot be built"),
        ([{"kind": "linear", "inputs": 10**12, "outputs": 1, "bias": True}], "widths of at most"),
        ([{"kind": "scale", "factor": "x"}], "cannot be built"),
        ([{"kind": "blocks", "widths": [1], "of": []}], "one layer a block"),
        ([{"kind": "relu"}] * 1000, "at most 200 layers"),
    ],
)
def test_a_foreign_description_is_refused_in_one_sentence(spec, told):
    with pytest.raises(ModelError, match=told), torch.device("meta"):
        FeatureHead.from_spec(spec)


def test_a_deep_description_is_refused():
    spec = [{"kind": "relu"}]
    for _ in range(20):
        spec = [{"kind": "sequence", "of": spec}]
    with pytest.raises(ModelError, match="8 deep"):
        FeatureHead.from_spec(spec)


def test_several_encoders_are_one_model_with_features_side_by_side(tmp_path):
    small, large = small_model("words"), small_model(None, encoder="resnet18", size=48)
    both = several_encoders([small, large])
    rows = both.embed(PICTURES)
    # The larger input is the one that is prepared, so the larger encoder sees what it sees by itself.
    np.testing.assert_allclose(rows[:, small.config.embedding_dim :], large.embed(PICTURES), atol=1e-5)
    assert both.word_probabilities(PICTURES).shape == (5, 3)
    back = load(both.save_pretrained(tmp_path / "model"))
    assert (back.embed(PICTURES) == rows).all()
    assert back.config == both.config


def test_several_encoders_of_one_size_see_what_each_sees():
    words = small_model("words")
    both = several_encoders([small_model(None), words])
    np.testing.assert_allclose(both.embed(PICTURES)[:, 512:], words.embed(PICTURES), atol=1e-5)
    np.testing.assert_allclose(both.word_probabilities(PICTURES), words.predict(PICTURES), atol=1e-5)
