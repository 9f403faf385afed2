"""Layer-wise learning rates: timm's groups, and what stands outside the encoder."""

import pytest
import timm
import torch
from timm.optim import param_groups_layer_decay
from torch import nn

from synsight.errors import ConfigError
from synsight.models.backbones import build_backbone
from synsight.training.config import OptimConfig
from synsight.training.layer_decay import layer_groups, layer_shares
from synsight.training.optim import build_optimiser


class Network(nn.Module):
    """An encoder with a head, as a method has them."""

    def __init__(self, encoder: nn.Module, classes: int = 3) -> None:
        super().__init__()
        self.encoder, self.head = encoder, nn.Linear(encoder.num_features, classes)


@pytest.mark.parametrize(
    "name",
    [
        "test_vit.r160_in1k",
        "vit_tiny_patch16_224",
        "resnet10t",
        "convnext_atto",
        "test_efficientnet.r160_in1k",
    ],
)
def test_shares_and_decay_are_timms_for_the_model_with_its_classifier(name):
    whole, encoder = timm.create_model(name, num_classes=3), timm.create_model(name, num_classes=0)
    theirs = {}
    unnamed = getattr(whole, "no_weight_decay", set)()
    for group in param_groups_layer_decay(
        whole, weight_decay=0.05, layer_decay=0.7, no_weight_decay_list=unnamed
    ):
        theirs |= {id(weight): (group["lr_scale"], group["weight_decay"]) for weight in group["params"]}
    expected = {name: theirs[id(weight)] for name, weight in whole.named_parameters()}
    network = Network(encoder)
    names = {id(weight): name for name, weight in network.named_parameters()}
    found = {}
    for group in layer_groups(network, weight_decay=0.05, layer_decay=0.7):
        for weight in group["params"]:
            found[names[id(weight)]] = (group["lr_share"], group["weight_decay"])
    assert found.pop("head.weight") == (1.0, 0.05) and found.pop("head.bias") == (1.0, 0.0)
    assert found == {
        f"encoder.{name}": pytest.approx(expected[name]) for name, _ in encoder.named_parameters()
    }


def test_a_vits_stem_learns_least_and_its_last_block_most():
    shares = layer_shares(build_backbone("vit_tiny_patch16_224", image_size=224), 0.5)
    # By hand: 12 blocks under a head, the last one level below it.
    assert shares["blocks.11.mlp.fc1.weight"] == 0.5
    assert shares["blocks.0.mlp.fc1.weight"] == 0.5**12
    assert shares["patch_embed.proj.weight"] == shares["pos_embed"] == 0.5**13
    assert shares["norm.weight"] == 0.5


def test_open_clips_own_vit_has_layers_too():
    with torch.device("meta"):  # names are all that counts
        tower = build_backbone("open-clip:ViT-B-32", image_size=64)
    shares = layer_shares(tower, 0.5)
    assert shares["conv1.weight"] == shares["positional_embedding"] == 0.5**13
    assert shares["transformer.resblocks.0.attn.in_proj_weight"] == 0.5**12
    assert shares["ln_post.weight"] == shares["proj"] == 0.5


def test_without_decay_of_the_rate_every_layer_learns_alike_and_decays():
    network = Network(build_backbone("test_resnet.r160_in1k", image_size=16))
    groups = layer_groups(network, weight_decay=0.1, layer_decay=1.0)
    assert {group["lr_share"] for group in groups} == {1.0}
    assert {(group["weight_decay"], weight.ndim > 1) for group in groups for weight in group["params"]} == {
        (0.1, True),
        (0.0, False),
    }


def test_an_encoder_that_tells_no_layers_is_refused_unless_all_learn_alike():
    plain = nn.Sequential(nn.Linear(3, 3))
    assert layer_shares(plain, 1.0) == {"0.weight": 1.0, "0.bias": 1.0}
    with pytest.raises(ConfigError, match="Sequential does not tell them"):
        layer_shares(plain, 0.7)
    with pytest.raises(ConfigError, match="lars scales layers by itself"):
        OptimConfig(name="lars", layer_decay=0.7)


def test_sgd_takes_nesterovs_step():
    network = nn.ModuleDict({"encoder": nn.Linear(1, 1, bias=False)})
    network["encoder"].weight.data.fill_(1.0)
    config = OptimConfig(name="sgd", lr=0.1, momentum=0.9, weight_decay=0.0, layer_decay=1.0)
    optimiser = build_optimiser(network, config)
    weight, velocity, expected = network["encoder"].weight, 0.0, 1.0
    for gradient in (2.0, -1.0, 3.0):
        weight.grad = torch.full((1, 1), gradient)
        optimiser.step()
        # By hand: v <- 0.9 v + g, then a step of g + 0.9 v.
        velocity = 0.9 * velocity + gradient
        expected -= 0.1 * (gradient + 0.9 * velocity)
        assert weight.item() == pytest.approx(expected, abs=1e-6)
