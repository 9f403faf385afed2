import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from synsight.errors import ShapeError
from synsight.metrics import (
    Confidences,
    brier_score,
    calibration_interval,
    debiased_calibration_error,
    expected_calibration_error,
)


def answers(rng, rows=2000, *, sure_by=0.0):
    """Confidences that are right as often as they say, or less often by `sure_by`."""
    confidences = rng.uniform(0.4, 1, rows)
    return confidences, rng.random(rows) < confidences - sure_by


def test_four_answers_by_hand():
    confidences = np.array([0.95, 0.95, 0.55, 0.52])
    hits = np.array([True, False, True, True])
    # bins of a tenth: |1.9 - 1| and |1.07 - 2| of four rows
    assert expected_calibration_error(confidences, hits, bins=10) == pytest.approx((0.9 + 0.93) / 4)


def test_the_edge_of_a_bin_belongs_to_the_bin_below():
    # 0.5 and 0.6 share (0.4, 0.6] of five bins: |1.1 - 1| / 2
    assert expected_calibration_error(np.array([0.5, 0.6]), np.array([True, False]), bins=5) == pytest.approx(
        0.05
    )


@pytest.mark.parametrize(("binning", "strategy"), [("width", "uniform"), ("mass", "quantile")])
def test_equals_scikit_learns_calibration_curve(binning, strategy):
    confidences, hits = answers(np.random.default_rng(0), 1500, sure_by=0.2)
    right, said = calibration_curve(hits, confidences, n_bins=15, strategy=strategy)
    edges = np.linspace(0, 1, 16) if binning == "width" else np.quantile(confidences, np.linspace(0, 1, 16))
    rows = np.histogram(confidences, edges)[0]
    theirs = np.sum(rows[rows > 0] * np.abs(right - said)) / 1500
    assert expected_calibration_error(confidences, hits, binning=binning) == pytest.approx(theirs, abs=1e-9)


def test_overconfidence_is_measured_as_large_as_it_is():
    confidences, hits = answers(np.random.default_rng(1), 40_000, sure_by=0.2)
    assert expected_calibration_error(confidences, hits) == pytest.approx(0.2, abs=0.01)
    assert debiased_calibration_error(confidences, hits) == pytest.approx(0.2, abs=0.01)


def test_what_chance_brings_to_a_small_sample_is_taken_off():
    rng = np.random.default_rng(2)
    plain, debiased = [], []
    for _ in range(200):
        confidences, hits = answers(rng, 100, sure_by=0.1)
        plain.append(expected_calibration_error(confidences, hits))
        debiased.append(debiased_calibration_error(confidences, hits) ** 2)
    assert np.mean(plain) > 0.12
    assert np.sqrt(np.mean(debiased)) == pytest.approx(0.1, abs=0.015)


@given(st.integers(0, 2**20))
def test_two_classes_have_twice_scikit_learns_brier_score(seed):
    rng = np.random.default_rng(seed)
    first, labels = rng.random(30), rng.integers(0, 2, 30)
    ours = brier_score(np.stack([1 - first, first], axis=1), labels)
    assert ours == pytest.approx(2 * brier_score_loss(labels, first, labels=[0, 1]))


def test_the_brier_score_of_a_certain_answer_is_zero_or_two():
    assert brier_score(np.eye(3), np.arange(3)) == 0
    assert brier_score(np.eye(3), np.array([1, 2, 0])) == 2


@pytest.mark.parametrize("error", [0.0, 0.05, 0.15])
def test_the_interval_holds_the_true_error_and_the_value(error):
    rng = np.random.default_rng(3)
    held = []
    for number in range(250):
        confidences, hits = answers(rng, 300, sure_by=error)
        found = calibration_interval(
            Confidences(confidences, hits, np.arange(300)), resamples=200, seed=number
        )
        assert 0 <= found.low <= found.value <= found.high
        assert found.value == pytest.approx(expected_calibration_error(confidences, hits))
        held.append(found.low <= error <= found.high)
    assert 0.92 <= np.mean(held) <= 0.985


def test_rows_that_belong_together_make_the_interval_wider():
    rng = np.random.default_rng(4)
    confidences, hits = answers(rng, 200, sure_by=0.2)
    alone = calibration_interval(Confidences(confidences, hits, np.arange(200)))
    copies = calibration_interval(
        Confidences(np.tile(confidences, 4), np.tile(hits, 4), np.tile(np.arange(200), 4))
    )
    assert (copies.low, copies.high) == pytest.approx((alone.low, alone.high))


def test_what_is_no_probability_is_refused():
    with pytest.raises(ShapeError, match="0 to 1"):
        expected_calibration_error(np.array([1.5]), np.array([True]))
    with pytest.raises(ShapeError, match="same N"):
        expected_calibration_error(np.array([0.5]), np.array([True, False]))
    with pytest.raises(ShapeError, match="one label a row"):
        brier_score(np.eye(3), np.arange(2))
