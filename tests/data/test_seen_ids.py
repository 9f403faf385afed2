"""Ids that were seen before: as a plain set and plain counting have it, through many merges."""

import numpy as np
import pytest

from synsight.data.seen_ids import SeenIds, hashes_of


def drawn_ids(rows: int, different: int, *, seed: int = 0) -> list[str]:
    return [f"part-{number}" for number in np.random.default_rng(seed).integers(0, different, rows)]


@pytest.mark.parametrize("at_once", [1, 7, 400, 3000])
def test_a_copy_is_what_a_plain_set_has_seen(at_once):
    ids, plain, seen = drawn_ids(3000, 2000), set(), SeenIds()
    for start in range(0, len(ids), at_once):
        some = ids[start : start + at_once]
        expected = []
        for key in some:
            expected.append(key in plain)
            plain.add(key)
        assert seen.admit(some).tolist() == expected
    assert seen.contains(hashes_of(sorted(plain))).all()
    assert not seen.contains(hashes_of([f"other-{n}" for n in range(1000)])).any()


@pytest.mark.parametrize("at_once", [1, 50, 1000])
def test_copies_are_numbered_in_their_order(at_once):
    ids, counts, seen, found = drawn_ids(1000, 300), {}, SeenIds(), []
    for start in range(0, len(ids), at_once):
        found += seen.make_distinct(ids[start : start + at_once])
    for key, made in zip(ids, found, strict=True):
        counts[key] = counts.get(key, 0) + 1
        assert made == (key if counts[key] == 1 else f"{key}-{counts[key]}")


def test_numbers_go_on_where_another_run_left_off():
    before, after = SeenIds(), SeenIds()
    given = before.make_distinct(["a"] * 9)
    after.add(hashes_of(given))
    assert after.make_distinct(["a", "a", "b"]) == ["a-10", "a-11", "b"]


def test_nothing_added_is_nothing_seen():
    seen = SeenIds()
    seen.add(hashes_of([]))
    assert seen.admit([]).tolist() == []
    assert seen.admit(["a"]).tolist() == [False]
