import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from synsight.errors import ShapeError
from synsight.objectives import idf_softmax, weighted_rows


def example(rows: int = 5, classes: int = 7, seed: int = 0, share: float = 0.3) -> tuple[Tensor, ...]:
    """Logits, a dense 0/1 target, and weights of which the first is zero."""
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(rows, classes, generator=generator, dtype=torch.float64)
    target = torch.rand(rows, classes, generator=generator) < share
    weights = torch.rand(classes, generator=generator, dtype=torch.float64)
    weights[0] = 0
    return logits, target, weights


def dense(logits: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """Equations 1 and 2 with the target matrix that the sparse form does without."""
    weighted = target * weights
    kept = weighted.sum(dim=1) > 0
    if not kept.any():
        return logits.sum() * 0
    weighted = weighted[kept] / weighted[kept].sum(dim=1, keepdim=True)
    return F.cross_entropy(logits[kept], weighted)


@given(st.integers(1, 8), st.integers(1, 9), st.integers(0, 999), st.sampled_from([0.0, 0.05, 0.3, 1.0]))
@settings(max_examples=50, deadline=None)
def test_value_and_gradient_equal_the_dense_definition(rows, classes, seed, share):
    logits, target, weights = example(rows, classes, seed, share)
    ours, theirs = (logits.clone().requires_grad_() for _ in range(2))
    loss, expected = idf_softmax(ours, *target.nonzero().T, weights), dense(theirs, target, weights)
    loss.backward()
    expected.backward()
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(ours.grad, theirs.grad)


def test_a_row_whose_words_weigh_nothing_is_left_out():
    logits, target, weights = example()
    target[2] = False
    target[2, 0] = True  # a word of every caption
    target[3] = False
    kept = [0, 1, 4]
    logits.requires_grad_()
    loss = idf_softmax(logits, *target.nonzero().T, weights)
    torch.testing.assert_close(loss, idf_softmax(logits[kept], *target[kept].nonzero().T, weights))
    loss.backward()
    assert (logits.grad[[2, 3]] == 0).all()
    assert weighted_rows(*target.nonzero().T, weights, batch=5).tolist() == [True, True, False, False, True]


def test_without_any_target_it_is_zero_with_a_graph():
    logits = torch.randn(4, 6, requires_grad=True)
    none = torch.empty(0, dtype=torch.int64)
    loss = idf_softmax(logits, none, none, torch.ones(6))
    loss.backward()
    assert loss.item() == 0
    assert (logits.grad == 0).all()


def test_equal_weights_are_plain_soft_labels():
    logits, target, _ = example(share=1.0)
    loss = idf_softmax(logits, *target.nonzero().T, torch.full((7,), 0.3))
    torch.testing.assert_close(loss, -logits.log_softmax(dim=1).mean())


def test_processes_together_have_the_loss_of_one():
    logits, target, weights = example(rows=8)
    target[4:] = False
    target[5, 1] = True
    whole = idf_softmax(logits, *target.nonzero().T, weights)
    rows = weighted_rows(*target.nonzero().T, weights, batch=8).sum()
    halves = [
        idf_softmax(logits[own], *target[own].nonzero().T, weights, normaliser=rows / 2)
        for own in (slice(0, 4), slice(4, 8))
    ]
    torch.testing.assert_close(sum(halves) / 2, whole)


def test_half_precision_is_computed_in_float32():
    logits, target, weights = example(rows=4, classes=500)
    low = logits.bfloat16()
    loss = idf_softmax(low, *target.nonzero().T, weights)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, idf_softmax(low.float(), *target.nonzero().T, weights))


def test_says_which_shapes_do_not_fit():
    rows = torch.zeros(2, dtype=torch.int64)
    with pytest.raises(ShapeError, match=r"words as two vectors \[P\]; got \[4, 6\], \[2\] and \[1\]"):
        idf_softmax(torch.zeros(4, 6), rows, rows[:1], torch.ones(6))
    with pytest.raises(ShapeError, match=r"one weight a class, \[6\]; got \[5\]"):
        idf_softmax(torch.zeros(4, 6), rows, rows, torch.ones(5))


def test_a_words_own_weight_multiplies_that_of_its_class():
    logits, target, weights = example()
    own = torch.rand(int(target.sum()), dtype=torch.float64)
    share = torch.zeros_like(logits)
    share[target] = own
    expected = dense(logits, target, weights * share)
    torch.testing.assert_close(idf_softmax(logits, *target.nonzero().T, weights, own), expected)
