import math

import pytest
import torch
from open_clip.loss import ClipLoss
from shares import mean_over_processes, random_rows, values_and_gradients
from torch.nn import functional as F

from synsight.errors import ShapeError
from synsight.objectives import clip_loss

SCALE = torch.tensor(14.0, dtype=torch.float64, requires_grad=True)


def test_equals_the_definition_in_loops():
    image, text = random_rows(5, 4), random_rows(5, 4, seed=1)
    cosines = (F.normalize(image, dim=1) @ F.normalize(text, dim=1).T).tolist()
    columns = [list(column) for column in zip(*cosines, strict=True)]
    losses = [
        math.log(sum(math.exp(3 * (x - line[i])) for x in line))
        for lines in (cosines, columns)
        for i, line in enumerate(lines)
    ]
    loss = clip_loss(image, text, logit_scale=torch.tensor(3.0, dtype=torch.float64))
    assert loss.item() == pytest.approx(sum(losses) / 10, abs=1e-12)


def test_value_and_gradients_equal_open_clips():
    def theirs(image, text, scale):
        return ClipLoss()(F.normalize(image, dim=1), F.normalize(text, dim=1), scale)

    leaves = random_rows(24, 8), random_rows(24, 8, seed=1), SCALE
    ours = values_and_gradients(lambda *z, **k: clip_loss(*z[:2], logit_scale=z[2]), *leaves)
    for one, other in zip(ours, values_and_gradients(theirs, *leaves), strict=True):
        torch.testing.assert_close(one, other)


def test_processes_together_have_the_loss_and_the_gradients_of_one():
    leaves = random_rows(6, 4), random_rows(6, 4, seed=1), SCALE

    def apart(image, text, scale):
        def loss(*own, gather, rank):
            return clip_loss(*own, logit_scale=scale, gather=gather, rank=rank)

        return mean_over_processes(loss, [image, text], processes=3)

    together = values_and_gradients(lambda *z: clip_loss(*z[:2], logit_scale=z[2]), *leaves)
    for one, other in zip(values_and_gradients(apart, *leaves), together, strict=True):
        torch.testing.assert_close(one, other)


def test_half_precision_is_computed_in_float32():
    image, text = random_rows(16, 8).bfloat16(), random_rows(16, 8, seed=1).bfloat16()
    scale = torch.tensor(14.0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = clip_loss(image, text, logit_scale=scale)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, clip_loss(image.float(), text.float(), logit_scale=scale))


def test_says_which_shapes_do_not_fit():
    with pytest.raises(ShapeError, match=r"CLIP expects two .* got \[4, 8\] and \[4, 7\]"):
        clip_loss(torch.zeros(4, 8), torch.zeros(4, 7), logit_scale=torch.tensor(1.0))
    with pytest.raises(ShapeError, match=r"logit_scale must be one number; got a tensor of shape \[2\]"):
        clip_loss(torch.zeros(4, 8), torch.zeros(4, 8), logit_scale=torch.ones(2))
