"""Optimisers, schedule and weight average."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lightly.utils.lars import LARS as LightlyLARS
from torch import nn

from synsight.training.config import OptimConfig, ScheduleConfig
from synsight.training.optim import LARS, WeightAverage, build_optimiser, parameter_groups, rate_at


def small_network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 7), nn.LayerNorm(7), nn.ReLU(), nn.Linear(7, 3))


def test_lars_takes_the_steps_of_lightly_lars():
    ours, theirs = small_network(), small_network()
    mine = build_optimiser(ours, OptimConfig(name="lars", lr=0.3, weight_decay=1e-2))
    # lightly leaves a group without decay unadapted; so the two groups mean the same to both.
    reference = LightlyLARS(parameter_groups(theirs, weight_decay=1e-2), lr=0.3, momentum=0.9)
    for step in range(8):
        batch = torch.randn(16, 5, generator=torch.Generator().manual_seed(step))
        for network, optimiser in ((ours, mine), (theirs, reference)):
            optimiser.zero_grad()
            network(batch).square().mean().backward()
            optimiser.step()
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        # Both compute in float32; only the order of two multiplications differs.
        torch.testing.assert_close(one, other, rtol=2e-6, atol=1e-7)


def test_lars_without_decay_still_adapts_what_is_not_excluded():
    weight = nn.Parameter(torch.full((2, 2), 3.0))
    weight.grad = torch.full((2, 2), 100.0)
    LARS([weight], lr=1.0, momentum=0.0, trust_coefficient=0.01).step()
    # By hand: the step has 1% of the weight's length, whatever the gradient's.
    torch.testing.assert_close(weight.detach(), torch.full((2, 2), 3.0 * 0.99))


def test_lars_moves_a_zero_weight_by_its_plain_gradient():
    weight = nn.Parameter(torch.zeros(2, 2))
    weight.grad = torch.ones(2, 2)
    LARS([weight], lr=0.5, momentum=0.0).step()
    torch.testing.assert_close(weight.detach(), torch.full((2, 2), -0.5))


def test_biases_and_norms_do_not_decay():
    decayed, plain = parameter_groups(small_network(), weight_decay=0.1)
    assert [tuple(one.shape) for one in decayed["params"]] == [(7, 5), (3, 7)]
    assert decayed["weight_decay"] == 0.1
    assert [tuple(one.shape) for one in plain["params"]] == [(7,), (7,), (7,), (3,)]
    assert plain["weight_decay"] == 0.0


def test_what_a_timm_model_excludes_from_decay_does_not_decay():
    class Vit(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.pos_embed = nn.Parameter(torch.zeros(1, 4, 8))
            self.proj = nn.Linear(8, 8, bias=False)

        def no_weight_decay(self) -> set[str]:
            return {"pos_embed"}

    decayed, plain = parameter_groups(nn.ModuleDict({"encoder": Vit()}), weight_decay=0.1)
    assert [tuple(one.shape) for one in decayed["params"]] == [(8, 8)]
    assert [tuple(one.shape) for one in plain["params"]] == [(1, 4, 8)]


def test_rate_rises_linearly_then_falls_by_half_a_cosine():
    schedule = ScheduleConfig(warmup=0.1, final=0.2)
    rates = [rate_at(step, total_steps=100, schedule=schedule) for step in range(101)]
    assert rates[0] == pytest.approx(1 / 11)
    assert rates[9] == pytest.approx(10 / 11)
    assert rates[10] == 1.0
    assert rates[55] == pytest.approx(0.2 + 0.8 / 2)
    assert rates[100] == pytest.approx(0.2)


@given(
    total=st.integers(1, 5000),
    step=st.integers(0, 5000),
    warmup=st.floats(0, 0.99),
    final=st.floats(0, 1),
)
def test_rate_is_a_share_of_the_peak(total: int, step: int, warmup: float, final: float):
    rate = rate_at(
        min(step, total - 1), total_steps=total, schedule=ScheduleConfig(warmup=warmup, final=final)
    )
    assert 0 < rate <= 1


def test_average_follows_the_weights_and_forgets_the_start():
    network = nn.BatchNorm1d(2)
    average = WeightAverage(network, decay=0.5)
    with torch.no_grad():
        network.weight.fill_(3.0)
        network.num_batches_tracked.fill_(7)
    average.update(network, step=1000)
    torch.testing.assert_close(average.state["weight"], torch.full((2,), 2.0))
    assert average.state["num_batches_tracked"] == 7
    average = WeightAverage(nn.Linear(1, 1), decay=0.999)
    assert average.decay == 0.999
    ones = nn.Linear(1, 1)
    with torch.no_grad():
        ones.weight.fill_(1.0)
    start = average.state["weight"].item()
    average.update(ones, step=1)
    assert average.state["weight"].item() == pytest.approx(start * 2 / 11 + 9 / 11)
