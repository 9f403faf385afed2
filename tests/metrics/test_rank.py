import numpy as np
import pytest

from synsight.errors import ConfigError, DataError, ShapeError
from synsight.metrics import lidar, rank_me


def exp_entropy(values: np.ndarray) -> float:
    shares = values / values.sum() + 1e-7
    return float(np.exp(-sum(share * np.log(share) for share in shares)))


def lidar_by_hand(features: np.ndarray, delta: float = 1e-4) -> float:
    """The paper's definition, image by image and view by view, with the matrix root."""
    images, views, dimension = features.shape
    means = [features[i].mean(axis=0) for i in range(images)]
    centre = sum(means) / images
    between = sum(np.outer(mean - centre, mean - centre) for mean in means) / (images - 1)
    within = delta * np.eye(dimension)
    for i in range(images):
        for q in range(views):
            away = features[i, q] - means[i]
            within += np.outer(away, away) / (images * (views - 1))
    values, vectors = np.linalg.eigh(within)
    root = vectors @ np.diag(values**-0.5) @ vectors.T
    return exp_entropy(np.linalg.eigvalsh(root @ between @ root).clip(min=0))


@pytest.mark.parametrize("shape", [(40, 9), (9, 40), (1, 5)])
def test_rank_me_is_the_exponential_entropy_of_the_singular_values(shape: tuple[int, int]):
    features = np.random.default_rng(0).normal(size=shape) * np.arange(1, shape[1] + 1)
    singular = np.linalg.svd(features, compute_uv=False)
    assert rank_me(features) == pytest.approx(exp_entropy(singular), rel=1e-6)


def test_rank_me_counts_the_dimensions_that_are_used_whatever_their_length_and_rotation():
    rng = np.random.default_rng(1)
    basis, _ = np.linalg.qr(rng.normal(size=(30, 30)))
    rows, _ = np.linalg.qr(rng.normal(size=(200, 7)))  # seven equal singular values
    features = rows @ basis[:7]
    assert rank_me(features) == pytest.approx(7, rel=1e-4)
    assert rank_me(1000 * features) == pytest.approx(7, rel=1e-4)
    assert rank_me(np.ones((50, 8))) == pytest.approx(1, rel=1e-4)
    assert rank_me(np.zeros((50, 8))) == 1.0


@pytest.mark.parametrize("shape", [(12, 3, 5), (4, 6, 20)])
def test_lidar_is_the_paper_s_definition(shape: tuple[int, int, int]):
    rng = np.random.default_rng(2)
    features = rng.normal(size=(shape[0], 1, shape[2])) + 0.3 * rng.normal(size=shape)
    assert lidar(features) == pytest.approx(lidar_by_hand(features), rel=1e-6)
    assert lidar(features, delta=0.1) == pytest.approx(lidar_by_hand(features, delta=0.1), rel=1e-6)


def test_lidar_counts_what_tells_images_apart_and_not_what_augmentation_changes():
    rng = np.random.default_rng(3)
    told = rng.normal(size=(400, 1, 4)) * np.ones((1, 10, 1))
    changed = rng.normal(size=(400, 10, 12))
    features = np.concatenate([told + 0.05 * rng.normal(size=told.shape), changed], axis=2)
    assert lidar(features) == pytest.approx(4, rel=0.05)
    assert rank_me(features.reshape(-1, 16)) > 12  # which cannot tell the two apart


def test_broken_features_are_refused():
    with pytest.raises(DataError, match="1 of 3 rows are not, the first is row 1"):
        rank_me(np.array([[1.0, 2.0], [np.nan, 1.0], [0.0, 1.0]]))
    with pytest.raises(ShapeError, match=r"two images and two views or more; got \(3, 1, 2\)"):
        lidar(np.ones((3, 1, 2)))
    with pytest.raises(ConfigError, match="delta must be > 0"):
        lidar(np.ones((3, 2, 2)), delta=0)
