"""Models by name: what each kind of name gives is what the library it comes from gives."""

import ast
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import open_clip
import pytest
import timm
import torch
from huggingface_hub.errors import EntryNotFoundError
from named_models import CLIP_SETTINGS, MEAN, STD, add_clip, clip_file, hub_cache, shaken, timm_folder
from safetensors.torch import load_file, save_file
from small_models import picture, small_model

import synsight.models
from synsight.errors import MissingDependency, ModelError
from synsight.models import build_backbone, load
from synsight.models.loading import build_start

WIDE = [picture(number, width=190, height=171) for number in range(3)]
SQUASHED = {"mean": MEAN, "std": STD, "interpolation": "bilinear", "resize_mode": "squash"}


def by_timm(name: str, **options) -> np.ndarray:
    """Features of WIDE as timm computes them."""
    model = timm.create_model(name, pretrained=True, num_classes=0, **options).eval()
    settings = timm.data.resolve_data_config(options, pretrained_cfg=model.pretrained_cfg, model=model)
    transform = timm.data.create_transform(**settings, is_training=False)
    with torch.inference_mode():
        return model(torch.stack([transform(image) for image in WIDE])).numpy()


def by_open_clip(name: str, weights, beside: dict | None) -> np.ndarray:
    """Embeddings of WIDE as open_clip computes them."""
    prepared = {f"image_{key}": value for key, value in (beside or {}).items()}
    model, _, transform = open_clip.create_model_and_transforms(name, pretrained=str(weights), **prepared)
    with torch.inference_mode():
        return model.eval().encode_image(torch.stack([transform(image) for image in WIDE])).numpy()


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("test_vit", {}),
        ("test_resnet", {}),
        ("test_convnext", {}),
        ("test_efficientnet", {}),
        ("test_vit2", {"reg_tokens": 2, "init_values": 0.1}),
    ],
)
def test_a_folder_in_timms_layout_gives_timms_features(tmp_path, name, arguments):
    path = timm_folder(tmp_path / "tiny", name, **arguments)
    model = load(f"local-dir:{path}")
    np.testing.assert_allclose(model.embed(WIDE), by_timm(f"local-dir:{path}"), rtol=1e-4, atol=1e-4)
    assert (model.config.mean, model.config.std, model.config.interpolation) == (MEAN, STD, "bilinear")
    assert (model.name, model.config.encoder, model.config.method) == ("local-dir:tiny", name, "local-dir")


def test_images_are_squashed_where_timm_squashes_them(tmp_path):
    path = timm_folder(tmp_path / "tiny", cfg={"crop_mode": "squash", "interpolation": "bicubic"})
    features = load(f"local-dir:{path}").embed(WIDE)
    np.testing.assert_allclose(features, by_timm(f"local-dir:{path}"), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("image_size", [96, 224])
def test_weights_for_another_image_size_are_interpolated_as_timm_does_it(tmp_path, image_size):
    path = timm_folder(tmp_path / "tiny")
    features = load(f"local-dir:{path}", image_size=image_size).embed(WIDE)
    expected = by_timm(f"local-dir:{path}", img_size=image_size)
    np.testing.assert_allclose(features, expected, rtol=1e-4, atol=1e-4)


def test_the_layout_before_is_read_too(tmp_path):
    path = timm_folder(tmp_path / "tiny")
    expected = load(f"local-dir:{path}").embed(WIDE)
    found = json.loads((path / "config.json").read_text())
    found |= found.pop("pretrained_cfg")
    (path / "config.json").write_text(json.dumps(found))
    assert (load(f"local-dir:{path}").embed(WIDE) == expected).all()


def test_a_model_that_keeps_its_tokens_apart_is_pooled_as_its_architecture_is(tmp_path):
    path = timm_folder(tmp_path / "tiny", global_pool="")
    model = load(f"local-dir:{path}")
    assert model.embed(WIDE).shape == (3, 64)
    assert model.config.arguments.get("global_pool") != ""


def test_a_hub_name_is_read_from_the_cache_without_a_network(tmp_path, offline_hub):
    path = timm_folder(tmp_path / "tiny")
    hub_cache(offline_hub, "someone/tiny", path)
    hub_cache(offline_hub, "someone/tiny", path, revision="v2")
    expected = load(f"local-dir:{path}").embed(WIDE)
    for name in ("hf-hub:someone/tiny", "hf-hub:someone/tiny@v2"):
        model = load(name)
        assert (model.embed(WIDE) == expected).all()
        assert (model.name, model.config.method) == (name, "hf-hub")


def test_a_hub_name_that_cannot_be_had_is_one_sentence(offline_hub):
    with pytest.raises(
        ModelError, match=r"hf-hub:someone/none: its config.json could not be had .*local-dir"
    ):
        load("hf-hub:someone/none")


def test_a_repository_without_safetensors_is_refused(monkeypatch, tmp_path):
    path = timm_folder(tmp_path / "tiny")

    def fetch(_, file, **__):
        if file == "config.json":
            return path / file
        raise EntryNotFoundError(file)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", fetch)
    with pytest.raises(ModelError, match=r"has no model.safetensors; .*can run code: convert them to safet"):
        load("hf-hub:someone/pickled")


def test_timms_own_weights_come_prepared_as_timm_prepares_them(tmp_path, offline_hub):
    name = "test_vit.r160_in1k"
    weights = shaken(timm.create_model(name)).state_dict()
    (tmp_path / "weights").mkdir()
    save_file(weights, tmp_path / "weights/model.safetensors")
    hub_cache(offline_hub, f"timm/{name}", tmp_path / "weights")
    model = load(name)
    np.testing.assert_allclose(model.embed(WIDE), by_timm(name), rtol=1e-4, atol=1e-4)
    assert (load(f"pretrained:{name}").digest, model.config.method) == (model.digest, "timm")


def test_timms_weights_that_cannot_be_had_are_one_sentence(offline_hub):
    for name in ("test_vit.r160_in1k", "pretrained:test_vit.r160_in1k"):
        with pytest.raises(ModelError, match=r"weights could not be had .*'random:test_vit.r160_in1k' for"):
            load(name)


@pytest.mark.parametrize("beside", [None, SQUASHED])
@pytest.mark.parametrize("name", list(CLIP_SETTINGS))
def test_an_open_clip_file_gives_what_encode_image_gives(tmp_path, name, beside):
    add_clip(tmp_path / "configs", name)
    path = clip_file(tmp_path / "weights", name, beside=beside)
    model = load(f"open-clip:{name}/{path}")
    np.testing.assert_allclose(model.embed(WIDE), by_open_clip(name, path, beside), rtol=1e-4, atol=1e-5)
    assert model.config.resize == ("squash" if beside else "shortest")
    assert (model.name, model.config.encoder) == (f"open-clip:{name}/tiny.safetensors", f"open-clip:{name}")
    assert model.config.embedding_dim == 24


@pytest.mark.parametrize("name", ["tiny-vit", "tiny-trunk"])
def test_open_clip_weights_for_another_image_size_are_interpolated_as_open_clip_does_it(tmp_path, name):
    add_clip(tmp_path / "configs", name)
    path = clip_file(tmp_path / "weights", name)
    tower = load(f"open-clip:{name}/{path}", image_size=96).encoder
    theirs = open_clip.create_model(name, pretrained=str(path), force_image_size=96).eval()
    views = torch.randn(2, 3, 96, 96)
    with torch.inference_mode():
        torch.testing.assert_close(tower(views), theirs.encode_image(views))


def test_a_tower_that_takes_one_size_says_so(tmp_path):
    add_clip(tmp_path / "configs", "tiny-resnet")
    path = clip_file(tmp_path / "weights", "tiny-resnet")
    with pytest.raises(ModelError, match=r"do not fit it at 96 px .* use their own size"):
        load(f"open-clip:tiny-resnet/{path}", image_size=96)


def give_tags(monkeypatch, name: str, tags: dict) -> None:
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, name, tags)


def test_an_open_clip_tag_is_read_from_the_cache_without_a_network(tmp_path, offline_hub, monkeypatch):
    add_clip(tmp_path / "configs", "tiny-vit")
    path = clip_file(tmp_path / "weights", "tiny-vit", file="open_clip_model.safetensors")
    hub_cache(offline_hub, "someone/tiny", path.parent)
    give_tags(monkeypatch, "tiny-vit", {"mine": {"hf_hub": "someone/tiny/", **SQUASHED}})
    model = load("open-clip:tiny-vit/mine")
    expected = by_open_clip("tiny-vit", path, SQUASHED)
    np.testing.assert_allclose(model.embed(WIDE), expected, rtol=1e-4, atol=1e-5)
    assert model.name == "open-clip:tiny-vit/mine"
    # A file of the same weights is prepared as the tags agree; open_clip would take OpenAI's settings.
    assert load(f"open-clip:tiny-vit/{path}").digest == model.digest


def test_weights_trained_with_quick_gelu_get_it(tmp_path, offline_hub, monkeypatch):
    add_clip(tmp_path / "configs", "tiny-vit")
    quick = open_clip.get_model_config("tiny-vit") | {"quick_gelu": True}
    (tmp_path / "tiny-vit-quickgelu.json").write_text(json.dumps(quick))
    open_clip.add_model_config(tmp_path / "tiny-vit-quickgelu.json")
    path = clip_file(tmp_path / "weights", "tiny-vit", file="open_clip_model.safetensors")
    hub_cache(offline_hub, "someone/quick", path.parent)
    give_tags(monkeypatch, "tiny-vit", {"quick": {"hf_hub": "someone/quick/", "quick_gelu": True}})
    model = load("open-clip:tiny-vit/quick")
    assert model.config.encoder == "open-clip:tiny-vit-quickgelu"
    expected = by_open_clip("tiny-vit-quickgelu", path, None)
    np.testing.assert_allclose(model.embed(WIDE), expected, rtol=1e-4, atol=1e-5)


def test_wrong_open_clip_names_say_what_was_expected(tmp_path):
    add_clip(tmp_path / "configs", "tiny-vit")
    path = clip_file(tmp_path / "weights", "tiny-vit")
    (tmp_path / "model.pt").write_bytes(b"x")
    add_clip(tmp_path / "configs", "tiny-resnet")
    for name, message in (
        (
            "open-clip:ViT-B-32",
            "names no weights; write open-clip:ViT-B-32/WEIGHTS, such as the tag 'openai'",
        ),
        ("open-clip:ViT-B-23/openai", "found 'ViT-B-23'; did you mean 'ViT-B-32'"),
        ("open-clip:ViT-B-32/opnai", "found 'opnai'; did you mean 'openai'"),
        ("open-clip:tiny-vit/none", "found 'none'; it has no tags: give a file"),
        (f"open-clip:tiny-vit/{tmp_path / 'model.pt'}", r"found \.pt; .* convert them to safetensors"),
        (f"open-clip:tiny-resnet/{path}", "the file holds no open-clip:tiny-resnet"),
        ("random:open-clip:ViT-B-23", "found 'ViT-B-23'"),
    ):
        with pytest.raises(ModelError, match=message) as refusal:
            load(name)
        assert "\n" not in str(refusal.value)


def test_without_open_clip_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "open_clip", None)
    with pytest.raises(MissingDependency, match=r'pip install "synsight\[text\]"'):
        load("open-clip:ViT-B-32/openai")


def test_an_untrained_open_clip_tower_depends_on_its_seed_alone(tmp_path):
    add_clip(tmp_path / "configs", "tiny-vit")
    first, second = (load("random:open-clip:tiny-vit", seed=1) for _ in range(2))
    assert first.digest == second.digest != load("random:open-clip:tiny-vit", seed=2).digest
    assert (first.config.image_size, first.config.method) == (32, "untrained")


def named(tmp_path, kind: str) -> str:
    if kind == "local-dir":
        return f"local-dir:{timm_folder(tmp_path / 'tiny', 'test_vit2', reg_tokens=2)}"
    add_clip(tmp_path / "configs", kind)
    return f"open-clip:{kind}/{clip_file(tmp_path / 'weights', kind, beside=SQUASHED)}"


@pytest.mark.parametrize("kind", ["local-dir", *CLIP_SETTINGS])
def test_a_model_saved_from_a_name_needs_its_source_no_more(tmp_path, kind, offline_hub):
    model = load(named(tmp_path, kind))
    folder = model.save_pretrained(tmp_path / "model")
    for source in ("tiny", "weights"):
        if (tmp_path / source).exists():
            (tmp_path / source).rename(tmp_path / "gone")
    back = load(folder)
    assert (back.embed(WIDE) == model.embed(WIDE)).all()
    assert (replace(back.config, text={}), back.digest) == (model.config, model.digest)
    assert str(tmp_path) not in (folder / "config.json").read_text() + (folder / "README.md").read_text()


def test_the_digest_knows_preparation_and_arguments(tmp_path):
    digests = set()
    for number, cfg in enumerate(({}, {"interpolation": "bicubic"}, {"crop_mode": "squash"})):
        digests.add(load(f"local-dir:{timm_folder(tmp_path / str(number), cfg=cfg)}").digest)
    eager = timm_folder(tmp_path / "eager", qk_norm=False)
    assert len(digests | {load(f"local-dir:{eager}").digest}) == 4


def test_a_start_without_weights_is_the_architecture(tmp_path):
    add_clip(tmp_path / "configs", "tiny-vit")
    for name, architecture in (
        ("test_vit", "test_vit"),
        ("random:test_vit", "test_vit"),
        ("open-clip:tiny-vit", "open-clip:tiny-vit"),
    ):
        torch.manual_seed(3)
        start = build_start(name, image_size=64)
        torch.manual_seed(3)
        plain = build_backbone(architecture, image_size=64)
        for key, value in plain.state_dict().items():
            assert torch.equal(start.module.state_dict()[key], value), key
        assert (start.architecture, start.pretrained, start.origin) == (architecture, False, "untrained")
        assert start.mean == (0.485, 0.456, 0.406)
    assert build_start("resnet18", image_size=64).stem == "small"


@pytest.mark.parametrize("kind", ["local-dir", "tiny-vit", "tiny-trunk"])
def test_a_start_with_weights_can_be_rebuilt_without_them(tmp_path, kind):
    start = build_start(named(tmp_path, kind), image_size=64)
    assert start.pretrained
    assert (start.mean, start.std) == (MEAN, STD)
    rebuilt = build_backbone(start.architecture, image_size=64, stem=start.stem, arguments=start.arguments)
    rebuilt.load_state_dict(start.module.state_dict())
    views = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        assert torch.equal(rebuilt.eval()(views), start.module.eval()(views))
    assert start.config(method="catlip").method == "catlip"


def test_a_start_from_a_model_folder_may_take_another_image_size(tmp_path):
    model = small_model(None, encoder="vit_tiny_patch16_224", size=64, stem="small")
    folder = model.save_pretrained(tmp_path / "model")
    same, larger = build_start(folder), build_start(folder, image_size=96)
    assert torch.equal(same.module.pos_embed, model.encoder.pos_embed)
    assert larger.module.pos_embed.shape == (1, 1 + 12**2, 192)
    assert (same.stem, larger.stem, larger.image_size, larger.origin) == ("small", "small", 96, "catlip")
    weight = model.encoder.blocks[3].mlp.fc1.weight
    assert torch.equal(larger.module.blocks[3].mlp.fc1.weight, weight)
    resnet = small_model(None).save_pretrained(tmp_path / "resnet")
    assert build_start(resnet, image_size=64).module(torch.zeros(2, 3, 64, 64)).shape == (2, 512)


def test_resized_weights_are_held_once(tmp_path):
    module = build_start(f"local-dir:{timm_folder(tmp_path / 'tiny')}", image_size=96).module
    assert module.pretrained_cfg["state_dict"] is None


@pytest.mark.parametrize("written_as", [1, 2])
def test_a_folder_of_an_older_format_is_read(tmp_path, written_as):
    model = small_model()
    folder = model.save_pretrained(tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    since = {
        1: ("arguments", "interpolation", "resize", "projection_dim", "text", "text_digest"),
        2: ("label_scores", "head_layers", "words", "parts"),
    }
    for key in (*since[2], *(since[1] if written_as == 1 else ())):
        del config[key]
    (folder / "config.json").write_text(json.dumps(config | {"format": written_as}))
    assert load(folder).digest == model.digest


def test_weights_of_a_folder_are_all_there_or_refused(tmp_path):
    path = timm_folder(tmp_path / "tiny")
    weights = load_file(path / "model.safetensors")
    for change in (lambda: weights.pop("norm.weight"), lambda: weights.update(other=torch.zeros(1))):
        changed = dict(weights)
        change()
        save_file(weights, path / "model.safetensors")
        with pytest.raises(ModelError, match=r"the file is no test_vit as its config\.json describes it"):
            load(f"local-dir:{path}")
        weights.clear()
        weights.update(changed)


def test_optional_packages_are_imported_when_they_are_asked_for_and_not_before():
    for path in Path(synsight.models.__file__).parent.rglob("*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                assert "open_clip" not in ast.unparse(node).split(), path.name


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"architecture": "test_vat"}, "found 'test_vat'; did you mean 'test_vit'"),
        ({"architecture": None}, "expected timm's config with an 'architecture', found another; use a model"),
        ({"architecture": None, "encoder": "test_vit"}, "it is synsight's own, so give the folder by itself"),
        ({"model_args": {"depth": 10**9}}, "expected arguments that shape an architecture, found 'depth'"),
        (
            {"model_args": {"img_size": [160, 320]}},
            r"expected square images of 1 to 4096 px, found \[160, 320\]",
        ),
        ({"model_args": {"no_such": 1}}, "timm could not build it"),
        ({"model_args": [1]}, "expected timm's config"),
        ({"pretrained_cfg": {"mean": "grey"}}, "mean must be three numbers"),
        ({"pretrained_cfg": {"crop_pct": 1e-300}}, "crop_fraction must be in"),
        ({"pretrained_cfg": {"crop_mode": "border"}}, "resize must be one of shortest, squash; got 'border'"),
    ],
)
def test_a_config_of_timms_that_cannot_be_used_is_one_sentence(tmp_path, change, message):
    path = timm_folder(tmp_path / "tiny")
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(ModelError, match=message) as refusal:
        load(f"local-dir:{path}")
    assert "\n" not in str(refusal.value)
