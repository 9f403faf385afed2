"""RangeAugment: what it does to pixels, that its ranges learn, and how CatLIP takes it along."""

import math

import pytest
import torch
from torch import nn

from synsight.data.batches import Batch
from synsight.data.training_data import IMAGENET_MEAN, IMAGENET_STD
from synsight.distributed import World
from synsight.methods import CatLIP, CatLIPConfig
from synsight.methods import range_augment as module
from synsight.methods.range_augment import RangeAugment
from synsight.objectives import backward_in_parts
from synsight.training.optim import parameter_groups

B, SIDE, C, D = 8, 6, 5, 4
MEAN, STD = (torch.tensor(one).view(3, 1, 1) for one in (IMAGENET_MEAN, IMAGENET_STD))


def pixels(rows=B, *, side=SIDE):
    """Between 0.2 and 0.6, so that nothing is clipped by a small change."""
    return 0.2 + 0.4 * torch.rand(rows, 3, side, side, generator=torch.Generator().manual_seed(1))


def views(rows=B, *, side=SIDE):
    return (pixels(rows, side=side) - MEAN) / STD


def with_ranges(*, brightness=(1.0, 1.0), contrast=(1.0, 1.0), noise=(0.0, 0.0)):
    augment = RangeAugment()
    with torch.no_grad():
        augment.ranges.copy_(torch.tensor([brightness, contrast, noise]))
    return augment


def method(*, range_augment=True):
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE * SIDE, D))
    config = CatLIPConfig(range_augment=range_augment)
    return CatLIP(encoder, embedding_dim=D, config=config, num_classes=C)


def batch():
    return Batch(
        views=(views(),),
        positions=torch.arange(B),
        word_rows=torch.arange(B),
        word_classes=torch.arange(B) % C,
    )


def test_ranges_that_hold_what_changes_nothing_alone_change_nothing():
    changed, errors = with_ranges()(views())
    torch.testing.assert_close(changed, views(), atol=1e-5, rtol=0)
    assert errors.shape == (B, 1) and errors.max() < 1e-3


@pytest.mark.parametrize("operation", ["brightness", "contrast", "noise"])
def test_each_operation_is_its_formula_on_about_half_of_the_images(operation):
    rows = 400
    factor = 0.04 if operation == "noise" else 0.8
    torch.manual_seed(0)
    changed, errors = with_ranges(**{operation: (factor, factor)})(views(rows))
    before, after = pixels(rows), changed * STD + MEAN
    touched = (after - before).abs().amax(dim=(1, 2, 3)) > 1e-4
    assert 0.4 < touched.float().mean() < 0.6
    if operation == "noise":
        assert (after - before)[touched].std().item() == pytest.approx(0.04, rel=0.02)
    else:
        middle = before.mean(dim=(2, 3), keepdim=True) if operation == "contrast" else 0.0
        expected = middle + (before - middle) * 0.8
        torch.testing.assert_close(after[touched], expected[touched], atol=1e-5, rtol=0)
    by_hand = ((after - before) * 255).double().square().mean(dim=(1, 2, 3))
    torch.testing.assert_close(errors[:, 0].double(), by_hand, rtol=1e-3, atol=1e-3)


def test_pixels_stay_between_black_and_white():
    torch.manual_seed(0)
    changed, _ = with_ranges(brightness=(0.1, 10.0), noise=(0.0, 1.0))(views(64))
    after = changed * STD + MEAN
    assert after.min() >= -1e-6 and after.max() <= 1 + 1e-6
    assert (after > 0.999).float().mean() > 0.1


def test_magnitudes_are_uniform_over_the_range():
    rows = 4000
    torch.manual_seed(0)
    changed, _ = with_ranges(brightness=(0.7, 1.3))(views(rows, side=2))
    factors = ((changed * STD + MEAN) / pixels(rows, side=2))[:, 0, 0, 0]
    drawn = factors[(factors - 1).abs() > 1e-4].sort().values.double()
    uniform = torch.linspace(0.7, 1.3, len(drawn)).double()
    assert (drawn - uniform).abs().max() < 0.03  # Kolmogorov-Smirnov


def test_gradients_of_all_ends_are_those_of_finite_differences():
    augment = RangeAugment().double()
    weights = torch.randn(B, 3, SIDE, SIDE, dtype=torch.float64)

    def outcome(ranges):
        torch.manual_seed(3)
        changed, errors = torch.func.functional_call(augment, {"ranges": ranges}, (views().double(),))
        return (changed * weights).sum(), errors.sum()

    ranges = torch.tensor([[0.8, 1.1], [0.7, 1.2], [0.0, 0.05]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(outcome, (ranges,))
    error = outcome(ranges)[1]
    error.backward()
    assert (ranges.grad != 0).all()


def test_the_target_is_a_cosine_in_squared_error_from_40_to_20_decibel():
    augment = RangeAugment()
    assert augment.target_error == pytest.approx(6.5025)  # 255^2 / 10^4; a run of unknown length stays here
    augment.total_steps = 10
    found = []
    for _ in range(11):
        found.append(augment.target_error)
        augment.clamp()
    assert found[10] == augment.target_error == pytest.approx(650.25)
    assert found[5] == pytest.approx((6.5025 + 650.25) / 2)
    assert found[2] == pytest.approx(650.25 - 643.7475 * (1 + math.cos(0.2 * math.pi)) / 2)


def test_the_penalty_is_smooth_l1_by_hand():
    errors = torch.tensor([[6.0], [8.5025], [106.5025]])
    # Under one grey level squared half the square, beyond it the distance less a half.
    by_hand = (0.5 * 0.5025**2 + (2 - 0.5) + (100 - 0.5)) / 3 * 100 / 65025
    assert RangeAugment().penalty(errors).item() == pytest.approx(by_hand, rel=1e-5)


def test_ends_are_brought_back_into_their_bounds_and_no_change_lies_between():
    augment = with_ranges(brightness=(1.4, 0.3), contrast=(0.02, 30.0), noise=(-0.1, 2.0))
    augment.clamp()
    torch.testing.assert_close(augment.ranges.data, torch.tensor([[1.0, 1.0], [0.1, 10.0], [0.0, 1.0]]))


def test_errors_follow_the_target_in_a_short_run():
    torch.manual_seed(0)
    augment = RangeAugment()
    augment.total_steps = 300
    optimiser = torch.optim.AdamW(augment.parameters(), lr=2e-3, weight_decay=0.0)
    images, late = views(64), []
    for step in range(300):
        optimiser.zero_grad()
        errors = augment(images)[1]
        augment.penalty(errors).backward()
        optimiser.step()
        augment.clamp()
        if step >= 250:
            late.append(errors.detach().mean().item() / augment.target_error)
    # Smooth L1 balances the errors that are too large against those too small, so their mean stays below.
    assert 0.3 < sum(late) / len(late) < 1.5
    low, high = augment.ranges.detach().unbind(dim=1)
    assert (high[:2] - low[:2] > 0.2).all() and high[2] > 0.02


def test_in_evaluation_nothing_is_changed_or_penalised():
    augmented, plain = method().eval(), method(range_augment=False).eval()
    rows = augmented.represent(batch())
    assert rows.keys() == {"features"}
    torch.testing.assert_close(rows["features"], augmented.encoder(views()), rtol=0, atol=0)
    losses = [one.loss(batch(), World()).loss for one in (augmented, plain)]
    torch.testing.assert_close(losses[0], losses[1], rtol=0, atol=0)


def test_the_loss_is_the_words_of_the_changed_images_and_the_penalty():
    augmented, plain = method(), method(range_augment=False)
    torch.manual_seed(5)
    step = augmented.loss(batch(), World())
    torch.manual_seed(5)
    changed, errors = augmented.range_augment(views())
    words = plain.compare({"features": plain.encoder(changed)}, batch(), World())
    torch.testing.assert_close(step.loss, words.loss + augmented.range_augment.penalty(errors))
    assert step.logs["range_error"].item() == pytest.approx(errors.mean().item())
    step.loss.backward()
    gradient = augmented.range_augment.ranges.grad
    assert gradient[:2].all() and gradient[2, 1]


def test_the_words_alone_have_a_gradient_to_the_ranges(monkeypatch):
    monkeypatch.setattr(module, "ALPHA", 0.0)
    augmented = method()
    torch.manual_seed(5)
    augmented.loss(batch(), World()).loss.backward()
    assert augmented.range_augment.ranges.grad.any()


def test_the_step_counts_and_the_count_is_in_the_checkpoint():
    augmented = method()
    augmented.begin(100)
    for _ in range(7):
        augmented.represent(batch())
        augmented.represent(batch())  # a batch may be represented more than once in a step
        augmented.after_step()
    state = augmented.state_dict()
    assert state["range_augment.steps_seen"].item() == 7
    resumed = method()
    resumed.begin(100)
    resumed.load_state_dict(state)
    assert resumed.range_augment.target_error == augmented.range_augment.target_error > 6.6
    assert set(method(range_augment=False).state_dict()) == {
        name for name in state if not name.startswith("range_augment")
    }


def test_the_ranges_do_not_decay():
    decayed, plain = (group["params"] for group in parameter_groups(method(), weight_decay=0.2))
    assert (3, 2) in {tuple(weight.shape) for weight in plain}
    assert (3, 2) not in {tuple(weight.shape) for weight in decayed}


def test_under_bfloat16_the_errors_stay_float32():
    augmented = method()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rows = augmented.represent(batch())
        step = augmented.compare(rows, batch(), World())
    assert rows["range_errors"].dtype == step.loss.dtype == torch.float32


def test_a_batch_in_parts_has_the_gradient_of_the_same_parts_at_once():
    slices = [slice(0, 3), slice(3, 6), slice(6, 8)]
    whole, in_parts = method(), method()
    torch.manual_seed(9)
    rows = [whole.represent(batch().part(one)) for one in slices]
    joined = {name: torch.cat([one[name] for one in rows]) for name in rows[0]}
    expected = whole.compare(joined, batch(), World())
    expected.loss.backward()
    torch.manual_seed(9)
    found = backward_in_parts(
        slices,
        represent=lambda one: in_parts.represent(batch().part(one)),
        compare=lambda some: in_parts.compare(some, batch(), World()),
        loss_of=lambda step: step.loss,
        modules=in_parts,
    )
    torch.testing.assert_close(found.loss, expected.loss)
    for (name, weight), (_, other) in zip(whole.named_parameters(), in_parts.named_parameters(), strict=True):
        torch.testing.assert_close(other.grad, weight.grad, msg=name)
