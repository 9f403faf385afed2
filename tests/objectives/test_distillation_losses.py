"""Losses of distillation against plain loops, closed forms and their bounds."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributions import Bernoulli, Categorical, kl_divergence

from synsight.errors import ShapeError
from synsight.objectives.distillation import cosine_distance, sigmoid_distance, softmax_distance

LOSSES = (cosine_distance, softmax_distance, sigmoid_distance)


def rows(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("loss", LOSSES)
@given(seed=st.integers(0, 10**6), classes=st.integers(2, 9))
@settings(max_examples=30, deadline=None)
def test_who_answers_alike_has_no_loss_and_nobody_has_less(loss, seed, classes):
    teacher, student = rows(seed, 5, classes), rows(seed + 1, 5, classes)
    assert loss(teacher, teacher) == pytest.approx(0, abs=1e-6)
    assert loss(student, teacher) >= -1e-6


def test_softmax_distance_is_the_divergence_of_torchs_distributions():
    student, teacher = rows(1, 6, 4), rows(2, 6, 4)
    expected = kl_divergence(Categorical(logits=teacher), Categorical(logits=student)).mean()
    torch.testing.assert_close(softmax_distance(student, teacher), expected)
    softened = kl_divergence(Categorical(logits=teacher / 3), Categorical(logits=student / 3)).mean()
    torch.testing.assert_close(softmax_distance(student, teacher, temperature=3), 9 * softened)


def test_sigmoid_distance_is_the_divergence_of_all_words_over_the_words_expected():
    student, teacher = rows(1, 6, 40), rows(2, 6, 40) - 3
    all_words = kl_divergence(Bernoulli(logits=teacher), Bernoulli(logits=student)).sum()
    torch.testing.assert_close(sigmoid_distance(student, teacher), all_words / teacher.sigmoid().sum())


def test_cosine_distance_by_hand():
    student = torch.tensor([[1.0, 0.0], [1.0, 1.0]])
    teacher = torch.tensor([[0.0, 2.0], [3.0, 0.0]])
    assert cosine_distance(student, teacher).item() == pytest.approx((1 + 1 - math.sqrt(0.5)) / 2)
    torch.testing.assert_close(cosine_distance(7 * student, teacher), cosine_distance(student, teacher))


def test_extreme_answers_give_finite_losses_and_gradients():
    for loss in LOSSES:
        student = torch.tensor([[-200.0, 200.0], [90.0, -90.0]], requires_grad=True)
        value = loss(student, -student.detach())
        value.backward()
        assert math.isfinite(value.item())
        assert bool(student.grad.isfinite().all())


@pytest.mark.parametrize("loss", LOSSES)
def test_gradients_are_those_of_finite_differences(loss):
    teacher = rows(3, 3, 4)
    student = rows(4, 3, 4).requires_grad_()
    (gradient,) = torch.autograd.grad(loss(student, teacher), student)
    step = 1e-3
    for row, column in ((0, 0), (1, 2), (2, 3)):
        moved = torch.zeros(3, 4)
        moved[row, column] = step
        with torch.no_grad():
            slope = (loss(student + moved, teacher) - loss(student - moved, teacher)) / (2 * step)
        assert slope.item() == pytest.approx(gradient[row, column].item(), abs=1e-3)


@pytest.mark.parametrize("loss", LOSSES)
def test_rows_of_other_shapes_are_refused(loss):
    with pytest.raises(ShapeError, match=r"of one shape; got \[2, 3\] and \[2, 4\]"):
        loss(rows(1, 2, 3), rows(1, 2, 4))
