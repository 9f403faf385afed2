"""The published CatLIP recipes: the constants of the released configurations, and encoders that take them."""

import pytest
import torch

from synsight.models import build_backbone, embedding_dim
from synsight.recipes import catlip
from synsight.recipes.catlip import (
    SIZES,
    catlip_cc3m,
    catlip_vit_b16,
    catlip_vit_h16,
    catlip_vit_l16,
)
from synsight.training.config import from_mapping
from synsight.training.levers import apply_levers
from synsight.training.optim import rate_at
from synsight.training.settings import to_plain

DATACOMP = {catlip_vit_b16: 1e-3, catlip_vit_l16: 6e-4, catlip_vit_h16: 4e-4}
PUBLISHED = (*DATACOMP, catlip_cc3m)


def test_the_sizes_are_25_points_rounded_to_the_patch():
    points = {int(128 + (320 - 128) * point / 24 + 8) // 16 * 16 for point in range(25)}
    assert sorted(points) == list(SIZES)
    assert SIZES[0] == 128 and SIZES[-1] == 320 and 224 in SIZES


@pytest.mark.parametrize("recipe", DATACOMP)
def test_the_datacomp_runs_are_those_of_the_released_configurations(recipe):
    config, lr = recipe(), DATACOMP[recipe]
    assert (config.steps, config.batch_size, config.image_size) == (200_000, 65_536, 224)
    assert (config.optim.lr, config.optim.betas, config.optim.weight_decay) == (lr, (0.9, 0.999), 0.2)
    assert (config.optim.clip_norm, config.optim.ema_decay) == (1.0, 1 - 5e-4)
    assert config.method.range_augment and config.method.start_probability == 0.5
    assert config.levers.activation_checkpointing
    rates = [
        rate_at(step, total_steps=200_000, schedule=config.schedule) for step in (9_999, 10_000, 199_999)
    ]
    assert rates[0] == pytest.approx(1, rel=2e-4) and rates[1] == 1 and rates[2] == pytest.approx(0.01)


def test_cc3m_is_table_6():
    config = catlip_cc3m()
    assert (config.optim.lr, config.batch_size, config.epochs, config.steps) == (2e-3, 4 * 512, 25, None)


@pytest.mark.parametrize("recipe", PUBLISHED)
def test_the_encoder_takes_every_size_and_the_config_survives_its_file(recipe):
    config = recipe()
    assert config.recipe == recipe.__name__.replace("_", "-")
    with torch.device("meta"):
        encoder = build_backbone(config.encoder, image_size=config.image_size)
    apply_levers(encoder, config.levers, sizes=frozenset(config.image_sizes), name=config.encoder)
    assert encoder.patch_embed.patch_size == (16, 16)
    for size in (SIZES[0], SIZES[-1]):
        with torch.inference_mode():
            features = encoder(torch.empty(1, 3, size, size, device="meta"))
        assert features.shape == (1, embedding_dim(encoder))
    assert from_mapping(to_plain(config)) == config


def test_the_small_recipe_has_no_levers_and_no_learned_augmentation():
    config = catlip()
    assert not config.method.range_augment and not config.image_sizes and config.optim.ema_decay is None
