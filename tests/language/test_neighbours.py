"""The search for neighbours: equal to plain loops, in flat memory, and honest about its recall."""

import tracemalloc

import numpy as np
import pytest

from synsight.errors import ConfigError, ShapeError, UsageError
from synsight.language import nearest, neighbours, points
from synsight.language.neighbours import SPREAD


def plain_loops(embeddings, k, *, exclude=(), floor=None):
    """The k largest cosines of each row in float64, over the rows it may be paired with."""
    rows = embeddings.astype(np.float64)
    lengths = np.linalg.norm(rows, axis=1)
    found = []
    for one in range(len(rows)):
        cosines = []
        for other in range(len(rows)):
            shares = any(ids[one] >= 0 and ids[one] == ids[other] for ids in exclude)
            if one == other or shares or not lengths[one] or not lengths[other]:
                continue
            cosine = rows[one] @ rows[other] / lengths[one] / lengths[other]
            if floor is None or cosine >= floor:
                cosines.append((cosine, other))
        found.append(sorted(cosines, reverse=True)[:k])
    return found


def agree(result, expected, *, within):
    for row, pairs in enumerate(expected):
        known = result.indices[row] >= 0
        assert known.tolist() == [place < len(pairs) for place in range(len(known))]
        np.testing.assert_allclose(result.similarities[row][known], [one for one, _ in pairs], atol=within)
        assert len(set(result.indices[row][known])) == known.sum()
        assert not result.similarities[row][~known].any()


def cosine(embeddings, one, other):
    rows = embeddings.astype(np.float64)
    return rows[one] @ rows[other] / np.linalg.norm(rows[one]) / np.linalg.norm(rows[other])


def drawn(rows=300, dimensions=12, *, seed=0, dtype=np.float32):
    draw = np.random.default_rng(seed)
    embeddings = draw.standard_normal((rows, dimensions)).astype(dtype)
    embeddings[draw.choice(rows, 9, replace=False)] = 0
    captions = draw.integers(-1, rows // 3, rows)
    groups = draw.integers(-1, rows // 9, rows)
    return embeddings, [captions, groups]


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks that no number of rows below fills evenly."""
    monkeypatch.setattr(points, "QUERIES", 17)
    monkeypatch.setattr(points, "CANDIDATES", 23)
    monkeypatch.setattr(neighbours, "QUERIES", 17)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("floor", [None, 0.35])
@pytest.mark.parametrize("k", [1, 5])
def test_exact_search_is_what_plain_loops_find(small_blocks, dtype, floor, k):
    embeddings, exclude = drawn(dtype=dtype)
    result = nearest(embeddings, k=k, exclude=exclude, floor=floor, spread=0)
    expected = plain_loops(embeddings, k, exclude=exclude, floor=floor)
    agree(result, expected, within=1e-5)
    assert (result.recall, result.index) == (1.0, "exact")
    assert [row[row >= 0].tolist() for row in result.indices] == [[one for _, one in row] for row in expected]


def test_a_similarity_is_that_of_the_row_named(small_blocks):
    embeddings, exclude = drawn()
    result = nearest(embeddings, k=3, exclude=exclude)
    for one, other in np.argwhere(result.indices >= 0):
        expected = cosine(embeddings, one, result.indices[one, other])
        assert result.similarities[one, other] == pytest.approx(expected, abs=1e-6)


def test_tie_breaks_change_no_similarity_by_more_than_the_spread(small_blocks):
    embeddings, exclude = drawn()
    result = nearest(embeddings, k=5, exclude=exclude, floor=0.2)
    known = result.similarities
    exact = nearest(embeddings, k=5, exclude=exclude, floor=0.2, spread=0).similarities
    np.testing.assert_allclose(known, exact, atol=2 * SPREAD)


def test_the_length_and_the_order_of_rows_do_not_matter():
    embeddings, _ = drawn()
    exact = nearest(embeddings, k=4, spread=0)
    longer = nearest(
        embeddings * np.linspace(0.5, 3, len(embeddings), dtype=np.float32)[:, None], k=4, spread=0
    )
    assert np.array_equal(longer.indices, exact.indices)
    order = np.random.default_rng(1).permutation(len(embeddings))
    turned = nearest(embeddings[order], k=4, spread=0)
    np.testing.assert_allclose(turned.similarities, exact.similarities[order], atol=1e-6)


def test_faiss_finds_the_same():
    faiss = pytest.importorskip("faiss")
    embeddings = np.random.default_rng(0).standard_normal((2000, 64)).astype(np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    index = faiss.IndexFlatIP(64)
    index.add(embeddings)
    scores, places = index.search(embeddings, 4)  # the first is the row itself
    result = nearest(embeddings, k=3, spread=0)
    assert np.array_equal(result.indices, places[:, 1:])
    np.testing.assert_allclose(result.similarities, scores[:, 1:], atol=1e-5)


def test_where_there_are_fewer_rows_than_neighbours_the_rest_is_empty():
    embeddings = np.eye(3, 8, dtype=np.float32) + 0.1
    result = nearest(embeddings, k=6)
    assert (result.indices >= 0).sum(axis=1).tolist() == [2, 2, 2]
    assert (result.indices[:, 2:] == -1).all()
    alone = nearest(embeddings[:1], k=2)
    assert (alone.indices == -1).all()


def test_rows_without_an_embedding_have_no_neighbours_and_are_none():
    embeddings, _ = drawn()
    zero = np.flatnonzero(~embeddings.any(axis=1))
    result = nearest(embeddings, k=4)
    assert (result.indices[zero] == -1).all()
    assert not np.isin(result.indices, zero).any()
    nothing = nearest(np.zeros((5, 4), np.float16), k=2, index="lists")
    assert (nothing.indices == -1).all()


def test_equal_captions_are_no_neighbours_when_excluded_and_all_are_when_not():
    embeddings, captions = np.ones((40, 8), np.float16), np.zeros(40, np.int64)
    assert (nearest(embeddings, k=3, exclude=[captions]).indices == -1).all()
    allowed = nearest(embeddings, k=3)
    assert (allowed.indices >= 0).all()
    assert not (allowed.indices == np.arange(40)[:, None]).any()
    np.testing.assert_allclose(allowed.similarities, 1, atol=1e-6)


def test_rows_without_an_id_share_none():
    embeddings = np.random.default_rng(0).standard_normal((30, 8)).astype(np.float32)
    nobody = np.full(30, -1)
    assert np.array_equal(
        nearest(embeddings, k=3, exclude=[nobody]).indices, nearest(embeddings, k=3).indices
    )


@pytest.mark.parametrize("index", ["exact", "lists"])
def test_of_many_rows_with_one_caption_each_is_somebodys_neighbour(index):
    """Three captions, 200 rows each: without tie breaks all rows of one would point to the same row."""
    captions = np.repeat(np.arange(3), 200)
    embeddings = np.random.default_rng(0).standard_normal((3, 16)).astype(np.float16)[captions]
    result = nearest(embeddings, k=1, exclude=[captions], index=index)
    chosen = np.bincount(result.indices[:, 0], minlength=600)
    assert chosen.max() < 20
    same = nearest(embeddings, k=1, exclude=[captions], spread=0)
    assert np.bincount(same.indices[:, 0]).max() >= 200


def clusters(rows, *, seed=0):
    draw = np.random.default_rng(seed)
    centres = draw.standard_normal((rows // 50, 24))
    weights = 1 / np.arange(1, len(centres) + 1)
    members = draw.choice(len(centres), rows, p=weights / weights.sum())
    return (centres[members] + 0.6 * draw.standard_normal((rows, 24))).astype(np.float16)


def test_lists_find_the_share_that_they_state():
    embeddings = clusters(6000)
    groups = np.arange(6000) // 3
    exact = nearest(embeddings, k=4, exclude=[groups], index="exact")
    told = []
    found = nearest(embeddings, k=4, exclude=[groups], index="lists", recall=0.95, advance=told.append)
    assert found.index == "lists"
    assert found.probes < found.lists / 2
    assert sum(told) == 6000
    hits = np.mean(
        [np.isin(one, other).mean() for one, other in zip(exact.indices, found.indices, strict=True)]
    )
    assert found.recall >= 0.95
    assert hits == pytest.approx(found.recall, abs=0.02)
    assert not (groups[found.indices] == groups[:, None]).any()
    again = nearest(embeddings, k=4, exclude=[groups], index="lists", recall=0.95)
    assert np.array_equal(again.indices, found.indices)


def test_lists_that_would_be_nearly_all_looked_through_are_an_exact_search():
    embeddings = np.random.default_rng(0).standard_normal((800, 200)).astype(np.float32)
    result = nearest(embeddings, k=2, index="lists", recall=1.0)
    assert (result.index, result.recall) == ("exact", 1.0)
    assert np.array_equal(result.indices, nearest(embeddings, k=2, index="exact").indices)


def test_auto_goes_over_to_lists_beyond_so_many_rows(monkeypatch):
    embeddings = clusters(3000)
    assert nearest(embeddings, k=1).index == "exact"
    monkeypatch.setattr(neighbours, "EXACT_ROWS", 2999)
    assert nearest(embeddings, k=1, recall=0.9).index == "lists"


@pytest.mark.parametrize("index", ["exact", "lists"])
def test_memory_does_not_grow_with_the_square_of_the_rows(index):
    embeddings = clusters(12_000)
    tracemalloc.start()
    nearest(embeddings, k=2, index=index, recall=0.9)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100e6 < 12_000**2 * 4


@pytest.mark.parametrize(
    ("arguments", "error", "sentence"),
    [
        ({"k": 0}, ConfigError, "neighbours must be >= 1; got 0."),
        ({"index": "list"}, UsageError, "did you mean 'lists'"),
        ({"recall": 1.5}, ConfigError, "recall must lie in (0, 1]; got 1.5."),
        ({"spread": 0.5}, ConfigError, "spread must lie in [0, 0.01); got 0.5."),
        ({"exclude": [np.zeros(4, np.int64)]}, ShapeError, "expected embeddings [N, E] and ids [N]"),
    ],
)
def test_a_wrong_argument_is_one_clear_sentence(arguments, error, sentence):
    with pytest.raises(error) as raised:
        nearest(np.ones((5, 2), np.float32), **{"k": 1, **arguments})
    assert sentence in str(raised.value)
