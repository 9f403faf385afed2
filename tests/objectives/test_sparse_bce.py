import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from synsight.errors import ShapeError
from synsight.objectives import labelled_rows, sparse_bce


def example(rows: int = 5, classes: int = 7, seed: int = 0, share: float = 0.3) -> tuple[Tensor, Tensor]:
    """Logits and a dense 0/1 target, [rows, classes]."""
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(rows, classes, generator=generator, dtype=torch.float64)
    return logits, torch.rand(rows, classes, generator=generator) < share


def by_hand(logits: Tensor, target: Tensor) -> float:
    """-[t log s(x) + (1 - t) log(1 - s(x))] summed over the rows that have a word, divided by their
    number."""
    total, rows = 0.0, 0
    for scores, wanted in zip(logits.tolist(), target.tolist(), strict=True):
        if any(wanted):
            rows += 1
            for x, t in zip(scores, wanted, strict=True):
                probability = 1 / (1 + math.exp(-x))
                total -= math.log(probability) if t else math.log(1 - probability)
    return total / rows if rows else 0.0


@given(st.integers(1, 8), st.integers(1, 9), st.integers(0, 999), st.sampled_from([0.0, 0.05, 0.3, 1.0]))
@settings(max_examples=50, deadline=None)
def test_equals_the_definition_in_loops(rows, classes, seed, share):
    logits, target = example(rows, classes, seed, share)
    assert sparse_bce(logits, *target.nonzero().T).item() == pytest.approx(by_hand(logits, target), abs=1e-9)


def test_equals_torchs_dense_loss_and_gradient():
    logits, target = example(rows=16, classes=50, share=0.1)
    target[:, 0] = True  # every row has a word, as the dense loss assumes
    ours, dense = (logits.clone().requires_grad_() for _ in range(2))
    loss = sparse_bce(ours, *target.nonzero().T)
    expected = F.binary_cross_entropy_with_logits(dense, target.double(), reduction="sum") / len(logits)
    loss.backward()
    expected.backward()
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(ours.grad, dense.grad)


def test_gradient_equals_finite_differences():
    logits, target = example()
    assert torch.autograd.gradcheck(lambda x: sparse_bce(x, *target.nonzero().T), (logits.requires_grad_(),))


def test_a_row_without_a_word_changes_neither_loss_nor_gradient():
    logits, target = example()
    target[2] = False
    kept = [0, 1, 3, 4]
    logits.requires_grad_()
    loss = sparse_bce(logits, *target.nonzero().T)
    torch.testing.assert_close(loss, sparse_bce(logits[kept], *target[kept].nonzero().T))
    loss.backward()
    assert (logits.grad[2] == 0).all()
    assert (logits.grad[kept] != 0).all()


def test_without_any_word_it_is_zero_with_a_graph():
    logits = torch.randn(4, 6, requires_grad=True)
    none = torch.empty(0, dtype=torch.int64)
    loss = sparse_bce(logits, none, none)
    loss.backward()
    assert loss.item() == 0
    assert (logits.grad == 0).all()


def test_order_of_the_positives_does_not_matter():
    logits, target = example()
    rows, classes = target.nonzero().T
    torch.testing.assert_close(
        sparse_bce(logits, rows, classes), sparse_bce(logits, rows.flip(0), classes.flip(0))
    )


def test_processes_together_have_the_loss_of_one():
    logits, target = example(rows=8)
    target[4:] = False
    target[5, 1] = True  # the second process has one row with a word, the first has others
    whole = sparse_bce(logits, *target.nonzero().T)
    labelled = target.any(dim=1).sum()
    halves = [
        sparse_bce(logits[own], *target[own].nonzero().T, normaliser=labelled / 2)
        for own in (slice(0, 4), slice(4, 8))
    ]
    torch.testing.assert_close(sum(halves) / 2, whole)


def test_a_process_without_a_word_adds_nothing():
    logits, _ = example()
    none = torch.empty(0, dtype=torch.int64)
    assert sparse_bce(logits, none, none, normaliser=0.25).item() == 0


def test_starts_in_the_range_that_the_paper_shows():
    """At logits of zero each class costs ln 2; the paper's figure 8 ends near 15 to 20 for 24,320 classes."""
    loss = sparse_bce(torch.zeros(2, 24_320), torch.tensor([0, 1]), torch.tensor([3, 5]))
    assert loss.item() == pytest.approx(24_320 * math.log(2), rel=1e-5)


def test_extreme_scores_stay_finite():
    logits = torch.tensor([[1e4, -1e4]], requires_grad=True)
    loss = sparse_bce(logits, torch.tensor([0]), torch.tensor([1]))
    loss.backward()
    assert loss.item() == pytest.approx(2e4)
    assert torch.isfinite(logits.grad).all()


def test_half_precision_is_computed_in_float32():
    logits, target = example(rows=4, classes=500)
    low = logits.bfloat16()
    loss = sparse_bce(low, *target.nonzero().T)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, sparse_bce(low.float(), *target.nonzero().T))


def test_says_which_shapes_do_not_fit():
    with pytest.raises(
        ShapeError, match=r"logits \[B, C\] and positives as two vectors \[P\]; got \[4, 6\], \[2\] and \[3\]"
    ):
        sparse_bce(torch.zeros(4, 6), torch.zeros(2, dtype=torch.int64), torch.zeros(3, dtype=torch.int64))


def test_labelled_rows_are_those_named():
    assert labelled_rows(torch.tensor([2, 0, 2]), 4).tolist() == [True, False, True, False]


def test_weighted_words_are_soft_targets():
    logits, target = example(rows=9, classes=12)
    weights = torch.rand(int(target.sum()), dtype=torch.float64)
    soft = torch.zeros_like(logits)
    soft[target] = weights
    kept = target.any(dim=1)
    expected = F.binary_cross_entropy_with_logits(logits[kept], soft[kept], reduction="sum") / kept.sum()
    torch.testing.assert_close(sparse_bce(logits, *target.nonzero().T, weights), expected)
