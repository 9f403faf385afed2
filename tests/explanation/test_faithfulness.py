import numpy as np
import pytest
import torch

from synsight.errors import ShapeError
from synsight.explanation.faithfulness import deletion_insertion, points_at, rank_correlation


def corner_is_dark(images):
    """A model that looks at the upper left quarter alone."""
    return 1 - images[:, :, :8, :8].float().mean(dim=(1, 2, 3)).numpy() / 255


def quartered():
    pixels = torch.full((3, 32, 32), 255, dtype=torch.uint8)
    pixels[:, :8, :8] = 0
    return pixels


def heat_at(row, column):
    values = np.zeros((4, 4))
    values[row, column] = 1
    return values


def test_the_true_map_beats_random_order_and_a_false_one_does_not():
    true = deletion_insertion(quartered(), heat_at(0, 0), corner_is_dark, orders=8)
    false = deletion_insertion(quartered(), -heat_at(0, 0), corner_is_dark, orders=8)
    assert true.deletion < true.deletion_random < false.deletion
    assert true.insertion > true.insertion_random > false.insertion
    assert true.deletion_random == false.deletion_random


def test_areas_are_those_by_hand():
    """The corner goes at the first of 16 steps: 1 at the start, then the blurred corner's probability."""
    seen = []

    def recorded(images):
        seen.append(corner_is_dark(images))
        return seen[-1]

    found = deletion_insertion(quartered(), heat_at(0, 0), recorded, steps=16, orders=0)
    rest = seen[0][-1]
    assert seen[0] == pytest.approx([1.0, *[rest] * 16], abs=1e-6)
    assert found.deletion == pytest.approx((0.5 * (1 + rest) + 15 * rest) / 16)
    assert found.insertion == pytest.approx((0.5 * (rest + 1) + 15) / 16)


def test_a_constant_score_has_its_own_area_in_any_order():
    found = deletion_insertion(quartered(), heat_at(1, 2), lambda images: np.full(len(images), 0.3))
    assert list(vars(found).values()) == pytest.approx([0.3] * 4)


def test_pointing_counts_the_middle_of_the_strongest_cell():
    assert points_at(heat_at(0, 0), [(0, 0, 8, 8)], side=32)
    assert points_at(heat_at(1, 2), [(0, 0, 8, 8), (16, 8, 8, 8)], side=32)
    assert not points_at(heat_at(1, 2), [(16, 16, 16, 16)], side=32)
    with pytest.raises(ShapeError, match="needs a box"):
        points_at(heat_at(0, 0), [], side=32)


def test_ranks_agree_with_themselves_and_not_with_their_reverse():
    values = np.random.default_rng(0).random((5, 5))
    assert rank_correlation(values, 3 * values + 1) == pytest.approx(1)
    assert rank_correlation(values, -values) == pytest.approx(-1)
    assert rank_correlation(values, np.ones((5, 5))) == 0


def test_the_map_of_a_network_with_random_weights_is_another():
    from explanation.small_explained import words_model
    from models.small_models import picture
    from synsight.explanation.maps import maps

    found = []
    for seed in (0, 1):
        model = words_model()
        torch.manual_seed(seed)
        for layer in model.encoder.modules():
            if hasattr(layer, "reset_parameters"):
                layer.reset_parameters()
        pixels = model.pixels([picture(2)])[0]
        found.append(maps(model, pixels, [lambda x, head=model.head: head(x)[:, 0]])[0].values)
    assert abs(rank_correlation(*found)) < 0.9
