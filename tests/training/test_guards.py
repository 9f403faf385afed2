"""Runs that have gone wrong are stopped, with a sentence that says what to try."""

import math

import pytest

from synsight.errors import TrainingError
from synsight.training.guards import check_finite, watch_chance, watch_collapse
from synsight.training.state import Progress

CHANCE = math.log(2 * 128 - 1)


def steps_survived(losses: list[float], *, chance: float | None = CHANCE, total: int = 200) -> int:
    progress = Progress()
    for loss in losses:
        progress.step += 1
        try:
            watch_chance(progress, loss, chance=chance, warmup_steps=10, total_steps=total)
        except TrainingError as error:
            assert f"the loss has stayed at {loss:.3f}" in str(error)
            assert "for 50 steps" in str(error) and "--optim.lr" in str(error)
            return progress.step
    return len(losses)


def test_a_loss_at_chance_for_a_quarter_of_the_run_stops_it():
    assert steps_survived([CHANCE] * 200) == 10 + 50
    assert steps_survived([CHANCE * 1.019] * 200) == 10 + 50


def test_a_loss_that_falls_or_a_method_without_chance_goes_on():
    assert steps_survived([CHANCE * 0.97] * 200) == 200
    assert steps_survived([CHANCE] * 200, chance=None) == 200
    assert steps_survived([CHANCE] * 59 + [CHANCE * 0.5] + [CHANCE] * 49) == 109


def test_features_that_are_the_same_three_rows_in_a_row_stop_the_run():
    progress = Progress(step=5)
    watch_collapse(progress, 0.001, warmup_steps=5)
    assert progress.collapsed_rows == 0  # nothing is said before the warm-up is over
    progress.step = 20
    for spread in (0.001, 0.001, 0.5, 0.001, 0.001):
        watch_collapse(progress, spread, warmup_steps=5)
    with pytest.raises(
        TrainingError, match=r"the features of all images have become the same \(spread 0.0010"
    ):
        watch_collapse(progress, 0.001, warmup_steps=5)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_value_that_is_no_number_stops_the_run(value: float):
    check_finite(3.0, "loss", step=1, lr=0.1, precision="bf16")
    with pytest.raises(
        TrainingError, match=rf"the loss became {value} at step 7 \(learning rate 0.1\)"
    ) as error:
        check_finite(value, "loss", step=7, lr=0.1, precision="bf16")
    assert "--precision fp32" in str(error.value)
