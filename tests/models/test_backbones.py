import pytest
import timm
import torch

from synsight.errors import ModelError
from synsight.models import build_backbone, default_stem, embedding_dim, pixel_statistics


def first_map(name, image_size, stem=None):
    """Side of the feature map that a ResNet's first stage sees."""
    backbone = build_backbone(name, image_size=image_size, stem=stem).eval()
    seen = []
    backbone.layer1.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].shape[-1]))
    backbone(torch.zeros(1, 3, image_size, image_size))
    return seen[0]


@pytest.mark.parametrize(
    ("image_size", "stem", "side"),
    [(224, "standard", 56), (64, "standard", 16), (64, "small", 16), (32, "small", 8), (32, "cifar", 32)],
)
@pytest.mark.parametrize("name", ["resnet18", "resnet10t"])
def test_a_resnets_stem_decides_how_far_it_shrinks_the_image(name, image_size, stem, side):
    assert first_map(name, image_size, stem) == side


@pytest.mark.parametrize(
    ("name", "image_size", "stem"),
    [
        ("resnet18", 32, "cifar"),
        ("resnet18", 64, "small"),
        ("random:resnet50", 64, "small"),
        ("resnet18", 65, "standard"),
        ("vit_tiny_patch16_224", 64, "small"),
        ("convnext_atto", 64, "standard"),
    ],
)
def test_small_images_get_a_small_stem(name, image_size, stem):
    assert default_stem(name, image_size=image_size) == stem


def test_timms_weights_keep_their_stem():
    assert default_stem("resnet18", image_size=32, pretrained=True) == "standard"
    with pytest.raises(ModelError, match="weights are for the standard stem; got stem 'small'"):
        build_backbone("resnet18", image_size=64, pretrained=True, stem="small")


@pytest.mark.parametrize(
    "name",
    [
        "resnet10t",
        "resnet26d",
        "seresnet18",
        "vit_tiny_patch16_224",
        "deit_tiny_patch16_224",
        "convnext_atto",
        "efficientnet_lite0",
        "mobilenetv3_small_050",
        "mobileone_s0",
        "regnety_002",
        "tiny_vit_5m_224",
    ],
)
def test_any_timm_model_gives_features_of_the_width_it_states(name):
    backbone = build_backbone(name, image_size=64).eval()
    with torch.inference_mode():
        features = backbone(torch.zeros(2, 3, 64, 64))
    assert features.shape == (2, embedding_dim(backbone))


def test_a_vit_gets_smaller_patches_for_small_images():
    for image_size, patches in ((32, 8), (64, 8), (224, 14)):
        backbone = build_backbone("vit_tiny_patch16_224", image_size=image_size)
        assert backbone.patch_embed.num_patches == patches**2


def test_the_standard_stem_is_timms_own_module():
    torch.manual_seed(0)
    ours = build_backbone("resnet10t", image_size=128)
    torch.manual_seed(0)
    theirs = timm.create_model("resnet10t", num_classes=0)
    for (name, a), (_, b) in zip(ours.state_dict().items(), theirs.state_dict().items(), strict=True):
        assert torch.equal(a, b), name


def test_an_unknown_name_lists_the_near_ones():
    with pytest.raises(
        ModelError, match="expected a timm model name, found 'resnet81'; did you mean 'resnet18'"
    ):
        build_backbone("resnet81", image_size=64)


def test_says_that_an_architecture_has_no_small_stem():
    with pytest.raises(ModelError, match="only ResNets and ViTs have a stem 'small'; use stem 'standard'"):
        build_backbone("convnext_atto", image_size=64, stem="small")


def test_weights_that_cannot_be_had_are_one_sentence(monkeypatch):
    def fail(*_, **__):
        raise OSError("no route to host\nlong trace")

    monkeypatch.setattr(timm, "create_model", fail)
    with pytest.raises(
        ModelError, match=r"could not be had \(no route to host\); connect .* 'random:resnet18'"
    ):
        build_backbone("resnet18", image_size=224, pretrained=True)


def test_normalisation_is_the_weights_own_or_imagenets():
    assert pixel_statistics("random:vit_tiny_patch16_224", pretrained=False)[0] == (0.485, 0.456, 0.406)
    assert pixel_statistics("vit_tiny_patch16_224", pretrained=True)[0] == (0.5, 0.5, 0.5)
