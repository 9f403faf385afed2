import math

import pytest
import torch
from open_clip.loss import SigLipLoss
from shares import mean_over_processes, random_rows, values_and_gradients
from torch.nn import functional as F

from synsight.errors import ShapeError
from synsight.objectives import siglip_loss

SCALE = torch.tensor(10.0, dtype=torch.float64, requires_grad=True)
BIAS = torch.tensor(-2.0, dtype=torch.float64, requires_grad=True)


def of_leaves(image, text, scale, bias):
    return siglip_loss(image, text, logit_scale=scale, logit_bias=bias)


def test_equals_the_papers_algorithm_in_loops():
    image, text = random_rows(5, 4), random_rows(5, 4, seed=1)
    cosines = (F.normalize(image, dim=1) @ F.normalize(text, dim=1).T).tolist()
    total = 0.0
    for i, line in enumerate(cosines):
        for j, cosine in enumerate(line):
            sign = 1 if i == j else -1
            total += math.log1p(math.exp(-sign * (10 * cosine - 2)))
    assert of_leaves(image, text, SCALE, BIAS).item() == pytest.approx(total / 5, abs=1e-9)


def test_value_and_gradients_equal_open_clips():
    def theirs(image, text, scale, bias):
        return SigLipLoss()(F.normalize(image, dim=1), F.normalize(text, dim=1), scale, bias)

    leaves = random_rows(24, 8), random_rows(24, 8, seed=1), SCALE, BIAS
    for one, other in zip(
        values_and_gradients(of_leaves, *leaves), values_and_gradients(theirs, *leaves), strict=True
    ):
        torch.testing.assert_close(one, other)


def test_processes_together_have_the_loss_and_the_gradients_of_one():
    leaves = random_rows(6, 4), random_rows(6, 4, seed=1), SCALE, BIAS

    def apart(image, text, scale, bias):
        def loss(*own, gather, rank):
            return siglip_loss(*own, logit_scale=scale, logit_bias=bias, gather=gather, rank=rank)

        return mean_over_processes(loss, [image, text], processes=2)

    together = values_and_gradients(of_leaves, *leaves)
    for one, other in zip(values_and_gradients(apart, *leaves), together, strict=True):
        torch.testing.assert_close(one, other)


def test_starts_near_ten_where_only_the_pairs_are_wrong():
    """At the initial bias of -10 every pair costs about 10 and every stranger next to nothing."""
    image, text = torch.eye(8)[:4], torch.eye(8)[4:]
    loss = siglip_loss(image, text, logit_scale=torch.tensor(10.0), logit_bias=torch.tensor(-10.0))
    assert loss.item() == pytest.approx(10, abs=1e-3)


def test_says_which_shapes_do_not_fit():
    with pytest.raises(ShapeError, match=r"logit_bias must be one number; got a tensor of shape \[4\]"):
        siglip_loss(
            torch.zeros(4, 8), torch.zeros(4, 8), logit_scale=torch.tensor(1.0), logit_bias=torch.ones(4)
        )
