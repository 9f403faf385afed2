"""The head of words: sparse, exact in what it says of itself, and equal to scikit-learn where both apply."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.utils.estimator_checks import parametrize_with_checks
from torch import nn

from synsight.adaptation.sparse_regression import SparseRegression
from synsight.adaptation.words_head import WordsHead
from synsight.errors import ConfigError, ShapeError

WORDS = ["crack", "weld", "rust", *(f"noise {number}" for number in range(37))]


def seen(rows: int = 300, *, seed: int = 0):
    """Word logits of which three decide three classes, and the classes' names."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(rows, len(WORDS)))
    labels = np.array(["cracked", "welded", "rusty"])[(3 * logits[:, :3]).argmax(axis=1)]
    return logits.astype(np.float32), labels


@parametrize_with_checks([WordsHead()])
def test_scikit_learn_s_own_checks_pass(estimator, check):
    check(estimator)


@pytest.mark.parametrize("penalty", [0.02, 0.05, 0.1])
def test_the_lasso_is_that_of_scikit_learn(penalty):
    logits, labels = seen()
    truth = labels[:, None] == np.unique(labels)
    problem = SparseRegression(logits.astype(np.float64), truth, np.ones(len(labels)), multilabel=False)
    weight, _ = problem.fitted(np.zeros((3, len(WORDS))), problem.start, lasso=penalty)
    reference = LogisticRegression(
        l1_ratio=1.0, C=1 / (len(labels) * penalty), solver="saga", tol=1e-8, max_iter=20_000
    ).fit(logits, labels)
    # The order of the words is that of `kept`; what is left is the tolerance of our stop.
    np.testing.assert_allclose(weight[:, np.argsort(problem.kept)], reference.coef_, atol=5e-3)
    assert ((weight != 0).sum()) == (reference.coef_ != 0).sum()


def test_the_words_that_decide_are_found_and_noise_is_not():
    logits, labels = seen()
    fitted = WordsHead(word_names=WORDS, words_per_class=1).fit(logits, labels)
    for name, word in (("cracked", "crack"), ("welded", "weld"), ("rusty", "rust")):
        ((found, weight),) = fitted.words_of(name)
        assert found == word and weight > 0
    assert fitted.words_used_ == 3
    test, truth = seen(200, seed=9)
    assert fitted.score(test, truth) > 0.95


def test_contributions_sum_to_the_score_and_evidence_names_the_largest():
    logits, labels = seen()
    fitted = WordsHead(word_names=WORDS, words_per_class=4).fit(logits, labels)
    rows = seen(7, seed=3)[0]
    scores = fitted.decision_function(rows)
    for number, name in enumerate(fitted.classes_):
        parts = fitted.contributions(rows, name)
        np.testing.assert_allclose(
            parts.sum(axis=1) + fitted.intercept_[number], scores[:, number], atol=1e-5
        )
    for row, said, told in zip(rows, fitted.predict(rows), fitted.evidence(rows, top=2), strict=True):
        parts = fitted.contributions(row[None], said)[0]
        assert told[0][0] == WORDS[int(np.abs(parts).argmax())]
        assert told[0][1] == pytest.approx(parts[np.abs(parts).argmax()])


def test_it_reads_features_through_the_models_head_of_words_and_exports_what_it_predicts():
    rng = np.random.default_rng(1)
    logits, labels = seen()
    mix = rng.normal(size=(12, 12))
    words = nn.Linear(12, 12)
    with torch.no_grad():
        words.weight.copy_(torch.from_numpy(np.linalg.inv(mix)))
    features = (logits[:, :12] @ mix.T).astype(np.float32)
    fitted = WordsHead.of(words, WORDS[:12], words_per_class=2).fit(features, labels)
    assert fitted.words_of("rusty")[0][0] == "rust"
    with torch.inference_mode():
        exported = fitted.head()(torch.from_numpy(features)).softmax(dim=1).numpy()
    np.testing.assert_allclose(exported, fitted.predict_proba(features), atol=1e-5)


def test_rows_of_several_labels_get_a_sigmoid_each():
    logits, _ = seen(400)
    truth = (logits[:, :3] > 0).astype(int)
    fitted = WordsHead(word_names=WORDS, words_per_class=2).fit(logits, truth)
    assert [fitted.words_of(one)[0][0] for one in range(3)] == ["crack", "weld", "rust"]
    assert (fitted.predict(logits) == truth).mean() > 0.97


def test_a_word_that_never_varies_is_not_read():
    logits, labels = seen()
    logits[:, 5] = 4.0
    fitted = WordsHead(words_per_class=40).fit(logits, labels)
    assert (fitted.coef_[:, 5] == 0).all()
    assert np.isfinite(fitted.predict_proba(logits)).all()


def test_what_does_not_fit_is_refused():
    logits, labels = seen()
    with pytest.raises(ConfigError, match="words_per_class must be >= 1"):
        WordsHead(words_per_class=0).fit(logits, labels)
    with pytest.raises(ShapeError, match=r"expected a head of words \[V, 40\]"):
        WordsHead(word_weight=np.zeros((4, 3))).fit(logits, labels)
    with pytest.raises(ConfigError, match="no class is called 'broken'"):
        WordsHead().fit(logits, labels).words_of("broken")
