"""Captions that are nearly the same: exact overlap, and no near pair missed."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synsight.curation.audit.near_texts import BANDS, LEAST_OVERLAP, bands, near_pairs, overlap

SENTENCES = [
    "a red apple on a wooden table in the morning light",
    "a red apple on a wooden table in the morning lights",
    "two dogs run along the beach at sunset",
    "two dogs run along the beach at sunsets",
    "a castle on a hill above the river",
    "犬が海辺を走っている写真です",
    "犬が海辺を走っている写真です。",
]


def naive_overlap(one: str, other: str) -> float:
    def pieces(text: str) -> list[tuple[str, int]]:
        padded, seen = f" {text} ", []
        for start in range(len(padded) - 2):
            piece = padded[start : start + 3]
            seen.append((piece, sum(former == piece for former, _ in seen)))
        return seen

    ours, theirs = set(pieces(one)), set(pieces(other))
    return len(ours & theirs) / len(ours | theirs) if ours | theirs else 0.0


@given(st.text("ab ", max_size=12), st.text("ab ", max_size=12))
def test_overlap_is_that_of_numbered_pieces(one, other):
    assert overlap(one, other) == pytest.approx(naive_overlap(one, other))
    assert overlap(one, other) == overlap(other, one)


def test_what_is_said_twice_is_not_what_is_said_once():
    assert overlap("family man girl", "family man man girl girl") < LEAST_OVERLAP


def test_every_near_pair_is_found_and_no_other():
    signatures = bands(SENTENCES)
    found = {
        (one, two)
        for one, two, alike in near_pairs(signatures, lambda rows: [SENTENCES[row] for row in rows])
        if alike == pytest.approx(overlap(SENTENCES[one], SENTENCES[two]))
    }
    near = {
        pair
        for pair in combinations(range(len(SENTENCES)), 2)
        if overlap(SENTENCES[pair[0]], SENTENCES[pair[1]]) >= LEAST_OVERLAP
    }
    assert found == near
    assert {(0, 1), (2, 3)} <= near


def test_most_pairs_at_the_least_overlap_are_compared():
    rng = np.random.default_rng(0)
    letters = list("abcdefghijklmnopqrstuvwxyz")
    compared = 0
    for _ in range(200):
        text = "".join(rng.choice(letters, 60))
        other = text[:-3] + "".join(rng.choice(letters, 3))  # about 57 of 67 pieces in common
        one, two = bands([text, other])
        compared += bool((one == two).any())
    assert compared > 0.85 * 200


@given(st.lists(st.text(max_size=20), max_size=6))
def test_a_text_has_the_bands_it_has_alone(texts):
    found = bands(texts)
    assert found.shape == (len(texts), BANDS)
    for row, text in zip(found, texts, strict=True):
        np.testing.assert_array_equal(row, bands([text])[0])
