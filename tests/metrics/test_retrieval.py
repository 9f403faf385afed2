import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from synsight.errors import ConfigError, DataError, ShapeError
from synsight.metrics.retrieval import chance_recall_at, retrieval_ranks


def made(images=30, texts=40, *, dimension=6, seed=0, pairs=60):
    """Embeddings whose pairs are somewhat alike; every image and every text has a partner."""
    rng = np.random.default_rng(seed)
    image_z, text_z = rng.normal(size=(images, dimension)), rng.normal(size=(texts, dimension))
    of_image = np.concatenate(
        [np.arange(images), rng.integers(images, size=texts), rng.integers(images, size=pairs)]
    )
    of_text = np.concatenate(
        [rng.integers(texts, size=images), np.arange(texts), rng.integers(texts, size=pairs)]
    )
    np.add.at(image_z, of_image, 0.3 * text_z[of_text])
    return image_z.astype(np.float32), text_z.astype(np.float32), of_image, of_text


def brute_force(queries, answers, truth, places):
    """One query after the other: is a right answer among the first?"""
    unit = [
        rows / np.linalg.norm(rows, axis=1, keepdims=True)
        for rows in (queries.astype(float), answers.astype(float))
    ]
    hits = []
    for query, right in zip(unit[0], truth, strict=True):
        first = np.argsort(-(unit[1] @ query))[:places]
        hits.append(right[first].any())
    return np.array(hits)


def clip_benchmarks_recall(scores, positive, places):
    """The formula of CLIP_benchmark's `recall_at_k`, written again: scores and pairs [Q, A]."""
    top = torch.topk(scores, places, dim=1)[1]
    picked = torch.nn.functional.one_hot(top, num_classes=scores.shape[1])
    true_positives = (picked * positive.view(len(positive), 1, -1)).sum(dim=(1, 2))
    return ((true_positives / positive.sum(dim=1)) > 0).float().mean().item()


def truth_of(images, texts, of_image, of_text):
    truth = np.zeros((images, texts), bool)
    truth[of_image, of_text] = True
    return truth


@pytest.mark.parametrize("places", [1, 5, 10, 29])
def test_hits_are_those_of_brute_force_with_several_right_answers(places):
    image_z, text_z, of_image, of_text = made()
    truth = truth_of(30, 40, of_image, of_text)
    by_image, by_text = retrieval_ranks(image_z, text_z, of_image, of_text)
    np.testing.assert_array_equal(by_image.hits(places), brute_force(image_z, text_z, truth, places))
    np.testing.assert_array_equal(by_text.hits(places), brute_force(text_z, image_z, truth.T, places))
    assert by_image.right.tolist() == truth.sum(axis=1).tolist()


@pytest.mark.parametrize("places", [1, 5, 10])
def test_recall_is_clip_benchmarks_where_each_image_has_captions_of_its_own(places):
    image_z, text_z, _, _ = made(images=20, texts=60)
    of_image = np.repeat(np.arange(20), 3)
    by_image, by_text = retrieval_ranks(image_z, text_z, of_image, np.arange(60))
    unit = [torch.nn.functional.normalize(torch.from_numpy(rows), dim=1) for rows in (text_z, image_z)]
    scores, positive = unit[0] @ unit[1].T, torch.zeros(60, 20, dtype=torch.bool)
    positive[torch.arange(60), torch.from_numpy(of_image)] = True
    assert by_text.hits(places).mean() == pytest.approx(clip_benchmarks_recall(scores, positive, places))
    assert by_image.hits(places).mean() == pytest.approx(clip_benchmarks_recall(scores.T, positive.T, places))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 999), cells=st.integers(1, 3000))
def test_tiles_of_any_size_give_the_same_ranks(seed, cells):
    embedded = made(13, 17, seed=seed, pairs=5)
    whole, tiled = retrieval_ranks(*embedded), retrieval_ranks(*embedded, most_cells=cells)
    for one, other in zip(whole, tiled, strict=True):
        np.testing.assert_array_equal(one.wrong_before, other.wrong_before)
        np.testing.assert_array_equal(one.best_wrong, other.best_wrong)
        np.testing.assert_allclose(one.best_score, other.best_score, atol=1e-6)


def test_the_best_wrong_answer_and_the_highest_cosine_are_named():
    image_z = np.array([[1, 0], [0, 1]], np.float32)
    text_z = np.array([[2, 0.2], [3, 0], [0, 1]], np.float32)
    by_image, by_text = retrieval_ranks(image_z, text_z, np.array([0, 1]), np.array([0, 2]))
    assert by_image.best_wrong.tolist() == [1, 0]
    assert by_image.wrong_before.tolist() == [1, 0]
    assert by_image.best_score.tolist() == [1, 1]
    assert by_text.hits(1).tolist() == [True, False, True], "the second text belongs to no image"


def test_an_encoder_that_maps_everything_to_one_point_finds_nothing():
    same = np.tile(np.random.default_rng(0).normal(size=16), (50, 1))
    for ranks in retrieval_ranks(same, 3 * same, np.arange(50), np.arange(50), most_cells=700):
        assert not ranks.hits(10).any() and ranks.hits(50).all()


def test_random_embeddings_recall_what_chance_says():
    rng = np.random.default_rng(0)
    of_image = np.repeat(np.arange(200), 3)
    found = [
        retrieval_ranks(rng.normal(size=(200, 32)), rng.normal(size=(600, 32)), of_image, np.arange(600))
        for _ in range(10)
    ]
    for places in (1, 5, 10):
        by_image = np.mean([one.hits(places).mean() for one, _ in found])
        by_text = np.mean([one.hits(places).mean() for _, one in found])
        assert by_image == pytest.approx(chance_recall_at(places, 600, np.full(200, 3)), abs=0.012)
        assert by_text == pytest.approx(places / 200, abs=0.01)


def test_chance_by_hand():
    assert chance_recall_at(3, 12, np.array([1, 1])) == pytest.approx(3 / 12)
    assert chance_recall_at(2, 5, np.array([2])) == pytest.approx(1 - (3 / 5) * (2 / 4))
    assert chance_recall_at(2, 5, np.array([4, 0])) == pytest.approx((1 + 0) / 2)
    assert chance_recall_at(9, 5, np.array([1])) == 1.0


def test_what_does_not_fit_is_named():
    rows = np.ones((3, 4), np.float32)
    with pytest.raises(ShapeError, match=r"lie in one space.* got \(3, 4\) and \(3, 5\)"):
        retrieval_ranks(rows, np.ones((3, 5)), np.arange(3), np.arange(3))
    with pytest.raises(ShapeError, match="number both from 0"):
        retrieval_ranks(rows, rows, np.arange(3), np.arange(1, 4))
    with pytest.raises(DataError, match="1 of 3 rows"):
        retrieval_ranks(
            rows, np.where(np.eye(3, 4) == 1, [[1], [1], [np.nan]], 1), np.arange(3), np.arange(3)
        )
    with pytest.raises(ConfigError, match="one place at least; got 0"):
        retrieval_ranks(rows, rows, np.arange(3), np.arange(3))[0].hits(0)
