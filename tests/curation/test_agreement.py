"""Scores of pairs: by hand, by a trusted library, and without ever having seen the pair."""

import tracemalloc

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score

from synsight.curation import cross_fitting
from synsight.curation.agreement import Sides, pair_scores
from synsight.curation.cross_fitting import cross_fitted_sides, fold_of_rows


def related(rows: int = 600, *, seed: int = 0, noise: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """Image and caption vectors that share six hidden causes."""
    drawing = np.random.default_rng(seed)
    causes = drawing.standard_normal((rows, 6))
    sides = [causes @ drawing.standard_normal((6, width)) for width in (20, 12)]
    return tuple((one + noise * drawing.standard_normal(one.shape)).astype(np.float32) for one in sides)


def test_rows_of_a_group_share_a_fold_that_depends_on_the_group_alone():
    groups = [f"g{n % 40}" for n in range(200)]
    folds = fold_of_rows(groups)
    assert all(folds[n] == folds[n % 40] for n in range(200))
    assert set(folds.tolist()) == set(range(cross_fitting.FOLDS))
    backwards = fold_of_rows([*groups[::-1], "another"])
    assert backwards[:200].tolist() == folds[::-1].tolist()
    assert fold_of_rows(groups, seed=1).tolist() != folds.tolist()


def test_scores_are_those_of_plain_loops():
    drawing = np.random.default_rng(3)
    images, captions = (drawing.standard_normal((9, 4)).astype(np.float32) for _ in range(2))
    found = pair_scores(Sides(images, captions), np.zeros(9, np.int64), same=np.arange(9))
    table = images.astype(np.float64) @ captions.T
    for column in range(9):
        others = np.delete(table[:, column], column)
        table[:, column] = (table[:, column] - others.mean()) / others.std()
    for row in range(9):
        others = np.delete(table[row], row)
        assert found.own[row] == pytest.approx((table[row, row] - others.mean()) / others.std(), rel=1e-4)
        possible = (others - others.mean()) / others.std()
        for other in found.others[row][np.isfinite(found.others[row])]:
            assert np.abs(possible - other).min() < 1e-5


def test_a_caption_that_suits_everything_gains_nothing():
    images, captions = related()
    folds = np.zeros(len(images), np.int64)
    sides = cross_fitted_sides(images, captions, np.arange(len(images)) % 5).whole()
    before = pair_scores(sides, folds, same=np.arange(len(images)))
    loud = Sides(sides.images, sides.captions * np.linspace(1, 9, len(images), dtype=np.float32)[:, None])
    after = pair_scores(loud, folds, same=np.arange(len(images)))
    assert_allclose(after.own, before.own, atol=1e-3)


def test_captions_equal_to_the_own_one_are_no_others():
    images, captions = related(60)
    same = np.arange(60) % 2
    found = pair_scores(Sides(images, np.tile(captions, 2)[:, :20]), np.zeros(60, np.int64), same=same)
    assert 0.3 < np.isnan(found.others).mean() < 0.7


def test_no_prediction_depends_on_the_pairs_of_its_own_fold():
    images, captions = related()
    folds = np.arange(len(images)) % 5
    mine = np.flatnonzero(folds == 2)
    other = captions.copy()
    other[mine] = captions[np.roll(mine, 1)]  # other pairs, the same captions
    width = captions.shape[1]

    def directions(sides: Sides) -> np.ndarray:
        said = sides.images[:, :width]
        return said / np.linalg.norm(said, axis=1, keepdims=True)

    before = directions(cross_fitted_sides(images, captions, folds).whole())
    after = directions(cross_fitted_sides(images, other, folds).whole())
    assert_allclose(after[mine], before[mine], atol=1e-4)
    assert np.abs(after - before)[folds != 2].max() > 0.01


def test_rows_are_what_they_are_whichever_others_are_asked_for():
    images, captions = related(300)
    folds = np.random.default_rng(0).integers(0, 5, 300)
    sides = cross_fitted_sides(images, captions, folds)
    whole, some = sides.whole(), np.array([250, 3, 3, 77])
    for side in ("images", "captions"):
        assert_allclose(getattr(sides.of(some), side), getattr(whole, side)[some], atol=1e-6)


def test_memory_hardly_grows_with_the_rows():
    def peak(rows: int) -> int:
        images, captions = related(rows)
        images, captions = (np.tile(one, 16) for one in (images, captions))  # 320 and 192 numbers
        folds = np.arange(rows) % 5
        tracemalloc.start()
        pair_scores(cross_fitted_sides(images, captions, folds), folds, same=np.arange(rows))
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    assert (peak(12_000) - peak(4_000)) / 8_000 < 1024  # both sides alone take 4 KB a row


def test_sides_are_predictions_and_vectors_around_the_means_of_a_fold():
    images, captions = related(300)
    folds = np.arange(300) % 5
    whole = cross_fitted_sides(images, captions, folds).whole()
    width = captions.shape[1]
    said, seen = whole.images[:, :width], whole.images[:, width:]
    assert np.sqrt((said**2).sum(axis=1).mean()) == pytest.approx(1, abs=1e-5)
    for fold in range(5):
        mine = folds == fold
        assert_allclose(said[mine].mean(axis=0), 0, atol=1e-5)
        centred = images[mine] - images[mine].mean(axis=0)
        assert_allclose(seen[mine], centred / np.linalg.norm(centred, axis=1, keepdims=True), atol=1e-5)


def test_the_regression_is_scikit_learns_ridge():
    images, captions = related(400)
    lift = cross_fitting.FourierFeatures(images, seed=0)
    rows = np.arange(300)
    parts = [cross_fitting.RidgeSums.of(lift, images, captions, some) for some in np.array_split(rows, 3)]
    weight, mean = cross_fitting.RidgeSums.ridge(parts)
    lifted = lift(images).astype(np.float64)
    strength = cross_fitting.RIDGE * lifted[:300].var(axis=0).sum() / cross_fitting.WIDTH * 300
    theirs = Ridge(alpha=strength).fit(lifted[:300], captions[:300])
    predicted = theirs.predict(lifted[300:]) - captions[:300].mean(axis=0)
    assert_allclose((lift(images[300:]) - mean) @ weight, predicted, atol=2e-3)  # float32 against float64


def test_shuffled_pairs_are_found_where_there_is_a_relation_and_not_where_there_is_none():
    images, captions = related(900)
    shuffled = np.random.default_rng(1).permutation(900)[:180]
    captions[shuffled] = captions[np.roll(shuffled, 1)]
    is_shuffled = np.isin(np.arange(900), shuffled)
    folds = np.arange(900) % 5
    found = pair_scores(cross_fitted_sides(images, captions, folds), folds, same=np.arange(900))
    assert roc_auc_score(is_shuffled, -found.own) > 0.9
    captions = captions[np.random.default_rng(2).permutation(900)]
    found = pair_scores(cross_fitted_sides(images, captions, folds), folds, same=np.arange(900))
    assert 0.42 < roc_auc_score(is_shuffled, -found.own) < 0.58


def test_nothing_learnt_from_one_pair_helps_to_judge_it():
    # Were a row among its own training rows, its own caption would win even in noise.
    drawing = np.random.default_rng(5)
    images, captions = (drawing.standard_normal((500, 30)).astype(np.float32) for _ in range(2))
    folds = np.arange(500) % 5
    found = pair_scores(cross_fitted_sides(images, captions, folds), folds, same=np.arange(500))
    assert abs(found.own.mean()) < 4 / np.sqrt(500)
