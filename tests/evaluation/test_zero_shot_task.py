import json

import numpy as np
import pytest
import torch
from asked import judged, reading_model, word_model
from made import make_splits
from sklearn.metrics import top_k_accuracy_score

from synsight.errors import UsageError
from synsight.evaluation.zeroshot import zero_shot_probabilities, zeroshot
from synsight.language.prompts import TEMPLATES

SPLITS, FEATURES = make_splits(classes=7, counts=(42, 14, 70))
NAMES = [("dog",), ("red car", "motor"), ("oak",)]


def by_hand(model, features, names, templates):
    """One sentence after the other, in float64."""
    classes = []
    for some in names:
        rows = [
            model.embed_texts([template.replace("{}", name)])[0].astype(float)
            for name in some
            for template in templates
        ]
        mean = np.mean([row / np.linalg.norm(row) for row in rows], axis=0)
        classes.append(mean / np.linalg.norm(mean))
    images = model.project(torch.from_numpy(features)).detach().double().numpy()
    cosines = images @ np.array(classes).T / np.linalg.norm(images, axis=1, keepdims=True)
    powers = np.exp(float(model.text.logit_scale) * cosines)
    return powers / powers.sum(axis=1, keepdims=True)


def test_classes_are_the_mean_over_names_and_sentences_by_hand():
    model, templates = reading_model(), ["a photo of a {}.", "{}", "the {} over there"]
    found = zero_shot_probabilities(model, FEATURES.test, NAMES, templates=templates)
    np.testing.assert_allclose(found, by_hand(model, FEATURES.test, NAMES, templates), rtol=1e-4)


def test_many_classes_are_averaged_in_parts_to_the_same_rows(monkeypatch):
    side = reading_model().text
    names = [("a", "b", "c"), "d", ("e", "f"), ("g",) * 5, "h"]
    whole = side.classes(names, templates=["{}", "my {}"])
    for most in (1, 4, 7):
        monkeypatch.setattr("synsight.models.text_side.MOST_TEXTS", most)
        torch.testing.assert_close(side.classes(names, templates=["{}", "my {}"]), whole)
    assert side.classes([]).shape == (0, 6)


def test_the_task_scores_all_test_rows_without_a_label():
    model = reading_model()
    scored = zeroshot(judged(SPLITS, FEATURES, model=model))
    names = [(one,) for one in SPLITS.class_names]
    expected = by_hand(model, FEATURES.test, names, TEMPLATES["en"])
    results = {one.metric: one for one in scored.results}
    labels = SPLITS.test.labels
    for metric, places in (("acc1", 1), ("acc5", 5)):
        value = top_k_accuracy_score(labels, expected, k=places, labels=range(7))
        assert results[metric].value == pytest.approx(value)
        assert results[metric].ci_low <= value <= results[metric].ci_high
    assert results["acc5"].baseline == pytest.approx(5 / 7)
    assert {one.n_labels for one in scored.results} == {0}
    assert {"acc1", "acc5", "mean_per_class_recall"} <= set(results)
    answers = np.array(SPLITS.class_names)[expected.argmax(axis=1)]
    assert scored.predictions["prediction"].to_pylist() == answers.tolist()
    np.testing.assert_allclose(scored.predictions["probability"], expected.max(axis=1), rtol=1e-4)
    assert results["acc1"].details["templates"] == list(TEMPLATES["en"])


def test_files_and_the_locale_decide_what_is_said(tmp_path):
    model, names = reading_model(), tmp_path / "names.json"
    names.write_text(json.dumps({"set": ["dog", "cat", "oak", "car", "bus", "pen", "cup"]}))
    templates = tmp_path / "templates.json"
    templates.write_text(json.dumps({"set": ["a {c}!"], "other": ["{c}"]}))
    options = {"class_names": names, "templates": templates, "dataset": "set"}
    scored = zeroshot(judged(SPLITS, FEATURES, model=model, wording=options))
    called = [(one,) for one in ("dog", "cat", "oak", "car", "bus", "pen", "cup")]
    expected = by_hand(model, FEATURES.test, called, ["a {}!"])
    np.testing.assert_allclose(scored.predictions["probability"], expected.max(axis=1), rtol=1e-4)
    japanese = zeroshot(judged(SPLITS, FEATURES, model=model, wording={"locale": "ja"}))
    assert japanese.results[0].details["templates"][0] == "{}の写真"
    assert japanese.results[0].config_hash != scored.results[0].config_hash


def test_a_model_without_texts_is_told_so():
    model = word_model(["wn30:n02084071"], np.zeros((1, 5)), [0.0])
    with pytest.raises(UsageError, match="made: reads no text, so the task zeroshot does not apply"):
        zeroshot(judged(SPLITS, FEATURES, model=model))
