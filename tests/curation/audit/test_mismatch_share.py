"""The share of mismatched pairs, on scores whose truth is known."""

import numpy as np
import pytest

from synsight.curation.agreement import PairScores
from synsight.curation.audit.mismatch_share import mismatch_share

ROWS = 4000


def scores(share: float, *, shift: float = 2.0, seed: int = 0) -> tuple[PairScores, np.ndarray]:
    """Mismatched pairs score as N(0, 1), matched ones as N(shift, 1): an exponential tilt."""
    drawing = np.random.default_rng(seed)
    is_wrong = drawing.random(ROWS) < share
    own = drawing.standard_normal(ROWS) + np.where(is_wrong, 0, shift)
    others = drawing.standard_normal((ROWS, 8))
    spreads = drawing.standard_normal(ROWS), drawing.standard_normal((ROWS, 8))
    return PairScores(own, others, *spreads), is_wrong


@pytest.mark.parametrize("share", [0.0, 0.05, 0.2, 0.5, 0.9])
def test_the_interval_holds_the_planted_share(share):
    found = mismatch_share(scores(share)[0], np.arange(ROWS))
    assert found.low - 0.01 <= share <= found.high + 0.01
    assert found.share == pytest.approx(share, abs=0.06)
    assert found.high - found.low < 0.25


def test_probabilities_are_calibrated_and_ordered_as_the_scores():
    one, is_wrong = scores(0.3)
    found = mismatch_share(one, np.arange(ROWS))
    sure = found.probability > 0.8
    assert is_wrong[sure].mean() == pytest.approx(found.probability[sure].mean(), abs=0.06)
    assert found.probability.mean() == pytest.approx(0.3, abs=0.05)
    lowest = one.own_spread < np.quantile(one.own_spread, 0.25)
    order = np.argsort(one.own[lowest])
    assert (np.diff(found.log_odds[lowest][order]) <= 1e-9).all()


def test_where_no_pair_agrees_the_judge_says_that_it_cannot_tell():
    found = mismatch_share(scores(1.0)[0], np.arange(ROWS))
    assert found.agreement == pytest.approx(0.5, abs=0.02)
    assert not found.can_tell
    assert found.low == 0
    assert found.high > 0.95
    assert found.share > 0.9


def test_the_agreement_is_the_chance_to_score_better_than_another():
    one, _ = scores(0.0, shift=1.0)
    found = mismatch_share(one, np.arange(ROWS))
    assert found.agreement == pytest.approx(0.760, abs=0.015)  # Phi(1 / sqrt 2)
    assert found.better.mean() == pytest.approx(1 - found.agreement)


def test_groups_that_move_together_widen_the_interval():
    one, _ = scores(0.3)
    together = np.argsort(np.argsort(one.own)) // 100
    alone, grouped = (mismatch_share(one, groups) for groups in (np.arange(ROWS), together))
    assert grouped.share == alone.share
    assert grouped.high - grouped.low > alone.high - alone.low


def test_the_same_seed_gives_the_same_answer():
    one, _ = scores(0.2)
    first, second = (mismatch_share(one, np.arange(ROWS), seed=7) for _ in range(2))
    assert (first.share, first.low, first.high) == (second.share, second.low, second.high)
    assert (first.probability == second.probability).all()
