import math

import pytest
import torch
from shares import random_rows
from torch.nn import functional as F

from synsight.errors import ConfigError, ShapeError
from synsight.objectives import pairwise_bce, same_class, semi_hard_negatives, shared_labels

LABELS = torch.tensor([0, 1, 0, 2, 1, 0])


def test_equals_the_mean_over_pairs_in_loops():
    z = random_rows(6, 4)
    total, pairs = 0.0, 0
    for i in range(6):
        for j in range(i + 1, 6):
            product = sum(a * b for a, b in zip(z[i].tolist(), z[j].tolist(), strict=True)) / 0.1
            sign = 1 if LABELS[i] == LABELS[j] else -1
            total += max(0.0, -sign * product) + math.log1p(math.exp(-abs(product)))
            pairs += 1
    assert pairwise_bce(z, same_class(LABELS)).item() == pytest.approx(total / pairs, abs=1e-9)


def test_value_and_gradients_equal_those_of_pairs_that_are_made_one_by_one():
    """The published code: both rows of every pair go through the network by themselves."""
    inputs, labels = random_rows(40, 12).detach(), torch.arange(40) % 3
    network = torch.nn.Sequential(torch.nn.Linear(12, 6), torch.nn.ReLU(), torch.nn.Linear(6, 8)).double()
    first, second = torch.triu_indices(40, 40, offset=1)

    def gradients(loss):
        return [loss.detach(), *torch.autograd.grad(loss, list(network.parameters()))]

    dots = (network(inputs[first]) * network(inputs[second])).sum(dim=1) / 0.1
    theirs = F.binary_cross_entropy_with_logits(dots, (labels[first] == labels[second]).double())
    ours = pairwise_bce(network(inputs), same_class(labels))
    for one, other in zip(gradients(ours), gradients(theirs), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


def test_the_masked_form_equals_the_plain_one_where_the_mask_lets_all_pass():
    z, likeness = random_rows(6, 4), same_class(LABELS)
    every = torch.ones(6, 6, dtype=torch.bool)
    torch.testing.assert_close(pairwise_bce(z, likeness, negatives=every), pairwise_bce(z, likeness))
    torch.testing.assert_close(
        pairwise_bce(z, likeness, weights=2 * torch.ones(6)), pairwise_bce(z, likeness)
    )


def test_a_row_of_weight_two_counts_as_if_it_stood_there_twice_but_not_against_itself():
    z = random_rows(3, 4)
    likeness = same_class(torch.tensor([0, 0, 1]))
    single = [
        pairwise_bce(z[[i, j]], likeness[[i, j]][:, [i, j]]).item() for i, j in ((0, 1), (0, 2), (1, 2))
    ]
    weighted = pairwise_bce(z, likeness, weights=torch.tensor([2.0, 1.0, 1.0])).item()
    assert weighted == pytest.approx((2 * single[0] + 2 * single[1] + single[2]) / 5)


def test_only_the_negatives_that_are_named_count():
    z, likeness = random_rows(3, 4), same_class(torch.tensor([0, 0, 1]))
    named = torch.zeros(3, 3, dtype=torch.bool)
    named[2, 0] = True
    losses = [
        pairwise_bce(z[[i, j]], likeness[[i, j]][:, [i, j]], normalise=True).item()
        for i, j in ((0, 1), (0, 2))
    ]
    found = pairwise_bce(z, likeness, negatives=named, normalise=True).item()
    assert found == pytest.approx(sum(losses) / 2)


def test_cosines_do_not_know_the_length_of_rows_and_products_do():
    z, likeness = random_rows(6, 4), same_class(LABELS)
    torch.testing.assert_close(
        pairwise_bce(3 * z, likeness, normalise=True), pairwise_bce(z, likeness, normalise=True)
    )
    assert pairwise_bce(3 * z, likeness).item() != pytest.approx(pairwise_bce(z, likeness).item(), rel=0.1)


def test_huge_products_stay_finite():
    z = 1e4 * random_rows(6, 4).float()
    loss = pairwise_bce(z, same_class(LABELS))
    assert torch.isfinite(loss)
    assert torch.isfinite(
        torch.autograd.grad(pairwise_bce(zz := z.detach().requires_grad_(), same_class(LABELS)), zz)[0]
    ).all()


def test_likeness_of_several_labels_by_hand():
    truth = torch.tensor([[1, 1, 0], [0, 1, 1], [0, 0, 1], [0, 0, 0]])
    assert shared_labels(truth).tolist() == [[1, 1, 0, 0], [1, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]]
    jaccard = shared_labels(truth, "jaccard")
    assert jaccard[0].tolist() == pytest.approx([1, 1 / 3, 0, 0])
    assert jaccard[1].tolist() == pytest.approx([1 / 3, 1, 1 / 2, 0])


def test_semi_hard_negatives_are_nearer_than_the_margin_and_farther_than_the_nearest_positive():
    angles = torch.deg2rad(torch.tensor([0.0, 20.0, 10.0, 30.0, 90.0]))
    z = torch.stack([angles.cos(), angles.sin()], dim=1)
    likeness = same_class(torch.tensor([0, 0, 1, 1, 1]))
    chosen = semi_hard_negatives(z, likeness)
    # Anchor 0: its positive lies at 20 degrees; 10 is harder, 30 is semi-hard, 90 is easy.
    assert chosen[0].tolist() == [False, False, False, True, False]


def test_an_anchor_without_semi_hard_negatives_keeps_all():
    z = torch.tensor([[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]])
    chosen = semi_hard_negatives(z, same_class(torch.tensor([0, 0, 1])))
    assert chosen.tolist() == [[False, False, True], [False, False, True], [True, True, False]]


def test_says_what_does_not_fit():
    with pytest.raises(ShapeError, match=r"got \[4, 8\] with \[\[3, 3\], None, None\]"):
        pairwise_bce(torch.zeros(4, 8), torch.zeros(3, 3))
    with pytest.raises(ConfigError, match=r"temperature must be > 0; got 0"):
        pairwise_bce(torch.zeros(4, 8), torch.zeros(4, 4), temperature=0)
    with pytest.raises(ConfigError, match="likeness must be 'any' or 'jaccard'; got 'dice'"):
        shared_labels(torch.zeros(2, 2), "dice")
