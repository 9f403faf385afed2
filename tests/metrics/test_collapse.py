import numpy as np
import pytest

from synsight.metrics import unit_feature_spread


@pytest.mark.parametrize("dimension", [8, 128])
def test_one_direction_gives_zero_and_all_directions_give_one(dimension):
    rng = np.random.default_rng(0)
    lengths = rng.uniform(1, 9, size=(500, 1))
    assert unit_feature_spread(lengths * np.ones(dimension)) == pytest.approx(0, abs=1e-6)
    assert unit_feature_spread(rng.normal(size=(20_000, dimension))) == pytest.approx(1, abs=0.02)
