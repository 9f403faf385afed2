import pytest
import torch
from lightly.loss import NegativeCosineSimilarity
from shares import random_rows

from synsight.errors import ShapeError
from synsight.objectives import negative_cosine


def rows():
    return [random_rows(6, 5, seed=seed) for seed in range(4)]


def test_equals_lightlys_mean_of_both_directions():
    p0, z1, p1, z0 = rows()
    theirs = NegativeCosineSimilarity()
    torch.testing.assert_close(negative_cosine(p0, z1, p1, z0), (theirs(p0, z1) + theirs(p1, z0)) / 2)


def test_only_predictions_get_a_gradient():
    p0, z1, p1, z0 = rows()
    negative_cosine(p0, z1, p1, z0).backward()
    assert z0.grad is None
    assert z1.grad is None
    assert (p0.grad != 0).all()
    assert (p1.grad != 0).all()


def test_is_minus_one_when_all_agree():
    p0, *_ = rows()
    assert negative_cosine(p0, 2 * p0, p0, p0).item() == pytest.approx(-1)


def test_half_precision_is_computed_in_float32():
    low = [one.bfloat16() for one in rows()]
    loss = negative_cosine(*low)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, negative_cosine(*(one.float() for one in low)))


def test_says_which_shapes_do_not_fit():
    p0, z1, p1, z0 = rows()
    with pytest.raises(ShapeError, match=r"got \[6, 5\] and \[6, 4\]"):
        negative_cosine(p0, z1, p1, z0[:, :4])
