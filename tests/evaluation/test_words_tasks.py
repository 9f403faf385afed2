"""Tasks of models that predict words: named evidence, and classifiers that begin at the words' rows."""

import json
from dataclasses import replace

import numpy as np
import pytest
from asked import judged, reading_model, word_model
from made import make_splits
from scipy.special import softmax

from synsight.errors import UsageError
from synsight.evaluation.evidence import evidence
from synsight.evaluation.start import JUDGEMENTS, start
from synsight.language.wordnet import NounTable, key_of

SPLITS, FEATURES = make_splits()
CENTRES = np.random.default_rng(1).normal(size=(3, 5))
"""Of the classes of `make_splits`."""


def named(*names):
    return replace(SPLITS, class_names=names)


def key(noun):
    return key_of(NounTable.load().nouns[noun].senses[0])


def knowing_model(keys=("dog", "oak", "kitchen")):
    """A head whose row for word i is the centre of class i: its words are the classes."""
    keys = [one if ":" in one else key(one) for one in keys]
    weight = np.concatenate([CENTRES, np.zeros((len(keys) - 3, 5))])
    return word_model(keys, weight, np.append(-0.5 * (CENTRES**2).sum(axis=1), np.zeros(len(keys) - 3)))


def record(scored, task, metric="acc1"):
    return next(one for one in scored.results if (one.task, one.metric) == (task, metric))


def test_evidence_is_the_softmax_of_the_scores_of_the_classes_words():
    model = knowing_model(("dog", "oak", "kitchen", "restaurant"))
    asked = judged(named("dog", "oak", "restaurant kitchen"), FEATURES, model=model)
    scored = evidence(asked)
    weight, bias = (one.detach().double().numpy() for one in (model.head.weight, model.head.bias))
    scores = FEATURES.test.astype(float) @ weight.T + bias
    by_hand = softmax(np.stack([scores[:, 0], scores[:, 1], scores[:, 2:].mean(axis=1)], axis=1), axis=1)
    names = np.array(asked.splits.class_names)
    assert scored.predictions["prediction"].to_pylist() == names[by_hand.argmax(axis=1)].tolist()
    np.testing.assert_allclose(scored.predictions["probability"], by_hand.max(axis=1), rtol=1e-4)
    one = record(scored, "evidence")
    assert one.value == pytest.approx(np.mean(by_hand.argmax(axis=1) == SPLITS.test.labels))
    assert (one.n_labels, one.details["train_rows"], one.details["classes_without_word"]) == (0, 0, 0)
    words = one.details["words"]["restaurant kitchen"]
    assert sorted(words) == [["word2", 1.0], ["word3", 1.0]]


def test_evidence_beats_chance_where_the_words_are_the_classes():
    one = record(
        evidence(judged(named("dog", "oak", "kitchen"), FEATURES, model=knowing_model())), "evidence"
    )
    assert one.ci_low > one.baseline + 0.2


def test_a_class_without_a_word_is_never_answered_and_named():
    asked = judged(named("dog", "qwertz", "kitchen"), FEATURES, model=knowing_model())
    scored = evidence(asked)
    assert "qwertz" not in scored.predictions["prediction"].to_pylist()
    details = record(scored, "evidence").details
    assert (details["classes_without_word"], details["without_word"]) == (1, ["qwertz"])


def test_a_file_says_what_labels_are_called_and_synonyms_count_together(tmp_path):
    path = tmp_path / "names.json"
    path.write_text(json.dumps({"a": "dog", "b": ["oak", "restaurant"], "c": "kitchen"}))
    model = knowing_model(("dog", "oak", "kitchen", "restaurant"))
    asked = judged(SPLITS, FEATURES, model=model, wording={"class_names": path})
    details = record(evidence(asked), "evidence").details
    assert details["words"]["b"] == [["word1", 1.0], ["word3", 1.0]]
    assert details["names"]["b"] == ["oak", "restaurant"]


def test_japanese_names_are_read_where_the_locale_says_so():
    pytest.importorskip("sudachipy")
    asked = {"splits": named("犬", "オーク", "kitchen"), "features": FEATURES, "model": knowing_model()}
    read = record(evidence(judged(**asked, wording={"locale": "ja"})), "evidence").details["words"]
    assert read["犬"] == [["word0", 1.0]] and read["kitchen"] == [["word2", 1.0]]
    assert record(evidence(judged(**asked)), "evidence").details["without_word"] == ["犬", "オーク"]


def test_company_terms_and_words_of_no_dictionary_are_known_by_equal_text():
    model = knowing_model(("term:gate valve", "word:zorbli", "kitchen"))
    asked = judged(named("Gate_Valve", "ZORBLI", "kitchen"), FEATURES, model=model)
    words = record(evidence(asked), "evidence")
    assert words.details["words"] == {
        "Gate_Valve": [["word0", 1.0]],
        "ZORBLI": [["word1", 1.0]],
        "kitchen": [["word2", 1.0]],
    }


@pytest.mark.parametrize("task", [evidence, start])
def test_models_that_cannot_answer_are_told_so(task):
    with pytest.raises(UsageError, match=r"made: predicts no words, so the task \w+ does not apply to it"):
        task(judged(SPLITS, FEATURES, model=reading_model()))
    with pytest.raises(UsageError, match="only features were given"):
        task(judged(SPLITS, FEATURES))
    with pytest.raises(UsageError, match="none of its words means one of the 3 classes of 'kind'"):
        task(judged(named("asdf", "qwertz", "yxcv"), FEATURES, model=knowing_model()))


@pytest.fixture(scope="module")
def started():
    asked = judged(
        named("dog", "oak", "kitchen"),
        FEATURES,
        model=knowing_model(),
        labels_per_class=(1, 4),
        draws=3,
    )
    return start(asked)


def mean_of(scored, task, n_labels, metric="acc1"):
    found = [
        one.value
        for one in scored.results
        if (one.task, one.n_labels, one.metric) == (task, n_labels, metric)
    ]
    assert len(found) == 3
    return np.mean(found)


def test_each_judgement_is_made_from_both_starts_on_the_same_draws(started):
    tasks = {one.task for one in started.results}
    assert tasks == {task + suffix for task in JUDGEMENTS for suffix in ("", "_random")}
    assert started.predictions.num_rows == 30 * 3 * 2 * len(tasks)


def test_converged_answers_are_the_same_from_both_starts(started):
    ours, random = (
        started.predictions.filter(np.array(started.predictions["task"].to_pylist()) == task)
        for task in ("start_converged", "start_converged_random")
    )
    assert ours["prediction"].to_pylist() == random["prediction"].to_pylist()
    np.testing.assert_allclose(ours["probability"], random["probability"], atol=1e-3)


def test_rows_of_the_right_words_pay_where_the_start_is_kept_in_mind(started):
    for task in ("start_fixed_steps", "start_pulled"):
        assert mean_of(started, task, 1) > mean_of(started, task + "_random", 1) + 0.05
    assert mean_of(started, "start_fixed_steps", 1) > 0.6


def test_the_gain_is_the_difference_of_the_means_with_its_interval(started):
    gains = [one for one in started.results if one.metric.endswith("_difference")]
    assert len(gains) == 2 * len(JUDGEMENTS) * 2
    for one in gains:
        metric = one.metric.removesuffix("_difference")
        first, second = (mean_of(started, one.task + end, one.n_labels, metric) for end in ("", "_random"))
        assert one.value == pytest.approx(first - second)
        assert one.ci_low <= one.value <= one.ci_high
        assert one.details["against"] == one.task + "_random"
