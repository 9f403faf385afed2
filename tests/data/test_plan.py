from itertools import islice

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from synsight.data.plan import Plan
from synsight.errors import ConfigError

WORLDS = (1, 2, 3, 4, 8)


def epoch_of(plan: Plan, epoch: int) -> list[int]:
    return [row for step in range(plan.steps_per_epoch) for row in plan.indices(epoch, step).tolist()]


@given(
    seed=st.integers(0, 2**40),
    epoch=st.integers(0, 50),
    world=st.sampled_from(WORLDS),
    rows=st.integers(1, 300),
    batch_size=st.integers(1, 70),
)
@settings(max_examples=1000, deadline=None)
def test_each_row_comes_exactly_once_an_epoch_over_all_processes(seed, epoch, world, rows, batch_size):
    seen = []
    for rank in range(world):
        plan = Plan(rows=rows, batch_size=batch_size, seed=seed, rank=rank, world=world, keep_last=True)
        seen += epoch_of(plan, epoch)
    assert sorted(seen) == list(range(rows))


@given(
    seed=st.integers(0, 2**40),
    world=st.sampled_from(WORLDS),
    share=st.integers(1, 9),
    rows=st.integers(1, 300),
)
@settings(max_examples=200, deadline=None)
def test_training_drops_less_than_one_batch_and_shares_each_equally(seed, world, share, rows):
    assume(rows >= share * world)
    plans = [
        Plan(rows=rows, batch_size=share * world, seed=seed, rank=rank, world=world) for rank in range(world)
    ]
    seen = [row for plan in plans for row in epoch_of(plan, 0)]
    assert len(set(seen)) == len(seen) > rows - share * world
    assert {len(plan.indices(0, 0)) for plan in plans} == {share}


@pytest.mark.parametrize("world", WORLDS)
def test_the_batch_of_a_step_is_the_same_for_any_number_of_processes(world):
    alone = Plan(rows=500, batch_size=48, seed=3).indices(2, 5)
    shares = [Plan(rows=500, batch_size=48, seed=3, rank=r, world=world).indices(2, 5) for r in range(world)]
    assert np.concatenate(shares).tolist() == alone.tolist()


@given(stopped_at=st.integers(0, 400), world=st.sampled_from(WORLDS), seed=st.integers(0, 99))
@settings(max_examples=50, deadline=None)
def test_a_run_that_goes_on_gets_the_same_next_100_batches(stopped_at, world, seed):
    plan = Plan(rows=331, batch_size=24, seed=seed, rank=world - 1, world=world)
    uninterrupted = islice(plan.batches(), stopped_at, stopped_at + 100)
    epoch, step = Plan(rows=331, batch_size=24, seed=seed, rank=world - 1, world=world).locate(stopped_at)
    resumed = islice(plan.batches(start_epoch=epoch, start_step=step), 100)
    for (epoch_a, rows_a), (epoch_b, rows_b) in zip(uninterrupted, resumed, strict=True):
        assert epoch_a == epoch_b
        assert rows_a.tolist() == rows_b.tolist()


def test_another_epoch_or_seed_has_another_order():
    plan = Plan(rows=100, batch_size=100, seed=1)
    orders = [plan.indices(0, 0), plan.indices(1, 0), Plan(rows=100, batch_size=100, seed=2).indices(0, 0)]
    assert len({tuple(order.tolist()) for order in orders}) == 3


def test_without_shuffling_rows_come_in_order():
    assert epoch_of(Plan(rows=7, batch_size=3, shuffle=False, keep_last=True), 4) == list(range(7))


def test_batches_end_after_the_epochs_asked_for():
    plan = Plan(rows=10, batch_size=5)
    assert [epoch for epoch, _ in plan.batches(epochs=3)] == [0, 0, 1, 1, 2, 2]
    assert [epoch for epoch, _ in plan.batches(start_epoch=2, start_step=1, epochs=3)] == [2]


def test_says_what_does_not_fit():
    with pytest.raises(
        ConfigError, match=r"batch_size 64 is larger than the 10 rows .* set batch_size to at most 10"
    ):
        Plan(rows=10, batch_size=64)
    with pytest.raises(ConfigError, match="at least one row"):
        Plan(rows=0, batch_size=1)
    with pytest.raises(ConfigError, match="must be a multiple of the 3 processes"):
        Plan(rows=100, batch_size=64, world=3)
    with pytest.raises(ConfigError, match=r"rank must be in 0\.\.1; got 2"):
        Plan(rows=100, batch_size=64, world=2, rank=2)
    with pytest.raises(ConfigError, match=r"step must be in 0\.\.9; got 10"):
        Plan(rows=100, batch_size=10).indices(0, 10)


@given(
    seed=st.integers(0, 2**40),
    epoch=st.integers(0, 9),
    world=st.sampled_from(WORLDS),
    rows=st.integers(60, 400),
)
@settings(max_examples=200, deadline=None)
def test_batches_of_several_sizes_hold_each_row_at_most_once_and_shrink_as_images_grow(
    seed, epoch, world, rows
):
    plans = [
        Plan(
            rows=rows,
            batch_size=2 * world,
            seed=seed,
            rank=rank,
            world=world,
            image_sizes=(16, 24, 32),
            image_size=24,
        )
        for rank in range(world)
    ]
    seen = [row for plan in plans for row in epoch_of(plan, epoch)]
    assert len(set(seen)) == len(seen) > rows - 5 * world
    for step in range(plans[0].steps_per_epoch):
        sizes = {plan.size_at(epoch, step) for plan in plans}
        counts = {len(plan.indices(epoch, step)) for plan in plans}
        assert len(sizes) == len(counts) == 1
        assert counts == {{16: 4, 24: 2, 32: 1}[sizes.pop()]}


def test_the_sizes_of_an_epoch_come_in_an_order_of_its_own():
    plan = Plan(rows=400, batch_size=10, seed=1, image_sizes=(16, 24, 32), image_size=24)
    orders = [[plan.size_at(epoch, step) for step in range(plan.steps_per_epoch)] for epoch in range(2)]
    assert orders[0] != orders[1] and sorted(orders[0]) == sorted(orders[1])
    assert set(orders[0]) == {16, 24, 32}
