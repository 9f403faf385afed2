import math

import pytest
import torch
from pytorch_metric_learning.losses import SupConLoss
from shares import random_rows
from torch.nn import functional as F

from synsight.errors import ShapeError
from synsight.objectives import nt_xent, same_class, supervised_contrastive

LABELS = torch.tensor([0, 1, 0, 2, 1, 0])


def test_equals_the_papers_second_equation_in_loops():
    z = random_rows(6, 4)
    cosines = (F.normalize(z, dim=1) @ F.normalize(z, dim=1).T).tolist()
    losses = []
    for i in range(6):
        total = sum(math.exp(cosines[i][j] / 0.1) for j in range(6) if j != i)
        positives = [j for j in range(6) if j != i and LABELS[j] == LABELS[i]]
        if positives:
            logs = [cosines[i][j] / 0.1 - math.log(total) for j in positives]
            losses.append(-sum(logs) / len(positives))
    assert len(losses) == 5  # the row of class 2 is alone
    expected = sum(losses) / 5
    assert supervised_contrastive(z, same_class(LABELS)).item() == pytest.approx(expected, abs=1e-9)


def test_value_and_gradient_equal_pytorch_metric_learnings():
    labels = torch.arange(30) % 4
    ours, theirs = random_rows(30, 8), random_rows(30, 8)
    first = supervised_contrastive(ours, same_class(labels))
    second = SupConLoss(temperature=0.1)(theirs, labels)
    torch.testing.assert_close(first, second)
    torch.testing.assert_close(
        *(torch.autograd.grad(one, z)[0] for one, z in ((first, ours), (second, theirs)))
    )


def test_is_nt_xent_where_every_class_is_two_views_of_one_image():
    z0, z1 = random_rows(5, 4), random_rows(5, 4, seed=1)
    likeness = same_class(torch.arange(5).repeat(2))
    torch.testing.assert_close(supervised_contrastive(torch.cat([z0, z1]), likeness), nt_xent(z0, z1))


def test_nobody_alike_costs_nothing_and_has_a_gradient_of_zero():
    z = random_rows(4, 3)
    loss = supervised_contrastive(z, same_class(torch.arange(4)))
    assert loss.item() == 0
    assert torch.autograd.grad(loss, z)[0].abs().max() == 0


def test_left_out_negatives_make_the_loss_smaller_and_bring_no_nan():
    z, likeness = random_rows(6, 4), same_class(LABELS)
    none = torch.zeros(6, 6, dtype=torch.bool)
    loss = supervised_contrastive(z, likeness, negatives=none)
    assert loss < supervised_contrastive(z, likeness)
    assert torch.isfinite(torch.autograd.grad(loss, z)[0]).all()


def test_an_anchor_of_weight_zero_does_not_count():
    z, labels = random_rows(4, 3), torch.tensor([0, 0, 1, 1])
    weighted = supervised_contrastive(z, same_class(labels), weights=torch.tensor([1.0, 1, 0, 0]))
    both = supervised_contrastive(z, same_class(torch.tensor([0, 0, 1, 2])))
    torch.testing.assert_close(weighted, both)


def test_says_what_does_not_fit():
    with pytest.raises(ShapeError, match=r"got \[4, 8\] with \[\[4, 4\], \[3\], None\]"):
        supervised_contrastive(torch.zeros(4, 8), torch.zeros(4, 4), weights=torch.ones(3))
