import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from planted import COPIES, catalog_of, encoded, picture, shipped
from synsight.curation.audit.duplicate_pairs import duplicate_pairs
from synsight.curation.audit.image_checks import FINDINGS, check_images
from synsight.curation.audit.near_duplicates import find_near_duplicates
from synsight.curation.hash_search import pairs_within
from synsight.data.catalog import Commit
from synsight.errors import ConfigError, ShapeError


def found_by(hashes: np.ndarray, radius: int) -> list[tuple[int, int, int]]:
    return sorted(
        (int(one), int(other), int(bits))
        for block in pairs_within(hashes, radius=radius)
        for one, other, bits in zip(*block, strict=True)
    )


def by_brute_force(hashes: np.ndarray, radius: int) -> list[tuple[int, int, int]]:
    bits = np.bitwise_count(hashes[:, None] ^ hashes[None, :])
    return [
        (int(a), int(b), int(bits[a, b]))
        for a, b in zip(*np.nonzero(np.triu(bits <= radius, 1)), strict=True)
    ]


@given(st.integers(0, 2**32 - 1), st.integers(0, 200), st.integers(0, 24), st.integers(1, 12))
@settings(max_examples=60, deadline=None)
def test_the_search_finds_exactly_what_brute_force_finds(seed, count, radius, flips):
    """Half of the hashes are others with some bits flipped, so that pairs lie on both sides of the radius."""
    rng = np.random.default_rng(seed)
    hashes = rng.integers(0, 2**64, count, dtype=np.uint64)
    flipped = hashes.copy()
    for _ in range(flips):
        flipped ^= np.uint64(1) << rng.integers(0, 64, count, dtype=np.uint64)
    hashes = rng.permutation(np.unique(np.concatenate([hashes, flipped])))
    assert found_by(hashes, radius) == by_brute_force(hashes, radius)


def test_the_search_is_exact_where_all_hashes_are_crowded():
    """Hashes of drawings share most bits: here 4,000 that differ in 20 places only."""
    rng = np.random.default_rng(0)
    hashes = np.unique(rng.integers(0, 2**20, 4000, dtype=np.uint64) << np.uint64(22))
    assert found_by(hashes, 2) == by_brute_force(hashes, 2)


def test_a_radius_beyond_the_hash_is_refused():
    with pytest.raises(ConfigError, match="radius must be 0 to 64 bits; got 65"):
        list(pairs_within(np.zeros(1, np.uint64), radius=65))


def looked_at(catalog, **options) -> pa.Table:
    return find_near_duplicates(catalog, check_images(catalog).hashes, **options)


def rows_with(table: pa.Table, flag: str) -> list[int]:
    return sorted(table.filter(pa.compute.equal(table["flag"], flag))["position"].to_pylist())


@pytest.mark.parametrize("name", ["emoji", "clipart"])
def test_planted_copies_are_found_and_little_else(tmp_path, name):
    """Measured on 120: equal bytes 100%, saved again 97 to 100%, 2% cut off each side 70% and more."""
    images = shipped(name, 120)
    catalog = catalog_of(tmp_path / "before", images)
    before = {*rows_with(looked_at(catalog), "near-duplicate")}
    assert len(before) <= 0.05 * len(images)
    for how, copy in COPIES.items():
        copies = [copy(picture(one)) for one in images[:40]]
        table = looked_at(catalog_of(tmp_path / how, [*images, *copies, *images[:10]]))
        assert rows_with(table, "duplicate") == [*range(160, 170)], how
        near = {*rows_with(table, "near-duplicate")}
        assert len([row for row in near if row >= 120]) >= (26 if "cut" in how else 38), how
        assert {row for row in near if row < 120} == before


def test_all_but_the_first_are_flagged_with_whom_they_repeat(tmp_path):
    one, other = shipped("emoji", 2)
    catalog = catalog_of(tmp_path / "cat", [one, other, one, None, one, COPIES["jpeg 50"](picture(other))])
    table = looked_at(catalog)
    assert table.schema == FINDINGS
    assert table["position"].to_pylist() == [2, 4, 5]
    assert table["flag"].to_pylist() == ["duplicate", "duplicate", "near-duplicate"]
    assert table["reason"].to_pylist() == ["the same bytes as 'id0'"] * 2 + ["nearly the picture of 'id1'"]
    assert table["score"].to_pylist()[:2] == [1.0, 1.0]
    assert 0.98 <= table["score"].to_pylist()[2] < 1
    clusters = duplicate_pairs(catalog, check_images(catalog).hashes).clusters(6)
    assert [clusters[0] == clusters[row] for row in range(6)] == [True, False, True, False, True, False]
    assert clusters[1] == clusters[5]


def test_the_same_drawing_in_another_colour_is_another_picture(tmp_path):
    drawn = []
    for colour in ("red", "green", "blue"):
        image = Image.new("RGB", (64, 64), "white")
        ImageDraw.Draw(image).polygon([(8, 50), (30, 6), (58, 44)], fill=colour)
        drawn.append(encoded(image))
    assert len(looked_at(catalog_of(tmp_path / "cat", drawn))) == 0


def test_an_encoder_confirms_what_pixels_leave_open_but_nothing_far(tmp_path):
    images = shipped("clipart", 60)
    cut = [COPIES["2% cut off each side"](picture(one)) for one in images]
    catalog = catalog_of(tmp_path / "cat", [*images, *cut])
    rng = np.random.default_rng(0)
    own = rng.normal(size=(60, 16)).astype(np.float32)
    alike = np.concatenate([own, own + 0.01 * rng.normal(size=own.shape).astype(np.float32)])
    alone, together = (
        {*rows_with(looked_at(catalog, embeddings=given), "near-duplicate")} for given in (None, alike)
    )
    assert alone < together
    same = np.ones((120, 4), np.float32)  # an encoder that finds everything alike
    assert {*rows_with(looked_at(catalog, embeddings=same), "near-duplicate")} >= alone
    strange = rng.normal(size=(120, 16)).astype(np.float32)
    assert {*rows_with(looked_at(catalog, embeddings=strange), "near-duplicate")} == alone


def test_a_copy_in_a_later_split_leaks_and_says_from_where(tmp_path):
    a, b, c, d = shipped("emoji", 4)
    again = COPIES["jpeg 50"](picture(b))
    images = [a, a, b, again, c, c, d]
    splits = ["test", "train", "train", "val", "test", "test", None]
    table = looked_at(catalog_of(tmp_path / "cat", images, split=splits))
    leaks = table.filter(pa.compute.equal(table["flag"], "leak"))
    assert leaks["position"].to_pylist() == [0, 3]
    assert leaks["reason"].to_pylist() == [
        "the same image is in 'train': 'id1'",
        "nearly the same image is in 'train': 'id2'",
    ]


def test_copies_of_copies_leak_whoever_comes_first(tmp_path):
    a, b = shipped("emoji", 2)
    images = [a, a, a, a, b, COPIES["jpeg 50"](picture(a))]
    splits = ["test", "test", "val", "train", "val", "val"]
    table = looked_at(catalog_of(tmp_path / "cat", images, split=splits))
    assert rows_with(table, "leak") == [0, 1, 2, 5]


def test_a_group_in_two_splits_leaks(tmp_path):
    images = shipped("emoji", 6)
    groups = ["x", "x", "y", "y", None, None]
    splits = ["val", "train", "train", "train", "train", "test"]
    table = looked_at(catalog_of(tmp_path / "cat", images, split=splits, group=groups))
    assert table["position"].to_pylist() == [0]
    assert table["reason"].to_pylist() == ["another of its group is in 'train': 'id1'"]


def test_a_row_too_few_is_refused(tmp_path):
    catalog = catalog_of(tmp_path / "cat", shipped("emoji", 3))
    with pytest.raises(ShapeError, match="expected hashes of all 3 rows"):
        find_near_duplicates(catalog, pa.array([1, 2], pa.uint64()))
    with pytest.raises(ShapeError, match="expected embeddings of all 3 rows"):
        find_near_duplicates(
            catalog, pa.array([1, 2, 3], pa.uint64()), embeddings=np.ones((2, 2), np.float32)
        )


def test_an_empty_catalog_has_no_duplicates(tmp_path):
    catalog = catalog_of(tmp_path / "cat", shipped("emoji", 1))
    catalog.delete("id = 'id0'", commit=Commit(verb="delete"))
    assert len(looked_at(catalog)) == 0
