import math

import open_clip.transformer
import pytest
import torch
from small_text_models import sample_captions
from torch import nn

from synsight.errors import ConfigError, ModelError, ShapeError
from synsight.models.text import (
    CLIP_TEXT_TOWER,
    TextTower,
    TextTowerConfig,
    build_text_tower,
    rebuild_text_tower,
)

SMALL = TextTowerConfig(width=16, layers=2, heads=2, context_length=20)
CAPTIONS = ["a red car!!", "dog", "", *sample_captions(every=400)]


def small_tower(seed: int = 0) -> TextTower:
    torch.manual_seed(seed)
    tower = TextTower(SMALL)
    with torch.no_grad():
        for parameter in tower.parameters():  # zeros and ones would hide what is left out
            parameter.add_(0.1 * torch.randn_like(parameter))
    return tower


def full_width(tower, captions=CAPTIONS):
    tokens = tower.tokenise(captions)
    return nn.functional.pad(tokens, (0, tower.context_length - tokens.shape[1]))


def open_clips(config: TextTowerConfig) -> nn.Module:
    sizes = {"width": config.width, "heads": config.heads, "layers": config.layers}
    return open_clip.transformer.TextTransformer(
        context_length=config.context_length, vocab_size=config.vocab_size, output_dim=None, **sizes
    )


def test_gives_the_features_and_gradients_of_open_clips_tower_with_the_same_weights():
    ours, theirs = small_tower().double(), open_clips(SMALL).double()
    theirs.load_state_dict(ours.state_dict())
    tokens = full_width(ours)
    direction = torch.randn(len(tokens), 16, dtype=torch.float64)
    for tower in (ours, theirs):
        (tower(tokens) * direction).sum().backward()
    torch.testing.assert_close(ours(tokens), theirs(tokens), rtol=0, atol=1e-12)
    expected = dict(theirs.named_parameters())
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, expected.pop(name).grad, rtol=0, atol=1e-11, msg=name)
    assert not expected
    torch.testing.assert_close(ours.float()(tokens), theirs.float()(tokens), rtol=0, atol=1e-5)


def test_begins_with_weights_spread_as_in_open_clip():
    torch.manual_seed(0)
    ours = dict(TextTower(TextTowerConfig(layers=3)).named_parameters())
    theirs = dict(open_clips(TextTowerConfig(layers=3)).named_parameters())
    for name, parameter in ours.items():
        spread, expected = parameter.std().item(), theirs[name].std().item()
        assert math.isclose(spread, expected, rel_tol=0.05, abs_tol=1e-12) or "mlp" in name, name
        assert math.isclose(spread, expected, rel_tol=0.15, abs_tol=1e-12), name  # small random biases
        assert abs(parameter.mean().item() - theirs[name].mean().item()) < 0.01, name


def test_a_batch_is_computed_as_wide_as_its_longest_caption():
    tower, seen = small_tower(), []
    tower.transformer.resblocks[0].register_forward_hook(
        lambda _, inputs, __: seen.append(inputs[0].shape[1])
    )
    tokens = full_width(tower, ["a red car", "dog"])
    short = tower(tokens)
    assert seen == [5]  # start, three words, end
    features = tower.token_embedding(tokens) + tower.positional_embedding
    features = tower.ln_final(tower.transformer(features))
    torch.testing.assert_close(short, features[torch.arange(2), tokens.argmax(1)], rtol=0, atol=1e-6)


def test_a_caption_has_the_same_features_in_any_batch():
    tower = small_tower()
    together = tower(tower.tokenise(CAPTIONS))
    for row, caption in enumerate(CAPTIONS):
        torch.testing.assert_close(together[row], tower(tower.tokenise([caption]))[0], rtol=0, atol=1e-5)


def test_words_behind_the_end_mark_say_nothing():
    tower = small_tower()
    tokens = full_width(tower, ["a red car", "a red car"])
    tokens[1, 6:] = 320
    features = tower(tokens)
    torch.testing.assert_close(features[0], features[1], rtol=0, atol=1e-6)


def test_recomputed_activations_give_the_same_gradients_for_every_parameter():
    gradients = []
    for enable in (False, True):
        tower = small_tower()
        tower.set_grad_checkpointing(enable)
        tower(tower.tokenise(CAPTIONS)).square().sum().backward()
        gradients.append({name: one.grad for name, one in tower.named_parameters()})
    for name, plain in gradients[0].items():
        assert torch.equal(plain, gradients[1][name]) and plain.abs().max() > 0, name


def test_names_what_is_not_to_be_decayed():
    tower = small_tower()
    assert tower.no_weight_decay() == {"positional_embedding"}
    assert tower.no_weight_decay() <= {name for name, _ in tower.named_parameters()}


def test_computes_in_bfloat16():
    tower = small_tower()
    tokens = tower.tokenise(CAPTIONS)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        features = tower(tokens)
    cosines = nn.functional.cosine_similarity(features.float(), tower(tokens))
    assert cosines.min() > 0.999


def test_is_built_by_name_and_with_another_context():
    assert build_text_tower("transformer").config == TextTowerConfig()
    with torch.device("meta"):
        assert build_text_tower("clip-transformer").config == CLIP_TEXT_TOWER
    tower = build_text_tower(SMALL, context_length=7)
    assert tower.tokenise([" ".join(["car"] * 30)]).shape == (1, 7)
    assert (tower.embedding_dim, tower.context_length, tower.pretrained) == (16, 7, False)


def test_is_built_again_from_its_settings():
    tower = small_tower()
    again = rebuild_text_tower(tower.settings)
    again.load_state_dict(tower.state_dict())
    tokens = tower.tokenise(CAPTIONS)
    assert torch.equal(again(tokens), tower(tokens))


@pytest.mark.parametrize(
    "settings", [{}, {"tower": "transformer", "depth": 3}, {"tower": "minilm"}, {"tower": 3}]
)
def test_settings_of_nothing_known_are_refused(settings):
    with pytest.raises(ModelError, match="expected the settings of a text tower, found"):
        rebuild_text_tower(settings)


@pytest.mark.parametrize(
    ("sizes", "problem"),
    [
        ({"width": 30}, "width must be a multiple of heads; got 30 and 4"),
        ({"layers": 0}, "layers must be an integer >= 1; got 0"),
        ({"context_length": 1}, "context_length must be an integer >= 2; got 1"),
        ({"vocab_size": 100}, "vocab_size must be an integer >= 49408; got 100"),
    ],
)
def test_sizes_that_cannot_be_are_refused(sizes, problem):
    with pytest.raises(ConfigError, match=problem):
        TextTowerConfig(**sizes)


def test_tokens_wider_than_the_context_are_refused():
    with pytest.raises(ShapeError, match=r"expected tokens \[B, L\] with L up to 20, got \[2, 21\]"):
        small_tower()(torch.ones(2, 21, dtype=torch.int64))
