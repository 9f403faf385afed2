import json

import pytest

from synsight.errors import DataError
from synsight.evaluation.foreign_results import read_foreign

ZEROSHOT = {
    "dataset": "cifar10",
    "model": "ViT-B-32-quickgelu",
    "pretrained": "laion400m_e32",
    "task": "zeroshot_classification",
    "metrics": {"acc1": 0.9074, "acc5": 0.998, "mean_per_class_recall": 0.9073},
    "language": "en",
}
"""As the README of CLIP_benchmark shows it."""

PROBE = {
    **ZEROSHOT,
    "task": "linear_probe",
    "metrics": {"lp_acc1": 0.8, "lp_mean_per_class_recall": 0.79, "weight_decay": 0.1, "epochs": 10}
    | {"seed": 3, "fewshot_k": 5},
}


def read(tmp_path, value):
    path = tmp_path / "result.json"
    path.write_text(json.dumps(value))
    return read_foreign(path)


def test_a_zero_shot_file_gives_its_metrics(tmp_path):
    found = {one.metric: one for one in read(tmp_path, ZEROSHOT)}
    assert {name: one.value for name, one in found.items()} == ZEROSHOT["metrics"]
    one = found["acc1"]
    assert (one.model, one.dataset, one.task) == ("ViT-B-32-quickgelu laion400m_e32", "cifar10", "zeroshot")
    assert (one.ci_low, one.n_labels, one.n_test) == (None, None, 0)


def test_a_few_shot_probe_is_the_few_shot_question(tmp_path):
    found = read(tmp_path, PROBE)
    assert [(one.task, one.metric, one.value, one.n_labels, one.seed) for one in found] == [
        ("fewshot", "acc1", 0.8, 5, 3),
        ("fewshot", "mean_per_class_recall", 0.79, 5, 3),
    ]
    whole = {**PROBE, "metrics": {**PROBE["metrics"], "fewshot_k": -1}}
    assert {(one.task, one.n_labels) for one in read(tmp_path, whole)} == {("linear", None)}


def test_with_the_number_of_test_images_comes_wilsons_interval(tmp_path):
    one = next(one for one in read(tmp_path, {**ZEROSHOT, "n_test": 10_000}) if one.metric == "acc1")
    z, n, p = 1.959964, 10_000, 0.9074
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * (p * (1 - p) / n + z * z / (4 * n * n)) ** 0.5
    assert (one.ci_low, one.ci_high) == pytest.approx((centre - half, centre + half), abs=1e-6)


def test_several_results_in_one_file_are_read(tmp_path):
    assert len({one.model for one in read(tmp_path, [ZEROSHOT, {**ZEROSHOT, "model": "other"}])}) == 2


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([], "found none"),
        ({"hello": 1}, "expected a result of CLIP_benchmark"),
        ([1, 2], "expected a result of CLIP_benchmark"),
        ({**ZEROSHOT, "metrics": {"acc1": None}}, "found none"),
        ({**ZEROSHOT, "metrics": {"acc1": 91}}, "found none"),
        ({**ZEROSHOT, "metrics": {"acc1": True, "x": "0.5"}}, "found none"),
    ],
)
def test_anything_else_is_refused_in_one_sentence(tmp_path, value, said):
    with pytest.raises(DataError, match=said):
        read(tmp_path, value)


def test_no_number_is_taken_from_a_nan(tmp_path):
    path = tmp_path / "result.json"
    path.write_text(json.dumps(ZEROSHOT).replace("0.9074", "NaN"))
    assert "acc1" not in {one.metric for one in read_foreign(path)}
