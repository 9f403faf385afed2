"""Splits: names are normalised, missing ones drawn by a hash alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synsight.data.splits import drawn_split, is_split_name, normalised_split


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("train", "train"),
        ("Training", "train"),
        (" TEST ", "test"),
        ("validation", "val"),
        ("valid", "val"),
        ("dev", "val"),
        ("学習", "train"),
        ("Holdout", "holdout"),
    ],
)
def test_usual_names_of_splits_become_ours_and_others_stay(name, expected):
    assert normalised_split(name) == expected
    assert is_split_name(name) == (expected in {"train", "val", "test"})


def test_seven_in_ten_keys_are_drawn_for_training_one_for_val_two_for_test():
    drawn = [drawn_split(f"key {n}") for n in range(20_000)]
    assert [round(drawn.count(name) / 20_000, 2) for name in ("train", "val", "test")] == [0.7, 0.1, 0.2]


def test_the_draw_is_the_same_on_every_machine():
    """By `printf %s KEY | sha256sum`: up to b332 is train, up to cccb val."""
    assert [drawn_split(key) for key in ("lot 1", "lot 2", "患者", "")] == ["train", "val", "train", "test"]


@given(st.text())
def test_any_key_has_a_split(key):
    assert drawn_split(key) == drawn_split(key)
    assert drawn_split(key) in {"train", "val", "test"}
