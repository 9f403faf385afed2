import sys

import numpy as np
import pytest
from faster_coco_eval import COCO, COCOeval_faster

from synsight.data.instances import Instances
from synsight.errors import MissingDependency
from synsight.finetuning.coco_scores import CocoScores, Detections

SIZE = (40, 40)


def squares(*corners, labels, ignored=None, masks=True):
    boxes = np.array(corners, dtype=np.float32).reshape(-1, 4)
    labels = np.array(labels, dtype=np.int64)
    hidden = np.zeros(len(labels), bool) if ignored is None else np.array(ignored, dtype=bool)
    return Instances(boxes, labels, hidden, filled(boxes) if masks else None)


def found(*corners, labels, scores):
    boxes = np.array(corners, dtype=np.float32).reshape(-1, 4)
    return Detections(boxes, np.array(labels, int), np.array(scores, np.float32), filled(boxes))


def filled(boxes):
    masks = np.zeros((len(boxes), *SIZE), dtype=bool)
    for mask, (left, top, right, bottom) in zip(masks, boxes.astype(int), strict=True):
        mask[top:bottom, left:right] = True
    return masks


def scores_of(*images, num_classes=1):
    scores = CocoScores(num_classes)
    for truth, detections in images:
        scores.add(truth, detections, size=SIZE)
    return scores


def values(scores, kind="box", groups=None):
    count = len(scores._images)
    found = scores.average_precision(kind, range(count) if groups is None else groups, resamples=20)
    return {name: one.value for name, one in found.items()}


@pytest.mark.parametrize("kind", ["box", "mask"])
def test_average_precision_by_hand(kind):
    # IoU of 0.8 (8 of 10 columns): right up to a threshold of 0.8, so at 7 of the 10.
    truth = squares((0, 0, 10, 10), labels=[0])
    shifted = found((0, 0, 8, 10), labels=[0], scores=[0.9])
    assert values(scores_of((truth, shifted)), kind) == {"AP": pytest.approx(0.7), "AP50": pytest.approx(1)}
    # One of two found, and no false alarm: precision 1 up to recall 0.5, which is 51 of the 101 points.
    two = squares((0, 0, 10, 10), (20, 20, 30, 30), labels=[0, 0])
    half = found((0, 0, 10, 10), labels=[0], scores=[0.9])
    assert values(scores_of((two, half)), kind)["AP50"] == pytest.approx(51 / 101)
    # A surer false alarm halves the precision everywhere.
    alarm = found((30, 0, 40, 10), (0, 0, 10, 10), labels=[0, 0], scores=[0.9, 0.8])
    assert values(scores_of((truth, alarm)), kind)["AP50"] == pytest.approx(0.5)


def test_what_lies_in_an_ignored_region_counts_neither_for_nor_against():
    truth = squares((0, 0, 10, 10), (20, 20, 40, 40), labels=[0, 0], ignored=[False, True])
    detections = found((22, 22, 30, 30), (0, 0, 10, 10), labels=[0, 0], scores=[0.9, 0.8])
    assert values(scores_of((truth, detections))) == {"AP": pytest.approx(1), "AP50": pytest.approx(1)}


def test_a_class_without_objects_is_left_out_and_nothing_found_is_nothing():
    truth = squares((0, 0, 10, 10), labels=[0])
    right = found((0, 0, 10, 10), labels=[0], scores=[0.5])
    assert values(scores_of((truth, right), num_classes=3))["AP"] == pytest.approx(1)
    assert values(scores_of((truth, found(labels=[], scores=[]))))["AP50"] == 0


def random_images(count, rng):
    images = []
    for _ in range(count):
        number = rng.integers(0, 4)
        corner = rng.integers(0, 20, (number, 2))
        boxes = np.concatenate([corner, corner + rng.integers(6, 20, (number, 2))], axis=1)
        near = np.clip(boxes + rng.integers(-2, 3, boxes.shape), 0, 40)
        near = np.concatenate([near, [[1, 1, 12, 12]]])
        labels = rng.integers(2, size=number)
        images.append(
            (
                squares(*boxes, labels=labels, ignored=rng.random(number) < 0.2),
                found(*near, labels=[*labels, 0], scores=rng.random(number + 1)),
            )
        )
    return images


@pytest.mark.parametrize(("kind", "word"), [("box", "bbox"), ("mask", "segm")])
def test_the_numbers_are_those_of_the_librarys_own_summary(kind, word):
    scores = scores_of(*random_images(12, np.random.default_rng(1)), num_classes=2)
    truth = COCO(
        {
            "images": scores._images,
            "annotations": [dict(one) for one in scores._truth],
            "categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}],
        }
    )
    evaluator = COCOeval_faster(truth, truth.loadRes([dict(one) for one in scores._found]), word)
    evaluator.evaluate()
    evaluator.accumulate()
    evaluator.summarize()
    np.testing.assert_allclose(list(values(scores, kind).values()), evaluator.stats[:2])


def test_a_resample_counts_an_image_drawn_twice_as_two():
    images = random_images(6, np.random.default_rng(2))
    drawn = [0, 3, 3, 5]
    matches = module_matches(scores_of(*images, num_classes=2))
    whole = scores_of(*(images[at] for at in drawn), num_classes=2)
    np.testing.assert_allclose(matches.counted(np.array(drawn)), list(values(whole).values()))
    everything = matches.counted(np.arange(6))
    np.testing.assert_allclose(everything, list(values(scores_of(*images, num_classes=2)).values()))


def module_matches(scores):
    from synsight.finetuning.coco_scores import _Matches

    return _Matches(scores._evaluated("box"), len(scores._images))


def test_intervals_hold_the_value_and_are_none_wide_for_a_single_group():
    scores = scores_of(*random_images(10, np.random.default_rng(3)), num_classes=2)
    apart = scores.average_precision("box", range(10), resamples=100)["AP50"]
    assert apart.low < apart.value < apart.high
    together = scores.average_precision("box", [7] * 10, resamples=10)["AP50"]
    assert together.low == together.value == together.high == pytest.approx(apart.value)


def test_without_the_library_the_install_hint_is_given(monkeypatch):
    monkeypatch.setitem(sys.modules, "faster_coco_eval", None)
    with pytest.raises(MissingDependency, match=r'pip install "synsight\[detection\]"'):
        CocoScores(1)
