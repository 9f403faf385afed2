import numpy as np
import pytest

from synsight.errors import ConfigError, ShapeError
from synsight.metrics import few_shot_episodes, nearest_mean_accuracy
from synsight.metrics.episodes import _draw, _rows_by_class


def gaussians(counts: list[int], *, apart: float, dimension: int = 16) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    centres = apart * rng.normal(size=(len(counts), dimension))
    return centres[labels] + rng.normal(size=(len(labels), dimension)), labels


def accuracy_by_hand(support: np.ndarray, queries: np.ndarray) -> list[float]:
    """One episode after the other, one query after the other."""
    found = []
    for learnt, asked in zip(support, queries, strict=True):
        centre = np.mean([row for rows in learnt for row in rows], axis=0)
        means = []
        for rows in learnt:
            means.append(np.mean([(row - centre) / np.linalg.norm(row - centre) for row in rows], axis=0))
        right = [
            np.argmin(
                [np.linalg.norm((row - centre) / np.linalg.norm(row - centre) - mean) for mean in means]
            )
            == number
            for number, rows in enumerate(asked)
            for row in rows
        ]
        found.append(np.mean(right))
    return found


def test_an_episode_is_the_nearest_mean_of_centred_unit_rows():
    rng = np.random.default_rng(1)
    centres = rng.normal(size=(8, 5, 1, 7))
    support, queries = centres + rng.normal(size=(8, 5, 4, 7)), centres + rng.normal(size=(8, 5, 6, 7))
    assert nearest_mean_accuracy(support, queries) == pytest.approx(accuracy_by_hand(support, queries))


def test_episodes_draw_different_rows_of_different_classes_each_equally_often():
    labels = np.random.default_rng(2).permutation(np.repeat([0, 1, 3, 4], [9, 12, 30, 5]))
    rows = _rows_by_class(labels, np.array([0, 1, 3]))
    drawn = _draw(rows, 4000, ways=2, each=7, rng=np.random.default_rng(3))
    assert drawn.shape == (4000, 2, 7)
    assert (labels[drawn] == labels[drawn[:, :, :1]]).all()  # a way is one class
    assert (labels[drawn[:, 0, 0]] != labels[drawn[:, 1, 0]]).all()
    assert all(len(set(way)) == 7 for episode in drawn[:200] for way in episode)
    for part in (drawn[:, :, :3], drawn[:, :, 3:]):  # support and queries alike
        counts = np.bincount(part.ravel(), minlength=len(labels))
        expected = np.where(labels == 4, 0, part.size / 3 / np.bincount(labels)[labels])
        assert (abs(counts - expected) <= 5 * np.sqrt(expected)).all()


def test_clear_classes_are_all_named_and_random_features_at_chance():
    features, labels = gaussians([40] * 8, apart=10)
    found = few_shot_episodes(features, labels, episodes=200, rng=np.random.default_rng(0))
    assert found is not None and found.acc1 > 0.999
    features, labels = gaussians([40] * 8, apart=0)
    found = few_shot_episodes(features, labels, episodes=600, rng=np.random.default_rng(0))
    assert found is not None
    assert (found.ways, found.shots, found.queries) == (5, 5, 6)
    assert abs(found.acc1 - 0.2) < 5 * found.standard_error < 0.05


def test_the_standard_error_is_that_of_repeated_draws():
    features, labels = gaussians([60] * 6, apart=0.4)
    draws = [
        few_shot_episodes(features, labels, episodes=60, rng=np.random.default_rng(seed))
        for seed in range(120)
    ]
    spread = np.std([one.acc1 for one in draws if one is not None])
    assert draws[0] is not None
    assert spread == pytest.approx(np.mean([one.standard_error for one in draws if one]), rel=0.25)


def test_the_place_the_length_and_the_order_of_features_do_not_matter():
    features, labels = gaussians([30] * 5, apart=0.5)

    def accuracy(rows: np.ndarray) -> float:
        found = few_shot_episodes(rows, labels, episodes=50, rng=np.random.default_rng(4))
        assert found is not None
        return found.acc1

    assert accuracy(7 * features + 3) == pytest.approx(accuracy(features))
    assert accuracy(features[:, ::-1]) == pytest.approx(accuracy(features))


@pytest.mark.parametrize(
    ("counts", "ways", "queries"),
    [
        ([30, 30, 30, 30, 30, 2], 5, 6),  # the class of two rows stands aside
        ([30, 30, 30, 30, 8], 5, 3),  # 8 rows: 5 to learn from, 3 to ask about
        ([30, 30, 6, 5], 3, 1),  # 5 rows are all learnt from
    ],
)
def test_small_classes_bring_fewer_queries_then_fewer_ways(counts: list[int], ways: int, queries: int):
    features, labels = gaussians(counts, apart=10)
    found = few_shot_episodes(features, labels, episodes=20, rng=np.random.default_rng(0))
    assert found is not None
    assert (found.ways, found.shots, found.queries) == (ways, 5, queries)
    assert found.acc1 > 0.99


def test_without_two_classes_of_enough_rows_there_is_no_episode():
    features, labels = gaussians([30, 5, 5, 4], apart=10)
    assert few_shot_episodes(features, labels, rng=np.random.default_rng(0)) is None


def test_numbers_out_of_range_are_refused():
    features, labels = gaussians([30, 30], apart=1)
    with pytest.raises(ConfigError, match="episodes need ways >= 2"):
        few_shot_episodes(features, labels, ways=1, rng=np.random.default_rng(0))
    with pytest.raises(ShapeError, match="labels must be one integer a row"):
        few_shot_episodes(features, labels[1:], rng=np.random.default_rng(0))
