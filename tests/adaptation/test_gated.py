"""The gate believes the block that knows, row by row."""

import numpy as np
import pytest
import torch
from sklearn.utils.estimator_checks import parametrize_with_checks

from synsight.adaptation.gated import GatedLogistic
from synsight.adaptation.logistic import LogisticRegression
from synsight.errors import ConfigError

WIDTHS = [6, 5]


def two_eyes(rows: int = 400, *, seed: int = 0):
    """Two blocks; a flag in the first says which of them shows the class, the other shows any."""
    rng = np.random.default_rng(seed)
    labels = np.arange(rows) % 3
    first, second = rng.normal(size=(rows, 6)), rng.normal(size=(rows, 5))
    knows = rng.random(rows) < 0.5
    for block, where in ((first, knows), (second, ~knows)):
        block[np.arange(rows), np.where(where, labels, rng.integers(0, 3, rows))] += 6
    first[:, 5] = np.where(knows, 3, -3)
    return np.concatenate([first, second], axis=1).astype(np.float32), labels, knows


FOLDS_OF_ROWS = "settings are chosen by folds, and a row of weight 2 is in one fold where two rows are in two"


@parametrize_with_checks(
    [GatedLogistic(folds=2)],
    expected_failed_checks=lambda one: {"check_sample_weight_equivalence_on_dense_data": FOLDS_OF_ROWS},
)
def test_scikit_learn_s_own_checks_pass(estimator, check):
    check(estimator)


def test_shares_follow_the_block_that_knows_and_beat_side_by_side():
    rows, labels, _ = two_eyes()
    test, truth, knows = two_eyes(300, seed=1)
    fitted = GatedLogistic(blocks=WIDTHS, ridge=1e-3).fit(rows, labels)
    shares = fitted.shares(test)
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    assert shares[knows, 0].mean() > 0.7 and shares[~knows, 0].mean() < 0.3
    beside = LogisticRegression(blocks=WIDTHS).fit(rows, labels).score(test, truth)
    assert fitted.score(test, truth) > beside + 0.01


def test_with_one_label_a_class_all_blocks_count_alike():
    rows, labels, _ = two_eyes(3)
    fitted = GatedLogistic(blocks=WIDTHS).fit(rows, labels)
    np.testing.assert_allclose(fitted.shares(rows), 0.5)


@pytest.mark.parametrize("several", [False, True])
def test_the_head_gives_the_same_probabilities(several):
    rows, labels, _ = two_eyes(120)
    given = np.eye(3, dtype=int)[labels] if several else labels
    fitted = GatedLogistic(blocks=WIDTHS).fit(rows, given)
    with torch.inference_mode():
        scores = fitted.head()(torch.from_numpy(rows))
    found = scores.sigmoid() if several else scores.softmax(dim=1)
    np.testing.assert_allclose(found.numpy(), fitted.predict_proba(rows), atol=1e-5)


def test_a_penalty_of_nothing_is_refused():
    rows, labels, _ = two_eyes(30)
    with pytest.raises(ConfigError, match="ridge must be > 0; got 0"):
        GatedLogistic(blocks=WIDTHS, ridge=0).fit(rows, labels)
