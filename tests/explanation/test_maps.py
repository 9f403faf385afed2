import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from explanation.small_explained import crooked_model, words_model
from models.small_models import picture, small_model
from synsight.data.views import normalise
from synsight.errors import ModelError, UsageError
from synsight.explanation.maps import maps
from synsight.explanation.other_maps import attention_rollout, occlusion
from synsight.models.several import several_encoders

LINEAR = ["resnet10t", "test_resnet.r160_in1k", "vit_tiny_avg", "test_convnext"]


def score_of(head, number):
    return lambda features: head(features)[:, number]


def pixels_of(model, number=0):
    return model.pixels([picture(number)])[0]


def model_of(name):
    if name == "vit_tiny_avg":
        return small_model(encoder="test_vit.r160_in1k", size=32, stem="cifar")
    return small_model(encoder=name, size=32, stem="cifar" if "resnet" in name else "standard")


def averaged(model):
    """A ViT that averages its patches, in place of a class token."""
    model.encoder.global_pool = "avg"
    return model


@pytest.mark.parametrize("name", LINEAR)
def test_a_class_activation_map_sums_to_the_logit(name):
    model = model_of(name)
    if name == "vit_tiny_avg":
        averaged(model)
    pixels = pixels_of(model)
    logits = model.word_logits(model.features(pixels[None]))[0]
    found = maps(model, pixels, [score_of(model.word_head, number) for number in range(3)], method="cam")
    for number, one in enumerate(found):
        assert one.method == "cam"
        assert abs(one.values.sum() + one.constant - float(logits[number])) < 1e-4


def test_the_map_of_a_resnet_is_weights_times_activations_over_the_places():
    model = small_model()
    pixels = pixels_of(model, 3)
    views = normalise(pixels[None], mean=model.config.mean, std=model.config.std)
    with torch.no_grad():
        places = model.encoder.eval().forward_features(views)[0].double()
        weight = model.word_head.weight[1].double()
        by_hand = torch.einsum("d,dhw->hw", weight, places) / places[0].numel()
    (found,) = maps(model, pixels, [score_of(model.word_head, 1)], method="cam")
    assert_allclose(found.values, by_hand.numpy(), atol=1e-6)
    assert found.constant == pytest.approx(model.word_head.bias[1].item(), abs=1e-5)


def test_the_map_of_a_words_head_sums_to_the_class_score():
    model = words_model()
    pixels = pixels_of(model, 4)
    (found,) = maps(model, pixels, [score_of(model.head, 2)], method="cam")
    score = float(model.scores(model.features(pixels[None]))[0, 2])
    assert abs(found.values.sum() + found.constant - score) < 1e-4


def test_a_crooked_head_gets_grad_cam_and_none_that_claims_to_sum():
    model = crooked_model(size=48)
    (found,) = maps(model, pixels_of(model), [score_of(model.head, 0)])
    assert (found.method, found.constant) == ("grad-cam", None)
    with pytest.raises(ModelError, match="no exact class activation map"):
        maps(model, pixels_of(model), [score_of(model.head, 0)], method="cam")


def test_grad_cam_is_captums():
    captum = pytest.importorskip("captum.attr")
    model = small_model()
    pixels = pixels_of(model, 5)
    (found,) = maps(model, pixels, [score_of(model.word_head, 0)], method="grad-cam")
    views = normalise(pixels[None], mean=model.config.mean, std=model.config.std)
    whole = torch.nn.Sequential(model.encoder, model.word_head).eval()
    theirs = captum.LayerGradCam(whole, model.encoder.layer4).attribute(
        views, target=0, relu_attributions=True
    )
    assert found.values.any()
    assert_allclose(found.values, theirs[0, 0].detach().numpy(), rtol=1e-4, atol=1e-6)


def test_a_vit_with_a_class_token_gets_grad_cam_of_its_patches():
    model = model_of("vit_tiny_avg")
    pixels = pixels_of(model)
    found = maps(model, pixels, [score_of(model.word_head, number) for number in (0, 1)])
    assert [one.method for one in found] == ["grad-cam"] * 2
    assert found[0].values.shape == (8, 8)
    assert not np.allclose(found[0].values, found[1].values)


def test_rollout_is_the_product_of_mixed_attentions():
    """By hand, from the queries and keys of each block."""
    model = model_of("vit_tiny_avg")
    views = normalise(pixels_of(model)[None], mean=model.config.mean, std=model.config.std)
    encoder = model.encoder.eval()
    inputs = []
    handles = [
        block.attn.register_forward_hook(lambda _m, given, _o: inputs.append(given[0]))
        for block in encoder.blocks
    ]
    with torch.no_grad():
        encoder(views)
        flow = torch.eye(65, dtype=torch.float64)
        for block, x in zip(encoder.blocks, inputs, strict=True):
            attention = block.attn
            heads = attention.num_heads
            qkv = attention.qkv(x).reshape(1, 65, 3, heads, -1).permute(2, 0, 3, 1, 4)
            q, k = attention.q_norm(qkv[0]), attention.k_norm(qkv[1])
            weights = (q @ k.transpose(-2, -1) * attention.scale).softmax(-1)[0].double().mean(0)
            flow = (weights + torch.eye(65, dtype=torch.float64)) / 2 @ flow
    for handle in handles:
        handle.remove()
    found = attention_rollout(encoder, views)
    assert_allclose(found, flow[0, 1:].reshape(8, 8).numpy(), atol=1e-6)
    assert all(block.attn.fused_attn == encoder.blocks[0].attn.fused_attn for block in encoder.blocks)


def test_rollout_of_a_resnet_says_what_to_use():
    model = small_model()
    with pytest.raises(ModelError, match="needs a timm ViT with a class token"):
        maps(model, pixels_of(model), [score_of(model.word_head, 0)], method="rollout")


def test_occlusion_finds_the_only_bright_corner():
    class Brightness(torch.nn.Module):
        def forward(self, views):
            return views[:, :, 21:28, :7].mean(dim=(1, 2, 3))[:, None]

    views = torch.zeros(1, 3, 28, 28)
    views[:, :, 21:28, :7] = 1.0
    (found,) = occlusion(Brightness(), views, [lambda features: features[:, 0]])
    row, column = np.unravel_index(found.argmax(), found.shape)
    assert row / found.shape[0] > 0.7 and column / found.shape[1] < 0.3


def test_occlusion_is_captums():
    captum = pytest.importorskip("captum.attr")
    model = small_model(size=28)
    views = normalise(pixels_of(model, 6)[None], mean=model.config.mean, std=model.config.std)
    whole = torch.nn.Sequential(model.encoder, model.word_head).eval()
    with torch.no_grad():
        theirs = captum.Occlusion(whole).attribute(
            views, target=1, sliding_window_shapes=(3, 8, 8), strides=(3, 4, 4), baselines=0
        )
    _, found = occlusion(model.encoder, views, [score_of(model.word_head, number) for number in (0, 1)])
    cells = torch.nn.functional.adaptive_avg_pool2d(theirs, 7).mean(1)[0]
    assert_allclose(found, cells.numpy(), rtol=1e-4, atol=1e-5)


def test_where_the_last_layer_has_few_places_the_map_is_one_of_occlusion():
    model = small_model(size=32)
    pixels = pixels_of(model, 7)
    (coarse,) = maps(model, pixels, [score_of(model.word_head, 0)], method="cam")
    (found,) = maps(model, pixels, [score_of(model.word_head, 0)])
    assert coarse.values.shape == (4, 4)
    assert (found.method, found.values.shape, found.constant) == ("occlusion", (7, 7), None)
    (fine,) = maps(
        small_model(size=48), small_model(size=48).pixels([picture(7)])[0], [score_of(model.word_head, 0)]
    )
    assert (fine.method, fine.values.shape) == ("cam", (6, 6))


def test_an_image_smaller_than_the_cells_has_fewer():
    class Mean(torch.nn.Module):
        def forward(self, views):
            return views.mean(dim=(2, 3))

    (found,) = occlusion(Mean(), torch.ones(1, 3, 4, 4), [lambda features: features[:, 0]])
    assert found.shape == (4, 4) and found[0, 0] == pytest.approx(0.25)


def test_the_maps_of_several_encoders_sum_to_the_score_together():
    model = several_encoders([small_model(None), small_model(None, encoder="test_resnet.r160_in1k", size=48)])
    torch.manual_seed(0)
    model = model.adapted(torch.nn.Linear(model.config.embedding_dim, 3), ["a", "b", "c"], method="x")
    pixels = pixels_of(model)
    (found,) = maps(model, pixels, [score_of(model.head, 1)])
    score = float(model.scores(model.features(pixels[None]))[0, 1])
    assert found.values.shape == (6, 6)
    assert found.method == "cam"
    assert found.values.sum() + found.constant == pytest.approx(score, abs=1e-4)
    assert found.constant == pytest.approx(model.head.bias[1].item(), abs=1e-4)


def test_weights_and_mode_are_left_as_they_were():
    model = small_model()
    model.encoder.train()
    before = {name: value.clone() for name, value in model.encoder.state_dict().items()}
    maps(model, pixels_of(model), [score_of(model.word_head, 0)])
    assert model.encoder.training
    assert all(one.requires_grad for one in model.encoder.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.encoder.state_dict().items())


def test_an_unknown_map_lists_the_known():
    model = small_model()
    with pytest.raises(UsageError, match="rollout"):
        maps(model, pixels_of(model), [], method="heat")
