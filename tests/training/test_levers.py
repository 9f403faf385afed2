"""What a step may leave out, and when."""

import pytest
import timm
import torch
from tiny import tiny_config

from synsight.errors import ConfigError
from synsight.training import LeversConfig, train
from synsight.training.build import build_language, sizes_of
from synsight.training.levers import apply_levers, drop_tokens, phases, size_at, work_per_image


def vit() -> torch.nn.Module:
    return timm.create_model("test_vit", num_classes=0, img_size=32)


def tokens_seen(encoder: torch.nn.Module) -> int:
    seen: list[int] = []
    hook = encoder.blocks[0].register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].shape[1]))
    encoder(torch.zeros(2, 3, 32, 32))
    hook.remove()
    return seen[0]


def test_half_of_the_patches_are_seen_until_the_last_phase_and_all_in_evaluation():
    encoder, levers = vit(), LeversConfig(token_keep=0.5, full_share=0.1)
    whole = tokens_seen(encoder.train())
    patches = whole - encoder.num_prefix_tokens
    drop_tokens(encoder, step=89, total_steps=100, levers=levers)
    assert tokens_seen(encoder.train()) == encoder.num_prefix_tokens + patches // 2
    assert tokens_seen(encoder.eval()) == whole
    drop_tokens(encoder, step=90, total_steps=100, levers=levers)
    assert tokens_seen(encoder.train()) == whole


def test_pictures_are_small_for_their_share_of_the_steps():
    levers = LeversConfig(small_size=16, small_share=0.7)
    sizes = [size_at(step, total_steps=10, image_size=32, levers=levers) for step in range(10)]
    assert sizes == [16] * 7 + [32] * 3


def test_phases_begin_where_a_step_begins_to_cost_something_else():
    levers = LeversConfig(small_size=16, small_share=0.7, token_keep=0.5, full_share=0.1)
    assert phases(total_steps=100, levers=levers) == [0, 70, 90]
    assert phases(total_steps=100, levers=LeversConfig()) == [0]
    # 0.7 of the images have a quarter of the pixels, 0.9 half of the tokens.
    assert work_per_image(image_size=32, levers=levers) == pytest.approx((0.7 / 4 + 0.3) * (0.45 + 0.1))


def test_an_encoder_sees_the_smaller_views_at_the_sizes_they_are_drawn():
    config = tiny_config("simclr", image_size=28, **{"views.local_count": 2})
    assert sizes_of(config) == {28, 12}
    encoder = vit()
    with pytest.raises(ConfigError, match="takes sizes that are multiples of"):
        apply_levers(encoder, LeversConfig(), sizes=frozenset({32, 13}), name="test_vit")


def test_a_vit_takes_all_sizes_of_its_run():
    encoder = vit().eval()
    before = encoder(torch.ones(1, 3, 32, 32))
    apply_levers(encoder, LeversConfig(), sizes=frozenset({32, 16}), name="test_vit")
    assert encoder(torch.ones(1, 3, 16, 16)).shape == before.shape
    torch.testing.assert_close(encoder(torch.ones(1, 3, 32, 32)), before)


def test_levers_that_an_encoder_does_not_have_are_refused():
    resnet = timm.create_model("test_resnet", num_classes=0)
    with pytest.raises(ConfigError, match="has no patch tokens to drop"):
        apply_levers(resnet, LeversConfig(token_keep=0.5), sizes=frozenset({32}), name="test_resnet")
    with pytest.raises(ConfigError, match=r"levers\.token_keep must lie in \(0, 1\]; got 0"):
        LeversConfig(token_keep=0)


def test_activation_checkpointing_reaches_the_text_tower_and_changes_no_loss(catalog, tmp_path):
    changes = {"steps": 2, "log_every": 1, "image_size": 32, "encoder": "test_vit", "precision": "fp32"}
    losses = {}
    for asked in (False, True):
        config = tiny_config("clip", catalog.path, **changes, **{"levers.activation_checkpointing": asked})
        assert build_language(config, catalog).text_encoder.transformer.checkpointing is asked
        summary = train(config, out=tmp_path / str(asked))
        losses[asked] = [row["loss"] for row in summary.curve if row["kind"] == "train"]
    assert losses[True] == pytest.approx(losses[False], abs=1e-5)
