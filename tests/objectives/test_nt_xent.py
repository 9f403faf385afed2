import math
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lightly.loss import DCLLoss, NTXentLoss
from torch import Tensor

from synsight.errors import ConfigError, ShapeError
from synsight.objectives import nt_xent


def two_views(
    batch: int = 6, dim: int = 5, seed: int = 0, dtype: torch.dtype = torch.float64
) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(batch, dim, generator=generator, dtype=dtype) for _ in range(2)]


def by_hand(z0: Tensor, z1: Tensor, temperature: float) -> float:
    """Equation 1 and algorithm 1 of the paper as plain loops: views 2k-1 and 2k are a pair."""
    views = [row.tolist() for pair in zip(z0, z1, strict=True) for row in pair]

    def similarity(i: int, j: int) -> float:
        dot = sum(a * b for a, b in zip(views[i], views[j], strict=True))
        return dot / math.hypot(*views[i]) / math.hypot(*views[j])

    def pair_loss(i: int, j: int) -> float:
        others = (math.exp(similarity(i, k) / temperature) for k in range(len(views)) if k != i)
        return -math.log(math.exp(similarity(i, j) / temperature) / sum(others))

    pairs = range(0, len(views), 2)
    return sum(pair_loss(k, k + 1) + pair_loss(k + 1, k) for k in pairs) / len(views)


@pytest.mark.parametrize("temperature", [0.07, 0.5, 2.0])
def test_equals_the_papers_equation_in_loops(temperature):
    z0, z1 = two_views()
    assert nt_xent(z0, z1, temperature=temperature).item() == pytest.approx(
        by_hand(z0, z1, temperature), abs=1e-12
    )


def test_equals_lightly():
    z0, z1 = two_views(batch=32, dim=16, dtype=torch.float32)
    ours, theirs = nt_xent(z0, z1, temperature=0.1), NTXentLoss(temperature=0.1)(z0, z1)
    # float32 similarities divided by 0.1: a few units in the seventh digit.
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_gradient_equals_lightlys():
    ours, theirs = ([z.float().requires_grad_() for z in two_views(batch=16)] for _ in range(2))
    nt_xent(*ours, temperature=0.2).backward()
    NTXentLoss(temperature=0.2)(*theirs).backward()
    torch.testing.assert_close(ours[0].grad, theirs[0].grad, rtol=1e-4, atol=1e-6)


def test_gradient_equals_finite_differences():
    z0, z1 = (z.requires_grad_() for z in two_views(batch=3, dim=4))
    assert torch.autograd.gradcheck(lambda a, b: nt_xent(a, b, temperature=0.3), (z0, z1))


@given(batch=st.integers(2, 9), seed=st.integers(0, 99), length=st.floats(0.01, 100))
@settings(max_examples=30, deadline=None)
def test_unchanged_by_view_order_row_order_and_length(batch, seed, length):
    z0, z1 = two_views(batch, seed=seed)
    loss = nt_xent(z0, z1)
    order = torch.randperm(batch, generator=torch.Generator().manual_seed(seed))
    for same in (nt_xent(z1, z0), nt_xent(z0[order], z1[order]), nt_xent(length * z0, z1)):
        torch.testing.assert_close(same, loss, rtol=1e-9, atol=1e-9)


def test_is_the_log_of_the_choices_when_all_rows_are_equal():
    same = torch.ones(4, 3)
    assert nt_xent(same, same).item() == pytest.approx(math.log(7), rel=1e-6)


def test_is_near_zero_when_pairs_agree_and_strangers_oppose():
    z = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    assert nt_xent(z, z, temperature=0.05).item() < 1e-6


def test_processes_together_have_the_loss_and_the_gradient_of_one():
    whole = [z.requires_grad_() for z in two_views(batch=6)]
    nt_xent(*whole).backward()
    shares = [z.detach().clone().requires_grad_() for z in whole]
    losses = []
    for rank in range(3):
        own = slice(2 * rank, 2 * rank + 2)
        whole_batch = [torch.nn.functional.normalize(z, dim=1) for z in shares]
        first, second = (z[own] for z in shares)
        losses.append(nt_xent(first, second, gather=partial(_next_of, iter(whole_batch)), rank=rank))
    # Each process's own rows are in its gathered rows as well, through which their gradient flows.
    mean = sum(losses) / 3
    mean.backward()
    torch.testing.assert_close(mean.item(), nt_xent(*whole).item())
    torch.testing.assert_close(shares[0].grad, whole[0].grad)


def _next_of(gathered, _):
    return next(gathered)


def by_hand_with(
    z0: Tensor, z1: Tensor, *, temperature: float, decoupled: bool, pairs: set[tuple[int, int]]
) -> float:
    """The definition with pairs left out of denominators, and the positive too if decoupled."""
    views = torch.nn.functional.normalize(torch.stack([z0, z1]), dim=2)
    losses = []
    for view in (0, 1):
        for i in range(len(z0)):
            logits = {
                (other, j): (views[view, i] @ views[other, j]).item() / temperature
                for other in (0, 1)
                for j in range(len(z0))
            }
            positive = logits[1 - view, i]
            negatives = [x for (_, j), x in logits.items() if j != i and (i, j) not in pairs]
            terms = negatives if decoupled else [*negatives, positive]
            losses.append(math.log(sum(map(math.exp, terms))) - positive if terms else 0.0)
    return sum(losses) / len(losses)


PAIRS = [(0, 1), (1, 0), (2, 5), (3, 3), (4, 0), (4, 1), (4, 2), (4, 3), (4, 5)]
"""Both ways, one way, an image with itself, and one image that ignores all others."""


@pytest.mark.parametrize("decoupled", [False, True])
@pytest.mark.parametrize("pairs", [[], PAIRS])
def test_decoupled_and_ignored_pairs_equal_the_definition_in_loops(decoupled, pairs):
    z0, z1 = two_views()
    index = torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2)
    loss = nt_xent(z0, z1, temperature=0.3, decoupled=decoupled, ignore=tuple(index.T))
    expected = by_hand_with(z0, z1, temperature=0.3, decoupled=decoupled, pairs=set(pairs))
    assert loss.item() == pytest.approx(expected, abs=1e-12)


def test_decoupled_equals_lightlys():
    z0, z1 = two_views(batch=32, dim=16, dtype=torch.float32)
    theirs = (DCLLoss(temperature=0.2)(z0, z1) + DCLLoss(temperature=0.2)(z1, z0)) / 2
    torch.testing.assert_close(nt_xent(z0, z1, temperature=0.2, decoupled=True), theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("decoupled", [False, True])
def test_an_anchor_that_ignores_all_others_costs_nothing_and_gets_no_gradient(decoupled):
    z0, z1 = (z.requires_grad_() for z in two_views(batch=2))
    everything = torch.tensor([0, 1]), torch.tensor([1, 0])
    loss = nt_xent(z0, z1, decoupled=decoupled, ignore=everything)
    loss.backward()
    assert loss.item() == 0
    assert (z0.grad == 0).all()


def test_refuses_pairs_outside_of_the_batch():
    z0, z1 = two_views(batch=4)
    with pytest.raises(ShapeError, match=r"every column in 0\.\.3; got -1 to 2"):
        nt_xent(z0, z1, ignore=(torch.tensor([0, 1]), torch.tensor([-1, 2])))
    with pytest.raises(ShapeError, match=r"two vectors \[P\]; got \[1\] and \[2\]"):
        nt_xent(z0, z1, ignore=(torch.tensor([0]), torch.tensor([1, 2])))


def test_half_precision_is_computed_in_float32():
    z0, z1 = two_views(batch=16, dim=32, dtype=torch.float32)
    low = [z.bfloat16() for z in (z0, z1)]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = nt_xent(*low)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, nt_xent(*(z.float() for z in low)))


def test_large_logits_stay_finite():
    z0, _ = two_views(dtype=torch.float32)
    assert torch.isfinite(nt_xent(z0, z0, temperature=1e-4))


def test_says_which_shapes_do_not_fit():
    with pytest.raises(ShapeError, match=r"one shape \[B, D\]; got \[6, 5\] and \[5, 5\]"):
        nt_xent(torch.randn(6, 5), torch.randn(5, 5))
    with pytest.raises(ShapeError, match="at least 2 images"):
        nt_xent(torch.randn(1, 5), torch.randn(1, 5))


def test_refuses_a_temperature_of_zero():
    with pytest.raises(ConfigError, match=r"temperature must be > 0; got 0.0"):
        nt_xent(*two_views(), temperature=0.0)
