import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synsight.errors import ConfigError
from synsight.metrics import draw_per_class

LABELS = np.random.default_rng(0).permutation(np.repeat([0, 1, 2, 4], [30, 20, 12, 3]))


@given(seed=st.integers(0, 2**31), per_class=st.integers(1, 20))
def test_every_kept_class_gives_so_many_different_rows_of_its_own(seed, per_class):
    draw = draw_per_class(LABELS, per_class=per_class, seed=seed)
    assert len(set(draw.rows)) == len(draw.rows) == per_class * len(draw.classes)
    drawn = np.bincount(LABELS[draw.rows], minlength=5)
    assert (drawn[draw.classes] == per_class).all()
    assert sorted([*draw.classes, *draw.dropped]) == [0, 1, 2, 4]


def test_classes_with_too_few_rows_are_dropped_by_name():
    draw = draw_per_class(LABELS, per_class=15, seed=0)
    assert draw.classes.tolist() == [0, 1]
    assert draw.dropped.tolist() == [2, 4]


def test_a_small_draw_is_part_of_the_larger_one_and_seeds_differ():
    small, large = (set(draw_per_class(LABELS, per_class=k, seed=7).rows) for k in (5, 10))
    few = set(draw_per_class(LABELS[LABELS != 4], per_class=5, seed=8).rows)
    kept = {row for row in small if LABELS[row] != 4}
    assert kept < large
    assert few != kept


def test_every_row_of_a_class_is_drawn_equally_often():
    counts = np.zeros(len(LABELS))
    for seed in range(2000):
        counts[draw_per_class(LABELS, per_class=3, seed=seed).rows] += 1
    expected = 3 * 2000 / np.bincount(LABELS)[LABELS]
    assert (abs(counts - expected) < 5 * np.sqrt(expected)).all()


def test_too_many_labels_are_refused_with_the_sizes_of_the_classes():
    with pytest.raises(ConfigError, match=r"25 labels a class .* found 1 \(the largest have \[30, 20, 12\]"):
        draw_per_class(LABELS, per_class=25, seed=0)
    with pytest.raises(ConfigError, match="per_class must be >= 1"):
        draw_per_class(LABELS, per_class=0, seed=0)
