"""When a run is stopped, and what is said of it; on made-up readings, without any training."""

import json
import math

import numpy as np
import pytest

from synsight.errors import ConfigError
from synsight.training.monitor_config import StoppingConfig
from synsight.training.readings import Reading
from synsight.training.settings import from_plain, to_plain
from synsight.training.stopping import Look, StoppingState, consider, noise_between, sentence

ON = StoppingConfig(enabled=True, begin=0.0)


def by_row(hits: np.ndarray) -> Reading:
    return Reading(chosen=float(hits.mean()), hits=hits)


def stopped_at(readings: list[Reading], config: StoppingConfig = ON) -> int | None:
    """The look, counted from 0, at which a run with these looks ends."""
    state = StoppingState()
    for number, reading in enumerate(readings):
        decision = consider(
            state, reading, step=number + 1, total_steps=len(readings), loss=None, config=config
        )
        state = decision.state
        if decision.stop:
            return number
    return None


def rows_of(
    rng: np.random.Generator, accuracies: np.ndarray, *, rows: int = 1000, unrest: float = 0.0
) -> list[Reading]:
    """Looks at rows of very different difficulty; `unrest` moves the network as a whole, look by look."""
    easy = rng.beta(2, 1.3, rows)
    easy -= easy.mean()
    moved = accuracies + unrest * rng.normal(size=len(accuracies))
    return [by_row(rng.random(rows) < np.clip(easy + accuracy, 0, 1)) for accuracy in moved]


@pytest.mark.parametrize(("rows", "unrest"), [(1000, 0.0), (200, 0.0), (1000, 0.02), (200, 0.02)])
def test_noise_around_a_plateau_stops_hardly_any_run_of_100_looks(rows: int, unrest: float):
    rng = np.random.default_rng(0)
    looks = np.full(100, 0.6)
    shipped = StoppingConfig(enabled=True)
    runs = [stopped_at(rows_of(rng, looks, rows=rows, unrest=unrest), shipped) for _ in range(60)]
    assert sum(one is not None for one in runs) <= 3


def test_a_reading_without_an_error_of_its_own_is_not_stopped_by_noise_either():
    rng = np.random.default_rng(1)
    runs = [stopped_at([Reading(chosen=value) for value in rng.normal(80, 3, 100)]) for _ in range(100)]
    assert sum(one is not None for one in runs) <= 5


def test_without_the_correction_for_the_best_of_many_looks_noise_would_stop_most_runs():
    """The reason for the rule: a peak is the luckiest look, and a plain 90% interval knows nothing of it."""
    rng = np.random.default_rng(2)
    counted = []
    for _ in range(40):
        values = [one.chosen for one in rows_of(rng, np.full(100, 0.6))]
        error = math.sqrt(2) * np.std(values)
        counted.append(np.mean(max(values) - np.array(values) > 1.645 * error))
    assert np.mean(counted) > 0.3


@pytest.mark.parametrize("rows", [200, 1000])
@pytest.mark.parametrize("patience", [2, 4])
def test_a_fall_by_two_intervals_stops_within_the_patience_and_two_looks(rows: int, patience: int):
    rng = np.random.default_rng(3)
    config = StoppingConfig(enabled=True, begin=0.0, patience=patience)
    late = 0
    for _ in range(40):
        before = rows_of(rng, np.full(12, 0.7), rows=rows)
        state = StoppingState()
        for number, reading in enumerate(before):
            state = consider(state, reading, step=number, total_steps=100, loss=None, config=config).state
        assert state.peak is not None and state.last is not None
        noise = noise_between(state.peak, state.last, values=state.values, confidence=config.confidence)
        assert noise is not None
        # The same rows as the last look, some of which are lost at every look from now on.
        after = []
        for _ in range(patience + 2):
            easy = rng.random(rows) < 0.7 - 2 * noise
            after.append(by_row(easy))
        late += stopped_at([*before, *after], config) is None
    assert late <= 2


def test_a_slow_fall_is_seen_after_some_looks_and_not_before_it_begins():
    rng = np.random.default_rng(4)
    accuracies = np.concatenate([0.7 - 0.4 * np.exp(-np.arange(20) / 4), 0.7 - 0.02 * np.arange(30)])
    ends = [stopped_at(rows_of(rng, accuracies, unrest=0.005)) for _ in range(40)]
    assert all(end is not None for end in ends)
    assert 23 <= np.median([end for end in ends if end is not None]) <= 33


def test_looks_early_in_the_run_do_not_count():
    values = [0.5, *np.linspace(0.4, 0.3, 9), *np.full(10, 0.45)]  # features worsen before they improve
    hits = [by_row(np.arange(1000) < 1000 * value) for value in values]
    assert stopped_at(hits) is not None
    assert stopped_at(hits[:12], StoppingConfig(enabled=True, begin=0.9)) is None


def test_nothing_stops_when_it_is_not_enabled():
    hits = [by_row(np.arange(1000) < 1000 * value) for value in np.linspace(0.9, 0.1, 30)]
    assert stopped_at(hits) == 4
    assert stopped_at(hits, StoppingConfig()) is None


def test_a_look_within_noise_takes_one_counted_look_back_and_a_new_peak_all():
    def after(*values: float) -> StoppingState:
        state = StoppingState()
        for number, value in enumerate(values):
            hits = by_row(np.arange(1000) < 1000 * value)
            state = consider(state, hits, step=number, total_steps=20, loss=None, config=ON).state
        return state

    fallen = (0.7, 0.5, 0.5, 0.5)
    assert after(*fallen).below == 3
    assert after(*fallen, 0.699).below == 2
    assert after(*fallen, 0.71).below == 0
    peak = after(*fallen, 0.7).peak
    assert peak is not None and peak.step == 4  # a tie goes to the later look


def test_a_rise_below_the_least_improvement_is_kept_but_wipes_out_nothing():
    config = StoppingConfig(enabled=True, begin=0.0, min_improvement=0.02)
    state = StoppingState(
        peak=Look(step=1, value=0.7), last=Look(step=3, value=0.5), values=(0.7, 0.6, 0.5), below=2
    )
    small = consider(state, Reading(chosen=0.71), step=4, total_steps=9, loss=None, config=config)
    assert small.better and small.state.below == 2
    large = consider(state, Reading(chosen=0.73), step=4, total_steps=9, loss=None, config=config)
    assert large.better and large.state.below == 0


def test_a_look_that_read_nothing_changes_nothing():
    state = StoppingState(peak=Look(step=1, value=0.7), values=(0.7,))
    decision = consider(state, Reading(), step=2, total_steps=9, loss=None, config=ON)
    assert not decision.better and not decision.stop and decision.state is state


def test_the_noise_is_that_of_the_rows_own_differences():
    first, second = np.array([1, 1, 1, 0, 1, 0, 1, 1], bool), np.array([1, 0, 1, 1, 0, 0, 1, 0], bool)
    state = StoppingState()
    for step, hits in enumerate((first, second)):
        state = consider(state, by_row(hits), step=step, total_steps=9, loss=None, config=ON).state
    assert state.peak is not None and state.last is not None
    differences = first.astype(int) - second.astype(int)
    # 90% two-sided over two looks: 2.5% on one side.
    by_hand = 1.959964 * differences.std() / math.sqrt(8)
    found = noise_between(state.peak, state.last, values=state.values, confidence=0.9)
    assert found == pytest.approx(by_hand, rel=1e-6)


def test_the_state_survives_json_to_the_last_bit_and_a_resumed_run_decides_alike():
    rng = np.random.default_rng(5)
    readings = rows_of(rng, 0.7 - 0.01 * np.arange(40), rows=37)
    straight, resumed = StoppingState(), StoppingState()
    for step, reading in enumerate(readings):
        one = consider(straight, reading, step=step, total_steps=40, loss=1 / (step + 3), config=ON)
        kept = from_plain(StoppingState, json.loads(json.dumps(to_plain(resumed))))
        other = consider(kept, reading, step=step, total_steps=40, loss=1 / (step + 3), config=ON)
        assert one == other
        straight, resumed = one.state, other.state


def ended(values: list[float], losses: list[float]) -> StoppingState:
    state = StoppingState()
    for number, (value, loss) in enumerate(zip(values, losses, strict=True)):
        hits = by_row(np.arange(1000) < 1000 * value)
        step = 100 * (number + 1)
        state = consider(state, hits, step=step, total_steps=1000, loss=loss, config=ON).state
    return state


def said(state: StoppingState, *, stopped: bool = False, metric: str = "knn_acc1") -> str:
    return sentence(state, metric=metric, total_steps=1000, stopped=stopped, config=ON)


def test_one_sentence_says_where_the_peak_was_and_what_later_training_lost():
    state = ended([0.4, 0.612, 0.6, 0.567], [4.0, 3.1, 2.9, 2.71])
    assert said(state) == (
        "k-NN accuracy peaked at 0.612 at step 200 of 1,000; the 200 steps after it lost 0.045 "
        "[0.030, 0.060], while the training loss was still falling (3.10 to 2.71)"
    )
    assert "the 200 steps after it until the run was stopped lost 0.045" in said(state, stopped=True)


@pytest.mark.parametrize(
    ("losses", "did"),
    [([3.0, 3.01], "stood still (3.00 to 3.01)"), ([3.0, 3.2], "was rising (3.00 to 3.20)")],
)
def test_the_sentence_says_what_the_loss_did(losses: list[float], did: str):
    assert said(ended([0.6, 0.4], losses)).endswith(f", while the training loss {did}")


def test_what_is_lost_within_noise_is_called_so():
    assert "lost 0.001 [-0.001, 0.003], no more than noise, while" in said(ended([0.6, 0.599], [3.0, 2.0]))


def test_a_peak_at_the_last_look_and_a_run_without_one_are_said_too():
    rising = ended([0.4, 0.5], [3.0, 2.0])
    assert said(rising) == "k-NN accuracy was highest at the last look, 0.500 at step 200"
    assert said(StoppingState(), metric="zeroshot_acc1") == (
        "no look could read zero-shot accuracy, so the last weights are kept"
    )


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("patience", 0, r"stopping\.patience must be at least 1; got 0"),
        ("min_improvement", -0.1, r"stopping\.min_improvement must be >= 0"),
        ("confidence", 1.0, r"stopping\.confidence must lie in \(0, 1\)"),
        ("begin", 1.0, r"stopping\.begin must lie in \[0, 1\)"),
    ],
)
def test_rules_out_of_range_are_refused(field: str, value: float, rule: str):
    with pytest.raises(ConfigError, match=rule):
        StoppingConfig(**{field: value})  # type: ignore[arg-type]
