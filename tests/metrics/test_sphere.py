import math
from itertools import combinations

import numpy as np
import pytest
import torch

from synsight.errors import ConfigError, DataError, ShapeError
from synsight.metrics import alignment, sphere, uniformity


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize("alpha", [1.0, 2.0])
def test_alignment_is_the_mean_distance_of_unit_views(alpha: float):
    rng = np.random.default_rng(0)
    z0, z1 = rng.normal(size=(2, 20, 6))
    distances = np.linalg.norm(unit(z0) - unit(z1), axis=1) ** alpha
    assert alignment(z0, z1, alpha=alpha) == pytest.approx(np.mean(distances), rel=1e-6)
    assert alignment(5 * z0, z1, alpha=alpha) == pytest.approx(alignment(z1, z0, alpha=alpha), rel=1e-6)
    assert alignment(z0, z0) == pytest.approx(0, abs=1e-10)
    assert alignment(z0, -z0, alpha=alpha) == pytest.approx(2**alpha, rel=1e-6)


@pytest.mark.parametrize("t", [1.0, 2.0])
def test_uniformity_is_the_log_of_the_mean_potential_of_all_pairs(t: float):
    z = np.random.default_rng(1).normal(size=(17, 5))
    potentials = [math.exp(-t * np.sum((a - b) ** 2)) for a, b in combinations(unit(z), 2)]
    assert uniformity(z, t=t) == pytest.approx(math.log(np.mean(potentials)), rel=1e-6)
    # The paper's own code.
    published = torch.pdist(torch.from_numpy(unit(z)), p=2).pow(2).mul(-t).exp().mean().log()
    assert uniformity(z, t=t) == pytest.approx(published.item(), rel=1e-6)


def test_uniformity_by_tiles_is_that_of_one_tile(monkeypatch: pytest.MonkeyPatch):
    z = np.random.default_rng(2).normal(size=(50, 8))
    whole = uniformity(z)
    monkeypatch.setattr(sphere, "TILE", 7)
    # Cosines are float32, and a processor may sum a narrower product in another order.
    assert uniformity(z) == pytest.approx(whole, rel=1e-6)


def test_one_point_has_no_uniformity_and_even_features_have_the_most():
    rng = np.random.default_rng(3)
    assert uniformity(np.ones((30, 4))) == pytest.approx(0, abs=1e-6)
    # Cosines of even features in D dimensions are near 0, so the potential is near exp(-2 t).
    assert uniformity(rng.normal(size=(1500, 512))) == pytest.approx(-4, abs=0.03)


def test_pairs_are_asked_for():
    with pytest.raises(ShapeError, match=r"needs pairs of rows; got features \(1, 3\)"):
        uniformity(np.ones((1, 3)))
    with pytest.raises(ShapeError, match="two views must be features of the same images"):
        alignment(np.ones((2, 3)), np.ones((3, 3)))
    with pytest.raises(ConfigError, match="t must be > 0"):
        uniformity(np.ones((2, 3)), t=0)
    with pytest.raises(ConfigError, match="alpha must be > 0"):
        alignment(np.ones((2, 3)), np.ones((2, 3)), alpha=0)
    with pytest.raises(DataError, match="must be finite"):
        alignment(np.full((2, 3), np.inf), np.ones((2, 3)))
